"""How long requests take: each one its own moment, but those that are under way together share it."""

import time
from collections import deque
from collections.abc import Callable

_TOGETHER = 0.25
_MOST_CONNECTIONS = 2000


class Latency:
    """Works out how far the clock must move before a request is answered (seconds).

    A connection carries one request after the other, so its requests add up; those of several connections run side by side, and
    the clock has to follow the slowest connection only. Were every request to move the clock, 400 parallel reads would take as
    long as 400 in a row, and no limit that refills with time could be reached. A connection that was not in use for a quarter
    of a second of real time is not behind the others: it waited.
    """

    def __init__(self, read: Callable[[], float] = time.monotonic) -> None:
        self._read = read
        self._spent: dict[str, float] = {}
        self._most = 0.0
        self._before = 0.0
        self._marks: deque[tuple[float, float]] = deque()

    def step(self, connection: str, seconds: float) -> float:
        """Let a request of a connection take `seconds`; return how far the clock moves, 0 when others have moved it already."""
        now = self._read()
        while self._marks and self._marks[0][0] <= now - _TOGETHER:
            self._before = self._marks.popleft()[1]
        spent = max(self._spent.get(connection, 0.0), self._before) + seconds
        if len(self._spent) >= _MOST_CONNECTIONS:
            self._spent = {key: value for key, value in self._spent.items() if value > self._before}
        self._spent[connection] = spent
        moved = max(0.0, spent - self._most)
        if moved:
            self._most = spent
            self._marks.append((now, spent))
        return moved
