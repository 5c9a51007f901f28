"""The control port: what a test or a person does to the sandbox, apart from everything that is emulated."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from rotator.sandbox.app import Receive, Scope, Send, read_request, write_reply
from rotator.sandbox.clouds.github.records import HOST as GHCR
from rotator.sandbox.faults import FaultPlan
from rotator.sandbox.operator import operator
from rotator.sandbox.wire import Refused, Reply, Request, parse_instant, refuse, rfc3339_fine

if TYPE_CHECKING:
    from rotator.sandbox.serve import Sandbox

_Answer = Callable[["Sandbox", Request], Reply]


def _health(_sandbox: "Sandbox", _request: Request) -> Reply:
    return Reply(200, {"status": "ok"})


def _clock(sandbox: "Sandbox", _request: Request) -> Reply:
    return Reply(200, {"now": rfc3339_fine(sandbox.world.now() + sandbox.skew)})


def _skew(sandbox: "Sandbox", request: Request) -> Reply:
    try:
        sandbox.skew = timedelta(seconds=float(request.json()["seconds"]))
    except (KeyError, TypeError, ValueError) as error:
        raise refuse(400, "InvalidSkew", f"Send seconds, negative for a clock that is behind: {error}.") from None
    return _clock(sandbox, request)


def _advance(sandbox: "Sandbox", request: Request) -> Reply:
    body = request.json()
    try:
        if "until" in body:
            sandbox.world.clock.advance_to(parse_instant(str(body["until"])) - sandbox.skew)
        else:
            sandbox.world.clock.advance(float(body["seconds"]))
    except (KeyError, ValueError) as error:
        raise refuse(400, "InvalidAdvance", f"Send seconds (not negative) or until (RFC 3339): {error}.") from None
    return _clock(sandbox, request)


def _oracle(sandbox: "Sandbox", _request: Request) -> Reply:
    return Reply(200, sandbox.oracle.report())


def _scan(sandbox: "Sandbox", request: Request) -> Reply:
    found = sandbox.oracle.scan(request.body, request.query.get("source", ""))
    return Reply(200, {"found": found})


def _events(sandbox: "Sandbox", request: Request) -> Reply:
    try:
        since = int(request.query.get("since", "0"))
    except ValueError:
        raise refuse(400, "InvalidSince", "since must be the number of an event.") from None
    return Reply(200, {"events": [event.document() for event in sandbox.world.events.since(since)]})


def _set_faults(sandbox: "Sandbox", request: Request) -> Reply:
    try:
        plan = json.loads(request.body or b"[]")
        rules = plan["faults"] if isinstance(plan, dict) else plan
        sandbox.world.faults = FaultPlan.parse(rules, sandbox.options.seed)
    except (ValueError, TypeError, KeyError) as error:
        raise refuse(400, "InvalidFaults", f"The fault plan cannot be read: {error}.") from None
    return Reply(200, {"rules": len(sandbox.world.faults.rules)})


def _clear_faults(sandbox: "Sandbox", _request: Request) -> Reply:
    sandbox.world.faults = FaultPlan()
    return Reply(200, {"rules": 0})


def _reset(sandbox: "Sandbox", _request: Request) -> Reply:
    sandbox.reset()
    return Reply(200, {"status": "ok"})


def _requests(sandbox: "Sandbox", _request: Request) -> Reply:
    return Reply(200, dict(sorted(sandbox.world.requests.items())))


def _summary(sandbox: "Sandbox", _request: Request) -> Reply:
    return Reply(200, sandbox.summary())


def _login(sandbox: "Sandbox", request: Request) -> Reply:
    body = request.json()
    try:
        accepted = sandbox.world.registries.login_from_outside(
            str(body["server"]),
            str(body["username"]),
            str(body["password"]),
            str(body.get("address", "203.0.113.7")),
            str(body.get("user_agent", "docker/27.3.1")),
        )
    except KeyError as error:
        raise refuse(400, "InvalidLogin", f"Send server (an Azure registry), username and password: {error}.") from None
    return Reply(200, {"accepted": accepted})


def _operator(sandbox: "Sandbox", _request: Request) -> Reply:
    return Reply(200, {"proxy": sandbox.proxy_url, **operator(sandbox.world)})


def _person(sandbox: "Sandbox", request: Request) -> Reply:
    """Make a secret as a person does in a browser, and return it as the browser shows it: once."""
    body, world = request.json(), sandbox.world
    try:
        server, username, days = str(body["server"]), str(body["username"]), body.get("days")
        expires_at = None if days is None else world.now() + timedelta(days=float(days))
        if server == GHCR:
            scopes = tuple(str(one) for one in body.get("scopes", ["read:packages"]))
            return Reply(200, {"secret": world.github.make(username, scopes=scopes, expires_at=expires_at).value})
        return Reply(200, {"secret": world.registries.add_password(server, username, expires_at=expires_at).value})
    except (KeyError, TypeError, ValueError) as error:
        raise refuse(400, "InvalidPerson", f"Send server, username of a registry of another party, and days: {error}.") from None


_TABLE: dict[tuple[str, str], _Answer] = {
    ("GET", "/health"): _health,
    ("GET", "/clock"): _clock,
    ("POST", "/clock/advance"): _advance,
    ("POST", "/clock/skew"): _skew,
    ("GET", "/oracle"): _oracle,
    ("POST", "/oracle/scan"): _scan,
    ("GET", "/events"): _events,
    ("POST", "/faults"): _set_faults,
    ("DELETE", "/faults"): _clear_faults,
    ("POST", "/reset"): _reset,
    ("POST", "/login"): _login,
    ("POST", "/operator"): _operator,
    ("POST", "/person/secret"): _person,
    ("GET", "/requests"): _requests,
    ("GET", "/summary"): _summary,
}


class ControlApp:
    """An ASGI application for the control port."""

    def __init__(self, sandbox: "Sandbox") -> None:
        self._sandbox = sandbox

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request of a test or a person."""
        if scope["type"] != "http":
            return
        request = await read_request(scope, receive, largest=64 * 1024 * 1024)
        await write_reply(self._answer(request), request, send)

    def _answer(self, request: Request) -> Reply:
        answer = _TABLE.get((request.method, request.path))
        if answer is None:
            known = sorted(f"{method} {path}" for method, path in _TABLE)
            return refuse(404, "NotFound", f"The control port knows: {', '.join(known)}.").reply
        with self._sandbox.world.lock:
            try:
                return answer(self._sandbox, request)
            except Refused as refused:
                return refused.reply
