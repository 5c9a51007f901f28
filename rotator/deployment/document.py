"""A text that a person wrote about a container group, read as YAML. Pure.

No error quotes the text: what a parser stumbles over may be an unquoted password.
"""

import yaml

from rotator.audit.yamltext import TwinKeys, YamlText, parse_yaml
from rotator.model.errors import ConfigError, PolicyError

# 60 containers with a hundred variables each are 20,000 values.
_LARGEST = 100_000
_DEEPEST = 50


class Texts(yaml.SafeLoader):
    """Reads dates as the texts that they are: an apiVersion, or the value of a variable."""


Texts.yaml_implicit_resolvers = {
    first: [(tag, form) for tag, form in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read_document(text: str, file: str) -> YamlText:
    """Return what a text says. Raises ConfigError, with the line, for what is no YAML, or no end of it."""
    try:
        parsed = parse_yaml(text, file, Texts)
    except PolicyError as error:
        where = f"{file}:{error.line}" if error.line else file
        why, advice = _unreadable(text, error)
        raise ConfigError(f"{where}: {why}", advice=advice) from None
    if not _is_small(parsed.content):
        raise ConfigError(f"{file}: this is too large or too deep for a container group", advice="Look for an alias (*name).")
    return parsed


def _unreadable(text: str, error: PolicyError) -> tuple[str, str]:
    """Return what is wrong, and what to do."""
    if isinstance(error, TwinKeys):
        return "a key stands twice in one mapping", "Remove one of them: YAML would take the last in silence."
    lines = text.splitlines()
    line = lines[error.line - 1] if error.line and error.line <= len(lines) else ""
    if line.startswith("---"):
        return "a second document begins", "One file is one group: cut it in two."
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return "the line is indented with a tab", "YAML takes spaces only."
    return "this is no YAML that can be read", "Check indentation and quotes."


def _is_small(content: object) -> bool:
    """Say whether a text is as small as a group may be. A few aliases can stand for more than the memory holds, or for no end."""
    waiting, left = [(content, 0)], _LARGEST
    while waiting:
        value, depth = waiting.pop()
        left -= 1
        if not left or depth > _DEEPEST:
            return False
        if isinstance(value, dict | list):
            waiting.extend((item, depth + 1) for item in (value.values() if isinstance(value, dict) else value))
    return True
