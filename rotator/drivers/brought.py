"""What is the same for every kind whose secrets only a person can make, and only a person can end."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from rotator.clients.pulls import PullProbe
from rotator.drivers.pulling import pull_all
from rotator.model.credential import Credential, Handle, Principal, Traits
from rotator.model.errors import Held
from rotator.model.image import ImageReference
from rotator.model.secret import Secret
from rotator.ports import Clock


class Brought:
    """Half of a `rotator.ports.RegistryDriver`: such a driver tries what a person brings, and makes and ends nothing."""

    traits: Traits

    def __init__(self, pulls: PullProbe, clock: Clock) -> None:
        self._pulls = pulls
        self._clock = clock

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

    def verify(self, credential: Credential, secret: Secret, images: Sequence[ImageReference]) -> None:
        """Pull for real, once for each image."""
        pull_all(self._pulls, self._clock, credential, secret, images)

    def retire(self, handle: Handle) -> None:
        """Do nothing: only a person can end one; the rotation tells which."""
