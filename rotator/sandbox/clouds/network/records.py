"""The emulated private networks, and whether a container group finds its way to a closed registry."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rotator.sandbox.clouds.arm.records import ResourceGroup
from rotator.sandbox.clouds.registries.records import Registry

if TYPE_CHECKING:
    from rotator.sandbox.world import World

ZONE = "privatelink.azurecr.io"


@dataclass(slots=True, kw_only=True)
class Subnet:
    """A subnet; `delegated` to container groups or to nobody."""

    id: str
    delegated: bool = True

    @property
    def network(self) -> str:
        """The lower-case id of the virtual network."""
        return self.id.lower().partition("/subnets/")[0]


@dataclass(slots=True, kw_only=True)
class Endpoint:
    """A private endpoint of a registry."""

    id: str
    subnet: Subnet
    registry: Registry
    address: str


@dataclass(slots=True, kw_only=True)
class Zone:
    """A private DNS zone for registries: the networks that ask it (lower-case ids) and its records."""

    id: str
    networks: set[str] = field(default_factory=set)
    records: dict[str, str] = field(default_factory=dict)


class Networks:
    """All of them, by lower-case resource id."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.subnets: dict[str, Subnet] = {}
        self.endpoints: dict[str, Endpoint] = {}
        self.zones: dict[str, Zone] = {}

    def add_subnet(self, group: ResourceGroup, network: str, name: str, *, delegated: bool = True) -> Subnet:
        """Add a subnet, and with it its network."""
        kind = "Microsoft.Network/virtualNetworks/subnets"
        subnet = Subnet(
            id=f"{group.id}/providers/Microsoft.Network/virtualNetworks/{network}/subnets/{name}", delegated=delegated
        )
        self.subnets[subnet.id.lower()] = subnet
        self.world.arm.add_resource(subnet.id, kind, group.location)
        return subnet

    def add_endpoint(self, group: ResourceGroup, name: str, registry: Registry, subnet: Subnet, address: str) -> Endpoint:
        """Add an approved private endpoint of a registry."""
        endpoint = Endpoint(
            id=f"{group.id}/providers/Microsoft.Network/privateEndpoints/{name}",
            subnet=subnet,
            registry=registry,
            address=address,
        )
        self.endpoints[endpoint.id.lower()] = endpoint
        state = {"status": "Approved", "description": "Auto-approved", "actionsRequired": "None"}
        connection = {
            "id": f"{registry.id}/privateEndpointConnections/{name}",
            "name": name,
            "type": "Microsoft.ContainerRegistry/registries/privateEndpointConnections",
            "properties": {
                "privateEndpoint": {"id": endpoint.id},
                "privateLinkServiceConnectionState": state,
                "provisioningState": "Succeeded",
            },
        }
        registry.properties.setdefault("privateEndpointConnections", []).append(connection)
        return endpoint

    def add_zone(self, group: ResourceGroup, *networks: str, **records: str) -> Zone:
        """Add a zone that is linked to some networks."""
        zone = Zone(
            id=f"{group.id}/providers/Microsoft.Network/privateDnsZones/{ZONE}",
            networks={one.lower() for one in networks},
            records=records,
        )
        self.zones[zone.id.lower()] = zone
        return zone

    def finds(self, subnets: list[str], registry: Registry) -> bool:
        """Say whether a group in these subnets looks the registry up at a private address.

        Peered networks are not emulated: an endpoint in another network counts, if the group's own asks the zone.
        """
        if not any(one.registry is registry for one in self.endpoints.values()):
            return False
        mine = {one.lower().partition("/subnets/")[0] for one in subnets}
        name = registry.login_server.lower().partition(".")[0]
        return any(mine & zone.networks and name in zone.records for zone in self.zones.values())
