"""The data team: a registry with a hashed login server, one with ABAC permissions, and two accounts at Amazon."""

from datetime import timedelta

from rotator.sandbox.clouds.arm.roles import ACR_PULL, ACR_REPOSITORY_READER
from rotator.sandbox.clouds.registries.pull import issue_refresh
from rotator.sandbox.clouds.registries.records import ZERO_GUID
from rotator.sandbox.estates.builder import ECR_SERVER
from rotator.sandbox.estates.demo.contoso import Contoso
from rotator.sandbox.estates.documents import Secret, container

OTHER_ECR_SERVER = "210987654321.dkr.ecr.us-east-1.amazonaws.com"
_IN_STEP = "rot-5c0e4a71d2b93f68"
"""The name of the rotation that brought the first account's lease: it stands on the vault's secret and on the groups."""


def plant(contoso: Contoso) -> None:
    """Plant the team's groups."""
    etl = _etl(contoso)
    _ingest(contoso)
    _refresh_token_group(contoso)
    _models(contoso)
    _amazon_in_step(contoso, etl)
    _amazon_left_behind(contoso)


def _etl(contoso: Contoso) -> Secret:
    """A token that runs out in ten days, and that people use by hand as well."""
    build = contoso.build
    etl = build.token(contoso.lake, "aci-etl-pull", ("data/*",), age=80, expires=10)
    build.history(contoso.lake, "aci-etl-pull", "data/etl", (1, 2))
    warehouse = f"jdbc:sqlserver://sql-lake;user=etl;password={contoso.world.text(22)}"
    build.group(
        contoso.data,
        "etl-hourly",
        [container("etl", f"{etl.server}/data/etl:v1", cpu=1.0, secure={"WAREHOUSE": warehouse})],
        credentials=[etl.entry()],
        tags={"team": "data"},
        vault_fields={"containers/etl/environmentVariables/WAREHOUSE/secureValue": warehouse},
    )
    return etl


def _ingest(contoso: Contoso) -> None:
    """Healthy; and a property that only the newest api-version shows: a PUT with an older one would wipe it."""
    build = contoso.build
    ingest = build.token(contoso.lake, "aci-ingest-pull", ("data/ingest",), age=12, expires=78)
    build.history(contoso.lake, "aci-ingest-pull", "data/ingest", (1, 5))
    mover = build.identity(contoso.data, "id-share")
    share = {"shareName": "lake", "storageAccountName": "stcontosolake", "userAssignedIdentityClientId": mover.client_id}
    build.group(
        contoso.data,
        "etl-share",
        [container("ingest", f"{ingest.server}/data/ingest:v1", mounts={"share": "/lake"})],
        credentials=[ingest.entry()],
        api_version="2026-07-01",
        identities=[mover],
        volumes=[{"name": "share", "azureFile": share}],
        age=11,
    )


def _refresh_token_group(contoso: Contoso) -> None:
    """A tool stored a registry's three-hour token as if it were a password."""
    issued_at, lake = contoso.build.now - timedelta(days=2), contoso.lake
    token = issue_refresh(contoso.world, lake, contoso.world.guid(), "someone@contoso.example", issued_at)
    entry = Secret(server=lake.login_server, username=ZERO_GUID, password=token).entry()
    image = f"{lake.login_server}/data/reports:v1"
    contoso.build.group(contoso.data, "reports-compose", [container("reports", image)], credentials=[entry], age=2)


def _models(contoso: Contoso) -> None:
    build, arm, ml = contoso.build, contoso.world.arm, contoso.ml
    reader, puller = build.identity(contoso.data, "id-ml-reader"), build.identity(contoso.data, "id-ml-acrpull")
    arm.assign(reader.principal_id, ACR_REPOSITORY_READER, ml.id)
    arm.assign(puller.principal_id, ACR_PULL, ml.id)
    server = ml.login_server
    contoso.identity_group("ml-serve", contoso.data, reader, f"{server}/ml/serve:v1", server)
    # AcrPull counts for nothing at a registry with ABAC permissions.
    contoso.identity_group("ml-train", contoso.data, puller, f"{server}/ml/train:v1", server)


def _amazon_in_step(contoso: Contoso, etl: Secret) -> None:
    """Healthy: the groups store the vault's lease, which lives for ten hours more, and their tags say so."""
    build = contoso.build
    build.ecr(ECR_SERVER, ("analytics/scorer", "analytics/features"))
    fresh = build.lease(ECR_SERVER, age_hours=2, vault=True, rotation=_IN_STEP)
    tags = {f"rotator:{ECR_SERVER}": _IN_STEP}
    build.group(
        contoso.data,
        "scorer-fresh",
        [container("scorer", f"{ECR_SERVER}/analytics/scorer:v1")],
        credentials=[fresh.entry()],
        age=_hours(0.9),
        tags=tags,
    )
    build.group(  # Two private registries in one group: a redeploy needs both credentials. And a public image.
        contoso.data,
        "features-mixed",
        [
            container("features", f"{ECR_SERVER}/analytics/features:v1"),
            container("ingest", f"{etl.server}/data/ingest:v1"),
            container("cache", "redis:7", cpu=0.25),
        ],
        credentials=[fresh.entry(), etl.entry()],
        age=_hours(0.8),
        tags=tags,
    )


def _amazon_left_behind(contoso: Contoso) -> None:
    """Due: the vault's lease has an hour left. A group cannot have been put before the lease it stores was issued."""
    build, server = contoso.build, OTHER_ECR_SERVER
    image = f"{server}/vision/scorer:v1"
    build.ecr(server, ("vision/scorer",))
    late = build.lease(server, age_hours=17)
    soon = build.lease(server, age_hours=11, vault=True)
    for name, lease, hours in (("scorer-soon", soon, 10.9), ("scorer-late", late, 16.9)):
        build.group(contoso.data, name, [container("scorer", image)], credentials=[lease.entry()], age=_hours(hours))
    reader = build.identity(contoso.data, "id-scorer-reader")
    build.vault_reader(reader)
    build.group(  # Reads the lease from the vault whenever it starts: needs no restart for a new one.
        contoso.data,
        "scorer-reference",
        [container("scorer", image)],
        api_version="2025-09-01",
        identities=[reader],
        credentials=[soon.reference("ecr")],
        secretReferences=[build.reference("ecr", reader, soon)],
        age=_hours(9),
    )


def _hours(hours: float) -> float:
    """Return hours in days, in which ages are counted."""
    return hours / 24
