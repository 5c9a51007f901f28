"""Runs a query over tables of rows."""

from collections import ChainMap
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import cast

from rotator.sandbox.clouds.loganalytics.kql.aggregates import columns_of
from rotator.sandbox.clouds.loganalytics.kql.compiler import Compiled, Scope, as_key, fold, order_key
from rotator.sandbox.clouds.loganalytics.kql.errors import KqlError, unresolved_column, unresolved_table
from rotator.sandbox.clouds.loganalytics.kql.parser import parse
from rotator.sandbox.clouds.loganalytics.kql.syntax import (
    Call,
    Count,
    Distinct,
    Expression,
    Extend,
    Name,
    Named,
    Operator,
    Pipeline,
    Project,
    ProjectAway,
    Sort,
    Summarize,
    Take,
    Where,
)
from rotator.sandbox.clouds.loganalytics.kql.values import Row, Type, Value, cell

_KEEPING = frozenset({"bin", "floor", "tostring", "tolong", "toint", "toreal", "todouble", "todatetime", "totimespan", "tobool"})
"""Roundings and casts leave a column its name; the result of any other function is called Column1, Column2, ..."""


@dataclass(frozen=True, slots=True)
class Table:
    """Columns with their types, in order, and rows. Neither is changed by a query."""

    columns: Mapping[str, Type]
    rows: Sequence[Row]


@dataclass(frozen=True, slots=True)
class Result:
    """The answer: columns in order, rows as the query API writes them."""

    columns: list[tuple[str, Type]]
    rows: list[list[object]]


def run(query: str, tables: Mapping[str, Table], now: datetime) -> Result:
    """Answer a query; KqlError when it cannot be parsed or names what does not exist. Nothing is ever skipped."""
    try:
        return _Run(tables, now).answer(query)
    except RecursionError:
        raise KqlError("SEM0001", "The query is too complex: too many nested operators.") from None


class _Run:
    def __init__(self, tables: Mapping[str, Table], now: datetime) -> None:
        # What `let` names comes first; a table is fetched only when the query names it.
        self._tables: ChainMap[str, Table] = ChainMap({}, cast("MutableMapping[str, Table]", tables))
        self._now = now
        self._lets: dict[str, Compiled] = {}

    def answer(self, query: str) -> Result:
        parsed = parse(query)
        for name, value in parsed.lets:
            if isinstance(value, Pipeline) or (isinstance(value, Name) and value.name in self._tables):
                self._tables[name] = self._pipe(value if isinstance(value, Pipeline) else Pipeline(value.name, ()))
            else:
                self._lets[name] = fold(self._scope({}, "let").compile(value))
        table = self._pipe(parsed.body)
        return Result(list(table.columns.items()), [[cell(row.get(name)) for name in table.columns] for row in table.rows])

    def _scope(self, columns: Mapping[str, Type], operator: str) -> Scope:
        return Scope(columns, self._now, self._lets, operator)

    def _pipe(self, pipeline: Pipeline) -> Table:
        table = self._tables.get(pipeline.source)
        if table is None:
            raise unresolved_table(pipeline.source)
        for operator in pipeline.operators:
            table = self._apply(operator, table)
        return table

    def _apply(self, operator: Operator, table: Table) -> Table:
        if isinstance(operator, Where):
            test = self._scope(table.columns, "where").predicate(operator.predicate)
            return replace(table, rows=[row for row in table.rows if test(row)])
        if isinstance(operator, Take):
            return replace(table, rows=table.rows[: operator.count])
        if isinstance(operator, Count):
            return Table({"Count": "long"}, [{"Count": len(table.rows)}])
        if isinstance(operator, Sort):
            return self._sort(operator, table)
        if isinstance(operator, Summarize):
            return self._summarize(operator, table)
        if isinstance(operator, ProjectAway):
            return self._project_away(operator, table)
        if isinstance(operator, Distinct):
            return self._distinct(operator, table)
        return self._project(operator, table)

    def _columns(self, items: Iterable[Named], columns: Mapping[str, Type], operator: str) -> dict[str, Compiled]:
        scope, named = self._scope(columns, operator), {}
        for number, item in enumerate(items, start=1):
            title = item.name or _own_name(item.expression) or f"Column{number}"
            if title in named:
                raise KqlError("SEM0023", f"'{operator}' operator: a column named '{title}' already exists")
            named[title] = scope.compile(item.expression)
        return named

    def _project(self, operator: Project | Extend, table: Table) -> Table:
        extending = isinstance(operator, Extend)
        named = self._columns(operator.columns, table.columns, "extend" if extending else "project")
        types = {title: compiled.type for title, compiled in named.items()}
        rows = [{title: compiled.of(row) for title, compiled in named.items()} for row in table.rows]
        if not extending:
            return Table(types, rows)
        return Table({**table.columns, **types}, [{**old, **new} for old, new in zip(table.rows, rows, strict=True)])

    def _project_away(self, operator: ProjectAway, table: Table) -> Table:
        unknown = next((name for name in operator.names if name not in table.columns), None)
        if unknown is not None:
            raise unresolved_column("project-away", unknown)
        return replace(table, columns={name: kind for name, kind in table.columns.items() if name not in operator.names})

    def _distinct(self, operator: Distinct, table: Table) -> Table:
        items = operator.columns or tuple(Named(None, Name(name)) for name in table.columns)
        named = self._columns(items, table.columns, "distinct")
        found: dict[tuple[object, ...], Row] = {}
        for row in table.rows:
            new = {title: compiled.of(row) for title, compiled in named.items()}
            found.setdefault(tuple(as_key(value) for value in new.values()), new)
        return Table({title: compiled.type for title, compiled in named.items()}, list(found.values()))

    def _sort(self, operator: Sort, table: Table) -> Table:
        scope, rows = self._scope(table.columns, "sort"), list(table.rows)
        # Sorting by the last key first, with a stable sort, orders by all of them.
        for key in reversed(operator.keys):
            compiled = scope.compile(key.expression)

            def of(row: Row, compiled: Compiled = compiled) -> Value:
                return compiled.of(row)

            nulls = [row for row in rows if of(row) is None]
            known = [row for row in rows if of(row) is not None]
            known.sort(key=lambda row, of=of: order_key(of(row)), reverse=key.descending)  # type: ignore[misc]
            rows = nulls + known if key.nulls_first else known + nulls
        return replace(table, rows=rows)

    def _summarize(self, operator: Summarize, table: Table) -> Table:
        by = self._columns(operator.by, table.columns, "summarize")
        scope = self._scope(table.columns, "summarize")
        aggregates = [column for item in operator.aggregates for column in columns_of(item.expression, item.name, scope)]
        aggregates = [column for column in aggregates if column.name not in by]
        groups: dict[tuple[object, ...], list[Row]] = {}
        heads: dict[tuple[object, ...], Row] = {}
        for row in table.rows:
            head = {title: compiled.of(row) for title, compiled in by.items()}
            key = tuple(as_key(value) for value in head.values())
            heads.setdefault(key, head)
            groups.setdefault(key, []).append(row)
        if not by and not groups:
            # Without `by` there is always one row, as in SQL: count() of nothing is 0.
            heads[()], groups[()] = {}, []
        types: dict[str, Type] = {title: compiled.type for title, compiled in by.items()}
        for column in aggregates:
            if column.name in types:
                raise KqlError("SEM0023", f"'summarize' operator: a column named '{column.name}' already exists")
            types[column.name] = column.type
        rows = [{**heads[key], **{column.name: column.of(rows) for column in aggregates}} for key, rows in groups.items()]
        return Table(types, rows)


def _own_name(expression: Expression) -> str | None:
    """Return the name that Kusto gives a column when the query gives none."""
    if isinstance(expression, Name):
        return expression.name
    if isinstance(expression, Call) and expression.function in _KEEPING:
        first = expression.arguments[0] if expression.arguments else None
        return _own_name(first) if first is not None else None
    return None
