"""The estates: every group could be deployed as it is, the rotator has just enough rights, and a large one is quick."""

import json
import time
from datetime import timedelta

import pytest
import yaml

from rotator.sandbox import Sandbox, World, WorldOptions
from rotator.sandbox.clock import SandboxClock
from rotator.sandbox.clouds.containergroups.schema import stored
from rotator.sandbox.clouds.containergroups.validation import check_shape
from rotator.sandbox.estates import ESTATES, seed
from tests.sandbox.conftest import STARTED_AT, Run
from tests.sandbox.owner import Owner, http_client

BROKEN = {
    "payments-gateway": "expired",
    "payments-reports": "expired",
    "web-identity-unused": "no-credential",
    "web-identity-system": "no-credential",
    "ml-train": "no-permission",
    "reports-compose": "expired",
    "scorer-late": "expired",
}


def world_of(name: str, groups: int | None = None) -> World:
    world = World(WorldOptions(), SandboxClock(STARTED_AT, frozen=True))
    seed(world, name, groups)
    return world


@pytest.mark.parametrize(("name", "groups"), [("demo", None), ("scale", 400)])
def test_every_group_of_an_estate_is_one_that_azure_accepts(name: str, groups: int | None) -> None:
    for group in world_of(name, groups).groups.by_id.values():
        document = json.loads(json.dumps(group.document))
        check_shape(group.name, document, group.api_version)
        assert stored({**document, "location": group.location}) == {**document, "location": group.location}


def test_the_demo_is_broken_where_it_means_to_be_and_nowhere_else() -> None:
    world = world_of("demo")
    judged = {
        group.name: world.groups.judge(group.document, group.values, world.now(), manifests=True)
        for group in world.groups.by_id.values()
    }
    assert {name: one.reason for name, one in judged.items() if not one.ok} == BROKEN
    assert len(judged) >= 30


def test_vault_secrets_say_what_they_are_for() -> None:
    world = world_of("demo")
    principals, fields = set(), set()
    managing = {one.value for one in world.gitlab.tokens.values() if "api" in one.scopes}
    for secret in world.vaults.vault("kv-demo").secrets.values():
        tags = secret.current.tags
        if "rotator-principal" in tags:
            assert tags.keys() - {"rotator-rotation"} == {"rotator-principal", "rotator-handle", "rotator-issued"}
            principals.add(tags["rotator-principal"].partition(":")[0])
        elif not tags or secret.current.value in managing:
            managing.add(secret.current.value)
        else:
            assert tags["rotator-group"] in world.groups.by_id
            fields.add(tags["rotator-field"].rpartition("/")[2])
    assert principals == {"acr-token", "acr-admin", "entra-app", "ecr", "docker-hub", "docker-hub-org", "quay", "quay-pair"}
    assert len(managing) == 4  # what the tokens of Docker Hub (two accounts), GitLab and Quay are managed with
    assert fields == {"secureValue", "secret"}


def test_an_ecr_group_stores_no_lease_that_is_younger_than_itself() -> None:
    world = world_of("demo")
    held = 0
    for group in world.groups.by_id.values():
        for entry in group.properties.get("imageRegistryCredentials") or []:
            lease = world.aws._leases.get(entry.get("password", ""))
            if lease is not None:
                held += 1
                assert lease.issued_at <= group.run.pulled_at < lease.expires_at
    assert held == 4


def test_one_ecr_account_is_in_step_and_the_other_is_not() -> None:
    world = world_of("demo")
    in_step = {}
    for secret in world.vaults.vault("kv-demo").secrets.values():
        tags = secret.current.tags
        if tags.get("rotator-principal", "").startswith("ecr:"):
            server = tags["rotator-principal"].removeprefix("ecr:").removesuffix("/AWS")
            marked = {group.name for group in world.groups.by_id.values()
                      if group.tags.get(f"rotator:{server}") == tags.get("rotator-rotation", "none")}  # fmt: skip
            in_step[server.partition(".")[0]] = marked
    assert in_step == {"123456789012": {"scorer-fresh", "features-mixed"}, "210987654321": set()}


def test_about_a_third_of_what_can_be_rotated_is_healthy() -> None:
    """In the vault, younger than 90 days, more than 30 days to go (6 hours for a lease of Amazon's)."""
    world = world_of("demo")
    healthy, all_of_them = set(), set()
    for group in world.groups.by_id.values():
        for held in world.groups.credentials(group.document, group.values).values():
            principal = world.registries.principal_of(held.host, held.username)
            if held.username and principal.partition(":")[0] in ("acr-token", "entra-app", "ecr"):
                all_of_them.add(principal)
    for secret in world.vaults.vault("kv-demo").secrets.values():
        version, now = secret.current, world.now()
        principal = version.tags.get("rotator-principal", "")
        left = timedelta(hours=6) if principal.startswith("ecr:") else timedelta(days=30)
        young = version.created_at > now - timedelta(days=90)
        if principal in all_of_them and young and version.expires_at and version.expires_at > now + left:
            healthy.add(principal.rpartition("/")[2])
    billing = next(one.app_id for one in world.graph.applications() if one.display_name == "sp-aci-billing")
    assert healthy == {"aci-preview-pull", "aci-ingest-pull", "aci-crm-pull", billing, "AWS"}
    assert len(all_of_them) == 17


@pytest.mark.parametrize("name", ESTATES)
def test_a_seed_repeats_itself(name: str) -> None:
    first, second = (world_of(name, 50) for _ in range(2))
    assert list(first.groups.by_id) == list(second.groups.by_id)
    assert [entry.value for entry in first.ledger.entries()] == [entry.value for entry in second.ledger.entries()]


def test_the_rotator_may_do_its_work_and_nothing_else(run: Run) -> None:
    sandbox = run(estate="demo")
    estate, environment = sandbox.estate, sandbox.environment
    client = http_client(sandbox)
    answer = client.get(
        environment["IDENTITY_ENDPOINT"],
        params={"api-version": "2019-08-01", "resource": "https://management.azure.com", "client_id": estate.client_id},
        headers={"X-IDENTITY-HEADER": environment["IDENTITY_HEADER"]},
    )
    headers = {"Authorization": f"Bearer {answer.json()['access_token']}", "Host": "management.azure.com"}

    def status(method: str, path: str) -> int:
        return client.request(method, f"{path}?api-version=2025-09-01", headers=headers, json={}).status_code

    root = f"/subscriptions/{estate.subscriptions[0]}"
    registry = next(iter(sandbox.world.registries.acr))
    assert status("GET", f"{root}/providers/Microsoft.ContainerInstance/containerGroups") == 200
    assert status("GET", f"{registry}/tokens") == 200
    assert status("GET", f"{root}/providers/Microsoft.ContainerInstance") == 200
    assert status("DELETE", next(iter(sandbox.world.groups.by_id))) == 403
    assert status("DELETE", f"{registry}/tokens/aci-web-pull") == 403
    assert status("PUT", f"{root}/resourceGroups/new") == 403
    assert status("GET", f"/subscriptions/{sandbox.world.guid()}") == 404


def test_a_stranger_sees_no_subscription(quiet: Sandbox) -> None:
    stranger = Owner(quiet)
    for assignment in list(quiet.world.arm.assignments.values()):
        if assignment.principal_id == stranger.principal_id:
            quiet.world.arm.unassign(assignment)
    assert stranger.get("/subscriptions")["value"] == []
    response = stranger.call("GET", f"/subscriptions/{quiet.estate.subscriptions[0]}/resourceGroups")
    assert (response.status_code, response.json()["error"]["code"]) == (404, "SubscriptionNotFound")


def test_the_configuration_is_written_for_the_product(run: Run) -> None:
    sandbox = run(estate="demo")
    written = yaml.safe_load((sandbox.options.directory / "rotator.yaml").read_text("utf-8"))
    assert written == sandbox.configuration
    assert written["network"]["resolve"] == {"*": sandbox.address}
    assert len(written["scope"]["subscriptions"]) == 2


def test_five_thousand_groups_are_seeded_in_three_seconds_and_stay_within_the_quotas(run: Run) -> None:
    # The processor's own time, so that a busy machine does not fail the test.
    started = time.process_time()
    sandbox = run(estate="scale", groups=5000)
    assert time.process_time() - started < 3
    cells: dict[tuple[str, str], float] = {}
    for group in sandbox.world.groups.by_id.values():
        cell = (group.subscription, group.location)
        cells[cell] = cells.get(cell, 0) + 1
    assert len(sandbox.world.groups.by_id) == 5000
    assert max(cells.values()) <= 90
    report = sandbox.oracle.report()
    assert report["broken_at_start"] == []
    started = time.process_time()
    sandbox.world.clock.advance(30 * 86400)
    assert time.process_time() - started < 2
    assert len(sandbox.oracle.report()["outages"]) > 100
