"""The private networks that groups sit in, and the private ways to registries."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from rotator.model.arm import ArmId

REGISTRY_ZONE = "privatelink.azurecr.io"
"""The private DNS zone in which the names of Azure registries are looked up (learn.microsoft.com: private endpoint DNS)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subnet:
    """One subnet. `delegated` is whether container groups may be put there."""

    id: ArmId
    delegated: bool

    @property
    def network(self) -> ArmId:
        """The virtual network that it is a part of."""
        return network_of(self.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateEndpoint:
    """One private endpoint and the subnet in which it has its addresses."""

    id: ArmId
    subnet: ArmId
    addresses: tuple[str, ...] = ()

    @property
    def network(self) -> ArmId:
        """The virtual network that it is in."""
        return network_of(self.subnet)


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateZone:
    """One private DNS zone for registries: which networks ask it, and the addresses it has for each name (`contoso`)."""

    id: ArmId
    networks: frozenset[ArmId]
    records: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Networks:
    """What was read of the private networks of an estate, which is only what its groups and registries need.

    What is absent was not needed or could not be read; the estate's `unread` says which.
    """

    subnets: Mapping[ArmId, Subnet] = field(default_factory=dict)
    endpoints: Mapping[ArmId, PrivateEndpoint] = field(default_factory=dict)
    zones: tuple[PrivateZone, ...] = ()

    def linked(self, network: ArmId, registry_host: str) -> bool:
        """Say whether a network's lookups of a registry's name end at a private address."""
        name = registry_host.partition(".")[0]
        return any(network in zone.networks and zone.records.get(name) for zone in self.zones)


def network_of(subnet: ArmId) -> ArmId:
    """Return the virtual network of a subnet."""
    return ArmId(subnet.text.rpartition("/subnets/")[0] or subnet.text)
