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
        self._not_before: dict[Region, datetime] = {}

    def wait(self, region: Region) -> None:
        """Return when one more write may be sent, and count it. Waits on the clock."""
        with self._lock:
            # The place in the queue is taken under the lock, the waiting is done outside it.
            now = self._clock.now()
            at = self._next(region, now)
            self._writes.setdefault(region, deque(maxlen=self._length)).append(at)
        if at > now:
            self._clock.sleep(at - now)

    def heed(self, region: Region, headers: Mapping[str, str]) -> None:
        """Read what Azure says is left of the limits; others may write in the same subscription."""
        lowered = {name.lower(): value for name, value in headers.items()}
        for window, span in (("pt5m", _FIVE_MINUTES), ("pt1h", _HOUR)):
            if lowered.get(_REMAINING + window) == "0":
                self._pause(region, span)

    def _next(self, region: Region, now: datetime) -> datetime:
        writes = self._writes.get(region, deque())
        at = max(now, self._not_before.get(region, now), writes[-1] if writes else now)
        for limit, span in self._limits:
            if len(writes) >= limit:
                at = max(at, writes[-limit] + span + _MARGIN)
        return at

    def _pause(self, region: Region, span: timedelta) -> None:
        with self._lock:
            now = self._clock.now()
            ours = [at for at in self._writes.get(region, ()) if now - span < at <= now]
            # The first of our own writes leaves the window first. When others spent the limit, nobody says when it ends:
            # five minutes on, Azure is asked again.
            until = (ours[0] + span if ours else now + _FIVE_MINUTES) + _MARGIN
            self._not_before[region] = max(until, self._not_before.get(region, until))
