"""A request that must not be sent late: whoever asks for it knows the state of things only up to an instant.

A process can stand still anywhere, for an hour, and go on as if nothing had been. The instant is therefore looked at as the last
thing before a request leaves, and not where the decision was made.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime

from rotator.clients.observed import LOOKS
from rotator.model.errors import Held
from rotator.ports import Clock

_not_after: ContextVar[datetime | None] = ContextVar("rotator_not_after", default=None)


@contextmanager
def not_after(at: datetime | None) -> Iterator[None]:
    """Let no request of this block that changes something be sent after the instant; None for no limit."""
    token = _not_after.set(at)
    try:
        yield
    finally:
        _not_after.reset(token)


def check_deadline(clock: Clock, method: str) -> None:
    """Raise Held when it is too late to send the request at hand; nothing was sent then. A look is never too late."""
    at = _not_after.get()
    if at is not None and method.upper() not in LOOKS and clock.now() > at:
        raise Held(
            f"it is too late to send this: what it rests on was known until {at:%Y-%m-%d %H:%M:%S} UTC; nothing was sent",
            advice="Run it again: it looks anew first. If this happens often, the machine stands still for minutes at a time.",
        )
