"""What is the same for every kind whose secrets only a person can make, and only a person can end."""

from datetime import datetime, timedelta

from rotator.drivers.pulling import Pulling
from rotator.model.credential import Credential, Handle, Principal, Traits
from rotator.model.errors import Held
from rotator.model.secret import Secret


class Brought(Pulling):
    """Most of a `rotator.ports.RegistryDriver`: such a driver tries what a person brings, and makes and ends nothing."""

    traits: Traits

    def issue(
        self,
        principal: Principal,
        marker: str,  # noqa: ARG002 - nothing is made
        ttl: timedelta | None,  # noqa: ARG002
        slot: str,  # noqa: ARG002
        *,
        before: datetime | None = None,  # noqa: ARG002
    ) -> tuple[Credential, Secret]:
        """Raise Held: no program can make one."""
        raise Held(f"{principal.id}: a person has to make its new secret", advice=self.traits.made_by_hand)

    def retire(self, handle: Handle) -> None:
        """Do nothing: only a person can end one; the rotation tells which."""
