"""What `summarize` works out over the rows of a group."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

from rotator.sandbox.clouds.loganalytics.kql.compiler import Compiled, Scope, as_key, order_key
from rotator.sandbox.clouds.loganalytics.kql.errors import KqlError
from rotator.sandbox.clouds.loganalytics.kql.syntax import Call, Expression, Name
from rotator.sandbox.clouds.loganalytics.kql.values import Row, Type, Value

_LARGEST_SET = 1_048_576


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the answer: its name, its type, and how to work it out from the rows of a group."""

    name: str
    type: Type
    of: Callable[[Sequence[Row]], Value]


def columns_of(expression: Expression, name: str | None, scope: Scope) -> list[Column]:
    """Return the columns that one aggregate makes (arg_max makes several); KqlError when it is no aggregate."""
    if not isinstance(expression, Call) or expression.function not in _MAKERS:
        raise KqlError("SEM0260", "'summarize' operator: an aggregate function is expected.")
    return _MAKERS[expression.function](expression, name, scope)


def _argument(call: Call, scope: Scope, at: int = 0) -> Compiled:
    if len(call.arguments) <= at:
        raise KqlError("SEM0219", f"{call.function}(): function expects {at + 1} argument(s).")
    return scope.compile(call.arguments[at])


def _named(call: Call, prefix: str) -> str:
    """Return Kusto's own name of an aggregate's column: count_, dcount_Identity, set_Tag."""
    first = call.arguments[0] if call.arguments else None
    return f"{prefix}_{first.name}" if isinstance(first, Name) and first.name != "*" else f"{prefix}_"


def _count(call: Call, name: str | None, _scope: Scope) -> list[Column]:
    if call.arguments:
        raise KqlError("SEM0219", "count(): function expects 0 argument(s).")
    return [Column(name or "count_", "long", len)]


def _countif(call: Call, name: str | None, scope: Scope) -> list[Column]:
    test = scope.predicate(call.arguments[0]) if call.arguments else None
    if test is None:
        raise KqlError("SEM0219", "countif(): function expects 1 argument(s).")
    return [Column(name or "countif_", "long", lambda rows: sum(1 for row in rows if test(row)))]


def _distinct(rows: Sequence[Row], value: Compiled) -> list[Value]:
    found: dict[object, Value] = {}
    for row in rows:
        one = value.of(row)
        if one is not None:
            found.setdefault(as_key(one), one)
    return list(found.values())


def _dcount(call: Call, name: str | None, scope: Scope) -> list[Column]:
    value = _argument(call, scope)
    return [Column(name or _named(call, "dcount"), "long", lambda rows: len(_distinct(rows, value)))]


def _extreme(call: Call, name: str | None, scope: Scope) -> list[Column]:
    value, pick = _argument(call, scope), max if call.function == "max" else min

    def of(rows: Sequence[Row]) -> Value:
        values = [one for row in rows if (one := value.of(row)) is not None]
        return pick(values, key=order_key, default=None)

    return [Column(name or _named(call, call.function), value.type, of)]


def _total(call: Call, name: str | None, scope: Scope) -> list[Column]:
    value, mean = _argument(call, scope), call.function == "avg"
    if value.type not in ("long", "real"):
        raise KqlError("SEM0242", f"{call.function}(): argument #1 must be a number, not {value.type}")

    def of(rows: Sequence[Row]) -> Value:
        values = [cast("float", one) for row in rows if (one := value.of(row)) is not None]
        if mean:
            return sum(values) / len(values) if values else None
        return sum(values)

    return [Column(name or _named(call, call.function), "real" if mean else value.type, of)]


def _gather(call: Call, name: str | None, scope: Scope) -> list[Column]:
    value = _argument(call, scope)
    most = _argument(call, scope, 1).of({}) if len(call.arguments) > 1 else _LARGEST_SET
    if not isinstance(most, int):
        raise KqlError("SEM0242", f"{call.function}(): argument #2 must be a whole number")
    unique, prefix = call.function == "make_set", "set" if call.function == "make_set" else "list"

    def of(rows: Sequence[Row]) -> Value:
        if unique:
            return _distinct(rows, value)[:most]
        listed: list[Value] = [one for row in rows if (one := value.of(row)) is not None]
        return listed[:most]

    return [Column(name or _named(call, prefix), "dynamic", of)]


def _argument_of_extreme(call: Call, name: str | None, scope: Scope) -> list[Column]:
    """arg_max(by, a, b) or arg_max(by, *): the row where `by` is extreme, as several columns."""
    by, pick = _argument(call, scope), max if call.function == "arg_max" else min

    def best(rows: Sequence[Row]) -> Row | None:
        known = [row for row in rows if by.of(row) is not None]
        return pick(known, key=lambda row: order_key(by.of(row)), default=None)

    def column(title: str, value: Compiled) -> Column:
        return Column(title, value.type, lambda rows: None if (row := best(rows)) is None else value.of(row))

    first = call.arguments[0]
    own = first.name if isinstance(first, Name) else f"{call.function.removeprefix('arg_')}_"
    columns = [column(name or own, by)]
    for argument in call.arguments[1:]:
        if isinstance(argument, Name) and argument.name == "*":
            others = [title for title in scope.columns if title != own]
            columns += [column(title, scope.compile(Name(title))) for title in others]
        elif isinstance(argument, Name):
            columns.append(column(argument.name, scope.compile(argument)))
        else:
            raise KqlError("SEM0242", f"{call.function}(): the columns to return must be names or *")
    return columns


def _any(call: Call, name: str | None, scope: Scope) -> list[Column]:
    value = _argument(call, scope)
    first = call.arguments[0]
    own = first.name if isinstance(first, Name) else "any_"
    return [Column(name or own, value.type, lambda rows: next((v for row in rows if (v := value.of(row)) is not None), None))]


_MAKERS: dict[str, Callable[[Call, str | None, Scope], list[Column]]] = {
    "count": _count,
    "countif": _countif,
    "dcount": _dcount,
    "min": _extreme,
    "max": _extreme,
    "sum": _total,
    "avg": _total,
    "make_set": _gather,
    "make_list": _gather,
    "arg_max": _argument_of_extreme,
    "arg_min": _argument_of_extreme,
    "take_any": _any,
    "any": _any,
}
