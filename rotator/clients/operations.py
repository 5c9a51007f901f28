"""Long-running operations of Azure Resource Manager: when they are over, and with what.

The three styles that ARM knows, in the order in which azure-core's own ARMPolling tries them: a status URL in
Azure-AsyncOperation, a result URL in Location, and the resource's own provisioningState.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from rotator.clients.refusals import Asked, retry_after, told
from rotator.model.errors import Indeterminate, Rejected, RemoteError
from rotator.ports import Clock

_DEFAULT_PAUSE = timedelta(seconds=5)
_SHORTEST_PAUSE = timedelta(seconds=1)
_GOOD = frozenset({"succeeded", "completed"})
_BAD = frozenset({"failed", "canceled", "cancelled"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Poll:
    """One look at an operation, or the answer that began it. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: dict[str, Any] = field(repr=False)

    @property
    def pause(self) -> timedelta:
        """How long to wait before the next look."""
        wish = retry_after(self.headers)
        return _DEFAULT_PAUSE if wish is None else max(wish, _SHORTEST_PAUSE)

    @property
    def state(self) -> str:
        """The operation's `status`, in lower case."""
        return str(self.body.get("status") or "").lower()

    @property
    def provisioning(self) -> str:
        """The resource's provisioningState, in lower case."""
        properties = self.body.get("properties")
        return str(properties.get("provisioningState") or "").lower() if isinstance(properties, dict) else ""


class Patience:
    """Waits between looks, on our clock, until a limit."""

    def __init__(self, clock: Clock, limit: timedelta) -> None:
        self._clock = clock
        self._until: datetime = clock.now() + limit

    def wait(self, pause: timedelta, asked: Asked) -> None:
        """Wait, or raise Indeterminate when the limit is reached."""
        if self._clock.now() >= self._until:
            raise _unknown(asked, "is not over yet")
        self._clock.sleep(pause)


def finished(
    method: str, url: str, first: Poll, look: Callable[[str], Poll], patience: Patience, asked: Asked, *, final: bool = True
) -> dict[str, Any]:
    """Return the final resource (PUT, PATCH) or result of what `first` began.

    Without `final`, what is returned means nothing, and the last request, which would only fetch it, is left out. Raises
    Rejected with the operation's error code when it failed, Indeterminate when its end cannot be seen.
    """

    def watch(link: str) -> Poll:
        try:
            return look(link)
        except RemoteError as error:
            # The request was accepted: being refused a look at it, or finding its trace gone, does not undo it.
            raise _unknown(asked, "could not be watched", error) from None

    if "azure-asyncoperation" in first.headers:
        return _by_status(method, url, first, watch, patience, asked, final=final)
    if "location" in first.headers and first.status in {201, 202, 204}:
        return _by_location(first, watch, patience, asked)
    return _by_resource(method, url, first, watch, patience, asked)


def _by_status(
    method: str, url: str, first: Poll, look: Callable[[str], Poll], patience: Patience, asked: Asked, *, final: bool
) -> dict[str, Any]:
    seen = first
    while True:
        patience.wait(seen.pause, asked)
        seen = look(first.headers["azure-asyncoperation"])
        if seen.state in _BAD:
            raise failed(seen.body, asked)
        if seen.state in _GOOD:
            break
    if not final:
        return {}
    if method in {"PUT", "PATCH"}:
        return look(url).body
    return look(first.headers["location"]).body if method == "POST" and "location" in first.headers else seen.body


def _by_location(first: Poll, look: Callable[[str], Poll], patience: Patience, asked: Asked) -> dict[str, Any]:
    link, seen = first.headers["location"], first
    while True:
        patience.wait(seen.pause, asked)
        seen = look(link)
        link = seen.headers.get("location", link)
        if seen.status != 202:
            break
    if seen.provisioning in _BAD or seen.state in _BAD:
        raise failed(seen.body, asked)
    return seen.body


def _by_resource(
    method: str, url: str, first: Poll, look: Callable[[str], Poll], patience: Patience, asked: Asked
) -> dict[str, Any]:
    seen = first
    while method in {"PUT", "PATCH"} and seen.provisioning and seen.provisioning not in _GOOD:
        if seen.provisioning in _BAD:
            raise failed(seen.body, asked)
        patience.wait(seen.pause, asked)
        seen = look(url)
    return seen.body


def failed(body: Mapping[str, Any], asked: Asked) -> Rejected:
    """Return the error for an operation that ended badly, with the operation's own error code."""
    code, sentence = told({"error": body.get("error")})
    reason = code or "OperationFailed"
    return Rejected(
        f"{asked.service} accepted to {asked.deed}, and it failed: {sentence or reason}",
        api=asked.api,
        operation=asked.operation,
        reason=reason,
    )


def _unknown(asked: Asked, why: str, error: RemoteError | None = None) -> Indeterminate:
    return Indeterminate(
        f"{asked.service} accepted to {asked.deed}, which {why}.",
        api=asked.api,
        operation=asked.operation,
        request_id=error.request_id if error else None,
    )
