"""Any other registry: whoever keeps it makes its passwords, and a person brings them."""

from datetime import timedelta

from rotator.drivers.brought import Brought
from rotator.model.credential import Credential, Origin, Overlap, Principal, PrincipalKind, RetireMode, Traits


class Other(Brought):
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

    def inspect(self, principal: Principal) -> tuple[Credential, ...]:  # noqa: ARG002 - the same for all
        """Return nothing: the protocol has no list of passwords."""
        return ()
