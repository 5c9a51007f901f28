"""The two clocks: the machine's, and the sandbox's, which a test can turn on by thirty days."""

import threading
import time
from datetime import UTC, datetime, timedelta

from rotator.clients.failures import translated
from rotator.clients.network import Network

_STALE_AFTER = timedelta(seconds=0.2)


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the present instant."""
        return datetime.now(UTC)  # noqa: TID251 - this is the clock

    def sleep(self, duration: timedelta) -> None:
        """Return once `duration` has passed; at once when it is not positive."""
        if duration > timedelta(0):
            time.sleep(duration.total_seconds())  # noqa: TID251 - this is the clock


class SandboxClock:
    """The sandbox's clock, asked and turned through its control port. It never moves backwards.

    To sleep is to turn the clock on, for everybody: a run that would take a month takes a second.
    """

    def __init__(self, control_url: str, network: Network, *, stale_after: timedelta = _STALE_AFTER) -> None:
        # Every look at the sandbox's clock is a request, so an answer is believed for a moment.
        self._stale_after = stale_after.total_seconds()
        self._url = control_url.rstrip("/")
        self._client = network.http_client(timedelta(seconds=30))
        self._lock = threading.Lock()
        self._read_at = float("-inf")
        self._shown = datetime.min.replace(tzinfo=UTC)

    def now(self) -> datetime:
        """Return the sandbox's instant, asked for at most `stale_after` ago and carried on by the machine's monotonic clock."""
        with self._lock:
            if time.monotonic() - self._read_at > self._stale_after:
                with translated(api="sandbox", operation="read-clock", thing=self._url):
                    self._take(self._client.get(f"{self._url}/clock").raise_for_status().json()["now"])
            return self._present()

    def sleep(self, duration: timedelta) -> None:
        """Turn the sandbox's clock on by `duration`."""
        if duration <= timedelta(0):
            return
        until = (self.now() + duration).isoformat().replace("+00:00", "Z")
        # "until", not "seconds": two threads that sleep through the same minute spend one minute, not two.
        with translated(api="sandbox", operation="turn-clock", thing=self._url):
            answer = self._client.post(f"{self._url}/clock/advance", json={"until": until}).raise_for_status().json()
        with self._lock:
            self._take(answer["now"])

    def _take(self, text: str) -> None:
        """Believe what the control port says, unless an answer overtook it on the way."""
        told = datetime.fromisoformat(text)
        self._shown = max(told, self._present()) if self._read_at > float("-inf") else told
        self._read_at = time.monotonic()

    def _present(self) -> datetime:
        return self._shown + timedelta(seconds=time.monotonic() - self._read_at)
