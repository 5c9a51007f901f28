"""Every request seen once, by whoever counts them: which service, which operation, what came back, how long it took.

The transports report, at the wire, so that a throttled attempt, a vault's challenge and a token request each count. The service
and operation are those of the enclosing `rotator.clients.failures.translated`: a metric and an error name the same thing, also
below an SDK that knows nothing of our names. What the services call the requests that matter is remembered for the evidence.
"""

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

import httpx

RequestObserver = Callable[[str, str, str, float], None]
"""Called with service, operation, code (the status as text, `unsent` or `unanswered`) and real seconds. Must not raise."""

UNSENT = "unsent"
UNANSWERED = "unanswered"

_current: ContextVar[tuple[str, str]] = ContextVar("rotator_request", default=("other", "other"))


def unobserved(service: str, operation: str, code: str, seconds: float) -> None:
    """Take no note; the default observer."""


@contextmanager
def naming(service: str, operation: str) -> Iterator[None]:
    """Give the requests made inside these names."""
    token = _current.set((service, operation))
    try:
        yield
    finally:
        _current.reset(token)


# The first that an answer has is the service's own name for the request; then a name that goes through several services' logs.
_IDS = ("x-ms-request-id", "request-id", "x-amzn-requestid", "x-request-id")
_CORRELATIONS = ("x-ms-correlation-request-id", "x-ms-client-request-id", "client-request-id")
LOOKS = frozenset({"GET", "HEAD", "OPTIONS"})
# A challenge, nothing there, and a request to slow down: each part of an ordinary look, and nothing happened.
_ORDINARY = frozenset({"401", "404", "429"})
# Requests that are sent as POST and change nothing: sign-ins, and questions to a log.
_QUESTIONS = frozenset({"token", "query", "pull", "read-token", "turn-clock", "read-clock"})
_NO_ID = re.compile(r"[^A-Za-z0-9._:+/=-]")
_LONGEST_ID = 80
_MOST = 60


class RequestTrail:
    """Remembers, for each thread, what services called the requests that changed something or failed (`rotator.ports.Trail`).

    One a request: `key-vault write-secret 200 <request id> <correlation id>`. A request without an answer has the id that we
    gave it, where we did. Ids are other people's text: cut to 80 plain characters. After sixty only the count goes on.
    """

    def __init__(self) -> None:
        self._thread = threading.local()

    def leave(self, method: str, code: str, sent: Mapping[str, str], answered: Mapping[str, str] | None) -> None:
        """Remember a request, if it matters, under the names in force."""
        service, operation = _current.get()
        looked = method.upper() in LOOKS or operation in _QUESTIONS
        if code in _ORDINARY or code == UNSENT or (looked and (not code.isdigit() or int(code) < 400)):
            return
        answer = answered or {}
        own = next((answer[name] for name in _IDS if answer.get(name)), "")
        shared = next((source[name] for source in (answer, sent) for name in _CORRELATIONS if source.get(name)), "")
        left: list[str] = self._thread.__dict__.setdefault("left", [])
        self._thread.__dict__["count"] = self._thread.__dict__.get("count", 0) + 1
        if len(left) < _MOST:
            ids = dict.fromkeys(_NO_ID.sub("", one)[:_LONGEST_ID] for one in (own, shared))
            left.append(" ".join([service, operation, code, *(one for one in ids if one)]))

    def taken(self) -> tuple[str, ...]:
        """Return, and forget, what this thread left."""
        left, count = self._thread.__dict__.pop("left", []), self._thread.__dict__.pop("count", 0)
        more = (f"and {count - len(left)} more",) if count > len(left) else ()
        return (*left, *more)


TRAIL = RequestTrail()
"""The one trail of the process; like the names in force it goes by thread, so that no client has to be handed it."""


class Stopwatch:
    """Times one request and reports it under the names in force."""

    def __init__(self, observe: RequestObserver) -> None:
        self._observe = observe
        self._started = time.perf_counter()

    def report(self, code: str) -> None:
        """Report the request with what came of it."""
        service, operation = _current.get()
        self._observe(service, operation, code, time.perf_counter() - self._started)


class ObservingTransport(httpx.BaseTransport):
    """An httpx transport that reports each request."""

    def __init__(self, inner: httpx.BaseTransport, observe: RequestObserver) -> None:
        self._inner = inner
        self._observe = observe

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Pass the request on and report what came of it."""
        watch = Stopwatch(self._observe)
        try:
            response = self._inner.handle_request(request)
        except httpx.TransportError as error:
            code = UNSENT if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout)) else UNANSWERED
            watch.report(code)
            TRAIL.leave(request.method, code, request.headers, None)
            raise
        watch.report(str(response.status_code))
        TRAIL.leave(request.method, str(response.status_code), request.headers, response.headers)
        return response

    def close(self) -> None:
        """Close the transport below."""
        self._inner.close()
