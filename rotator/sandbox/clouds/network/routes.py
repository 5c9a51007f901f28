"""HTTP of Microsoft.Network, reading only. Shapes: learn.microsoft.com/rest/api, virtualnetwork and dns/privatedns."""

from functools import partial

from rotator.sandbox.clouds import management
from rotator.sandbox.clouds.network.records import ZONE, Zone
from rotator.sandbox.wire import Document, Reply, Request, Route, paging, refuse
from rotator.sandbox.world import World

_PAGE = 20
_PROVIDER = "Microsoft.Network"


def _id(request: Request, rest: str) -> str:
    return (
        f"/subscriptions/{request.params['subscription']}/resourceGroups/{request.params['group']}/providers/{_PROVIDER}/{rest}"
    )


def _missing(resource_id: str) -> Exception:
    return refuse(404, "ResourceNotFound", f"The Resource '{resource_id.partition('/providers/')[2]}' was not found.")


def get_subnet(world: World, request: Request) -> Reply:
    """Return one subnet."""
    resource_id = _id(request, f"virtualNetworks/{request.params['network']}/subnets/{request.params['subnet']}")
    world.arm.demand(request.known_caller, f"{_PROVIDER}/virtualNetworks/subnets/read", resource_id)
    found = world.networks.subnets.get(resource_id.lower())
    if found is None:
        raise _missing(resource_id)
    service = {"serviceName": "Microsoft.ContainerInstance/containerGroups", "actions": []}
    delegation = {"name": "aci", "id": f"{found.id}/delegations/aci", "properties": service}
    properties: Document = {
        "provisioningState": "Succeeded",
        "addressPrefix": "10.0.1.0/24",
        "serviceEndpoints": [],
        "delegations": [delegation] if found.delegated else [],
        "privateEndpointNetworkPolicies": "Disabled",
    }
    return Reply(200, {"id": found.id, "name": found.id.rpartition("/")[2], "properties": properties})


def get_endpoint(world: World, request: Request) -> Reply:
    """Return one private endpoint."""
    resource_id = _id(request, f"privateEndpoints/{request.params['endpoint']}")
    world.arm.demand(request.known_caller, f"{_PROVIDER}/privateEndpoints/read", resource_id)
    found = world.networks.endpoints.get(resource_id.lower())
    if found is None:
        raise _missing(resource_id)
    link = {"properties": {"privateLinkServiceId": found.registry.id, "groupIds": ["registry"]}}
    properties = {
        "provisioningState": "Succeeded",
        "subnet": {"id": found.subnet.id},
        "privateLinkServiceConnections": [link],
        "customDnsConfigs": [{"fqdn": found.registry.login_server, "ipAddresses": [found.address]}],
    }
    return Reply(200, {"id": found.id, "name": found.id.rpartition("/")[2], "properties": properties})


def list_zones(world: World, request: Request) -> Reply:
    """List the private DNS zones of a subscription."""
    scope = f"/subscriptions/{request.params['subscription']}"
    world.arm.demand(request.known_caller, f"{_PROVIDER}/privateDnsZones/read", scope)
    found = [one for key, one in world.networks.zones.items() if key.startswith(f"{scope.lower()}/")]
    return Reply(200, paging([{"id": one.id, "name": ZONE, "location": "global"} for one in found], request, _PAGE))


def _zone(world: World, request: Request, action: str) -> Zone:
    resource_id = _id(request, f"privateDnsZones/{request.params['zone']}")
    world.arm.demand(request.known_caller, f"{_PROVIDER}/privateDnsZones/{action}/read", resource_id)
    found = world.networks.zones.get(resource_id.lower())
    if found is None:
        raise _missing(resource_id)
    return found


def list_links(world: World, request: Request) -> Reply:
    """List the networks that ask a zone."""
    zone = _zone(world, request, "virtualNetworkLinks")
    rows = [
        {"id": f"{zone.id}/virtualNetworkLinks/link-{number}", "properties": {"virtualNetwork": {"id": one}}}
        for number, one in enumerate(sorted(zone.networks))
    ]
    return Reply(200, paging(rows, request, _PAGE))


def list_records(world: World, request: Request) -> Reply:
    """List the addresses in a zone."""
    zone = _zone(world, request, "A")
    rows = [
        {"id": f"{zone.id}/A/{name}", "name": name, "properties": {"ttl": 10, "aRecords": [{"ipv4Address": address}]}}
        for name, address in zone.records.items()
    ]
    return Reply(200, paging(rows, request, _PAGE))


_IN_GROUP = "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Network"
_ZONES = "/subscriptions/{subscription}/providers/Microsoft.Network/privateDnsZones"

route = partial(management.route, "network")

ROUTES: tuple[Route, ...] = (
    route("subnets.get", "GET", _IN_GROUP + "/virtualNetworks/{network}/subnets/{subnet}", get_subnet),
    route("privateEndpoints.get", "GET", _IN_GROUP + "/privateEndpoints/{endpoint}", get_endpoint),
    route("privateDnsZones.list", "GET", _ZONES, list_zones),
    route("zoneLinks.list", "GET", _IN_GROUP + "/privateDnsZones/{zone}/virtualNetworkLinks", list_links),
    route("zoneRecords.list", "GET", _IN_GROUP + "/privateDnsZones/{zone}/A", list_records),
)
