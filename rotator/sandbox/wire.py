"""What every emulated cloud says on the wire: requests, replies, refusals, pages, operations that take time, limits."""

import base64
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from urllib.parse import parse_qs, parse_qsl, urlencode

if TYPE_CHECKING:
    from rotator.sandbox.faults import Fault
    from rotator.sandbox.world import World

# Bodies are kept as plain JSON on purpose: an emulator with typed bodies would drop what it does not know, as real
# typed clients do.
Document: TypeAlias = dict[str, Any]
Auth: TypeAlias = Literal["arm", "graph", "vault", "logs", "none", "registry", "aws"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Whom a bearer token speaks for. `object_id` is what role assignments name, `app_id` the client id."""

    object_id: str
    app_id: str
    name: str


@dataclass(slots=True, kw_only=True)
class Request:
    """One HTTP request. `path` has `//` collapsed and no trailing slash; header names are lower-case.

    `segments` keep the case they were sent in; `params` holds the values of the route's placeholders; `fault` is the rule
    of the fault plan that struck, for handlers that can go wrong later than in their answer.
    """

    method: str
    host: str
    path: str
    segments: tuple[str, ...]
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    client_ip: str
    connection: str = ""
    caller: Caller | None = None
    params: dict[str, str] = field(default_factory=dict)
    fault: "Fault | None" = None

    def json(self) -> Document:
        """Return the body as a JSON object, or refuse as ARM does when it is none."""
        try:
            parsed = json.loads(self.body or b"{}")
        except ValueError as error:
            raise refuse(
                400, "InvalidRequestContent", f"The request content was invalid and could not be deserialized: '{error}'."
            ) from None
        if not isinstance(parsed, dict):
            raise refuse(400, "InvalidRequestContent", "The request content was invalid: expected a JSON object.")
        return parsed

    def form(self) -> dict[str, str]:
        """Return the body as an HTML form; of a repeated field the last value."""
        return {key: values[-1] for key, values in parse_qs(self.body.decode("utf-8", "replace")).items()}

    @property
    def api_version(self) -> str:
        """The api-version asked for, or the empty string."""
        return self.query.get("api-version", "")

    @property
    def bearer(self) -> str:
        """The bearer token sent, or the empty string."""
        scheme, _, value = self.headers.get("authorization", "").partition(" ")
        return value.strip() if scheme.lower() == "bearer" else ""

    @property
    def basic(self) -> tuple[str, str] | None:
        """The user name and password of Basic authentication, None when absent or malformed."""
        scheme, _, value = self.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "basic":
            return None
        try:
            user, found, password = base64.b64decode(value.strip(), validate=True).decode().partition(":")
        except ValueError:
            return None
        return (user, password) if found else None

    @property
    def known_caller(self) -> Caller:
        """The authenticated caller of a route that demands one."""
        if self.caller is None:
            raise RuntimeError("the route demands no authentication, so nobody is known")
        return self.caller

    @property
    def url(self) -> str:
        """The address without its query, as the client wrote it."""
        return f"https://{self.host}{self.path}"


@dataclass(slots=True)
class Reply:
    """An answer. A body that is neither bytes nor str is sent as JSON; None sends no body at all."""

    status: int
    body: object | None = None
    headers: dict[str, str] = field(default_factory=dict)


class Refused(Exception):
    """The emulated service refuses: becomes the reply as it stands."""

    def __init__(self, reply: Reply, code: str = "", message: str = "") -> None:
        super().__init__(f"{reply.status} {code}: {message}")
        self.reply = reply
        self.code = code
        self.message = message


def refuse(status: int, code: str, message: str, *, headers: Mapping[str, str] | None = None, **more: object) -> Refused:
    """Build a refusal in the envelope that ARM, Graph and Key Vault share: {"error": {"code", "message", **more}}."""
    return Refused(Reply(status, {"error": {"code": code, "message": message, **more}}, dict(headers or {})), code, message)


def oci_refuse(
    status: int, code: str, message: str, *, detail: object = None, headers: Mapping[str, str] | None = None
) -> Refused:
    """Build a refusal in the envelope of the registry protocol: {"errors": [{"code", "message", "detail"}]}."""
    entry: Document = {"code": code, "message": message}
    if detail is not None:
        entry["detail"] = detail
    return Refused(Reply(status, {"errors": [entry]}, dict(headers or {})), code, message)


Handler: TypeAlias = "Callable[[World, Request], Reply]"
Refusal: TypeAlias = "Callable[[World, Request, int, str, str], Refused]"


def arm_refusal(_world: "World", _request: Request, status: int, code: str, message: str) -> Refused:
    """Refuse in the envelope of ARM, Graph and Key Vault."""
    return refuse(status, code, message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One operation. `path` is a template: `{name}` is one segment or a part of one, `{name...}` one segment or more.

    `operation` ("graph.addPassword") is the name that faults, events and the count of requests use. `hosts` are glob
    patterns of the Host header; a request to the bare loopback address matches by path alone unless `bare` is False.
    Where one address serves many operations, `detail` reads the finer name from the request ("" when it has none), which
    faults and counts know too. `refusal` builds the errors that a fault plan injects, in the service's own envelope.
    """

    service: str
    operation: str
    method: str
    path: str
    hosts: tuple[str, ...]
    handler: Handler
    auth: Auth = "none"
    bare: bool = True
    needs_api_version: bool | None = None
    detail: Callable[[Request], str] | None = None
    refusal: Refusal = arm_refusal

    def names(self, request: Request) -> list[str]:
        """Return the operation's name and, if it has one, the finer name."""
        finer = self.detail(request) if self.detail is not None else ""
        return [self.operation, finer] if finer else [self.operation]

    @property
    def demands_api_version(self) -> bool:
        """Azure's planes refuse a request without api-version; Graph and the registries have none."""
        return self.auth in ("arm", "vault") if self.needs_api_version is None else self.needs_api_version


def rfc3339(at: datetime) -> str:
    """Write an instant as Azure does in credentials: seconds, Z."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def rfc3339_fine(at: datetime) -> str:
    """Write an instant as Azure does in system fields: seven decimals and +00:00."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "0+00:00"


def parse_instant(text: str) -> datetime:
    """Read an RFC 3339 instant with up to nine decimals; ValueError when it is none. Without an offset: UTC."""
    at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def paging(items: Sequence[object], request: Request, page_size: int, *, link: str = "nextLink") -> Document:
    """Cut one page out of `items`: {"value": [...], link?: address of the next page}."""
    try:
        start = max(0, int(request.query.get("$skiptoken", "0") or "0"))
    except ValueError:
        raise refuse(400, "InvalidSkipToken", "The skip token is not valid.") from None
    page: Document = {"value": list(items[start : start + page_size])}
    if start + page_size < len(items):
        page[link] = f"{request.url}?{urlencode({**request.query, '$skiptoken': str(start + page_size)})}"
    return page


def split_query(text: str) -> dict[str, str]:
    """Read a query string; names keep their case except api-version and $skiptoken, which clients write freely."""
    names = {"api-version": "api-version", "$skiptoken": "$skiptoken"}
    return {names.get(name.lower(), name): value for name, value in parse_qsl(text, keep_blank_values=True)}


# --- operations that take time ------------------------------------------------------------------------------------


@dataclass(slots=True, kw_only=True)
class Operation:
    """A running operation. It ends by itself: its status is worked out from the clock, never ticked."""

    id: str
    kind: str
    resource_id: str
    started_at: datetime
    ends_at: datetime
    failure: Document | None = None
    result: object | None = None

    def done(self, now: datetime) -> bool:
        """Say whether it has ended."""
        return now >= self.ends_at

    def status(self, now: datetime) -> str:
        """Return the word of the Azure-AsyncOperation style."""
        if not self.done(now):
            return "InProgress"
        return "Failed" if self.failure else "Succeeded"

    def document(self, now: datetime, running: str = "InProgress") -> Document:
        """Return the body that polling sees."""
        status = self.status(now)
        body: Document = {
            "id": self.resource_id,
            "name": self.id,
            "status": running if status == "InProgress" else status,
            "startTime": rfc3339_fine(self.started_at),
        }
        if status == "Failed":
            body["error"] = self.failure
        return body


class Operations:
    """The operations of all clouds by id."""

    def __init__(self) -> None:
        self._by_id: dict[str, Operation] = {}

    def start(self, operation: Operation) -> Operation:
        """Remember a new operation."""
        self._by_id[operation.id.lower()] = operation
        return operation

    def get(self, operation_id: str) -> Operation:
        """Return the operation, or refuse with 404."""
        found = self._by_id.get(operation_id.lower())
        if found is None:
            raise refuse(404, "OperationNotFound", f"The operation '{operation_id}' was not found.")
        return found


# --- limits -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """A token bucket: `capacity` at once, refilled by `per_second`."""

    capacity: float
    per_second: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A fixed window: `limit` in every `span`, counted from the first use."""

    limit: int
    span: timedelta


class Limits:
    """The state of every token bucket and fixed window, on the sandbox clock."""

    def __init__(self) -> None:
        self._buckets: dict[tuple[str, ...], tuple[float, datetime]] = {}
        self._windows: dict[tuple[str, ...], tuple[int, datetime]] = {}

    def take(self, key: tuple[str, ...], rule: Bucket | Window, now: datetime) -> tuple[float, int]:
        """Take one: (seconds to wait, what remains). Waiting 0.0 means it was granted; a refused one costs nothing."""
        if isinstance(rule, Bucket):
            return self._take_token(key, rule, now)
        used, started_at = self._windows.get(key, (0, now))
        if now >= started_at + rule.span:
            used, started_at = 0, now
        if used >= rule.limit:
            return (started_at + rule.span - now).total_seconds(), 0
        self._windows[key] = (used + 1, started_at)
        return 0.0, rule.limit - used - 1

    def _take_token(self, key: tuple[str, ...], rule: Bucket, now: datetime) -> tuple[float, int]:
        tokens, seen_at = self._buckets.get(key, (rule.capacity, now))
        tokens = min(rule.capacity, tokens + (now - seen_at).total_seconds() * rule.per_second)
        if tokens < 1:
            self._buckets[key] = (tokens, now)
            return (1 - tokens) / rule.per_second, 0
        self._buckets[key] = (tokens - 1, now)
        return 0.0, int(tokens - 1)


def throttled(wait: float, code: str, message: str, *, retry_after: bool = True) -> Refused:
    """Build a 429; Key Vault does not promise a Retry-After, hence the switch."""
    headers = {"Retry-After": str(max(1, math.ceil(wait)))} if retry_after else {}
    return refuse(429, code, message, headers=headers)
