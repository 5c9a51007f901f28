"""The one HTTPS application that answers for every emulated host: by Host header first, then by path."""

import gzip
import ipaddress
import json
import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass, field
from email.utils import format_datetime
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import unquote

from rotator.sandbox.faults import Fault
from rotator.sandbox.latency import Latency
from rotator.sandbox.wire import Refused, Reply, Request, Route, refuse, split_query
from rotator.sandbox.world import World

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_PLACEHOLDER = re.compile(r"\{(\w+)(\.\.\.)?\}")
_LARGEST_BODY = 4 * 1024 * 1024
"""ARM refuses requests above 4 MB; a harness that sends more has a bug."""


def bare(host: str) -> bool:
    """Say whether a Host header is the loopback address, where the path alone says which cloud is meant."""
    name = host.rpartition(":")[0] if host.count(":") == 1 else host
    if name.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class _Pattern:
    route: Route
    expression: re.Pattern[str]


def _compile(route: Route) -> _Pattern:
    """Turn a path template into an expression: literal parts in any case, `{name...}` over several segments."""
    pieces, at = [], 0
    for found in _PLACEHOLDER.finditer(route.path):
        pieces.append(re.escape(route.path[at : found.start()]))
        pieces.append(f"(?P<{found[1]}>{'.+' if found[2] else '[^/]+?'})")
        at = found.end()
    pieces.append(re.escape(route.path[at:]))
    return _Pattern(route, re.compile("".join(pieces), re.IGNORECASE))


@dataclass(slots=True)
class Router:
    """Finds the route of a request. Hosts and paths are compared without case."""

    routes: Iterable[Route]
    _by_hosts: dict[tuple[str, ...], list[_Pattern]] = field(default_factory=dict)
    _of_host: dict[str, dict[tuple[str, int], list[_Pattern]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for route in self.routes:
            self._by_hosts.setdefault(route.hosts, []).append(_compile(route))

    def find(self, request: Request) -> Route | None:
        """Return the route and set the request's params; None when nothing of that host matches."""
        index = self._index(request.host)
        for key in ((request.method, len(request.segments)), (request.method, -1)):
            for pattern in index.get(key, ()):
                found = pattern.expression.fullmatch(request.path)
                if found is not None:
                    request.params = found.groupdict()
                    return pattern.route
        return None

    def knows_path(self, request: Request) -> bool:
        """Say whether the path exists with another method."""
        index = self._index(request.host)
        lists = [patterns for (_, count), patterns in index.items() if count in (len(request.segments), -1)]
        return any(pattern.expression.fullmatch(request.path) for patterns in lists for pattern in patterns)

    def _index(self, host: str) -> dict[tuple[str, int], list[_Pattern]]:
        name = "" if bare(host) else host.partition(":")[0].lower()
        if name not in self._of_host:
            index: dict[tuple[str, int], list[_Pattern]] = {}
            for globs, patterns in self._by_hosts.items():
                if name and not any(fnmatchcase(name, glob) for glob in globs):
                    continue
                for pattern in patterns:
                    if name or pattern.route.bare:
                        open_ended = "...}" in pattern.route.path
                        count = -1 if open_ended else len([part for part in pattern.route.path.split("/") if part])
                        index.setdefault((pattern.route.method, count), []).append(pattern)
            self._of_host[name] = index
        return self._of_host[name]


class SandboxApp:
    """An ASGI application. Handlers run one at a time under the world's lock: a request sees a world at rest."""

    def __init__(self, world: World, routes: Iterable[Route]) -> None:
        self.world = world
        self._router = Router(routes)
        self._answers: dict[str, tuple[Reply, Reply]] = {}
        self._latency = Latency()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or break its connection where a fault says so."""
        if scope["type"] != "http":
            return
        request = await read_request(scope, receive)
        with self.world.lock:
            reply, fault = self.answer(request)
        if reply is None:
            _abort(send)
            return
        await write_reply(
            reply, request, send, truncate=fault is not None and fault.truncate, garbled=fault is not None and fault.garbled
        )

    def answer(self, request: Request) -> tuple[Reply | None, Fault | None]:
        """Answer one request; None instead of a reply means that the connection breaks."""
        world = self.world
        if not world.options.quiet:
            world.clock.advance(self._latency.step(request.connection, world.rng.uniform(0.020, 0.060)))
        route = self._router.find(request)
        if route is None:
            return self._unknown(request), None
        names = route.names(request)
        for name in names:
            world.requests[name] = world.requests.get(name, 0) + 1
        fault = request.fault = world.faults.strike(*names, path=request.path)
        if fault is not None and fault.delay:
            world.clock.advance(fault.delay)
        if fault is not None and fault.drop_before:
            return None, fault
        if fault is not None and fault.status is not None:
            refused = route.refusal(world, request, fault.status, fault.error_code, fault.error_message)
            refused.reply.headers |= {} if fault.retry_after is None else {"Retry-After": f"{fault.retry_after:g}"}
            return refused.reply, fault
        reply = self._staled(request, self._handle(route, request), fault)
        reply.headers.setdefault("x-ms-request-id", world.guid())
        # The sandbox's own time: clients that correct their clock by this header must not see the real one.
        reply.headers.setdefault("Date", format_datetime(world.now(), usegmt=True))
        return (None if fault is not None and fault.drop_after else reply), fault

    def _handle(self, route: Route, request: Request) -> Reply:
        self.world.clock.advance(0)
        try:
            return self._admit(route, request)
        except Refused as refused:
            return refused.reply
        finally:
            # The oracle judges what this request changed, before anybody can know of it.
            self.world.clock.advance(0)

    def _admit(self, route: Route, request: Request) -> Reply:
        """Check what every operation of the service demands, then let the handler answer."""
        if route.demands_api_version and not request.api_version:
            raise refuse(
                400,
                "MissingApiVersionParameter",
                "The api-version query parameter (?api-version=) is required for all requests.",
            )
        if route.auth in ("arm", "graph", "vault", "logs"):
            self._authenticate(route, request)
        headers: dict[str, str] = {}
        if route.auth == "arm":
            subscription = _subscription(request.segments)
            headers = self.world.arm.throttle(request.known_caller, request.method, subscription)
        reply = route.handler(self.world, request)
        for name, value in headers.items():
            reply.headers.setdefault(name, value)
        return reply

    def _authenticate(self, route: Route, request: Request) -> None:
        challenge = self.world.entra.challenge(route.auth, request)
        if not request.bearer:
            raise refuse(
                401,
                "Unauthorized" if route.auth == "vault" else "AuthenticationFailed",
                "Authentication failed. The 'Authorization' header is missing.",
                headers={"WWW-Authenticate": challenge},
            )
        try:
            request.caller = self.world.entra.caller_of(request.bearer, route.auth)
        except Refused as refused:
            refused.reply.headers.setdefault("WWW-Authenticate", challenge)
            raise

    def _staled(self, request: Request, reply: Reply, fault: Fault | None) -> Reply:
        """Serve the answer before the last change of an address where the fault plan asks for a stale read."""
        if request.method != "GET" or not self.world.faults.keeps_answers:
            return reply
        before, last = self._answers.get(request.path, (reply, reply))
        if last.body != reply.body:
            before, last = last, reply
        self._answers[request.path] = (before, last)
        return before if fault is not None and fault.stale else reply

    def _unknown(self, request: Request) -> Reply:
        name = f"{request.method} {request.host}{request.path}"
        self.world.requests["not emulated"] = self.world.requests.get("not emulated", 0) + 1
        self.world.events.append("not-emulated", request=name)
        if self._router.knows_path(request):
            return refuse(405, "MethodNotAllowed", f"The sandbox does not emulate this method here: {name}").reply
        return refuse(501, "NotEmulated", f"The sandbox does not emulate this operation: {name}").reply


def _subscription(segments: tuple[str, ...]) -> str:
    return segments[1] if len(segments) > 1 and segments[0].lower() == "subscriptions" else ""


async def read_request(scope: Scope, receive: Receive, largest: int = _LARGEST_BODY) -> Request:
    """Read a request; what goes beyond `largest` bytes is cut off, which no JSON survives."""
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body") or len(body) > largest:
            break
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    if headers.get("content-encoding") == "gzip":
        body = gzip.decompress(body)
    path = unquote(scope.get("raw_path", b"").partition(b"?")[0].decode("latin-1")) or scope["path"]
    segments = tuple(part for part in path.split("/") if part)
    client = scope.get("client") or ("127.0.0.1", 0)
    return Request(
        method=scope["method"],
        host=headers.get("host", "127.0.0.1"),
        path="/" + "/".join(segments),
        segments=segments,
        query=split_query(scope["query_string"].decode("latin-1")),
        headers=headers,
        body=body,
        # Registries log and judge the address they see; a test chooses one with this header.
        client_ip=headers.get("x-sandbox-client-ip", client[0]),
        connection=f"{client[0]}:{client[1]}",
    )


async def write_reply(reply: Reply, request: Request, send: Send, *, truncate: bool = False, garbled: bool = False) -> None:
    """Write a reply; with `truncate` half of its body, and then the connection breaks; with `garbled` half as if it were all."""
    body, headers = reply.body, {name.lower(): value for name, value in reply.headers.items()}
    if body is None:
        content = b""
    elif isinstance(body, bytes):
        content = body
    elif isinstance(body, str):
        content = body.encode()
    else:
        content = json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
        headers.setdefault("content-type", "application/json; charset=utf-8")
    if garbled:
        content = content[: len(content) // 2]
    if reply.status not in (204, 304):
        headers.setdefault("content-length", str(len(content)))
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": reply.status, "headers": raw})
    if request.method == "HEAD" or reply.status in (204, 304):
        content = b""
    if truncate and content:
        await send({"type": "http.response.body", "body": content[: len(content) // 2], "more_body": True})
        _abort(send)
        return
    await send({"type": "http.response.body", "body": content})


def _abort(send: Send) -> None:
    """Break the connection without an answer.

    ASGI has no word for it, so the server's own connection is reached through the method it gave us.
    """
    cycle = getattr(send, "__self__", None)
    transport = getattr(cycle, "transport", None)
    if transport is None:
        raise RuntimeError("the server does not let a connection be broken")
    transport.abort()
