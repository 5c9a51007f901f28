"""Any other registry: whoever keeps it makes its passwords, and a person brings them."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from rotator.clients.pulls import PullProbe
from rotator.drivers.pulling import pull_all
from rotator.model.credential import (
    Credential,
    Handle,
    Origin,
    Overlap,
    Principal,
    PrincipalKind,
    RetireMode,
    Traits,
)
from rotator.model.errors import Held
from rotator.model.image import ImageReference
from rotator.model.secret import Secret
from rotator.ports import Clock


class Other:
    """Keeps `rotator.ports.RegistryDriver` for every registry that speaks the distribution protocol, with tokens or Basic."""

    kind = PrincipalKind.OTHER
    traits = Traits(
        overlap=Overlap.MANY,
        retire=RetireMode.BY_PERSON,
        propagation=timedelta(0),
        propagation_limit=timedelta(minutes=1),
        origin=Origin.PERSON,
        listed=False,
    )

    def __init__(self, pulls: PullProbe, clock: Clock) -> None:
        self._pulls = pulls
        self._clock = clock

    def inspect(self, principal: Principal) -> tuple[Credential, ...]:  # noqa: ARG002 - the same for all
        """Return nothing: the protocol has no list of passwords."""
        return ()

    def issue(
        self,
        principal: Principal,
        marker: str,  # noqa: ARG002 - nothing is made
        ttl: timedelta | None,  # noqa: ARG002
        slot: str,  # noqa: ARG002
        *,
        before: datetime | None = None,  # noqa: ARG002
    ) -> tuple[Credential, Secret]:
        """Raise Held: the protocol has no way to make a password."""
        raise Held(f"{principal.id}: a person has to make its new secret", advice=self.traits.made_by_hand)

    def verify(self, credential: Credential, secret: Secret, images: Sequence[ImageReference]) -> None:
        """Pull for real, once for each image."""
        pull_all(self._pulls, self._clock, credential, secret, images)

    def retire(self, handle: Handle) -> None:
        """Do nothing: only whoever keeps the registry can end a password; the rotation tells which."""
