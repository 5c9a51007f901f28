"""The shape of a parsed query."""

from dataclasses import dataclass
from typing import TypeAlias

from rotator.sandbox.clouds.loganalytics.kql.values import Type, Value

# --- expressions --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Literal:
    """A value that stands in the query."""

    value: Value
    type: Type


@dataclass(frozen=True, slots=True)
class Name:
    """A column, or something that `let` has named."""

    name: str


@dataclass(frozen=True, slots=True)
class Call:
    """A function with its arguments; `*` as an argument is the name `*`."""

    function: str
    arguments: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class Binary:
    """Two operands and the word or mark between them."""

    operator: str
    left: "Expression"
    right: "Expression"


@dataclass(frozen=True, slots=True)
class Negative:
    """A minus sign before a number or timespan."""

    operand: "Expression"


@dataclass(frozen=True, slots=True)
class Membership:
    """`x in (a, b)` and its relatives (in~, !in, !in~, has_any, has_all)."""

    operator: str
    operand: "Expression"
    items: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class Between:
    """`x between (low .. high)`, both ends included."""

    operand: "Expression"
    low: "Expression"
    high: "Expression"
    negated: bool


Expression: TypeAlias = Literal | Name | Call | Binary | Negative | Membership | Between


@dataclass(frozen=True, slots=True)
class Named:
    """An expression with the name it is given, if any."""

    name: str | None
    expression: Expression


# --- operators ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Where:
    """Keep the rows for which the predicate is true."""

    predicate: Expression


@dataclass(frozen=True, slots=True)
class Project:
    """Keep, rename and compute columns: exactly these."""

    columns: tuple[Named, ...]


@dataclass(frozen=True, slots=True)
class ProjectAway:
    """Drop columns."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Extend:
    """Add or replace columns."""

    columns: tuple[Named, ...]


@dataclass(frozen=True, slots=True)
class Summarize:
    """One row a group."""

    aggregates: tuple[Named, ...]
    by: tuple[Named, ...]


@dataclass(frozen=True, slots=True)
class SortKey:
    """One key of an order: descending unless said otherwise, as Kusto has it."""

    expression: Expression
    descending: bool
    nulls_first: bool


@dataclass(frozen=True, slots=True)
class Sort:
    """Put rows in order."""

    keys: tuple[SortKey, ...]


@dataclass(frozen=True, slots=True)
class Take:
    """Keep the first so many rows."""

    count: int


@dataclass(frozen=True, slots=True)
class Distinct:
    """One row for each combination of these columns; of all when there are none."""

    columns: tuple[Named, ...]


@dataclass(frozen=True, slots=True)
class Count:
    """The number of rows, in a column named Count."""


Operator: TypeAlias = Where | Project | ProjectAway | Extend | Summarize | Sort | Take | Distinct | Count


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A table and what is done to it."""

    source: str
    operators: tuple[Operator, ...]


@dataclass(frozen=True, slots=True)
class Query:
    """The `let` statements in order, then the one tabular expression."""

    lets: tuple[tuple[str, Expression | Pipeline], ...]
    body: Pipeline
