"""Kusto's types and values: reading them from literals, writing them as the query API does."""

import json
import math
import re
from datetime import UTC, datetime, timedelta
from typing import Literal, TypeAlias

from rotator.sandbox.clouds.loganalytics.kql.errors import mismatch

Type: TypeAlias = Literal["string", "long", "real", "bool", "datetime", "timespan", "dynamic", "guid"]
Value: TypeAlias = "str | int | float | bool | datetime | timedelta | list[Value] | dict[str, Value] | None"
Row: TypeAlias = dict[str, Value]

NUMBERS: tuple[Type, ...] = ("long", "real")

_UNIT_SECONDS = {
    "d": 86400.0,
    "day": 86400.0,
    "h": 3600.0,
    "hr": 3600.0,
    "hour": 3600.0,
    "m": 60.0,
    "min": 60.0,
    "minute": 60.0,
    "s": 1.0,
    "sec": 1.0,
    "second": 1.0,
    "ms": 1e-3,
    "millisecond": 1e-3,
    "microsecond": 1e-6,
    "tick": 1e-7,
}
_LITERAL = re.compile(r"(?P<number>\d+(?:\.\d+)?)(?P<unit>[a-z]+)")
_CLOCK = re.compile(
    r"(?P<sign>-)?(?:(?P<days>\d+)\.)?(?P<hours>\d{1,2}):(?P<minutes>\d{2})(?::(?P<seconds>\d{2}(?:\.\d{1,7})?))?"
)


def parse_timespan(text: str) -> timedelta | None:
    """Read `1d`, `2.5h`, `10ms` or `1.02:03:04`; None when it is none."""
    found = _LITERAL.fullmatch(text)
    if found is not None:
        unit = found["unit"] if found["unit"] in ("s", "ms") else found["unit"].removesuffix("s")
        scale = _UNIT_SECONDS.get(unit)
        try:
            return None if scale is None else timedelta(seconds=float(found["number"]) * scale)
        except OverflowError:
            return None
    clock = _CLOCK.fullmatch(text)
    if clock is None:
        return None
    span = timedelta(
        days=int(clock["days"] or 0),
        hours=int(clock["hours"]),
        minutes=int(clock["minutes"]),
        seconds=float(clock["seconds"] or 0),
    )
    return -span if clock["sign"] else span


def parse_datetime(text: str) -> datetime | None:
    """Read an ISO 8601 instant or date; without an offset it is UTC. None when it is none."""
    # Kusto writes seven decimals, Python reads at most six.
    trimmed = re.sub(r"(\.\d{6})\d+", r"\1", text.strip().strip("\"'"))
    try:
        at = datetime.fromisoformat(trimmed)
        return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def write_datetime(at: datetime) -> str:
    """Write an instant as the query API does."""
    text = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
    return text.rstrip("0").rstrip(".") + "Z"


def write_timespan(span: timedelta) -> str:
    """Write a timespan as the query API does: [-][d.]hh:mm:ss[.fffffff]."""
    micros = round(span / timedelta(microseconds=1))
    sign, micros = ("-", -micros) if micros < 0 else ("", micros)
    seconds, fraction = divmod(micros, 1_000_000)
    days, rest = divmod(seconds, 86400)
    text = f"{rest // 3600:02}:{rest % 3600 // 60:02}:{rest % 60:02}"
    return sign + (f"{days}." if days else "") + text + (f".{fraction:06}0" if fraction else "")


def text_of(value: Value) -> str:
    """Turn a value into text as tostring() does; null is the empty text."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, datetime):
        return at_seven(value)
    if isinstance(value, timedelta):
        return write_timespan(value)
    if isinstance(value, list | dict):
        return json.dumps(plain(value), separators=(",", ":"))
    return str(value)


def at_seven(at: datetime) -> str:
    """Write an instant with Kusto's seven decimals."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "0Z"


def plain(value: Value) -> object:
    """Turn a value into JSON inside a dynamic."""
    if isinstance(value, list):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, datetime):
        return at_seven(value)
    return write_timespan(value) if isinstance(value, timedelta) else value


def cell(value: Value) -> object:
    """Turn a value into what stands in a row of an answer: a dynamic is a text of JSON there."""
    if isinstance(value, datetime):
        return write_datetime(value)
    if isinstance(value, timedelta):
        return write_timespan(value)
    if isinstance(value, float) and not math.isfinite(value):
        # JSON has no word for these; the query API writes a text.
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    return text_of(value) if isinstance(value, list | dict) else value


def common_type(left: Type, right: Type) -> Type:
    """Return the type two operands are compared in; KqlError SEM0064 when they cannot be."""
    if left == right:
        return left
    if left in NUMBERS and right in NUMBERS:
        return "real"
    if "dynamic" in (left, right):
        return right if left == "dynamic" else left
    if {left, right} == {"string", "guid"}:
        return "string"
    raise mismatch(f"Cannot compare values of types {left} and {right}. Try adding explicit casts")
