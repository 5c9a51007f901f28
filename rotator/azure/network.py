"""Private networks as Resource Manager shows them: subnets, private endpoints, and the DNS zones in which registries are found.

Shapes: the REST reference of Microsoft.Network (virtualNetworks/subnets, privateEndpoints) and of Azure DNS' private zones
(privateDnsZones with virtualNetworkLinks and A), learn.microsoft.com/rest/api.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from rotator.azure.writeonly import objects, part
from rotator.clients.arm import Arm
from rotator.model.arm import ArmId
from rotator.model.network import REGISTRY_ZONE, PrivateEndpoint, PrivateZone, Subnet

_DELEGATION = "microsoft.containerinstance/containergroups"
_NETWORK = "Microsoft.Network"
# Any stable version has these operations.
_NETWORK_VERSION = "2023-11-01"
_ZONE_VERSION = "2020-06-01"


class AzureNetworks:
    """Keeps `rotator.ports.NetworkCatalog`. One request a subnet and an endpoint; two and one a zone."""

    def __init__(self, arm: Arm) -> None:
        self._arm = arm

    def subnet(self, subnet: ArmId) -> Subnet:
        """Return one subnet. Raises NotFound, Denied, Unavailable."""
        inside = part(self._get(subnet, "read-subnet", "virtualNetworks/subnets/read"), "properties")
        delegations = (part(one, "properties").get("serviceName") for one in objects(inside.get("delegations")))
        return Subnet(id=subnet, delegated=any(str(one).lower() == _DELEGATION for one in delegations))

    def endpoint(self, endpoint: ArmId) -> PrivateEndpoint:
        """Return one private endpoint. Raises NotFound, Denied, Unavailable."""
        inside = part(self._get(endpoint, "read-private-endpoint", "privateEndpoints/read"), "properties")
        addresses = [str(one) for config in objects(inside.get("customDnsConfigs")) for one in config.get("ipAddresses") or ()]
        return PrivateEndpoint(
            id=endpoint, subnet=ArmId(str(part(inside, "subnet").get("id", ""))), addresses=tuple(dict.fromkeys(addresses))
        )

    def zones(self, subscription: str) -> Iterator[PrivateZone]:
        """Yield the zones named `privatelink.azurecr.io`; a company has one for each part of its network, or one for all."""
        listing = f"/subscriptions/{subscription}/providers/{_NETWORK}/privateDnsZones"
        for zone in self._list(listing, "list-private-zones", "privateDnsZones/read", f"subscription {subscription}"):
            if str(zone.get("name", "")).lower() == REGISTRY_ZONE:
                yield self._zone(ArmId(str(zone.get("id", ""))))

    def _zone(self, zone: ArmId) -> PrivateZone:
        links = self._list(
            f"{zone.text}/virtualNetworkLinks", "list-zone-links", "privateDnsZones/virtualNetworkLinks/read", zone.name
        )
        records = self._list(f"{zone.text}/A", "list-zone-records", "privateDnsZones/A/read", zone.name)
        networks = (str(part(part(one, "properties"), "virtualNetwork").get("id", "")) for one in links)
        return PrivateZone(
            id=zone,
            networks=frozenset(ArmId(one) for one in networks if one),
            records={str(one.get("name", "")).lower(): _addresses(one) for one in records},
        )

    def _get(self, resource: ArmId, operation: str, needs: str) -> Mapping[str, Any]:
        return self._arm.get(
            resource.text,
            _NETWORK_VERSION,
            service="network",
            operation=operation,
            needs=f"{_NETWORK}/{needs}",
            thing=resource.name,
        )

    def _list(self, path: str, operation: str, needs: str, thing: str) -> Iterator[Mapping[str, Any]]:
        return self._arm.pages(
            path, _ZONE_VERSION, service="network", operation=operation, needs=f"{_NETWORK}/{needs}", thing=thing
        )


def _addresses(record: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(one.get("ipv4Address", "")) for one in objects(part(record, "properties").get("aRecords")))
