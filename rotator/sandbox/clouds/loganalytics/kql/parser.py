"""From tokens to the shape of a query, by recursive descent."""

import json
from collections.abc import Callable
from typing import TypeVar

from rotator.sandbox.clouds.loganalytics.kql.errors import KqlError
from rotator.sandbox.clouds.loganalytics.kql.syntax import (
    Between,
    Binary,
    Call,
    Count,
    Distinct,
    Expression,
    Extend,
    Literal,
    Membership,
    Name,
    Named,
    Negative,
    Operator,
    Pipeline,
    Project,
    ProjectAway,
    Query,
    Sort,
    SortKey,
    Summarize,
    Take,
    Where,
)
from rotator.sandbox.clouds.loganalytics.kql.tokens import Token, tokenize
from rotator.sandbox.clouds.loganalytics.kql.values import parse_datetime, parse_timespan

_COMPARISONS = frozenset(
    {"==", "!=", "<>", "=~", "!~", "<", ">", "<=", ">=", "has", "!has", "has_cs", "!has_cs", "contains", "!contains",
     "contains_cs", "!contains_cs", "startswith", "!startswith", "startswith_cs", "!startswith_cs", "endswith",
     "!endswith", "endswith_cs", "!endswith_cs", "hasprefix", "hassuffix"}
)  # fmt: skip
_MEMBERSHIPS = frozenset({"in", "in~", "!in", "!in~", "has_any", "has_all"})
_WORD_LITERALS: dict[str, Literal] = {"true": Literal(True, "bool"), "false": Literal(False, "bool")}
# Real operators of the language that the sandbox does not have: said in so many words, so that nobody looks for a typo.
_NOT_EMULATED = frozenset(
    {"join", "union", "mv-expand", "mv-apply", "parse", "parse-where", "parse-kv", "make-series", "render", "evaluate",
     "lookup", "sample", "sample-distinct", "search", "find", "serialize", "invoke", "partition", "scan", "facet",
     "project-rename", "project-keep", "project-reorder", "reduce", "as", "consume", "getschema", "fork", "top-nested"}
)  # fmt: skip
_DEEPEST = 60
"""Nesting beyond this is refused: it would only exhaust the stack."""

_LONGEST_NUMBER = 40

_T = TypeVar("_T")


def parse(query: str) -> Query:
    """Return the shape of a query; KqlError SYN0002 names the place where it could not be parsed."""
    return _Parser(tokenize(query)).query()


class _Parser:
    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0

    # --- statements ---

    def query(self) -> Query:
        lets: list[tuple[str, Expression | Pipeline]] = []
        while self._accept("let"):
            name = self._name()
            self._expect("=")
            lets.append((name, self._let_value()))
            self._expect(";")
        body = self._pipeline()
        self._accept(";")
        if self._token.kind != "end":
            raise self._token.error()
        return Query(tuple(lets), body)

    def _let_value(self) -> Expression | Pipeline:
        if self._token.kind == "name" and self._tokens[self._at + 1].text == "|":
            return self._pipeline()
        return self._expression()

    def _pipeline(self) -> Pipeline:
        source = self._name()
        operators: list[Operator] = []
        while self._accept("|"):
            operators.extend(self._operator())
        return Pipeline(source, tuple(operators))

    # --- operators ---

    def _operator(self) -> list[Operator]:
        token = self._token
        known: dict[str, Callable[[], Operator]] = {
            "where": lambda: Where(self._expression()),
            "filter": lambda: Where(self._expression()),
            "project": lambda: Project(self._list(self._named)),
            "project-away": lambda: ProjectAway(self._list(self._name)),
            "extend": lambda: Extend(self._list(self._named)),
            "summarize": self._summarize,
            "take": lambda: Take(self._whole_number()),
            "limit": lambda: Take(self._whole_number()),
            "distinct": self._distinct,
            "count": Count,
        }
        if token.kind == "name" and token.text in known:
            self._advance()
            return [known[token.text]()]
        if token.text in ("order", "sort") and token.kind == "name":
            self._advance()
            self._expect("by")
            return [Sort(self._list(self._sort_key))]
        if token.text == "top" and token.kind == "name":
            self._advance()
            count = self._whole_number()
            self._expect("by")
            return [Sort(self._list(self._sort_key)), Take(count)]
        if token.text in _NOT_EMULATED:
            error = token.error()
            raise KqlError(
                "SYN0002",
                f"The sandbox does not emulate the operator '{token.text}'. {error.message}",
                line=error.line,
                pos=error.pos,
                token=error.token,
            )
        raise token.error()

    def _summarize(self) -> Summarize:
        aggregates: tuple[Named, ...] = () if self._token.text == "by" else self._list(self._named)
        by = self._list(self._named) if self._accept("by") else ()
        if not aggregates and not by:
            raise self._token.error()
        return Summarize(aggregates, by)

    def _distinct(self) -> Distinct:
        return Distinct(()) if self._accept("*") else Distinct(self._list(self._named))

    def _sort_key(self) -> SortKey:
        expression = self._expression()
        descending = not self._accept("asc")
        if descending:
            self._accept("desc")
        nulls_first = not descending
        if self._accept("nulls"):
            nulls_first = self._accept("first")
            if not nulls_first:
                self._expect("last")
        return SortKey(expression, descending, nulls_first)

    def _named(self) -> Named:
        if self._token.kind == "name" and self._tokens[self._at + 1].text == "=":
            name = self._name()
            self._expect("=")
            return Named(name, self._expression())
        return Named(None, self._expression())

    def _whole_number(self) -> int:
        token = self._advance()
        if token.kind != "number" or not token.text.isdigit():
            raise token.error()
        return int(token.text)

    # --- expressions, weakest binding first ---

    def _expression(self) -> Expression:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._token.error()
        left = self._conjunction()
        while self._accept("or"):
            left = Binary("or", left, self._conjunction())
        self._depth -= 1
        return left

    def _conjunction(self) -> Expression:
        left = self._comparison()
        while self._accept("and"):
            left = Binary("and", left, self._comparison())
        return left

    def _comparison(self) -> Expression:
        left = self._sum()
        token = self._token
        if token.kind not in ("mark", "name"):
            return left
        if token.text in _COMPARISONS:
            self._advance()
            return Binary("!=" if token.text == "<>" else token.text, left, self._sum())
        if token.text in _MEMBERSHIPS:
            self._advance()
            self._expect("(")
            items = self._list(self._expression)
            self._expect(")")
            return Membership(token.text, left, items)
        if token.text in ("between", "!between"):
            self._advance()
            return self._between(left, negated=token.text.startswith("!"))
        if token.text == "matches":
            self._advance()
            self._expect("regex")
            return Binary("matches regex", left, self._sum())
        return left

    def _between(self, operand: Expression, *, negated: bool) -> Between:
        self._expect("(")
        low = self._sum()
        self._expect("..")
        high = self._sum()
        self._expect(")")
        return Between(operand, low, high, negated)

    def _sum(self) -> Expression:
        left = self._product()
        while self._token.kind == "mark" and self._token.text in ("+", "-"):
            operator = self._advance().text
            left = Binary(operator, left, self._product())
        return left

    def _product(self) -> Expression:
        left = self._signed()
        while self._token.kind == "mark" and self._token.text in ("*", "/", "%"):
            operator = self._advance().text
            left = Binary(operator, left, self._signed())
        return left

    def _signed(self) -> Expression:
        if self._token.kind == "mark" and self._accept("-"):
            return Negative(self._primary())
        return self._primary()

    def _primary(self) -> Expression:
        token = self._advance()
        if token.kind == "text":
            return Literal(token.value, "string")
        if token.kind == "number":
            if len(token.text) > _LONGEST_NUMBER:
                raise token.error()
            return Literal(int(token.text), "long") if token.text.isdigit() else Literal(float(token.text), "real")
        if token.kind == "timespan":
            return Literal(self._demand(parse_timespan(token.text), token), "timespan")
        if token.kind == "raw":
            return self._raw(token)
        if token.text == "(":
            inner = self._expression()
            self._expect(")")
            return inner
        if token.kind != "name" or token.text.startswith("!"):
            raise token.error()
        if token.text in _WORD_LITERALS:
            return _WORD_LITERALS[token.text]
        if self._accept("("):
            return self._call(token.text)
        return Name(token.text)

    def _call(self, function: str) -> Call:
        if self._accept(")"):
            return Call(function, ())
        arguments = self._list(self._argument)
        self._expect(")")
        return Call(function, arguments)

    def _argument(self) -> Expression:
        if self._token.text == "*" and self._tokens[self._at + 1].text in (",", ")"):
            self._advance()
            return Name("*")
        return self._expression()

    def _raw(self, token: Token) -> Literal:
        if token.text in ("datetime", "date"):
            if token.value in ("", "null"):
                return Literal(None, "datetime")
            return Literal(self._demand(parse_datetime(token.value), token), "datetime")
        if token.text in ("timespan", "time"):
            return Literal(self._demand(parse_timespan(token.value.strip("\"'")), token), "timespan")
        if token.text == "guid":
            return Literal(token.value.strip("\"'").lower(), "guid")
        try:
            return Literal(json.loads(token.value.replace("'", '"') if '"' not in token.value else token.value), "dynamic")
        except ValueError:
            raise token.error() from None

    # --- reading tokens ---

    @property
    def _token(self) -> Token:
        return self._tokens[self._at]

    def _advance(self) -> Token:
        token = self._token
        if token.kind == "end":
            raise token.error()
        self._at += 1
        return token

    def _accept(self, text: str) -> bool:
        if self._token.kind in ("name", "mark") and self._token.text == text:
            self._at += 1
            return True
        return False

    def _expect(self, text: str) -> None:
        if not self._accept(text):
            raise self._token.error()

    def _name(self) -> str:
        token = self._advance()
        if token.kind != "name" or token.text.startswith("!"):
            raise token.error()
        return token.text

    def _list(self, one: Callable[[], _T]) -> tuple[_T, ...]:
        items = [one()]
        while self._accept(","):
            items.append(one())
        return tuple(items)

    def _demand(self, value: _T | None, token: Token) -> _T:
        if value is None:
            raise token.error()
        return value
