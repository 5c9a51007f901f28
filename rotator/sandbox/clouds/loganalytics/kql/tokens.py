"""From text to tokens."""

import re
from dataclasses import dataclass
from typing import Literal

from rotator.sandbox.clouds.loganalytics.kql.errors import KqlError

Kind = Literal["name", "text", "number", "timespan", "raw", "mark", "end"]

_SPACE = re.compile(r"(?:\s+|//[^\n]*)+")
_TIMESPAN = re.compile(
    r"\d+(?:\.\d+)?(?:days?|d|hours?|hrs?|h|minutes?|min|m|seconds?|sec|s|milliseconds?|ms|microseconds?|ticks?)\b"
)
_NUMBER = re.compile(r"\d+\.\d+(?:[eE][+-]?\d+)?|\d+(?:[eE][+-]?\d+)?")
_TEXT = re.compile(r"""@"(?:[^"]|"")*"|@'(?:[^']|'')*'|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'""")
_WORD = re.compile(r"![a-zA-Z_]+~?|[A-Za-z_$][A-Za-z0-9_$]*(?:-[a-z]+(?![A-Za-z0-9_]))?|in~")
_PLAIN_NAME = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")
_MARK = re.compile(r"==|!=|<>|=~|!~|>=|<=|\.\.|[()\[\]{},|;:.+\-*/%=<>]")
_RAW = re.compile(r"(?P<kind>datetime|date|timespan|time|guid|dynamic)\s*\(")
_HYPHENATED = frozenset(
    {
        "project-away",
        "project-rename",
        "project-keep",
        "project-reorder",
        "mv-expand",
        "mv-apply",
        "make-series",
        "sample-distinct",
        "parse-where",
        "parse-kv",
    }
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0"}


@dataclass(frozen=True, slots=True)
class Token:
    """One token. Of a `raw` one (datetime(...), dynamic(...)) `text` is the word and `value` what stood inside."""

    kind: Kind
    text: str
    value: str
    line: int
    pos: int

    def error(self) -> KqlError:
        """Build the error that the query could not be parsed here."""
        near = self.text or "<EOF>"
        return KqlError(
            "SYN0002",
            f"Query could not be parsed at '{near}' on line [{self.line},{self.pos}]",
            line=self.line,
            pos=self.pos,
            token=near,
        )


def tokenize(query: str) -> list[Token]:
    """Cut a query into tokens, the last of which is the end; KqlError SYN0002 where that fails."""
    tokens: list[Token] = []
    at = 0
    while True:
        blank = _SPACE.match(query, at)
        at = blank.end() if blank else at
        if at >= len(query):
            return [*tokens, _token(query, at, "end", "", "")]
        token, at = _next(query, at)
        tokens.append(token)


def _token(query: str, at: int, kind: Kind, text: str, value: str) -> Token:
    return Token(kind, text, value, query.count("\n", 0, at) + 1, at - query.rfind("\n", 0, at))


def _next(query: str, at: int) -> tuple[Token, int]:
    raw = _RAW.match(query, at)
    if raw is not None:
        end = _closing(query, raw.end())
        if end < 0:
            raise _token(query, at, "mark", raw[0], "").error()
        return _token(query, at, "raw", raw["kind"], query[raw.end() : end].strip()), end + 1
    found = _TEXT.match(query, at)
    if found is not None:
        return _token(query, at, "text", found[0], _unquoted(found[0])), found.end()
    for kind, pattern in (("timespan", _TIMESPAN), ("number", _NUMBER)):
        found = pattern.match(query, at)
        if found is not None:
            following = query[found.end() : found.end() + 1]
            if following.isalnum() or following == "_":
                raise _token(query, at, "mark", found[0] + following, "").error()
            return _token(query, at, "timespan" if kind == "timespan" else "number", found[0], found[0]), found.end()
    found = _word(query, at)
    if found is not None:
        return _token(query, at, "name", found[0], found[0]), found.end()
    found = _MARK.match(query, at)
    if found is None:
        raise _token(query, at, "mark", query[at], "").error()
    return _token(query, at, "mark", found[0], found[0]), found.end()


def _word(query: str, at: int) -> re.Match[str] | None:
    """Match a name; `a-b` is one only where it is an operator, and `in~`, `!in~`, `!has` are words of their own."""
    if query.startswith("in~", at):
        return re.compile("in~").match(query, at)
    found = _WORD.match(query, at)
    if found is not None and "-" in found[0] and found[0] not in _HYPHENATED:
        return _PLAIN_NAME.match(query, at)
    return found


def _closing(query: str, at: int) -> int:
    """Return the place of the parenthesis that closes the one before `at`; -1 when none does."""
    depth = 1
    while at < len(query):
        text = _TEXT.match(query, at)
        if text is not None:
            at = text.end()
            continue
        depth += {"(": 1, ")": -1}.get(query[at], 0)
        if depth == 0:
            return at
        at += 1
    return -1


def _unquoted(text: str) -> str:
    if text.startswith("@"):
        quote = text[1]
        return text[2:-1].replace(quote * 2, quote)
    return re.sub(r"\\(u[0-9a-fA-F]{4}|.)", _escape, text[1:-1])


def _escape(found: re.Match[str]) -> str:
    code = found[1]
    if len(code) > 1:
        return chr(int(code[1:], 16))
    return _ESCAPES.get(code, code)
