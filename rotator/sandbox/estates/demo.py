"""The demonstration: two subscriptions, some thirty groups, and every kind of credential, good and bad.

The comment behind a group says what a good audit finds there.
"""

from datetime import timedelta

from rotator.sandbox.clouds.arm.records import Identity, ResourceGroup
from rotator.sandbox.clouds.arm.roles import ACR_PULL, ACR_REPOSITORY_READER
from rotator.sandbox.clouds.registries.pull import issue_refresh
from rotator.sandbox.clouds.registries.records import ZERO_GUID, Registry
from rotator.sandbox.estates.builder import (
    ECR_SERVER,
    Builder,
    Estate,
    Secret,
    as_json,
    container,
    init_container,
    secret_volume,
)
from rotator.sandbox.wire import Document
from rotator.sandbox.world import World

_PLATFORM = (
    "platform/web", "platform/api", "platform/worker", "platform/gateway", "platform/batch", "shared/envoy",
    "shared/fluentbit", "shared/migrate", "payments/ledger", "payments/gateway", "payments/fraud", "payments/billing",
    "payments/invoices", "payments/reports", "payments/sealed",
)  # fmt: skip


class Demo:
    """Seeds the estate, one team after the other."""

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
        self.workspace = build.workspace(self.home, "law-contoso")
        self.main = build.registry(self.platform, "contosoplatform", _PLATFORM, workspace=self.workspace)
        self.lake = build.registry(
            self.data,
            "contosodata",
            ("data/etl", "data/reports", "data/ingest"),
            form="middle",
            label="TenantReuse",
            workspace=self.workspace,
        )
        self.ml = build.registry(self.data, "contosoml", ("ml/train", "ml/serve"), abac=True, workspace=self.workspace)
        self.legacy = build.registry(
            self.tools,
            "contosolegacy",
            ("legacy/portal", "legacy/crm"),
            form="short",
            admin=True,
            workspace=self.workspace,
        )
        self._plain_registries()

    def seed(self) -> Estate:
        """Plant everything."""
        self._platform_team()
        self._gateway_with_vault_reference()
        self._payments_team()
        self._service_principals()
        self._managed_identities()
        self._data_team()
        self._amazon()
        self._third_parties()
        self._careless()
        return self.build.finish(self.home, (self.first, self.second), self.workspace)

    def _plain_registries(self) -> None:
        text = self.world.text
        build = self.build
        build.plain("mcr.microsoft.com", "bearer", {}, (), realm="https://mcr.microsoft.com/token", service="mcr", public=("*",))
        self.hub = build.plain(
            "docker.io",
            "bearer",
            {"contoso": f"dckr_pat_{text(27)}"},
            ("contoso/toolbox",),
            realm="https://auth.docker.io/token",
            service="registry.docker.io",
            public=("library/*",),
        )["contoso"]
        self.ghcr = build.plain(
            "ghcr.io",
            "bearer",
            {"contoso-bot": f"ghp_{text(36)}"},
            ("contoso/agent",),
            realm="https://ghcr.io/token",
            service="ghcr.io",
        )["contoso-bot"]
        self.gitlab = build.plain(
            "registry.gitlab.com",
            "bearer",
            {"gitlab+deploy-token-4711": f"gldt-{text(20)}"},
            ("contoso/tools/runner",),
            realm="https://gitlab.com/jwt/auth",
            service="container_registry",
        )["gitlab+deploy-token-4711"]
        self.quay = build.plain(
            "quay.io",
            "bearer",
            {"contoso+puller": text(64)},
            ("contoso/exporter",),
            realm="https://quay.io/v2/auth",
            service="quay.io",
        )["contoso+puller"]
        self.own = build.plain("registry.contoso.dev", "basic", {"ci": text(24)}, ("ops/cron",))["ci"]

    def _platform_team(self) -> None:
        build, server = self.build, self.main.login_server
        repositories = ("platform/web", "platform/api", "shared/envoy", "shared/fluentbit", "shared/migrate")
        # A healthy token with several consumers, due for its routine rotation in some weeks.
        web = build.token(self.main, "aci-web-pull", repositories, age=62, expires=28)
        # Runs out in five days.
        worker = build.token(self.main, "aci-worker-pull", ("platform/worker",), age=85, expires=5)
        for identity in ("aci-web-pull", "aci-worker-pull"):
            build.history(self.main, identity, "platform/web", (1, 3, 8))
        self._web_groups(web)
        build.group(
            self.platform,
            "worker-a",
            [container("worker", f"{server}/platform/worker:v1", cpu=1.0)],
            credentials=[worker.entry()],
            age=20,
        )
        build.group(  # Stopped: brought up to date when it is started, not before.
            self.platform,
            "worker-b",
            [container("worker", f"{server}/platform/worker:v2", cpu=1.0)],
            credentials=[worker.entry()],
            age=40,
            state="stopped",
        )
        build.group(  # A job that has run: putting it again would run it again.
            self.platform,
            "worker-backfill",
            [container("backfill", f"{server}/platform/worker:v1", command=("backfill",))],
            credentials=[worker.entry()],
            age=3,
            policy="Never",
            state="finished",
        )
        self._shared_slots()

    def _web_groups(self, web: Secret) -> None:
        build, server = self.build, self.main.login_server
        database = f"Server=sql-contoso;Database=web;User=web;Password={self.world.text(20)}"
        build.group(
            self.platform, "web-frontend",
            [
                container("web", f"{server}/platform/web:v2", ports=(8080,), env={"LOG_LEVEL": "info"},
                          secure={"DB_PASSWORD": database}),
                container("envoy", f"{server}/shared/envoy:v1", ports=(8443,)),
                container("logs", f"{server}/shared/fluentbit:v1", cpu=0.1, memory=0.3),
            ],
            credentials=[web.entry()], tags={"team": "platform", "env": "prod"},
            vault_fields={"containers/web/environmentVariables/DB_PASSWORD/secureValue": database},
            initContainers=[init_container("migrate", f"{server}/shared/migrate:v1", command=("migrate", "up"))],
            ipAddress={"type": "Public", "dnsNameLabel": "contoso-web", "ports": [{"port": 8443, "protocol": "TCP"}]},
        )  # fmt: skip
        migration = self.world.text(28)
        certificates = {"tls.crt": "LS0tLS1CRUdJTi0tLS0tCg==", "tls.key": f"{self.world.text(40)}"}
        build.group(
            self.platform,
            "web-api",
            [container("api", f"{server}/platform/api:v1", ports=(9000,), mounts={"certs": "/tls"})],
            credentials=[web.entry()],
            volumes=[secret_volume("certs", certificates), {"name": "tmp", "emptyDir": {}}],
            initContainers=[init_container("migrate", f"{server}/shared/migrate:v1", secure={"DB_TOKEN": migration})],
            vault_fields={
                "volumes/certs/secret": as_json(certificates),
                "initContainers/migrate/environmentVariables/DB_TOKEN/secureValue": migration,
            },
            top={"zones": ["1"]},
        )
        subnet = self._subnet()
        build.group(  # Its id is written in another case than its resource group's.
            self.platform,
            "web-internal",
            [container("api", f"{server}/platform/api:v2", ports=(9000,))],
            credentials=[web.entry()],
            subnetIds=[{"id": subnet, "name": "aci"}],
            ipAddress={"type": "Private", "ports": [{"port": 9000, "protocol": "TCP"}]},
            dnsConfig={"nameServers": ["10.0.0.10"], "searchDomains": "contoso.internal"},
            id_as=f"{self.platform.id}/providers/Microsoft.ContainerInstance/containerGroups/web-internal".replace(
                "resourceGroups", "resourcegroups"
            ),
        )
        build.group(
            self.platform,
            "web-preview",
            [container("web", f"{server}/platform/web:latest", ports=(8080,))],
            credentials=[web.entry()],
            priority="Spot",
            tags={"team": "platform", "env": "preview"},
        )

    def _subnet(self) -> str:
        subnet = f"{self.platform.id}/providers/Microsoft.Network/virtualNetworks/vnet-prod/subnets/aci"
        self.world.arm.add_resource(subnet, "Microsoft.Network/virtualNetworks/subnets", "westeurope")
        return subnet

    def _shared_slots(self) -> None:
        """Both slots are filled and both are in use, but the vault knows only the first."""
        build, server = self.build, self.main.login_server
        first = build.token(self.main, "aci-batch-pull", ("platform/batch",), age=30, expires=12)
        second = build.token(self.main, "aci-batch-pull", ("platform/batch",), age=100, expires=80, slot="password2", vault=False)
        build.group(self.platform, "batch-main", [container("batch", f"{server}/platform/batch:v1")], credentials=[first.entry()])
        build.group(  # Another team took the second password: whoever replaces it breaks this group.
            self.tools, "batch-partner", [container("batch", f"{server}/platform/batch:v1")], credentials=[second.entry()]
        )

    def _gateway_with_vault_reference(self) -> None:
        build, server = self.build, self.main.login_server
        build.token(self.main, "aci-gateway-pull", ("platform/gateway",), age=50, expires=9)
        reader = build.identity(self.platform, "id-vault-reader")
        build.vault_reader(reader)
        name = "pull-" + f"{server}/aci-gateway-pull".replace(".", "-").replace("/", "-")
        build.group(
            self.platform,
            "api-gateway",
            [container("gateway", f"{server}/platform/gateway:v1", ports=(443,))],
            api_version="2025-09-01",
            identities=[reader],
            credentials=[{"server": server, "username": "aci-gateway-pull", "passwordReference": "pull"}],
            secretReferences=[
                {"name": "pull", "identity": reader.id, "secretReferenceUri": f"https://kv-demo.vault.azure.net/secrets/{name}"}
            ],
        )

    def _payments_team(self) -> None:
        build, server = self.build, self.main.login_server
        expired = build.token(self.main, "aci-payments-pull", ("payments/gateway",), age=92, expires=-2)
        build.group(  # Runs on, and cannot be restarted.
            self.payments,
            "payments-gateway",
            [container("gateway", f"{server}/payments/gateway:v1", cpu=1.0)],
            credentials=[expired.entry()],
            tags={"team": "payments"},
        )
        ancient = build.token(self.main, "aci-ledger-pull", ("payments/ledger",), age=410, expires=None)
        build.group(
            self.payments,
            "payments-ledger",
            [container("ledger", f"{server}/payments/ledger:v1", cpu=1.0, mounts={"share": "/data"})],
            credentials=[ancient.entry()],
            volumes=[self._share("stcontosoledger", "ledger")],
            diagnostics={"logAnalytics": self._logs()},
        )
        unmanaged = build.token(self.main, "aci-fraud-pull", ("payments/fraud",), age=50, expires=40, vault=False)
        build.group(  # Nobody but the group itself knows this password.
            self.payments, "payments-fraud", [container("fraud", f"{server}/payments/fraud:v1")], credentials=[unmanaged.entry()]
        )
        sealed = build.token(self.main, "aci-sealed-pull", ("payments/sealed",), age=84, expires=6)
        build.group(  # API_KEY is write-only and in no vault: a redeploy would lose it, so it must be held.
            self.payments,
            "payments-sealed",
            [container("sealed", f"{server}/payments/sealed:v1", secure={"API_KEY": f"sk_live_{self.world.text(32)}"})],
            credentials=[sealed.entry()],
            tags={"team": "payments"},
        )

    def _share(self, account: str, name: str) -> Document:
        resource_id = f"{self.payments.id}/providers/Microsoft.Storage/storageAccounts/{account}"
        holder = self.world.keys.find(resource_id) or self.world.keys.add_storage_account(resource_id)
        share = {"shareName": name, "storageAccountName": account, "storageAccountKey": holder.keys[0], "readOnly": False}
        return {"name": "share", "azureFile": share}

    def _logs(self) -> Document:
        holder = self.build.key_holder(self.workspace)
        return {"workspaceId": holder.customer_id, "workspaceKey": holder.keys[0], "logType": "ContainerInsights"}

    def _service_principals(self) -> None:
        build, server = self.build, self.main.login_server
        rows = (
            # name, repository, age, expires, where the password lives
            ("billing", 165.0, 200.0, "application"),
            ("invoices", 356.0, 9.0, "servicePrincipal"),
            ("reports", 368.0, -3.0, "application"),
        )
        for name, age, expires, on in rows:
            secret = build.app(
                self.main,
                f"sp-aci-{name}",
                age=age,
                expires=expires,
                on="servicePrincipal" if on == "servicePrincipal" else "application",
            )
            build.history(self.main, secret.username, f"payments/{name}", (2, 5) if expires > 0 else (10, 20))
            build.group(
                self.payments,
                f"payments-{name}",
                [container(name, f"{server}/payments/{name}:v1")],
                credentials=[secret.entry()],
                tags={"team": "payments"},
            )

    def _managed_identities(self) -> None:
        build, arm, server = self.build, self.world.arm, self.main.login_server
        pull = build.identity(self.platform, "id-aci-pull")
        arm.assign(pull.principal_id, ACR_PULL, self.main.id)
        self._identity_group("web-identity", self.platform, pull, f"{server}/platform/web:v1", server)
        build.group(  # The identity is attached, but no registry entry names it: the pull is anonymous and fails.
            self.platform, "web-identity-unused", [container("web", f"{server}/platform/web:v1")], identities=[pull]
        )
        build.group(  # A system-assigned identity cannot pull.
            self.platform,
            "web-identity-system",
            [container("web", f"{server}/platform/web:v1")],
            top={"identity": {"type": "SystemAssigned"}},
        )
        reader, puller = build.identity(self.data, "id-ml-reader"), build.identity(self.data, "id-ml-acrpull")
        arm.assign(reader.principal_id, ACR_REPOSITORY_READER, self.ml.id)
        arm.assign(puller.principal_id, ACR_PULL, self.ml.id)
        model = self.ml.login_server
        self._identity_group("ml-serve", self.data, reader, f"{model}/ml/serve:v1", model)
        # AcrPull counts for nothing at a registry with ABAC permissions.
        self._identity_group("ml-train", self.data, puller, f"{model}/ml/train:v1", model)

    def _identity_group(self, name: str, home: ResourceGroup, identity: Identity, image: str, server: str) -> None:
        entry = {"server": server, "identity": identity.id.replace("resourcegroups", "resourceGroups")}
        self.build.group(home, name, [container("main", image)], identities=[identity], credentials=[entry])

    def _data_team(self) -> None:
        build, server = self.build, self.lake.login_server
        etl = self.etl = build.token(self.lake, "aci-etl-pull", ("data/*",), age=80, expires=10)
        build.history(self.lake, "aci-etl-pull", "data/etl", (1, 2))
        warehouse = f"jdbc:sqlserver://sql-lake;user=etl;password={self.world.text(22)}"
        build.group(
            self.data,
            "etl-hourly",
            [container("etl", f"{server}/data/etl:v1", cpu=1.0, secure={"WAREHOUSE": warehouse})],
            credentials=[etl.entry()],
            tags={"team": "data"},
            vault_fields={"containers/etl/environmentVariables/WAREHOUSE/secureValue": warehouse},
        )
        share = {"shareName": "lake", "storageAccountName": "stcontosolake"}
        mover = build.identity(self.data, "id-share")
        build.group(  # A property that only the newest api-version shows: a PUT with an older one would wipe it.
            self.data,
            "etl-share",
            [container("ingest", f"{server}/data/ingest:v1", mounts={"share": "/lake"})],
            credentials=[etl.entry()],
            api_version="2026-07-01",
            identities=[mover],
            volumes=[{"name": "share", "azureFile": {**share, "userAssignedIdentityClientId": mover.client_id}}],
        )
        self._refresh_token_group(self.lake)

    def _refresh_token_group(self, registry: Registry) -> None:
        """A tool stored a registry's three-hour token as if it were a password."""
        issued_at = self.build.now - timedelta(days=2)
        token = issue_refresh(self.world, registry, self.world.guid(), "someone@contoso.example", issued_at)
        entry = Secret(server=registry.login_server, username=ZERO_GUID, password=token).entry()
        self.build.group(
            self.data,
            "reports-compose",
            [container("reports", f"{registry.login_server}/data/reports:v1")],
            credentials=[entry],
            age=2,
        )

    def _amazon(self) -> None:
        build = self.build
        build.ecr(ECR_SERVER, ("analytics/scorer", "analytics/features"))
        late = build.lease(ECR_SERVER, age_hours=17)
        soon = build.lease(ECR_SERVER, age_hours=11)
        fresh = build.lease(ECR_SERVER, age_hours=1, vault=True)
        for name, secret in (("scorer-fresh", fresh), ("scorer-soon", soon), ("scorer-late", late)):
            build.group(self.data, name, [container("scorer", f"{ECR_SERVER}/analytics/scorer:v1")], credentials=[secret.entry()])
        build.group(  # Two registries in one group: a redeploy needs both credentials.
            self.data,
            "features-mixed",
            [
                container("features", f"{ECR_SERVER}/analytics/features:v1"),
                container("ingest", f"{self.lake.login_server}/data/ingest:v1"),
                container("cache", "redis:7", cpu=0.25),
            ],
            credentials=[
                fresh.entry(),
                self.etl.entry(),
            ],
        )

    def _third_parties(self) -> None:
        build = self.build
        rows = (
            ("tools-toolbox", self.hub, "contoso/toolbox:v1", "index.docker.io"),
            ("tools-agent", self.ghcr, "ghcr.io/contoso/agent:v1", "ghcr.io"),
            ("tools-runner", self.gitlab, "registry.gitlab.com/contoso/tools/runner:v1", "registry.gitlab.com"),
            ("tools-exporter", self.quay, "quay.io/contoso/exporter:v1", "quay.io"),
            ("tools-cron", self.own, "registry.contoso.dev/ops/cron:v1", "registry.contoso.dev"),
        )
        for name, secret, image, server in rows:
            build.group(
                self.tools, name, [container("main", image, cpu=0.25)], credentials=[{**secret.entry(), "server": server}]
            )

    def _careless(self) -> None:
        """The admin user, plain-text secrets, and a token in an address."""
        build, server, text = self.build, self.legacy.login_server, self.world.text
        admin = build.admin(self.legacy, vault=True)
        build.group(
            self.tools,
            "legacy-portal",
            [container("portal", f"{server}/legacy/portal:v1", env={"DB_PASSWORD": f"Sommer-{text(8)}", "PORT": "80"})],
            credentials=[admin.entry()],
            age=300,
        )
        build.group(
            self.tools,
            "legacy-crm",
            [container("crm", f"{server}/legacy/crm:v1", command=("crm", "--api-key", f"AKIA{text(16).upper()}"))],
            credentials=[admin.entry()],
            age=200,
            volumes=[
                {
                    "name": "site",
                    "gitRepo": {"repository": f"https://deploy:ghp_{text(36)}@github.com/contoso/site.git", "directory": "."},
                }
            ],
        )
        build.group(self.tools, "proxy-public", [container("proxy", "nginx:1.27", ports=(80,))])


def seed(world: World) -> Estate:
    """Plant the demonstration estate."""
    return Demo(world).seed()
