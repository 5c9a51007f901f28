"""Reads the private networks that the groups in scope need, and no others."""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeVar

from rotator.model.arm import ArmId
from rotator.model.estate import Registry
from rotator.model.group import ContainerGroup
from rotator.model.image import normal_server
from rotator.model.network import Networks
from rotator.ports import NetworkCatalog

Found = TypeVar("Found")


class Read(Protocol):
    """Reads something, and notes when that failed."""

    def __call__(self, scope: str, what: str, source: Callable[[], Iterable[Found]], /) -> tuple[Found, ...]:
        """Return what `source` yields, or what it yielded until it failed."""
        ...


def read_networks(
    catalog: NetworkCatalog | None, groups: Sequence[ContainerGroup], registries: Sequence[Registry], read: Read
) -> Networks:
    """Return the subnets of the groups, and the private endpoints of the registries that groups use, with their DNS zones.

    One request for each subnet and endpoint. Zones are listed only where a group in a network uses a registry with a private
    endpoint, in the endpoints' subscriptions and the groups'. `read` notes what could not be read.
    """
    if catalog is None:
        return Networks()
    used = {normal_server(binding.registry) for group in groups for binding in group.bindings}
    wanted = [one for one in registries if one.endpoints and one.login_server.lower() in used]
    subnets = [
        found
        for subnet in sorted({one for group in groups for one in group.subnets})
        for found in read(subnet.text, "networks", lambda one=subnet: [catalog.subnet(one)])  # type: ignore[misc]
    ]
    endpoints = [
        found
        for endpoint in sorted({one for registry in wanted for one in registry.endpoints or ()})
        for found in read(endpoint.text, "networks", lambda one=endpoint: [catalog.endpoint(one)])  # type: ignore[misc]
    ]
    zones = [
        found
        for subscription in _subscriptions(groups, wanted)
        for found in read(subscription, "private-zones", lambda one=subscription: catalog.zones(one))  # type: ignore[misc]
    ]
    return Networks(subnets={one.id: one for one in subnets}, endpoints={one.id: one for one in endpoints}, zones=tuple(zones))


def _subscriptions(groups: Sequence[ContainerGroup], registries: Sequence[Registry]) -> list[str]:
    hosts = {one.login_server.lower() for one in registries}
    inside = [one for one in groups if one.subnets and hosts & {normal_server(binding.registry) for binding in one.bindings}]
    places: list[ArmId] = [subnet for group in inside for subnet in group.subnets]
    places += [endpoint for one in registries for endpoint in one.endpoints or ()] if inside else []
    return sorted({one.subscription.lower() for one in places})
