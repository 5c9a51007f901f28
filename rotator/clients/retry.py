"""Trying again, by the type of the error and nothing else."""

import zlib
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

from rotator.model.errors import Indeterminate, RemoteError, Throttled, Unavailable
from rotator.ports import Clock

FIRST_PAUSE = timedelta(seconds=1)
LONGEST_PAUSE = timedelta(seconds=60)
# A service that asks for more than this has no short trouble; the next run comes back to it.
LONGEST_WISH = timedelta(minutes=15)


Result = TypeVar("Result")


def retried(
    clock: Clock,
    work: Callable[[], Result],
    attempts: int = 6,
    on: tuple[type[RemoteError], ...] = (Throttled, Unavailable),
    *,
    key: str = "",
) -> Result:
    """Return what `work` returns, trying up to `attempts` times while it raises one of `on`.

    Waits as long as the service asked (`retry_after`), otherwise 1, 2, 4 ... 60 s, each with a jitter that `key` decides: give
    parallel work different keys, so that it does not come back in one burst. The last error leaves as it came.
    Indeterminate is never tried again, even when `on` names a class above it: the effect may be there.
    """
    for attempt in range(1, attempts):
        try:
            return work()
        except on as error:
            pause = pause_after(error, attempt, key)
            if isinstance(error, Indeterminate) or pause > LONGEST_WISH:
                raise
        clock.sleep(pause)
    return work()


def pause_after(error: RemoteError, attempt: int, key: str = "") -> timedelta:
    """Return how long to wait after the `attempt`-th failure (from 1): never less than the service asked for."""
    chance = zlib.crc32(f"{key}/{error.operation}/{attempt}".encode()) / 2**32
    if isinstance(error, Throttled) and error.retry_after is not None:
        return error.retry_after + FIRST_PAUSE * chance
    full = min(FIRST_PAUSE * float(2 ** (attempt - 1)), LONGEST_PAUSE)
    return full * (0.5 + chance / 2)
