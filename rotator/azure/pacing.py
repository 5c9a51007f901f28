"""Keeps the writes of container groups within Azure's limits, so that a fleet is never throttled half way through a wave."""

from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock

from rotator.ports import Clock, WriteLedger, Written

_FIVE_MINUTES = timedelta(minutes=5)
_HOUR = timedelta(hours=1)
# Azure counts in windows of whole seconds by its own clock.
_MARGIN = timedelta(seconds=1)
_REMAINING = "x-ms-ratelimit-remaining-subscription-resource-requests-"

Region = tuple[str, str]
"""A subscription's id and a location: Azure counts each pair by itself."""


class WritePacer:
    """Lets writes pass at Azure's pace. Safe for threads, and for processes that share a ledger.

    The limits are those of learn.microsoft.com/azure/container-instances/container-instances-resource-and-quota-limits: 100
    creations in 5 minutes and 300 an hour, for each region of a subscription; real answers count updates with them. They can
    be raised by a support request, hence the arguments.
    """

    def __init__(
        self, clock: Clock, ledger: WriteLedger | None = None, *, per_five_minutes: int = 100, per_hour: int = 300
    ) -> None:
        self._limits = ((per_five_minutes, _FIVE_MINUTES), (per_hour, _HOUR))
        self._ledger = ledger or LocalLedger(clock, max(per_five_minutes, per_hour))

    def claim(self, region: Region) -> timedelta:
        """Count one write and return zero: it may be sent now, and `heed` must follow, whatever comes of it.

        Otherwise count nothing and return when to ask again. Nothing is promised for then. Whoever had to wait has an old
        reading of the group, and must read again before it asks.
        """
        with self._ledger.opened("/".join(region)) as written:
            pause = self._next(written) - written.now
            if not pause:
                written.begin()
            return pause

    def heed(self, region: Region, headers: Mapping[str, str]) -> None:
        """Take note that a claimed write is over, and of what Azure says is left; others may write in the same subscription.

        `headers` is empty when no answer came. The write counts from now on, since nobody knows when Azure counted it.
        """
        lowered = {name.lower(): value for name, value in headers.items()}
        with self._ledger.opened("/".join(region)) as written:
            written.end()
            for window, span in (("pt5m", _FIVE_MINUTES), ("pt1h", _HOUR)):
                if lowered.get(_REMAINING + window) == "0":
                    _pause(written, span)

    def _next(self, written: Written) -> datetime:
        now = written.now
        writes = [*written.ended, *[now] * written.under_way]
        at = max(now, written.not_before or now)
        for limit, span in self._limits:
            if len(writes) >= limit:
                at = max(at, writes[-limit] + span + _MARGIN)
        return at


def _pause(written: Written, span: timedelta) -> None:
    ours = [at for at in written.ended if written.now - span < at]
    # The first of our own writes leaves the window first. When others spent the limit, nobody says when it ends: five
    # minutes on, Azure is asked again.
    until = (ours[0] + span if len(ours) > 1 else written.now + _FIVE_MINUTES) + _MARGIN
    written.pause(max(until, written.not_before or until))


class LocalLedger:
    """The ledger of one process: `rotator.ports.WriteLedger` in memory. `length` is the largest limit."""

    def __init__(self, clock: Clock, length: int) -> None:
        self._clock = clock
        self._lock = Lock()
        self._regions: dict[str, _Noted] = {}
        self._length = length

    @contextmanager
    def opened(self, region: str) -> Iterator[Written]:
        """Own what is known of a region until the block ends."""
        with self._lock:
            now = self._clock.now()
            noted = self._regions.setdefault(region, _Noted(now=now, ended=deque(maxlen=self._length)))
            noted.now = now
            yield noted


@dataclass(slots=True, kw_only=True)
class _Noted:
    now: datetime
    ended: deque[datetime]
    under_way: int = 0
    not_before: datetime | None = None

    def begin(self) -> None:
        self.under_way += 1

    def end(self) -> None:
        self.under_way = max(self.under_way - 1, 0)
        self.ended.append(self.now)

    def pause(self, until: datetime) -> None:
        self.not_before = until
