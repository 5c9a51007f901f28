"""The password slots of a registry token, told apart in time: the next secret in a slot is another handle."""

from datetime import datetime

from rotator.clients.instants import text_of
from rotator.model.credential import Credential, Handle, Principal


def slot_credential(principal: Principal, slot: str, created_at: datetime | None, expires_at: datetime | None) -> Credential:
    """Return what is known about the secret in a slot; its handle is such as `password1@2026-11-01T00:00:00Z`.

    Whole seconds: the service writes fractions in one answer and leaves them out in another. `unknown` stands for a creation
    time that it does not tell. The user name of a token is its name.
    """
    at = text_of(created_at) if created_at else "unknown"
    return Credential(
        handle=Handle(principal=principal, id=f"{slot}@{at}", slot=slot),
        username=principal.name,
        issued_at=created_at,
        expires_at=expires_at,
    )
