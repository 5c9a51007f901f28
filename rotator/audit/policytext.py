"""What a policy file may say: the shape of the YAML, and its complaints in people's words."""

import difflib
from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from rotator.audit.cases import instant_text
from rotator.audit.facttable import FactValue
from rotator.audit.yamltext import Place, YamlText
from rotator.model.errors import PolicyError
from rotator.model.policy import Severity, Subject

Text = Annotated[str, Field(min_length=1)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


class ControlText(_Section):
    """An external requirement and who says that the policy meets it."""

    framework: Text
    id: Annotated[Text, Field(coerce_numbers_to_str=True)]
    source: Text


class ExampleTexts(_Section):
    """Facts for which the policy must answer pass, fail and unknown; at least one of each."""

    passing: Annotated[tuple[dict[str, FactValue], ...], Field(alias="pass", min_length=1)]
    failing: Annotated[tuple[dict[str, FactValue], ...], Field(alias="fail", min_length=1)]
    unknown: Annotated[tuple[dict[str, FactValue], ...], Field(min_length=1)]

    @field_validator("passing", "failing", "unknown", mode="before")
    @classmethod
    def _instants_as_text(cls, value: object) -> object:
        # YAML turns an unquoted instant into a datetime; facts hold instants as text.
        if not isinstance(value, list):
            return value
        return [
            {name: instant_text(fact) if isinstance(fact, datetime) and fact.tzinfo else fact for name, fact in one.items()}
            if isinstance(one, dict)
            else one
            for one in value
        ]


class PolicyText(_Section):
    """One policy file."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
    title: Text
    severity: Severity
    subject: Subject
    needs: tuple[Text, ...] = ()
    expression: Text
    rationale: Text
    remediation: Text
    controls: tuple[ControlText, ...] = ()
    examples: ExampleTexts


def policy_text(text: YamlText) -> PolicyText:
    """Return what the file says; raises PolicyError, naming the line, for anything that a policy file may not say."""
    if not isinstance(text.content, dict):
        raise text.error("a policy file holds one mapping with id, title, severity, subject, expression and examples")
    try:
        return PolicyText.model_validate(text.content)
    except ValidationError as error:
        raise complaint(text, error, PolicyText) from None


def complaint(text: YamlText, error: ValidationError, model: type[BaseModel], inside: Place = ()) -> PolicyError:
    """Turn pydantic's complaints into one of ours: the line, the key, and for an unknown key the nearest known one.

    `inside` is the place of the validated part within the file; `model` is the whole file's. A mistyped key is both unknown
    and missing: the unknown one, which stands in the file, is the one to show.
    """
    listed = error.errors(include_url=False, include_input=False, include_context=False)
    details = min(listed, key=lambda one: one["type"] != "extra_forbidden")
    place = (*inside, *details["loc"])
    key = str(place[-1]) if place else ""
    if details["type"] == "extra_forbidden":
        known = _keys_at(model, place[:-1])
        near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"known keys are {', '.join(known)}"
        return text.error(f"unknown key {key!r}; {hint}", place)
    if details["type"] == "missing":
        if len(place) > 1 and place[0] == "examples":
            return text.error(f"examples need at least one case for pass, fail and unknown; {key!r} is missing", place)
        return text.error(f"the key {key!r} is missing", place)
    where = ".".join(str(part) for part in place)
    return text.error(f"{where}: {details['msg'][:1].lower()}{details['msg'][1:]}", place)


def _keys_at(model: type[BaseModel], place: tuple[int | str, ...]) -> list[str]:
    """Return the keys known at a place inside a model."""
    for part in place:
        if isinstance(part, int):
            continue
        field = next((one for name, one in model.model_fields.items() if (one.alias or name) == part), None)
        inner = _model_in(field.annotation) if field else None
        if inner is None:
            return []
        model = inner
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in getattr(annotation, "__args__", ()) if (found := _model_in(inner))), None)
