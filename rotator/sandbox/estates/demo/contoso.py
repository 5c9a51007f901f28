"""The company of the demonstration: its subscriptions, resource groups and registries."""

from rotator.sandbox.clouds.arm.records import Identity, ResourceGroup
from rotator.sandbox.estates.builder import Builder
from rotator.sandbox.estates.documents import Secret, container
from rotator.sandbox.world import World

_PLATFORM = (
    "platform/web", "platform/api", "platform/worker", "platform/gateway", "platform/batch", "shared/envoy",
    "shared/fluentbit", "shared/migrate", "payments/ledger", "payments/gateway", "payments/fraud", "payments/billing",
    "payments/invoices", "payments/reports", "payments/sealed",
)  # fmt: skip


class Contoso:
    """What the teams share. `build` plants; the rest is what they plant upon."""

    def __init__(self, world: World) -> None:
        build = self.build = Builder(world, "demo")
        self.world = world
        self.first, self.second = build.subscription("Contoso Platform"), build.subscription("Contoso Data")
        arm = world.arm
        self.home = arm.add_resource_group(self.first, "rg-rotator", "westeurope")
        self.platform = arm.add_resource_group(self.first, "rg-platform-prod", "westeurope")
        self.payments = arm.add_resource_group(self.first, "rg-payments-prod", "northeurope")
        self.data = arm.add_resource_group(self.second, "rg-data-prod", "westeurope")
        self.tools = arm.add_resource_group(self.second, "rg-tools", "westeurope")
        build.vault(self.home)
        log = self.workspace = build.workspace(self.home, "law-contoso")
        self.main = build.registry(self.platform, "contosoplatform", _PLATFORM, workspace=log)
        repositories = ("data/etl", "data/reports", "data/ingest")
        self.lake = build.registry(self.data, "contosodata", repositories, form="middle", label="TenantReuse", workspace=log)
        self.ml = build.registry(self.data, "contosoml", ("ml/train", "ml/serve"), abac=True, workspace=log)
        self.legacy = build.registry(
            self.tools, "contosolegacy", ("legacy/portal", "legacy/crm"), form="short", admin=True, workspace=log
        )
        self.others = self._other_parties()

    def _other_parties(self) -> dict[str, Secret]:
        """Add the registries of other parties: the credential of each by its host."""
        text, build = self.world.text, self.build
        build.plain("mcr.microsoft.com", "bearer", {}, (), realm="https://mcr.microsoft.com/token", service="mcr", public=("*",))
        found = {"docker.io": build.docker_hub("contoso", ("contoso/toolbox",), age=20, expires=70)}
        found["quay.io"] = build.quay(("contoso+puller", "contoso+puller_b"), ("contoso/exporter",), age=20)
        build.quay(("contoso+mirror",), ("contoso/mirror",), age=20)
        build.docker_hub("contosoinc", ("contosoinc/agent",), age=20, expires=70, organization=True)
        build.gitlab_registry(("contoso/tools/runner",))
        found["registry.gitlab.com"] = build.gitlab_token(
            "gitlab-deploy-token", "projects/1701", age=200, expires=60, vault=False
        )
        found["ghcr.io"] = build.github("contoso-bot", ("contoso/agent",), age=340, expires=25, vault=False)
        found["registry.contoso.dev"] = build.plain("registry.contoso.dev", "basic", {"ci": text(24)}, ("ops/cron",))["ci"]
        return found

    def identity_group(self, name: str, home: ResourceGroup, identity: Identity, image: str, server: str) -> None:
        """Add a group that pulls with a managed identity."""
        entry = {"server": server, "identity": identity.id.replace("resourcegroups", "resourceGroups")}
        self.build.group(home, name, [container("main", image)], identities=[identity], credentials=[entry])
