"""CEL expressions over facts: compiled with types, evaluated to a verdict.

The runtime is the CEL project's own (cel-expr-python). Facts are typed variables of their own rather than one map, so that a
misspelt fact or a comparison of text with a number is found when the policy is loaded, not when it first matters.
"""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Protocol, cast

from cel_expr_python import cel

from rotator.audit.facttable import FACTS, FactType, FactValue, names_of
from rotator.model.policy import Subject, Verdict


class _Value(Protocol):
    def value(self) -> object: ...


class _Expression(Protocol):
    def return_type(self) -> object: ...

    def eval(self, activation: object) -> _Value: ...


class _Environment(Protocol):
    def compile(self, expression: str) -> _Expression: ...

    def Activation(self, data: Mapping[str, object]) -> object: ...  # noqa: N802 - the library's name


_TYPES: Mapping[FactType, object] = {
    FactType.BOOL: cel.Type.BOOL,
    FactType.COUNT: cel.Type.INT,
    FactType.NUMBER: cel.Type.DOUBLE,
    FactType.TEXT: cel.Type.STRING,
    FactType.TEXTS: cel.Type.List(cel.Type.STRING),
    FactType.TAGS: cel.Type.Map(cel.Type.STRING, cel.Type.STRING),
}

_TEXT_LITERAL = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")
_WORD = re.compile(r"(?<![.\w])[A-Za-z_]\w*")
# The runtime reports `ERROR: <input>:<line>:<column>: <sentence>`, several times for several mistakes.
_MISTAKE = re.compile(r"<input>:(\d+):(\d+): ([^\n]*)")


class ExpressionMistake(ValueError):
    """An expression that does not compile. `line` and `column` count from 1 within the expression."""

    def __init__(self, message: str, line: int, column: int) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.column = column


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression and the facts that it reads."""

    subject: Subject
    reads: frozenset[str]
    program: _Expression

    def judge(self, situation: object) -> Verdict:
        """Return FAIL when violated, PASS when not, UNKNOWN when a fact that decides is absent.

        `situation` comes from `situation()` for the same subject. A known fact that decides alone does so: `false && x` is a
        PASS whether or not x is known.
        """
        # Compiled as a truth value, so anything else is the runtime's word that a fact is absent.
        violated = self.program.eval(situation).value()
        if violated is True:
            return Verdict.FAIL
        return Verdict.PASS if violated is False else Verdict.UNKNOWN


def situation(subject: Subject, facts: Mapping[str, FactValue]) -> object:
    """Return the facts in the runtime's own form, to be judged by any number of expressions."""
    return _environment(subject).Activation(facts)


@cache
def compile_expression(subject: Subject, text: str) -> Expression:
    """Compile `text` against the subject's facts; raises ExpressionMistake for one that is wrong or not a truth value."""
    try:
        program = _environment(subject).compile(text)
    except RuntimeError as error:
        raise _mistake(str(error), subject) from None
    if program.return_type() != cel.Type.BOOL:
        raise ExpressionMistake("the expression must be true or false: true when the policy is violated", 1, 1)
    words = set(_WORD.findall(_TEXT_LITERAL.sub("''", text)))
    return Expression(subject=subject, reads=frozenset(words & names_of(subject)), program=program)


def nearest_fact(subject: Subject, name: str) -> str | None:
    """Return the fact that a misspelt name most resembles, or None."""
    return next(iter(difflib.get_close_matches(name, sorted(names_of(subject)), n=1, cutoff=0.5)), None)


@cache
def _environment(subject: Subject) -> _Environment:
    return cast("_Environment", cel.NewEnv(variables={fact.name: _TYPES[fact.type] for fact in FACTS[subject]}))


def _mistake(report: str, subject: Subject) -> ExpressionMistake:
    first = _MISTAKE.search(report)
    if first is None:
        return ExpressionMistake("the expression does not compile", 1, 1)
    sentence = first.group(3).removesuffix(" (in container '')").strip()
    unknown = re.search(r"undeclared reference to '([^']+)'", sentence)
    if unknown:
        near = nearest_fact(subject, unknown.group(1))
        sentence = f"a {subject} has no fact {unknown.group(1)!r}" + (f"; did you mean {near!r}?" if near else "")
    elif "(double, int)" in sentence or "(int, double)" in sentence:
        sentence += "; CEL compares a number with a number: write 14.0, not 14"
    return ExpressionMistake(sentence, int(first.group(1)), int(first.group(2)))
