"""The fence around what a replica changes in the clouds: shut once the others may have taken its work over.

A process that was frozen (SIGSTOP, a stalled machine, a paused container) does not know it when it wakes. So every request that
changes something passes here, as late as the transports allow: the headers are not on the wire yet. What remains is a freeze
between this look and the write to the socket, microseconds apart, and the request that was on its way already: both end like a
crash after an effect, which the next replica finds by looking before it acts.
"""

import time
from collections.abc import Callable
from datetime import timedelta
from threading import Lock

from rotator.model.errors import Fenced

_READING = frozenset({"GET", "HEAD", "OPTIONS"})


def seconds_alive() -> float:
    """Real seconds that also pass while the machine sleeps, where the system can tell."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


class Fence:
    """Open for `limit` after each heartbeat. Without a replica's life to guard, it is always open. Thread-safe.

    Real time is meant here, not the clock port: it is about the life of a process.
    """

    def __init__(self, limit: timedelta, elapsed: Callable[[], float] = seconds_alive) -> None:
        self._limit = limit.total_seconds()
        self._elapsed = elapsed
        self._renewing = Lock()
        self._renew: Callable[[], bool] | None = None
        self._beaten_at = 0.0
        self._shut = False

    @property
    def shut(self) -> bool:
        """Whether it closed: for good, since work that was cut off here may be under way elsewhere."""
        return self._shut

    def guard(self, renew: Callable[[], bool], beaten_at: float) -> None:
        """Guard a replica's life from now on. `renew` makes a heartbeat and says whether the life goes on."""
        self._beaten_at, self._shut, self._renew = beaten_at, False, renew

    def lift(self) -> None:
        """Stop guarding: the life ended in order, and none of its work is left in this process."""
        self._renew = None

    def renew(self, beaten_at: float) -> None:
        """Take note of a heartbeat that reached the database; `beaten_at` is from before it was sent."""
        self._beaten_at = max(self._beaten_at, beaten_at)

    def shut_for_good(self) -> None:
        """Let nothing pass any more."""
        self._shut = True

    def now(self) -> float:
        """Return the instant that heartbeats are measured by."""
        return self._elapsed()

    def check(self, method: str = "") -> None:
        """Return when a request with this method may be sent; raises Fenced when this replica's life is, or may be, over."""
        if self._renew is None or method.upper() in _READING:
            return
        if not self._shut and self._fresh():
            return
        with self._renewing:
            # A thread that was merely starved may still be in time: the database decides, once, who is alive.
            if not self._shut and not self._fresh():
                self._shut = not (self._renew() and self._fresh())
        if self._shut:
            raise Fenced

    def _fresh(self) -> bool:
        return self._elapsed() - self._beaten_at <= self._limit
