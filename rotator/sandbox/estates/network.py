"""Groups and registries in private networks: one that works, and one for each way in which it does not.

The comment behind a group says why it can or cannot pull.
"""

from typing import Any

from rotator.sandbox.clouds.arm.roles import ACR_PULL
from rotator.sandbox.clouds.network.records import Subnet
from rotator.sandbox.clouds.registries.records import Registry
from rotator.sandbox.estates.builder import Builder
from rotator.sandbox.estates.documents import Secret, container
from rotator.sandbox.estates.ground import Estate
from rotator.sandbox.world import World

REPOSITORY = "team/app"


class _Site:
    """What the groups stand on."""

    def __init__(self, world: World) -> None:
        self.world = world
        build = self.build = Builder(world, "network")
        self.subscription = build.subscription("Contoso Network")
        home = self.home = world.arm.add_resource_group(self.subscription, "rg-network", "westeurope")
        build.vault(home)
        self.workspace = build.workspace(home, "law-network")
        self.identity = build.identity(home, "id-pull")
        self.linked = world.networks.add_subnet(home, "vnet-linked", "aci")
        self.bare = world.networks.add_subnet(home, "vnet-bare", "aci")
        self.undelegated = world.networks.add_subnet(home, "vnet-linked", "plain", delegated=False)
        self.inner = world.networks.add_subnet(home, "vnet-linked", "endpoints", delegated=False)

    def registry(self, name: str, **properties: object) -> Registry:
        """Add a registry from which the identity may pull."""
        registry = self.build.registry(self.home, name, (REPOSITORY,))
        registry.properties.update(properties)
        self.world.arm.assign(self.identity.principal_id, ACR_PULL, registry.id)
        return registry

    def group(self, name: str, registry: Registry, subnet: Subnet | None = None, secret: Secret | None = None) -> None:
        """Add a group that pulls with a password, or else with the identity."""
        server = registry.login_server
        entry = secret.entry() if secret else {"server": server, "identity": self.identity.id}
        inside: Any = {"subnetIds": [{"id": subnet.id, "name": "aci"}]} if subnet else {}
        self.build.group(
            self.home,
            name,
            [container("app", f"{server}/{REPOSITORY}:v1")],
            credentials=[entry],
            identities=() if secret else [self.identity],
            **inside,
        )


def seed(world: World) -> Estate:
    """Plant the estate."""
    site = _Site(world)
    build = site.build
    closed = site.registry("contosoclosed", publicNetworkAccess="Disabled")
    world.networks.add_endpoint(site.home, "pe-closed", closed, site.inner, "10.0.2.4")
    world.networks.add_zone(site.home, site.linked.network, contosoclosed="10.0.2.4")
    password = build.token(closed, "pull", (REPOSITORY,), age=20, expires=70)
    site.group("private-identity", closed, site.linked)  # pulls: identity, endpoint and link
    site.group("private-password", closed, site.linked, password)  # Azure does not take a password past a closed door
    site.group("private-unlinked", closed, site.bare)  # its network looks the registry up at the public address
    site.group("closed-without-network", closed)  # passes as a trusted service only
    distrustful = site.registry("contosostrict", publicNetworkAccess="Disabled", networkRuleBypassOptions="None")
    world.networks.add_endpoint(site.home, "pe-strict", distrustful, site.linked, "10.0.1.9")  # in the delegated subnet
    site.group("untrusted", distrustful, site.linked)  # trusted services are off
    ruled = site.registry("contosorules", networkRuleSet={"defaultAction": "Deny", "ipRules": [{"value": "198.51.100.7"}]})
    site.group("behind-rules", ruled)  # pulls: an identity passes as a trusted service
    open_one = site.registry("contosoopen")
    site.group("open-undelegated", open_one, site.undelegated)  # pulls; the next deployment is refused
    return build.finish(site.home, (site.subscription,), site.workspace)
