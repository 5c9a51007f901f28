"""A large estate: N groups with about N/10 principals, spread so that Azure's quotas hold."""

from math import ceil

from rotator.sandbox.clouds.arm.records import Identity, ResourceGroup
from rotator.sandbox.clouds.arm.roles import ACR_PULL
from rotator.sandbox.clouds.registries.records import Registry
from rotator.sandbox.estates.builder import Builder
from rotator.sandbox.estates.documents import Secret, container
from rotator.sandbox.estates.ground import Estate
from rotator.sandbox.world import World

_REGIONS = (
    "westeurope", "northeurope", "eastus", "eastus2", "westus2", "centralus", "uksouth", "francecentral",
    "germanywestcentral", "swedencentral", "southeastasia", "japaneast",
)  # fmt: skip
_PER_CELL = 90
_ACCOUNTS = ("123456789012.dkr.ecr.eu-west-1.amazonaws.com", "123456789012.dkr.ecr.us-east-1.amazonaws.com")


class Scale:
    """Seeds N groups. Of ten principals six are repository tokens, two apps, one an identity, one Amazon's."""

    def __init__(self, world: World, groups: int) -> None:
        self.world, self.count = world, groups
        self.build = Builder(world, "scale")
        cells = max(1, ceil(groups / _PER_CELL))
        subscriptions = max(1, ceil(cells / len(_REGIONS)))
        self.subscriptions = [self.build.subscription(f"Contoso {number + 1:02}") for number in range(subscriptions)]
        self.cells = [
            world.arm.add_resource_group(
                self.subscriptions[number // len(_REGIONS)],
                f"rg-{_REGIONS[number % len(_REGIONS)]}",
                _REGIONS[number % len(_REGIONS)],
            )
            for number in range(cells)
        ]
        home = self.home = world.arm.add_resource_group(self.subscriptions[0], "rg-rotator", "westeurope")
        self.build.vault(home)
        self.workspace = self.build.workspace(home, "law-contoso")
        self.registries = [
            self.build.registry(home, f"contosofleet{number + 1}", ("apps/*",), workspace=self.workspace)
            for number in range(subscriptions)
        ]
        for server in _ACCOUNTS:
            self.build.ecr(server, ("apps/scorer",))

    def seed(self) -> Estate:
        """Plant everything."""
        for registry in self.registries:
            registry.repositories = {f"apps/app-{number}": {"v1", "v2", "latest"} for number in range(20)}
        principals = max(1, self.count // 10)
        kinds = [self._principal(number) for number in range(principals)]
        for number in range(self.count):
            self._group(number, *kinds[number % principals])
        return self.build.finish(self.home, self.subscriptions, self.workspace)

    def _principal(self, number: int) -> tuple[str, Secret | Identity, Registry]:
        """Return a principal. Every third token or app is due within two weeks; none has run out."""
        build, registry = self.build, self.registries[number % len(self.registries)]
        expires = (5.0, 40.0, 75.0)[number % 3] + number % 7
        kind = number % 10
        if kind == 9 and number < 20:
            return "ecr", build.lease(_ACCOUNTS[number // 10], age_hours=2, vault=True), registry
        if kind == 8:
            identity = build.identity(self.home, f"id-pull-{number}")
            self.world.arm.assign(identity.principal_id, ACR_PULL, registry.id)
            return "identity", identity, registry
        if kind in (6, 7):
            on = "servicePrincipal" if kind == 7 else "application"
            age = 90 - expires
            secret = build.app(
                registry,
                f"sp-fleet-{number}",
                age=age,
                expires=expires,
                on="servicePrincipal" if on == "servicePrincipal" else "application",
            )
            return "app", secret, registry
        return "token", build.token(registry, f"fleet-{number}", ("apps/*",), age=90 - expires, expires=expires), registry

    def _group(self, number: int, kind: str, principal: Secret | Identity, registry: Registry) -> None:
        home: ResourceGroup = self.cells[number // _PER_CELL]
        name = f"app-{number:05}"
        server = registry.login_server
        if kind == "ecr" and isinstance(principal, Secret):
            image = f"{principal.server}/apps/scorer:v1"
        else:
            image = f"{server}/apps/app-{number % 20}:v1"
        secure = {"DB_PASSWORD": self.world.text(24)} if number % 10 == 3 else {}
        entry = principal.entry() if isinstance(principal, Secret) else {"server": server, "identity": principal.id}
        self.build.group(
            home,
            name,
            [container("main", image, env={"APP": name}, secure=secure)],
            credentials=[entry],
            identities=[principal] if isinstance(principal, Identity) else (),
            tags={"team": f"team-{number % 12}"},
            state="stopped" if number % 50 == 7 else "finished" if number % 50 == 23 else "running",
            policy="Never" if number % 50 == 23 else "Always",
            vault_fields={f"containers/main/environmentVariables/{key}/secureValue": value for key, value in secure.items()},
        )


def seed(world: World, groups: int = 1000) -> Estate:
    """Plant the large estate."""
    return Scale(world, groups).seed()
