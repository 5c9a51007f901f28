"""From expressions to functions of a row, with their types: what a column or a function is, is settled before any row."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from rotator.sandbox.clouds.loganalytics.kql.errors import KqlError, mismatch, unresolved_column
from rotator.sandbox.clouds.loganalytics.kql.scalars import (
    FUNCTIONS,
    ORDERINGS,
    arithmetic_type,
    calculate,
    floor_to,
    text_test,
)
from rotator.sandbox.clouds.loganalytics.kql.syntax import (
    Between,
    Binary,
    Call,
    Expression,
    Literal,
    Membership,
    Name,
    Negative,
)
from rotator.sandbox.clouds.loganalytics.kql.values import Row, Type, Value, common_type, text_of

_TEXTS: tuple[Type, ...] = ("string", "dynamic", "guid")


@dataclass(frozen=True, slots=True)
class Compiled:
    """An expression ready to run: the type of its value, and the function that works it out for a row."""

    type: Type
    of: Callable[[Row], Value]


@dataclass(frozen=True, slots=True)
class Scope:
    """What an expression may name. `operator` is the word that error messages blame."""

    columns: Mapping[str, Type]
    now: datetime
    lets: Mapping[str, Compiled] = field(default_factory=dict)
    operator: str = "where"

    def compile(self, expression: Expression) -> Compiled:
        """Return the function of a row; KqlError where names or types do not fit."""
        if isinstance(expression, Literal):
            value = expression.value
            return Compiled(expression.type, lambda _: value)
        if isinstance(expression, Name):
            return self._name(expression.name)
        if isinstance(expression, Call):
            return self._call(expression)
        if isinstance(expression, Binary):
            return self._binary(expression)
        if isinstance(expression, Negative):
            return self._negative(expression)
        return self._membership(expression) if isinstance(expression, Membership) else self._between(expression)

    def predicate(self, expression: Expression) -> Callable[[Row], bool]:
        """Return a test of a row; KqlError when the expression is no truth value."""
        compiled = self.compile(expression)
        if compiled.type not in ("bool", "dynamic"):
            raise KqlError("SEM0001", f"'{self.operator}' operator: the expression must be of type bool, not {compiled.type}")
        return lambda row: compiled.of(row) is True

    def _name(self, name: str) -> Compiled:
        if name in self.columns:
            return Compiled(self.columns[name], lambda row: row.get(name))
        if name in self.lets:
            return self.lets[name]
        raise unresolved_column(self.operator, name)

    def _negative(self, expression: Negative) -> Compiled:
        operand = self.compile(expression.operand)
        if operand.type not in ("long", "real", "timespan"):
            raise mismatch(f"Operator '-' cannot be applied to a value of type {operand.type}")
        return Compiled(operand.type, lambda row: calculate("*", operand.of(row), -1))

    # --- two operands ---

    def _binary(self, expression: Binary) -> Compiled:
        word = expression.operator
        left, right = self.compile(expression.left), self.compile(expression.right)
        if word in ("and", "or"):
            return self._logic(word, left, right)
        if word in ("+", "-", "*", "/", "%"):
            kind = arithmetic_type(word, left.type, right.type)
            return Compiled(kind, lambda row: calculate(word, left.of(row), right.of(row)))
        test = text_test(word)
        if test is not None:
            for side in (left, right):
                if side.type not in _TEXTS:
                    raise mismatch(f"Operator '{word}' cannot be applied to a value of type {side.type}")
            return Compiled("bool", lambda row: test(text_of(left.of(row)), text_of(right.of(row))))
        common_type(left.type, right.type)
        if word in ("==", "!="):
            equal = word == "=="
            return Compiled("bool", lambda row: (left.of(row) == right.of(row)) == equal)
        return self._ordering(word, left, right)

    def _logic(self, word: str, left: Compiled, right: Compiled) -> Compiled:
        for side in (left, right):
            if side.type not in ("bool", "dynamic"):
                raise mismatch(f"Operator '{word}' cannot be applied to a value of type {side.type}")
        if word == "and":
            return Compiled("bool", lambda row: left.of(row) is True and right.of(row) is True)
        return Compiled("bool", lambda row: left.of(row) is True or right.of(row) is True)

    def _ordering(self, word: str, left: Compiled, right: Compiled) -> Compiled:
        if "bool" in (left.type, right.type):
            raise mismatch(f"Operator '{word}' cannot be applied to a value of type bool")
        compare = ORDERINGS[word]

        def holds(row: Row) -> Value:
            one, other = left.of(row), right.of(row)
            try:
                return one is not None and other is not None and compare(one, other)
            except TypeError:
                return False

        return Compiled("bool", holds)

    def _membership(self, expression: Membership) -> Compiled:
        word = expression.operator
        operand = self.compile(expression.operand)
        items = [self.compile(item) for item in expression.items]
        for item in items:
            common_type(operand.type, item.type)

        def values(row: Row) -> list[Value]:
            found: list[Value] = []
            for item in items:
                value = item.of(row)
                found.extend(value if isinstance(value, list) else [value])
            return found

        if word in ("has_any", "has_all"):
            test, some = text_test("has"), word == "has_any"
            assert test is not None  # noqa: S101 - `has` is in the table of tests
            quantifier = any if some else all
            return Compiled(
                "bool", lambda row: quantifier(test(text_of(operand.of(row)), text_of(value)) for value in values(row))
            )
        wanted, folded = not word.startswith("!"), word.endswith("~")
        if folded:
            return Compiled(
                "bool",
                lambda row: (text_of(operand.of(row)).casefold() in {text_of(one).casefold() for one in values(row)}) == wanted,
            )
        return Compiled("bool", lambda row: (operand.of(row) in values(row)) == wanted)

    def _between(self, expression: Between) -> Compiled:
        operand = self.compile(expression.operand)
        low, high = self.compile(expression.low), self.compile(expression.high)
        common_type(operand.type, low.type)
        if operand.type == "datetime" and high.type == "timespan":
            # between (start .. 1d) means: from start to start + 1d.
            end = Compiled("datetime", lambda row: calculate("+", low.of(row), high.of(row)))
        else:
            common_type(operand.type, high.type)
            end = high
        above, below = self._ordering(">=", operand, low), self._ordering("<=", operand, end)
        wanted = not expression.negated
        return Compiled("bool", lambda row: ((above.of(row) is True) and (below.of(row) is True)) == wanted)

    # --- functions ---

    def _call(self, call: Call) -> Compiled:
        if call.function in ("now", "ago"):
            return self._moment(call)
        if call.function in ("bin", "floor"):
            return self._bin(call)
        if call.function in ("iff", "iif", "case", "coalesce"):
            return self._choice(call)
        function = FUNCTIONS.get(call.function)
        if function is None:
            raise KqlError("SEM0260", f"Unknown function: '{call.function}'.")
        self._count(call, function.least, function.most)
        arguments = [self.compile(argument) for argument in call.arguments]

        def apply(row: Row) -> Value:
            values = [argument.of(row) for argument in arguments]
            if None in values and not function.takes_null:
                return None
            try:
                return function.apply(*values)
            except (OverflowError, ValueError, TypeError, AttributeError):
                # A value of a dynamic that the function cannot take gives null, as in Kusto.
                return None

        return Compiled(function.type, apply)

    def _count(self, call: Call, least: int, most: int) -> None:
        if not least <= len(call.arguments) <= most:
            expected = str(least) if least == most else f"between {least} and {most}"
            raise KqlError("SEM0219", f"{call.function}(): function expects {expected} argument(s).")

    def _moment(self, call: Call) -> Compiled:
        self._count(call, 1 if call.function == "ago" else 0, 1)
        if not call.arguments:
            return Compiled("datetime", lambda _: self.now)
        offset = self.compile(call.arguments[0])
        if offset.type != "timespan":
            raise KqlError("SEM0242", f"{call.function}(): argument #1 must be a timespan, not {offset.type}")
        mark = "-" if call.function == "ago" else "+"
        return Compiled("datetime", lambda row: calculate(mark, self.now, offset.of(row)))

    def _bin(self, call: Call) -> Compiled:
        self._count(call, 2, 2)
        value, size = (self.compile(argument) for argument in call.arguments)
        if value.type == "datetime" and size.type != "timespan":
            raise KqlError("SEM0242", "bin(): a datetime is rounded to a timespan")
        if value.type not in ("long", "real", "datetime", "timespan"):
            raise KqlError("SEM0242", f"bin(): cannot round a value of type {value.type}")
        return Compiled(value.type, lambda row: floor_to(value.of(row), size.of(row)))

    def _choice(self, call: Call) -> Compiled:
        parts = [self.compile(argument) for argument in call.arguments]
        if call.function == "coalesce":
            self._count(call, 2, 64)
            return Compiled(parts[0].type, lambda row: next((v for part in parts if (v := part.of(row)) not in (None, "")), None))
        self._count(call, 3, 65 if call.function == "case" else 3)
        if len(parts) % 2 == 0:
            raise KqlError("SEM0219", "case(): function expects pairs of condition and value, then an otherwise.")
        for value in parts[1::2]:
            common_type(value.type, parts[-1].type)
        pairs = list(zip(parts[:-1:2], parts[1:-1:2], strict=True))

        def choose(row: Row) -> Value:
            for condition, value in pairs:
                if condition.of(row) is True:
                    return value.of(row)
            return parts[-1].of(row)

        return Compiled(parts[-1].type, choose)


def constant(value: Value, kind: Type) -> Compiled:
    """Return an expression that is always `value`."""
    return Compiled(kind, lambda _: value)


def fold(compiled: Compiled) -> Compiled:
    """Work out an expression that needs no row, once: what `let` names keeps one value for the whole query."""
    return constant(compiled.of({}), compiled.type)


def as_key(value: Value) -> object:
    """Return something hashable that is equal for equal values."""
    return text_of(value) if isinstance(value, list | dict) else value


def order_key(value: Value) -> float | str:
    """Return something that values of one type can be ordered by."""
    if isinstance(value, datetime):
        return value.timestamp()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bool | int | float):
        return float(value)
    return text_of(value)
