"""Every request seen once, by whoever counts them: which service, which operation, what came back, how long it took.

The transports report, at the wire, so that a throttled attempt, a vault's challenge and a token request each count. The service
and operation are those of the enclosing `rotator.clients.failures.translated`: a metric and an error name the same thing, also
below an SDK that knows nothing of our names.
"""

import time
from collections.abc import Callable, Iterator
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
            watch.report(UNSENT if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout)) else UNANSWERED)
            raise
        watch.report(str(response.status_code))
        return response

    def close(self) -> None:
        """Close the transport below."""
        self._inner.close()
