"""Azure Resource Manager itself: who may do what, how often, and through which host."""

import socket
import ssl
from concurrent.futures import ThreadPoolExecutor

import pytest

from rotator.sandbox import Sandbox
from rotator.sandbox.clouds.arm.roles import ACR_PULL, BUILT_IN, RoleDefinition
from rotator.sandbox.estates.ground import ROTATOR_ACTIONS
from rotator.sandbox.serve import HOSTS, ROUTES
from tests.sandbox.conftest import Run
from tests.sandbox.owner import Owner, group_body, home, trust

KIND = "providers/Microsoft.ContainerInstance/containerGroups"
CUSTOM = RoleDefinition(id="role", name="Role", actions=("A/*/read", "B/c/action"), not_actions=("A/secret/read",))
GRANTS = {"A/b/read": True, "a/B/READ": True, "A/b/c/read": True, "A/b/write": False, "A/secret/read": False, "B/c/action": True}


@pytest.mark.parametrize("action", GRANTS)
def test_globs_of_a_role(action: str) -> None:
    assert CUSTOM.grants(action) is GRANTS[action]


def test_no_role_for_the_control_plane_grants_data() -> None:
    owner = next(role for role in BUILT_IN if role.name == "Owner")
    assert owner.grants("Microsoft.KeyVault/vaults/secrets/read")
    assert not owner.grants_data("Microsoft.KeyVault/vaults/secrets/getSecret/action")
    assert "*" not in "".join(ROTATOR_ACTIONS)


def test_reads_are_throttled_by_a_bucket_that_refills(run: Run) -> None:
    sandbox = run(manners="azure")
    owner, path = Owner(sandbox), f"{home(sandbox)}/{KIND}"
    bucket = ("arm", sandbox.estate.subscriptions[0], owner.principal_id, "reads")
    first = owner.call("GET", path)
    assert first.headers["x-ms-ratelimit-remaining-subscription-reads"] == "249"
    sandbox.world.limits._buckets[bucket] = (0.0, sandbox.world.now())
    sandbox.world.rng.uniform = lambda a, b: 0.0  # type: ignore[method-assign]
    refused = owner.call("GET", path)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    sandbox.world.clock.advance(1)
    assert owner.call("GET", path).status_code == 200


@pytest.mark.parametrize(("workers", "throttled"), [(1, False), (20, True)])
def test_four_hundred_reads_are_throttled_when_they_come_at_once(run: Run, workers: int, throttled: bool) -> None:
    sandbox = run(manners="azure")
    owner, path = Owner(sandbox), f"{home(sandbox)}/{KIND}"
    with ThreadPoolExecutor(workers) as pool:
        answers = [answer.status_code for answer in pool.map(lambda _: owner.call("GET", path), range(400))]
    assert (429 in answers) is throttled
    assert answers.count(200) >= 250


def test_a_linked_resource_needs_a_right_of_its_own(quiet: Sandbox) -> None:
    owner, world = Owner(quiet), quiet.world
    group = next(iter(world.arm.resource_groups.values()))
    identity = world.arm.add_identity(group, "id-pull")
    writer = RoleDefinition(id=world.guid(), name="Writer", actions=(f"{KIND.removeprefix('providers/')}/write",))
    world.arm.roles[writer.id] = writer
    for assignment in list(world.arm.assignments.values()):
        if assignment.principal_id == owner.principal_id:
            world.arm.unassign(assignment)
    world.arm.assign(owner.principal_id, writer.id, group.id)
    body = group_body()
    body["identity"] = {"type": "UserAssigned", "userAssignedIdentities": {identity.id: {}}}
    response = owner.call("PUT", f"{group.id}/{KIND}/app", body)
    assert (response.status_code, response.json()["error"]["code"]) == (403, "LinkedAuthorizationFailed")
    unreadable = owner.call("GET", f"{group.id}/{KIND}/app")
    assert unreadable.json()["error"]["code"] == "AuthorizationFailed"
    assert f"'{KIND.removeprefix('providers/')}/read'" in unreadable.json()["error"]["message"]


def test_a_role_assignment_is_honoured_after_a_while(run: Run) -> None:
    sandbox = run(manners="azure")
    owner, world = Owner(sandbox), sandbox.world
    registry = next(iter(world.registries.acr.values()))
    principal = world.graph.add_application(world.guid(), "puller").object_id
    path = f"{registry.id}/providers/Microsoft.Authorization/roleAssignments/{world.guid()}"
    role = f"/subscriptions/x/providers/Microsoft.Authorization/roleDefinitions/{ACR_PULL}"
    sent = {"properties": {"roleDefinitionId": role, "principalId": principal, "principalType": "ServicePrincipal"}}
    made = owner.call("PUT", path, sent, version="2022-04-01")
    assert made.json()["properties"]["scope"].lower() == registry.id.lower()
    assert owner.call("PUT", path, sent, version="2022-04-01").json()["error"]["code"] == "RoleAssignmentExists"
    pulls = world.registries.identity_pulls
    assert pulls(registry.login_server, principal, "team/app") == "no-permission"
    world.clock.advance(61)
    assert pulls(registry.login_server, principal, "team/app") == "ok"
    listed = owner.get(f"{registry.id}/providers/Microsoft.Authorization/roleAssignments", version="2022-04-01")["value"]
    assert principal in [row["properties"]["principalId"] for row in listed]
    assert owner.call("DELETE", path, version="2022-04-01").status_code == 200
    assert pulls(registry.login_server, principal, "team/app") == "no-permission"


def test_roles_are_found_by_name(quiet: Sandbox) -> None:
    path = f"{home(quiet)}/providers/Microsoft.Authorization/roleDefinitions"
    found = Owner(quiet).get(f"{path}?$filter=roleName eq 'acrpull'&api-version=2022-05-01-preview")["value"]
    assert [role["name"] for role in found] == [ACR_PULL]
    subscription = quiet.estate.subscriptions[0]
    assert found[0]["id"] == f"/subscriptions/{subscription}/providers/Microsoft.Authorization/roleDefinitions/{ACR_PULL}"


def test_the_cli_finds_a_registry_by_listing_resources(quiet: Sandbox) -> None:
    subscription = quiet.estate.subscriptions[0]
    query = "$filter=resourceType eq 'Microsoft.ContainerRegistry/registries'&api-version=2024-11-01"
    rows = Owner(quiet).get(f"/subscriptions/{subscription}/resources?{query}")["value"]
    assert [row["name"] for row in rows] == ["contosomain"]


def test_the_provider_names_its_api_versions(quiet: Sandbox) -> None:
    path = f"/subscriptions/{quiet.estate.subscriptions[0]}/providers/Microsoft.ContainerInstance"
    versions = Owner(quiet).get(path, version="2024-11-01")["resourceTypes"][0]["apiVersions"]
    assert versions[0] == "2026-07-01"


def test_groups_behind_a_firewall_need_an_identity(quiet: Sandbox) -> None:
    owner, world = Owner(quiet), quiet.world
    registry = next(iter(world.registries.acr.values()))
    current = registry.admin["password"].current
    assert current is not None
    entry = {"server": registry.login_server, "username": registry.name, "password": current.value}
    body, path = group_body(f"{registry.login_server}/team/app:v1", imageRegistryCredentials=[entry]), f"{home(quiet)}/{KIND}/app"
    assert owner.call("PUT", path, body).status_code == 201
    assert owner.call("PATCH", registry.id, {"properties": {"publicNetworkAccess": "Disabled"}}).status_code == 200
    assert [one["reason"] for one in quiet.oracle.report()["outages"]] == ["firewall"]
    assert owner.call("PUT", path, body).json()["error"]["code"] == "InaccessibleImage"


@pytest.mark.parametrize("host", [host.replace("*", "anything") for host in HOSTS if host != "localhost"])
def test_the_certificate_is_for_every_emulated_host(quiet: Sandbox, host: str) -> None:
    address, _, port = quiet.address.rpartition(":")
    context: ssl.SSLContext = trust(quiet.ca_file)
    with socket.create_connection((address, int(port))) as raw, context.wrap_socket(raw, server_hostname=host) as secured:
        assert secured.version() in ("TLSv1.2", "TLSv1.3")


def test_every_operation_has_a_service_and_a_name() -> None:
    assert all(route.operation.count(".") >= 1 and route.operation.isascii() for route in ROUTES)
    assert len({(route.method, route.path.lower(), route.hosts) for route in ROUTES}) == len(ROUTES)
