"""Says what a run waits for, when a service keeps failing: a person before a silent terminal would think that it hangs."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import structlog

from rotator.clients.observed import UNANSWERED, UNSENT
from rotator.clients.refusals import TITLES

log = structlog.get_logger(__name__)

PATIENCE = 5.0
"""Real seconds without success before anything is said."""
_AGAIN = 30.0
_LOOK = 1.0
_CAUSES = {UNSENT: "no connection", UNANSWERED: "no answer", "429": "asked us to slow down"}


@dataclass(slots=True)
class _Trouble:
    since: float
    cause: str
    tries: int = 1
    told_at: float | None = None
    told_tries: int = 0


class Waiting:
    """Counts the failures in a row of each operation. Goes by the machine's clock, whatever the application's is."""

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._lock = threading.Lock()
        self._troubles: dict[tuple[str, str], _Trouble] = {}

    def request(self, service: str, operation: str, code: str, seconds: float) -> None:
        """Take note of a request (this is a `rotator.clients.observed.RequestObserver`)."""
        with self._lock:
            if code not in _CAUSES and not code.startswith("5"):
                self._troubles.pop((service, operation), None)
                return
            cause = _CAUSES.get(code, f"answers {code}")
            trouble = self._troubles.setdefault((service, operation), _Trouble(time.monotonic() - seconds, cause, tries=0))
            trouble.tries += 1
            trouble.cause = cause

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Look about once a second, from a thread, until the block ends."""
        ended = threading.Event()

        def look() -> None:
            while not ended.wait(min(_LOOK, self._patience)):
                self.look()

        thread = threading.Thread(target=look, name="waiting", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def look(self) -> None:
        """Say what has failed for longer than patience lasts; the same again only after a while, if it failed again."""
        now = time.monotonic()
        with self._lock:
            for (service, operation), trouble in self._troubles.items():
                silent = trouble.told_at is None or (now - trouble.told_at >= _AGAIN and trouble.tries > trouble.told_tries)
                if silent and now - trouble.since >= self._patience:
                    trouble.told_at, trouble.told_tries = now, trouble.tries
                    log.warning(
                        f"waiting for {TITLES.get(service, service)}",
                        operation=operation,
                        cause=trouble.cause,
                        tries=trouble.tries,
                        seconds=round(now - trouble.since),
                    )
