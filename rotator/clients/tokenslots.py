"""The password slots of a registry token, told apart in time: the next secret in a slot is another handle."""

from datetime import UTC, datetime

from rotator.model.credential import Credential, Handle, Principal


def slot_handle(principal: Principal, slot: str, created_at: datetime | None) -> Handle:
    """Return the handle of what a slot holds, such as `password1@2026-11-01T00:00:00Z`.

    Whole seconds: the service writes fractions in one answer and leaves them out in another. `unknown` stands for a creation
    time that it does not tell.
    """
    at = created_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if created_at else "unknown"
    return Handle(principal=principal, id=f"{slot}@{at}", slot=slot)


def slot_credential(principal: Principal, slot: str, created_at: datetime | None, expires_at: datetime | None) -> Credential:
    """Return what is known about the secret in a slot; the user name of a token is its name."""
    return Credential(
        handle=slot_handle(principal, slot, created_at),
        username=principal.name,
        issued_at=created_at,
        expires_at=expires_at,
    )
