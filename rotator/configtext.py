"""How the configuration reads durations, finds lines, and guesses what a mistyped key was meant to be."""

import difflib
import re
from datetime import timedelta
from typing import Annotated

import yaml
from pydantic import BaseModel, BeforeValidator, PlainSerializer, WithJsonSchema

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION = re.compile(r"(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
PATTERN = r"^(\d+w)?(\d+d)?(\d+h)?(\d+m)?(\d+s)?$"


def parse_duration(text: object) -> timedelta:
    """Read `90d`, `12h`, `1h30m`, `45s`; raises ValueError that says so for anything else."""
    if isinstance(text, timedelta):
        return text
    match = _DURATION.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None or not any(match.groups()):
        raise ValueError("a duration is written like 90d, 12h, 1h30m or 45s")
    seconds = sum(int(amount) * unit for amount, unit in zip(match.groups(), (604800, 86400, 3600, 60, 1), strict=True) if amount)
    return timedelta(seconds=seconds)


def write_duration(duration: timedelta) -> str:
    """Write a duration in its largest units, `36h` as `1d12h`; fractions of a second are dropped."""
    rest, parts = int(duration.total_seconds()), []
    for unit, seconds in sorted(_UNITS.items(), key=lambda item: -item[1]):
        if unit == "w":
            continue
        amount, rest = divmod(rest, seconds)
        if amount:
            parts.append(f"{amount}{unit}")
    return "".join(parts) or "0s"


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(write_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": PATTERN, "examples": ["90d", "12h", "1h30m"]}),
]


def position_of(text: str, place: tuple[int | str, ...]) -> int | None:
    """Return the line (from 1) on which the YAML text holds the thing at `place`, or its nearest parent; None without text."""
    node = yaml.compose(text, Loader=yaml.SafeLoader) if text else None
    line = None
    for part in place:
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == str(part):
                    line, node = key.start_mark.line + 1, value
                    break
            else:
                return line
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            return line
    return line


def nearest(model: type[BaseModel], place: tuple[int | str, ...]) -> str | None:
    """Return the known key that an unknown one at `place` most resembles, or None."""
    for part in place[:-1]:
        field = model.model_fields.get(str(part))
        inner = _model_of(field.annotation) if field else None
        if inner is None:
            return None
        model = inner
    close = difflib.get_close_matches(str(place[-1]), list(model.model_fields), n=1, cutoff=0.5)
    return close[0] if close else None


def _model_of(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        found = _model_of(inner)
        if found:
            return found
    return None
