"""The platform team: a web site on one token, a worker, a gateway with a vault reference, and managed identities."""

from rotator.sandbox.clouds.arm.roles import ACR_PULL
from rotator.sandbox.estates.demo.contoso import Contoso
from rotator.sandbox.estates.documents import Secret, as_json, container, init_container, secret_volume


def plant(contoso: Contoso) -> None:
    """Plant the team's groups."""
    _web(contoso)
    _preview(contoso)
    _worker(contoso)
    _shared_slots(contoso)
    _gateway_with_vault_reference(contoso)
    _managed_identities(contoso)


def _web(contoso: Contoso) -> None:
    """One token with several consumers, due for its routine rotation: less than thirty days are left."""
    build = contoso.build
    repositories = ("platform/web", "platform/api", "shared/envoy", "shared/fluentbit", "shared/migrate")
    web = build.token(contoso.main, "aci-web-pull", repositories, age=62, expires=28)
    build.history(contoso.main, "aci-web-pull", "platform/web", (1, 3, 8))
    _web_frontend(contoso, web)
    _web_api(contoso, web)
    _web_internal(contoso, web)


def _web_frontend(contoso: Contoso, web: Secret) -> None:
    server, database = web.server, f"Server=sql-contoso;Database=web;User=web;Password={contoso.world.text(20)}"
    contoso.build.group(
        contoso.platform, "web-frontend",
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


def _web_api(contoso: Contoso, web: Secret) -> None:
    server, migration = web.server, contoso.world.text(28)
    certificates = {"tls.crt": "LS0tLS1CRUdJTi0tLS0tCg==", "tls.key": f"{contoso.world.text(40)}"}
    contoso.build.group(
        contoso.platform,
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


def _web_internal(contoso: Contoso, web: Secret) -> None:
    """A group in a private network. Its id is written in another case than its resource group's."""
    subnet = contoso.world.networks.add_subnet(contoso.platform, "vnet-prod", "aci").id
    group_id = f"{contoso.platform.id}/providers/Microsoft.ContainerInstance/containerGroups/web-internal"
    contoso.build.group(
        contoso.platform,
        "web-internal",
        [container("api", f"{web.server}/platform/api:v2", ports=(9000,))],
        credentials=[web.entry()],
        subnetIds=[{"id": subnet, "name": "aci"}],
        ipAddress={"type": "Private", "ports": [{"port": 9000, "protocol": "TCP"}]},
        dnsConfig={"nameServers": ["10.0.0.10"], "searchDomains": "contoso.internal"},
        id_as=group_id.replace("resourceGroups", "resourcegroups"),
    )


def _preview(contoso: Contoso) -> None:
    """Healthy: 25 days old, 65 days left, in the vault. And a group that Azure may evict."""
    preview = contoso.build.token(contoso.main, "aci-preview-pull", ("platform/web",), age=25, expires=65)
    contoso.build.history(contoso.main, "aci-preview-pull", "platform/web", (1, 2, 4))
    contoso.build.group(
        contoso.platform,
        "web-preview",
        [container("web", f"{preview.server}/platform/web:latest", ports=(8080,))],
        credentials=[preview.entry()],
        priority="Spot",
        tags={"team": "platform", "env": "preview"},
    )


def _worker(contoso: Contoso) -> None:
    """A token that runs out in five days."""
    build = contoso.build
    worker = build.token(contoso.main, "aci-worker-pull", ("platform/worker",), age=85, expires=5)
    build.history(contoso.main, "aci-worker-pull", "platform/worker", (1, 3, 8))
    image = f"{worker.server}/platform/worker"
    entries = [worker.entry()]
    build.group(contoso.platform, "worker-a", [container("worker", f"{image}:v1", cpu=1.0)], credentials=entries, age=20)
    build.group(  # Stopped: brought up to date when it is started, not before.
        contoso.platform,
        "worker-b",
        [container("worker", f"{image}:v2", cpu=1.0)],
        credentials=entries,
        age=40,
        state="stopped",
    )
    build.group(  # A job that has run: putting it again would run it again.
        contoso.platform,
        "worker-backfill",
        [container("backfill", f"{image}:v1", command=("backfill",))],
        credentials=entries,
        age=3,
        policy="Never",
        state="finished",
    )


def _shared_slots(contoso: Contoso) -> None:
    """Both slots are filled and both are in use, but the vault knows only the first."""
    build, main, repositories = contoso.build, contoso.main, ("platform/batch",)
    first = build.token(main, "aci-batch-pull", repositories, age=30, expires=12)
    second = build.token(main, "aci-batch-pull", repositories, age=100, expires=80, slot="password2", vault=False)
    image = f"{main.login_server}/platform/batch:v1"
    build.group(contoso.platform, "batch-main", [container("batch", image)], credentials=[first.entry()])
    build.group(  # Another team took the second password: whoever replaces it breaks this group.
        contoso.tools, "batch-partner", [container("batch", image)], credentials=[second.entry()]
    )


def _gateway_with_vault_reference(contoso: Contoso) -> None:
    build = contoso.build
    gateway = build.token(contoso.main, "aci-gateway-pull", ("platform/gateway",), age=50, expires=9)
    reader = build.identity(contoso.platform, "id-vault-reader")
    build.vault_reader(reader)
    build.group(
        contoso.platform,
        "api-gateway",
        [container("gateway", f"{gateway.server}/platform/gateway:v1", ports=(443,))],
        api_version="2025-09-01",
        identities=[reader],
        credentials=[gateway.reference("pull")],
        secretReferences=[build.reference("pull", reader, gateway)],
    )


def _managed_identities(contoso: Contoso) -> None:
    build, server = contoso.build, contoso.main.login_server
    image = f"{server}/platform/web:v1"
    pull = build.identity(contoso.platform, "id-aci-pull")
    contoso.world.arm.assign(pull.principal_id, ACR_PULL, contoso.main.id)
    contoso.identity_group("web-identity", contoso.platform, pull, image, server)
    build.group(  # The identity is attached, but no registry entry names it: the pull is anonymous and fails.
        contoso.platform, "web-identity-unused", [container("web", image)], identities=[pull]
    )
    build.group(  # A system-assigned identity cannot pull.
        contoso.platform, "web-identity-system", [container("web", image)], top={"identity": {"type": "SystemAssigned"}}
    )
