"""Comparisons and functions of single values. A null makes a comparison false and a function's result null."""

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from rotator.sandbox.clouds.loganalytics.kql.errors import KqlError, mismatch
from rotator.sandbox.clouds.loganalytics.kql.values import NUMBERS, Type, Value, parse_datetime, parse_timespan, text_of

_EPOCH = datetime(1, 1, 1, tzinfo=UTC)
_TERM = re.compile(r"[0-9A-Za-z\u0080-\U0010ffff]+")


# --- comparing text -----------------------------------------------------------------------------------------------


def _has(text: str, term: str) -> bool:
    """Say whether `term` occurs in `text` bounded by ends or by what is neither letter nor digit."""
    if not term:
        return True
    start = text.find(term)
    while start >= 0:
        end = start + len(term)
        before, after = text[start - 1 : start], text[end : end + 1]
        if not (_TERM.fullmatch(before) and _TERM.match(term[0])) and not (_TERM.fullmatch(after) and _TERM.match(term[-1])):
            return True
        start = text.find(term, start + 1)
    return False


_TEXT_TESTS: dict[str, Callable[[str, str], bool]] = {
    "has": _has,
    "contains": lambda text, part: part in text,
    "startswith": str.startswith,
    "endswith": str.endswith,
    "hasprefix": lambda text, part: any(term.startswith(part) for term in _TERM.findall(text)),
    "hassuffix": lambda text, part: any(term.endswith(part) for term in _TERM.findall(text)),
}


def text_test(word: str) -> Callable[[str, str], bool] | None:
    """Return the test of an operator between texts (has, !contains_cs, =~, ...); None when it is no such operator."""
    if word in ("=~", "!~"):
        wanted = word == "=~"
        return lambda text, other: (text.casefold() == other.casefold()) == wanted
    if word == "matches regex":
        return lambda text, pattern: re.search(_checked(pattern), text) is not None
    plain, wanted = word.removeprefix("!"), not word.startswith("!")
    test = _TEXT_TESTS.get(plain.removesuffix("_cs"))
    if test is None:
        return None
    if plain.endswith("_cs"):
        return lambda text, other: test(text, other) == wanted
    return lambda text, other: test(text.casefold(), other.casefold()) == wanted


def _checked(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error:
        raise KqlError("SEM0420", f"Failed to compile regular expression: {pattern}") from None
    return pattern


# Any: the operands have one type, and which one only the query says.
ORDERINGS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}


# --- arithmetic ---------------------------------------------------------------------------------------------------


def arithmetic_type(mark: str, left: Type, right: Type) -> Type:
    """Return the type of a sum or product; KqlError SEM0064 when there is none."""
    if left in NUMBERS and right in NUMBERS:
        return "long" if left == right == "long" else "real"
    pair = (left, right)
    if mark in "+-" and pair == ("datetime", "timespan"):
        return "datetime"
    if mark == "+" and pair == ("timespan", "datetime"):
        return "datetime"
    if mark == "-" and pair == ("datetime", "datetime"):
        return "timespan"
    if mark in "+-" and pair == ("timespan", "timespan"):
        return "timespan"
    if mark in "*/" and left == "timespan" and right in NUMBERS:
        return "timespan"
    if mark == "*" and left in NUMBERS and right == "timespan":
        return "timespan"
    if mark == "/" and pair == ("timespan", "timespan"):
        return "real"
    raise mismatch(f"Arithmetic expression cannot be carried out between {left} and {right}")


def calculate(mark: str, left: Value, right: Value) -> Value:
    """Work out a sum or product; null where an operand is null, on division by zero and out of range."""
    if left is None or right is None:
        return None
    try:
        return _calculate(mark, left, right)
    except (ZeroDivisionError, OverflowError):
        return None


def _calculate(mark: str, left: object, right: object) -> Value:
    if mark == "/" and isinstance(left, int) and isinstance(right, int):
        quotient = abs(left) // abs(right)
        return quotient if (left < 0) == (right < 0) else -quotient
    actions = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "%": operator.mod}
    return cast("Value", actions[mark](left, right))


def floor_to(value: Value, size: Value) -> Value:
    """Round down to a multiple: what bin() does with numbers, timespans and instants."""
    if isinstance(value, datetime) and isinstance(size, timedelta) and size > timedelta(0):
        return value - (value - _EPOCH) % size
    if isinstance(value, timedelta) and isinstance(size, timedelta) and size > timedelta(0):
        return value - value % size
    if isinstance(value, int | float) and isinstance(size, int | float) and size > 0:
        return cast("Value", value - value % size)
    return None


# --- functions ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Function:
    """A function of values: its result type, how many arguments it takes, and what it does."""

    type: Type
    least: int
    most: int
    apply: Callable[..., Value]
    takes_null: bool = False


def _to_long(value: Value) -> Value:
    if isinstance(value, bool | int | float):
        return int(value)
    try:
        return int(text_of(value).strip(), 0)
    except ValueError:
        return None


def _to_real(value: Value) -> Value:
    try:
        return float(value if isinstance(value, int | float) else text_of(value))
    except ValueError:
        return None


def _to_bool(value: Value) -> Value:
    if isinstance(value, bool | int):
        return bool(value)
    return {"true": True, "1": True, "false": False, "0": False}.get(text_of(value).lower())


def _substring(text: Value, start: int, length: int | None = None) -> Value:
    found = text_of(text)
    return found[max(0, start) :] if length is None else found[max(0, start) : max(0, start) + max(0, length)]


def _extract(pattern: str, group: int, text: Value) -> Value:
    found = re.search(_checked(pattern), text_of(text))
    if found is None or not 0 <= group <= (found.re.groups):
        return ""
    return found[group] or ""


def _start_of_day(at: Value) -> Value:
    return at.replace(hour=0, minute=0, second=0, microsecond=0) if isinstance(at, datetime) else None


def _split(text: str, mark: str, index: int | None = None) -> Value:
    parts = cast("list[Value]", text.split(mark) if mark else list(text))
    return parts if index is None else parts[index : index + 1]


FUNCTIONS: dict[str, Function] = {
    "isempty": Function("bool", 1, 1, lambda value: text_of(value) == "", takes_null=True),
    "isnotempty": Function("bool", 1, 1, lambda value: text_of(value) != "", takes_null=True),
    "notempty": Function("bool", 1, 1, lambda value: text_of(value) != "", takes_null=True),
    "isnull": Function("bool", 1, 1, lambda value: value is None, takes_null=True),
    "isnotnull": Function("bool", 1, 1, lambda value: value is not None, takes_null=True),
    "not": Function("bool", 1, 1, lambda value: not value, takes_null=True),
    "tolower": Function("string", 1, 1, lambda value: text_of(value).lower()),
    "toupper": Function("string", 1, 1, lambda value: text_of(value).upper()),
    "strcat": Function("string", 1, 64, lambda *parts: "".join(text_of(part) for part in parts), takes_null=True),
    "strlen": Function("long", 1, 1, lambda value: len(text_of(value))),
    "substring": Function("string", 2, 3, _substring),
    "split": Function("dynamic", 2, 3, _split),
    "replace_string": Function("string", 3, 3, lambda text, old, new: text_of(text).replace(old, new)),
    "trim": Function("string", 2, 2, lambda pattern, text: re.sub(f"^(?:{_checked(pattern)})|(?:{pattern})$", "", text)),
    "extract": Function("string", 3, 3, _extract),
    "tostring": Function("string", 1, 1, text_of, takes_null=True),
    "tolong": Function("long", 1, 1, _to_long),
    "toint": Function("long", 1, 1, _to_long),
    "toreal": Function("real", 1, 1, _to_real),
    "todouble": Function("real", 1, 1, _to_real),
    "tobool": Function("bool", 1, 1, _to_bool),
    "todatetime": Function(
        "datetime", 1, 1, lambda value: value if isinstance(value, datetime) else parse_datetime(text_of(value))
    ),
    "totimespan": Function(
        "timespan", 1, 1, lambda value: value if isinstance(value, timedelta) else parse_timespan(text_of(value))
    ),
    "startofday": Function("datetime", 1, 1, _start_of_day),
    "array_length": Function("long", 1, 1, lambda value: len(value) if isinstance(value, list) else None),
    "set_has_element": Function("bool", 2, 2, lambda values, value: value in values if isinstance(values, list) else None),
}
