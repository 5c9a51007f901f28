"""Keeps the writes of container groups within Azure's limits, so that a fleet is never throttled half way through a wave."""

from collections import deque
from collections.abc import Mapping
from datetime import datetime, timedelta
from threading import Lock

from rotator.ports import Clock

_FIVE_MINUTES = timedelta(minutes=5)
_HOUR = timedelta(hours=1)
# Azure counts in windows of whole seconds by its own clock.
_MARGIN = timedelta(seconds=1)
_REMAINING = "x-ms-ratelimit-remaining-subscription-resource-requests-"

Region = tuple[str, str]
"""A subscription's id and a location: Azure counts each pair by itself."""


class WritePacer:
    """Lets writes pass at Azure's pace. Safe for threads.

    The limits are those of learn.microsoft.com/azure/container-instances/container-instances-resource-and-quota-limits: 100
    creations in 5 minutes and 300 an hour, for each region of a subscription; real answers count updates with them. They can
    be raised by a support request, hence the arguments.
    """

    def __init__(self, clock: Clock, *, per_five_minutes: int = 100, per_hour: int = 300) -> None:
        self._clock = clock
        self._limits = ((per_five_minutes, _FIVE_MINUTES), (per_hour, _HOUR))
        self._length = max(per_five_minutes, per_hour)
        self._lock = Lock()
        self._writes: dict[Region, deque[datetime]] = {}
        self._under_way: dict[Region, int] = {}
        self._not_before: dict[Region, datetime] = {}

    def claim(self, region: Region) -> timedelta:
        """Count one write and return zero: it may be sent now, and `heed` must follow, whatever comes of it.

        Otherwise count nothing and return when to ask again. Nothing is promised for then. Whoever had to wait has an old
        reading of the group, and must read again before it asks.
        """
        with self._lock:
            now = self._clock.now()
            pause = self._next(region, now) - now
            if not pause:
                self._under_way[region] = self._under_way.get(region, 0) + 1
            return pause

    def heed(self, region: Region, headers: Mapping[str, str]) -> None:
        """Take note that a claimed write is over, and of what Azure says is left; others may write in the same subscription.

        `headers` is empty when no answer came. The write counts from now on, since nobody knows when Azure counted it.
        """
        lowered = {name.lower(): value for name, value in headers.items()}
        with self._lock:
            now = self._clock.now()
            self._under_way[region] = max(self._under_way.get(region, 0) - 1, 0)
            self._writes.setdefault(region, deque(maxlen=self._length)).append(now)
            for window, span in (("pt5m", _FIVE_MINUTES), ("pt1h", _HOUR)):
                if lowered.get(_REMAINING + window) == "0":
                    self._pause(region, span, now)

    def _next(self, region: Region, now: datetime) -> datetime:
        writes = [*self._writes.get(region, ()), *[now] * self._under_way.get(region, 0)]
        at = max(now, self._not_before.get(region, now))
        for limit, span in self._limits:
            if len(writes) >= limit:
                at = max(at, writes[-limit] + span + _MARGIN)
        return at

    def _pause(self, region: Region, span: timedelta, now: datetime) -> None:
        ours = [at for at in self._writes[region] if now - span < at]
        # The first of our own writes leaves the window first. When others spent the limit, nobody says when it ends: five
        # minutes on, Azure is asked again.
        until = (ours[0] + span if len(ours) > 1 else now + _FIVE_MINUTES) + _MARGIN
        self._not_before[region] = max(until, self._not_before.get(region, until))
