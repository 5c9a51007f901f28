"""The tools team: registries of other parties, the admin user, and secrets that anybody can read."""

from rotator.sandbox.estates.demo.contoso import Contoso
from rotator.sandbox.estates.documents import container


def plant(contoso: Contoso) -> None:
    """Plant the team's groups."""
    _third_parties(contoso)
    _careless(contoso)


def _third_parties(contoso: Contoso) -> None:
    rows = (
        # group, registry, image, the server as the group writes it
        ("tools-toolbox", "docker.io", "contoso/toolbox:v1", "index.docker.io"),
        ("tools-agent", "ghcr.io", "ghcr.io/contoso/agent:v1", "ghcr.io"),
        ("tools-runner", "registry.gitlab.com", "registry.gitlab.com/contoso/tools/runner:v1", "registry.gitlab.com"),
        ("tools-exporter", "quay.io", "quay.io/contoso/exporter:v1", "quay.io"),
        ("tools-cron", "registry.contoso.dev", "registry.contoso.dev/ops/cron:v1", "registry.contoso.dev"),
    )
    for name, host, image, server in rows:
        entry = {**contoso.others[host].entry(), "server": server}
        contoso.build.group(contoso.tools, name, [container("main", image, cpu=0.25)], credentials=[entry])


def _careless(contoso: Contoso) -> None:
    """Plain-text secrets: in a setting, in a command, and in an address."""
    build, server, text = contoso.build, contoso.legacy.login_server, contoso.world.text
    password, key, token = f"Sommer-{text(8)}", f"AKIA{text(16).upper()}", f"ghp_{text(36)}"
    for value in (password, key, token):
        # Readable by everybody who may read the group, and still nothing that a report may repeat.
        contoso.world.ledger.record(value, "plain-text-secret", "group:legacy", "plain")
    admin = build.admin(contoso.legacy, vault=True)
    build.group(
        contoso.tools,
        "legacy-portal",
        [container("portal", f"{server}/legacy/portal:v1", env={"DB_PASSWORD": password, "PORT": "80"})],
        credentials=[admin.entry()],
        age=300,
    )
    crm = build.token(contoso.legacy, "aci-crm-pull", ("legacy/crm",), age=40, expires=50)
    build.history(contoso.legacy, "aci-crm-pull", "legacy/crm", (2, 9))
    repository = f"https://deploy:{token}@github.com/contoso/site.git"
    build.group(  # Its pull credential is healthy; nothing else is.
        contoso.tools,
        "legacy-crm",
        [container("crm", f"{server}/legacy/crm:v1", command=("crm", "--api-key", key))],
        credentials=[crm.entry()],
        age=39,
        volumes=[{"name": "site", "gitRepo": {"repository": repository, "directory": "."}}],
    )
