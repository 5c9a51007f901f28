"""Ending the very secret that a handle names; refusing a handle or slot that names nothing of its principal."""

from collections.abc import Callable, Sequence

from rotator.model.credential import Handle, Principal
from rotator.model.errors import Indeterminate, NotFound, Rejected

_LOOKS = 3


def end(handle: Handle, once: Callable[[], None], *, api: str, operation: str) -> None:
    """End a secret with `once`, which first looks whether it is there. A principal that is gone has none: success.

    Raises Indeterminate when no try was answered.
    """
    for _ in range(_LOOKS):
        try:
            once()
        except NotFound:
            return
        except Indeterminate:
            continue  # Looking again tells whether it took effect.
        else:
            return
    raise Indeterminate(
        f"{handle.principal.id}: {handle.id} is still there after {_LOOKS} tries to end it without an answer",
        api=api,
        operation=operation,
    )


def check_slot(principal: Principal, slot: str, slots: Sequence[str], *, api: str, operation: str) -> None:
    """Raise Rejected for a slot that the principal does not have."""
    if slot not in slots:
        raise Rejected(
            f"{principal.id} has the slots {' and '.join(slots)}, not {slot!r}",
            api=api,
            operation=operation,
            reason="no-such-slot",
        )


def unknown(handle: Handle, what: str, *, api: str, operation: str) -> Rejected:
    """Return the error for a handle that names nothing of the sort (`token`, `client secret`) that the kind has."""
    return Rejected(
        f"{handle.id!r} names no {what} of {handle.principal.id}", api=api, operation=operation, reason="no-such-handle"
    )
