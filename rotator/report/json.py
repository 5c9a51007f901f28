"""Values of the vocabulary as JSON, and the report with them. What has no written form is refused, a `Secret` among it."""

import dataclasses
import json
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from enum import Enum

from rotator.model.arm import ArmId
from rotator.model.credential import Principal
from rotator.model.image import ImageReference
from rotator.ports import Json
from rotator.report.document import Report


def plain(value: object) -> Json:
    """Return a value as JSON: dataclasses as objects, instants as RFC 3339, durations in seconds, principals as their id.

    Raises TypeError for a type it does not know, so that nothing slips out by its `str`.
    """
    match value:
        case Enum():
            return str(value.value)
        case None | bool() | int() | float() | str():
            return value
        case datetime():
            return value.isoformat().replace("+00:00", "Z")
        case date():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case ArmId() | ImageReference():
            return str(value)
        case Principal():
            return value.id
        case Mapping():
            return {_key(key): plain(inner) for key, inner in value.items()}
        case list() | tuple() | set() | frozenset():
            return [plain(inner) for inner in _ordered(value)]
    return _fields(value)


def _fields(value: object) -> Json:
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        raise TypeError(f"{type(value).__name__} has no form in JSON")
    # What must not be shown (a group's raw body) is marked by its missing repr.
    return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value) if field.repr}


def dumps(value: object) -> str:
    """Return a value as indented JSON text."""
    return json.dumps(plain(value), indent=2, ensure_ascii=False)


def render(report: Report) -> str:
    """Return the report as JSON text, ended by a line feed."""
    return dumps(report) + "\n"


def _key(key: object) -> str:
    text = plain(key)
    if not isinstance(text, str):
        raise TypeError("a key is text")
    return text


def _ordered(values: Iterable[object]) -> Iterable[object]:
    return sorted(values, key=str) if isinstance(values, (set, frozenset)) else values
