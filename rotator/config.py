"""What an operator writes: one YAML file, overridden by `ROTATOR_*` environment variables, validated as a whole.

This module is the only reader of the environment. A wrong file is refused in one sentence that names the line and, for a
key that nobody knows, the nearest one that somebody does.
"""

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource

from rotator.configtext import nearest, position_of
from rotator.model.errors import ConfigError
from rotator.settings import ENVIRONMENT_PREFIX, Settings

# Read by the command line before any file is; not part of the settings.
_OUTSIDE_SETTINGS = {"ROTATOR_CONFIG", "ROTATOR_LOG_LEVEL"}


class _GivenEnvironment(EnvSettingsSource):
    """Reads a mapping instead of the process's environment, so that a demo or a test sets nothing globally."""

    def __init__(self, settings: type[BaseSettings], given: Mapping[str, str]) -> None:
        self._given = {key.lower(): value for key, value in given.items()}
        super().__init__(settings)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return self._given


def environment() -> Mapping[str, str]:
    """Return the process's environment."""
    return os.environ  # noqa: TID251 - the one reader


def load(path: Path | None, given: Mapping[str, str] | None = None) -> Settings:
    """Return the settings of a YAML file with `ROTATOR_*` variables on top (`ROTATOR_VAULT__URL` is `vault.url`).

    Raises ConfigError with the file, the line and the remedy. Without a file, everything must come from the environment.
    """
    variables = environment() if given is None else given
    text, document = _read(path)
    _refuse_unknown_variables(variables)

    class Bound(Settings):
        @classmethod
        def settings_customise_sources(  # the environment wins over the file, and nothing else is read
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            del env_settings, dotenv_settings, file_secret_settings
            return _GivenEnvironment(settings_cls, variables), init_settings

    try:
        return Bound(**document)
    except ValidationError as error:
        raise ConfigError(_explain(error, path, text)) from None
    except ValueError as error:
        raise ConfigError(f"an environment variable cannot be read: {error}") from None


def schema() -> dict[str, Any]:
    """Return the JSON Schema of the file, for editors and `rotator config schema`."""
    published = Settings.model_json_schema()
    published["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return published


def _read(path: Path | None) -> tuple[str, dict[str, Any]]:
    if path is None:
        return "", {}
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(
            f"there is no configuration file {path}", advice="Name one with --config; docs/configuration.md has a first one."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from None
    try:
        document = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{path}:{line}: this is no YAML: {error.problem}") from None
    if document is None:
        document = {}
    if not isinstance(document, dict):
        raise ConfigError(f"{path}:1: the file must be a mapping of settings, such as `vault:`")
    return text, document


def _refuse_unknown_variables(variables: Mapping[str, str]) -> None:
    known = {ENVIRONMENT_PREFIX + name.upper() for name in Settings.model_fields}
    for name in sorted(variables):
        upper = name.upper()
        if upper.startswith(ENVIRONMENT_PREFIX) and upper not in _OUTSIDE_SETTINGS and upper.split("__")[0] not in known:
            close = difflib.get_close_matches(upper, sorted(known), n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise ConfigError(f"the environment variable {name} names no setting{hint}")


def _explain(error: ValidationError, path: Path | None, text: str) -> str:
    sentences = []
    for problem in error.errors(include_url=False, include_input=False, include_context=False):
        place = tuple(part for part in problem["loc"] if not (isinstance(part, str) and part.startswith("function-")))
        where = ".".join(str(part) for part in place) or "the settings"
        line = position_of(text, place)
        prefix = f"{path}:{line}: " if path and line else f"{path}: " if path else ""
        if problem["type"] == "extra_forbidden":
            near = nearest(Settings, place)
            sentences.append(f"{prefix}{where} is no setting" + (f"; did you mean {near}?" if near else ""))
        elif problem["type"] == "missing":
            sentences.append(f"{prefix}{where} is missing")
        else:
            sentences.append(f"{prefix}{where}: {problem['msg'].removeprefix('Value error, ')}")
    return "\n".join(sentences)
