"""What OData asks for, worked out on plain documents: $filter, $select, $top and pages. Pure."""

import re
from collections.abc import Callable, Sequence
from urllib.parse import urlencode

from rotator.sandbox.wire import Document, Refused, Request, refuse

Predicate = Callable[[Document], bool]

_TOKEN = re.compile(r"\s*(?:'(?:[^']|'')*'|[A-Za-z_][\w./-]*|[(),:])")
_DEFAULT_PAGE = 100
_LARGEST_PAGE = 999


class Filter:
    """A parser of the part of OData's filter language that directory clients use.

    Comparisons `name eq 'x'`, `name ne 'x'`, `name in ('x','y')`, `startswith(name,'x')`, `names/any(c:c eq 'x')`,
    joined by and, or, not and parentheses. Whatever else is asked is refused as Graph does, never ignored.
    """

    def __init__(self, text: str, properties: Sequence[str]) -> None:
        self._text = text
        self._known = {name.lower(): name for name in properties}
        self._tokens = self._scan(text)
        self._at = 0

    def compile(self) -> Predicate:
        """Return the predicate; Refused 400 when the text is not understood."""
        predicate = self._either()
        if self._at < len(self._tokens):
            raise self._invalid()
        return predicate

    def _scan(self, text: str) -> list[str]:
        tokens, at, text = [], 0, text.strip()
        while at < len(text):
            found = _TOKEN.match(text, at)
            if found is None:
                raise self._invalid()
            tokens.append(found[0].strip())
            at = found.end()
        return tokens

    def _either(self) -> Predicate:
        parts = [self._both()]
        while self._accept("or"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else lambda item: any(part(item) for part in parts)

    def _both(self) -> Predicate:
        parts = [self._one()]
        while self._accept("and"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else lambda item: all(part(item) for part in parts)

    def _one(self) -> Predicate:
        if self._accept("not"):
            inner = self._one()
            return lambda item: not inner(item)
        if self._accept("("):
            inner = self._either()
            self._expect(")")
            return inner
        if self._accept("startswith"):
            self._expect("(")
            name = self._property(self._next())
            self._expect(",")
            start = self._literal().lower()
            self._expect(")")
            return lambda item: str(item.get(name) or "").lower().startswith(start)
        word = self._next()
        if word.lower().endswith("/any"):
            return self._any(self._property(word[: -len("/any")]))
        return self._comparison(self._property(word))

    def _any(self, name: str) -> Predicate:
        self._expect("(")
        variable = self._next()
        self._expect(":")
        self._expect(variable)
        self._expect("eq")
        wanted = self._literal().lower()
        self._expect(")")
        return lambda item: any(str(entry).lower() == wanted for entry in item.get(name) or ())

    def _comparison(self, name: str) -> Predicate:
        operator = self._next().lower()
        if operator == "in":
            self._expect("(")
            wanted = {self._literal().lower()}
            while self._accept(","):
                wanted.add(self._literal().lower())
            self._expect(")")
            return lambda item: str(item.get(name)).lower() in wanted
        if operator not in ("eq", "ne"):
            raise self._invalid()
        value, equal = self._literal().lower(), operator == "eq"
        return lambda item: (_plain(item.get(name)) == value) == equal

    def _property(self, word: str) -> str:
        name = self._known.get(word.lower())
        if name is None:
            raise refuse(400, "BadRequest", f"Invalid filter clause: Could not find a property named '{word}' on the type.")
        return name

    def _literal(self) -> str:
        token = self._next()
        if token.startswith("'"):
            return token[1:-1].replace("''", "'")
        if token.lower() in ("true", "false", "null"):
            return token
        raise self._invalid()

    def _next(self) -> str:
        if self._at >= len(self._tokens):
            raise self._invalid()
        self._at += 1
        return self._tokens[self._at - 1]

    def _accept(self, token: str) -> bool:
        if self._at < len(self._tokens) and self._tokens[self._at].lower() == token:
            self._at += 1
            return True
        return False

    def _expect(self, token: str) -> None:
        if self._next().lower() != token.lower():
            raise self._invalid()

    def _invalid(self) -> Refused:
        return refuse(400, "BadRequest", f"Invalid filter clause: {self._text}")


def _plain(value: object) -> str:
    return "null" if value is None else str(value).lower()


def select(document: Document, request: Request) -> Document:
    """Keep the properties of $select; all when it is absent. An unknown one is refused."""
    wanted = [name.strip() for name in request.query.get("$select", "").split(",") if name.strip()]
    if not wanted:
        return document
    by_lower = {name.lower(): name for name in document}
    missing = next((name for name in wanted if name.lower() not in by_lower), None)
    if missing is not None:
        raise refuse(
            400,
            "BadRequest",
            f"Parsing OData Select and Expand failed: Could not find a property named '{missing}' on type.",
        )
    return {by_lower[name.lower()]: document[by_lower[name.lower()]] for name in wanted}


def listing(documents: Sequence[Document], request: Request, properties: Sequence[str], entity_set: str) -> Document:
    """Answer a list request: filtered, selected, one page with @odata.nextLink."""
    unsupported = [name for name in request.query if name in ("$expand", "$search", "$orderby", "$skip")]
    if unsupported:
        raise refuse(400, "Request_UnsupportedQuery", f"Unsupported query option: {unsupported[0]}")
    if request.query.get("$filter"):
        chosen = Filter(request.query["$filter"], properties).compile()
        documents = [document for document in documents if chosen(document)]
    size = _page_size(request)
    token = request.query.get("$skiptoken", "")
    start = next((at + 1 for at, document in enumerate(documents) if document["id"] == token), 0)
    if token and not start:
        raise refuse(400, "Directory_ExpiredPageToken", "The specified page token value has expired and is no longer valid.")
    page: Document = {"@odata.context": f"https://{request.host}/v1.0/$metadata#{entity_set}"}
    if start + size < len(documents):
        query = {**request.query, "$skiptoken": documents[start + size - 1]["id"]}
        page["@odata.nextLink"] = f"{request.url}?{urlencode(query, safe='$')}"
    page["value"] = [select(document, request) for document in documents[start : start + size]]
    return page


def _page_size(request: Request) -> int:
    text = request.query.get("$top", str(_DEFAULT_PAGE))
    if not text.isdigit() or not 1 <= int(text) <= _LARGEST_PAGE:
        raise refuse(400, "Request_BadRequest", "Invalid page size specified: must be between 1 and 999 inclusive.")
    return int(text)
