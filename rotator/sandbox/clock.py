"""The sandbox's own time: never backwards, shiftable by days in a millisecond."""

import heapq
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Listener = Callable[[datetime], None]


class SandboxClock:
    """A clock that every emulated cloud shares and that only runs forwards.

    By default it starts at the real instant and runs with real time plus all shifts. A `frozen` clock moves by
    `advance` alone, which makes a test exact. Whoever must see an instant exactly (the oracle, judging an expiry
    in the middle of a thirty-day jump) schedules it: listeners are then called once for each scheduled instant, in
    order, with that instant, and once more with the time reached.
    """

    def __init__(self, started_at: datetime | None = None, *, frozen: bool = False) -> None:
        self._base_at = started_at or datetime.now(UTC)  # noqa: TID251 - this is the sandbox's own clock port
        self._frozen = frozen
        self._origin = time.monotonic()
        self._shift = timedelta(0)
        self._listeners: list[Listener] = []
        self._scheduled: list[datetime] = []
        self._known: set[datetime] = set()
        # The one lock of the whole sandbox: with a second one, a jump and a request could wait for each other.
        self.lock = threading.RLock()
        self.started_at = self._base_at

    def now(self) -> datetime:
        """Return the sandbox's present instant (aware, UTC)."""
        if self._frozen:
            return self._base_at + self._shift
        return self._base_at + self._shift + timedelta(seconds=time.monotonic() - self._origin)

    def advance(self, seconds: float) -> None:
        """Move `seconds` on (0 only delivers what is due); a negative number is refused with ValueError."""
        if seconds < 0:
            raise ValueError("the sandbox clock never runs backwards")
        with self.lock:
            if seconds:
                # What changed just before a jump is judged at the instant of the change, not at the end of the jump.
                self._deliver()
            self._shift += timedelta(seconds=seconds)
            self._deliver()

    def advance_to(self, at: datetime) -> None:
        """Move on to `at`; an instant that has already passed changes nothing."""
        with self.lock:
            self.advance(max(0.0, (at - self.now()).total_seconds()))

    def subscribe(self, listener: Listener) -> None:
        """Have `listener` called with every scheduled instant and after every advance."""
        self._listeners.append(listener)

    def unsubscribe(self, listener: Listener) -> None:
        """Forget `listener`; one that was never subscribed is no error."""
        self._listeners = [known for known in self._listeners if known != listener]

    def schedule(self, at: datetime) -> None:
        """Promise that listeners are called with exactly `at` when time passes it."""
        with self.lock:
            if at > self.now() and at not in self._known:
                self._known.add(at)
                heapq.heappush(self._scheduled, at)

    def _deliver(self) -> None:
        reached_at = self.now()
        while self._scheduled and self._scheduled[0] <= reached_at:
            due_at = heapq.heappop(self._scheduled)
            self._known.discard(due_at)
            self._tell(due_at)
        self._tell(reached_at)

    def _tell(self, at: datetime) -> None:
        for listener in tuple(self._listeners):
            listener(at)
