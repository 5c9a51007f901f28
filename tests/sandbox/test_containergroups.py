"""Emulated container groups: what the real SDK sees, and what Azure refuses."""

import copy
from collections.abc import Callable

import httpx
import pytest
from azure.core.exceptions import HttpResponseError
from azure.mgmt.containerinstance import ContainerInstanceManagementClient

from rotator.sandbox import Sandbox
from rotator.sandbox.clouds.arm.roles import ACR_PULL, KEY_VAULT_SECRETS_USER
from rotator.sandbox.clouds.containergroups.comparison import lost
from rotator.sandbox.clouds.registries.records import PlainRegistry
from rotator.sandbox.wire import Document
from tests.sandbox.conftest import Run
from tests.sandbox.owner import Owner, group_body, home, sdk_options

KIND = "providers/Microsoft.ContainerInstance/containerGroups"
SERVER = "contosomain.azurecr.io"
IMAGE = f"{SERVER}/team/app:v1"


def public(sandbox: Sandbox) -> Owner:
    """Add Docker Hub's public images and return the owner."""
    sandbox.world.registries.add_plain(
        PlainRegistry(host="docker.io", kind="bearer", service="registry.docker.io", public=("library/*",))
    )
    return Owner(sandbox)


def admin_entry(sandbox: Sandbox) -> Document:
    slot = sandbox.world.registries.servers[SERVER].admin["password"].current
    assert slot is not None
    return {"server": SERVER, "username": "contosomain", "password": slot.value}


def path(sandbox: Sandbox, name: str = "app") -> str:
    return f"{home(sandbox)}/{KIND}/{name}"


def test_the_real_sdk_creates_reads_and_deletes_a_group(run: Run) -> None:
    sandbox = run(manners="azure")
    owner = public(sandbox)
    client = ContainerInstanceManagementClient(**sdk_options(owner))
    body = group_body(IMAGE, imageRegistryCredentials=[admin_entry(sandbox)])
    poller = client.container_groups.begin_create_or_update("rg-main", "app", body)
    assert not poller.done()
    sandbox.world.clock.advance(60)
    assert poller.result(timeout=20).properties.provisioning_state == "Succeeded"
    shown = client.container_groups.get("rg-main", "app").as_dict()
    names = [event["name"] for event in shown["properties"]["containers"][0]["properties"]["instanceView"]["events"]]
    assert names == ["Pulling", "Pulled", "Created", "Started"]
    assert shown["properties"]["imageRegistryCredentials"][0].keys() == {"server", "username", "isDelegatedIdentity"}
    listed = [group.as_dict() for group in client.container_groups.list()]
    assert [group["name"] for group in listed] == ["app"]
    assert "instanceView" not in listed[0]["properties"]
    client.container_groups.begin_restart("rg-main", "app")
    client.container_groups.stop("rg-main", "app")
    stopped = client.container_groups.get("rg-main", "app").as_dict()
    assert stopped["properties"]["instanceView"]["state"] == "Stopped"
    client.container_groups.begin_delete("rg-main", "app").result(timeout=20)
    assert list(client.container_groups.list()) == []


def test_a_long_list_comes_in_pages_that_the_sdk_follows(quiet: Sandbox) -> None:
    owner = public(quiet)
    for number in range(45):
        assert owner.call("PUT", path(quiet, f"app-{number}"), group_body()).status_code == 201
    client = ContainerInstanceManagementClient(**sdk_options(owner))
    assert len(list(client.container_groups.list())) == 45
    assert len(owner.get(f"{home(quiet)}/{KIND}")["value"]) == 20


def entry(**changes: str | None) -> Callable[[Document], None]:
    def change(body: Document) -> None:
        held = body["properties"]["imageRegistryCredentials"][0]
        for key, value in changes.items():
            if value is None:
                held.pop(key, None)
            else:
                held[key] = value

    return change


def unused(body: Document) -> None:
    body["properties"]["imageRegistryCredentials"].append({"server": "quay.io", "username": "u", "password": "p"})


def no_image(body: Document) -> None:
    del body["properties"]["containers"][0]["properties"]["image"]


REFUSALS: dict[str, tuple[Callable[[Document], None], str]] = {
    "a password left out, as a re-submitted answer has it": (entry(password=None), "InvalidImageRegistryPassword"),
    "a user name together with an identity": (entry(identity="/x"), "AmbiguousImageResitryCredentialType"),
    "neither a user name nor an identity": (entry(username=None), "AmbiguousImageResitryCredentialType"),
    "an identity that is not attached": (entry(username=None, identity="/x"), "InvalidImageRegistryIdentity"),
    "an entry without its server": (entry(server=None), "InvalidRequestContent"),
    "a container without an image": (no_image, "InvalidRequestContent"),
    "a registry that no image uses": (unused, "InvalidImageRegistryServer"),
    "a wrong password": (entry(password="wrong-password-1"), "InaccessibleImage"),
    "a reference to a secret that is not declared": (
        entry(password=None, passwordReference="nowhere"), "InvalidSecretReference"
    ),
}  # fmt: skip


@pytest.mark.parametrize("sentence", REFUSALS)
def test_azure_refuses(quiet: Sandbox, sentence: str) -> None:
    change, code = REFUSALS[sentence]
    owner, body = Owner(quiet), group_body(IMAGE, imageRegistryCredentials=[admin_entry(quiet)])
    change(body)
    response = owner.call("PUT", path(quiet), body)
    assert (response.status_code, response.json()["error"]["code"]) == (400, code)
    assert quiet.world.groups.by_id == {}


def osless(body: Document) -> None:
    body["properties"]["restartPolicy"] = "Never"


def more_cores(body: Document) -> None:
    body["properties"]["containers"][0]["properties"]["resources"]["requests"]["cpu"] = 2.0


@pytest.mark.parametrize("change", [osless, more_cores])
def test_what_needs_delete_and_create_is_refused(quiet: Sandbox, change: Callable[[Document], None]) -> None:
    owner, body = public(quiet), group_body()
    assert owner.call("PUT", path(quiet), body).status_code == 201
    change(body)
    response = owner.call("PUT", path(quiet), body)
    assert response.json()["error"]["code"] == "InvalidContainerGroupUpdate"


def test_a_group_in_transition_refuses_the_next_change(run: Run) -> None:
    sandbox = run(manners="azure")
    owner = public(sandbox)
    assert owner.call("PUT", path(sandbox), group_body()).status_code == 201
    response = owner.call("PUT", path(sandbox), group_body())
    assert (response.status_code, response.json()["error"]["code"]) == (409, "ContainerGroupTransitioning")
    sandbox.world.clock.advance(60)
    assert owner.call("PUT", path(sandbox), group_body()).status_code == 200


def test_the_quota_of_a_region_holds(quiet: Sandbox) -> None:
    owner, body = public(quiet), group_body()
    for number in range(100):
        assert owner.call("PUT", path(quiet, f"app-{number}"), body).status_code == 201
    response = owner.call("PUT", path(quiet, "one-too-many"), body)
    assert response.json()["error"]["code"] == "ContainerGroupQuotaReached"
    assert "'ContainerGroups'" in response.json()["error"]["message"]


def test_the_hundred_and_first_write_in_five_minutes_is_throttled(run: Run) -> None:
    sandbox = run(manners="azure")
    owner = public(sandbox)
    codes = []
    for _ in range(101):
        sandbox.world.clock.advance(1)
        response = owner.call("PUT", path(sandbox), group_body())
        codes.append(response.status_code)
    assert codes[-1] == 429
    assert int(response.headers["retry-after"]) > 60
    assert sandbox.oracle.report()["write_limit_violations"] == 1


def test_write_only_fields_never_come_back_and_unknown_ones_survive(quiet: Sandbox) -> None:
    owner = public(quiet)
    body = group_body(
        volumes=[
            {"name": "files", "azureFile": {"shareName": "s", "storageAccountName": "a", "storageAccountKey": "the-storage-key"}},
            {"name": "certs", "secret": {"tls": "dGhlLWNlcnQ="}},
        ],
        diagnostics={"logAnalytics": {"workspaceId": "w", "workspaceKey": "the-workspace-key"}},
        somethingNew={"setting": [1, 2]},
    )
    inner = body["properties"]["containers"][0]["properties"]
    inner["environmentVariables"] = [{"name": "PLAIN", "value": "v"}, {"name": "SECRET", "secureValue": "the-secure-value"}]
    put = owner.call("PUT", path(quiet), body)
    got = owner.call("GET", path(quiet))
    for text in (put.text, got.text, str(owner.get(f"{home(quiet)}/{KIND}"))):
        for secret in ("the-storage-key", "dGhlLWNlcnQ=", "tls", "the-workspace-key", "the-secure-value"):
            assert secret not in text
    properties = got.json()["properties"]
    assert properties["volumes"][1] == {"name": "certs", "secret": {}}
    assert properties["containers"][0]["properties"]["environmentVariables"][1] == {"name": "SECRET"}
    assert properties["somethingNew"] == {"setting": [1, 2]}


def test_an_older_api_version_does_not_show_newer_properties(quiet: Sandbox) -> None:
    owner = public(quiet)
    body = group_body(secretReferences=[], somethingNew=True)
    body["zones"] = ["1"]
    assert owner.call("PUT", path(quiet), body, version="2026-07-01").status_code == 201
    old, new = owner.get(path(quiet), version="2019-12-01"), owner.get(path(quiet), version="2026-07-01")
    assert "somethingNew" in new["properties"]
    assert "zones" in new
    assert "somethingNew" not in old["properties"]
    assert "zones" not in old
    assert "isCreatedFromStandbyPool" in new["properties"]
    assert "isCreatedFromStandbyPool" not in old["properties"]


def test_a_restart_with_an_ended_credential_fails_as_azure_words_it(quiet: Sandbox) -> None:
    owner = Owner(quiet)
    body = group_body(IMAGE, imageRegistryCredentials=[admin_entry(quiet)])
    assert owner.call("PUT", path(quiet), body).status_code == 201
    registry = quiet.world.registries.servers[SERVER]
    quiet.world.registries.issue_admin(registry, "password")
    response = owner.call("POST", f"{path(quiet)}/restart")
    assert response.status_code == 400
    assert response.json()["error"]["message"].startswith("Failed to restart the container group 'app'.")
    assert "'InaccessibleImage'" in response.json()["error"]["message"]


def test_an_identity_pulls_with_the_role_that_the_registry_honours(quiet: Sandbox) -> None:
    owner, world = Owner(quiet), quiet.world
    group = next(iter(world.arm.resource_groups.values()))
    identity = world.arm.add_identity(group, "id-pull")
    body = group_body(IMAGE, imageRegistryCredentials=[{"server": SERVER, "identity": identity.id}])
    body["identity"] = {"type": "UserAssigned", "userAssignedIdentities": {identity.id.upper(): {}}}
    assert owner.call("PUT", path(quiet), body).json()["error"]["code"] == "InaccessibleImage"
    registry = world.registries.servers[SERVER]
    world.arm.assign(identity.principal_id, ACR_PULL, registry.id)
    assert owner.call("PUT", path(quiet), body).status_code == 201
    registry.properties["roleAssignmentMode"] = "AbacRepositoryPermissions"
    assert owner.call("PUT", path(quiet), body).json()["error"]["code"] == "InaccessibleImage"


class Referring:
    """A group that reads its registry password from the vault."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.owner, self.world, self.path = Owner(sandbox), sandbox.world, path(sandbox)
        group = next(iter(self.world.arm.resource_groups.values()))
        self.identity = self.world.arm.add_identity(group, "id-vault")
        self.password = admin_entry(sandbox)["password"]
        self.world.vaults.set_secret("kv-demo", "pull", self.password)
        uri = "https://kv-demo.vault.azure.net/secrets/pull"
        self.reference = {"name": "pull", "identity": self.identity.id, "secretReferenceUri": uri}
        entry = {"server": SERVER, "username": "contosomain", "passwordReference": "pull"}
        self.body = group_body(IMAGE, secretReferences=[self.reference], imageRegistryCredentials=[entry])
        self.body["identity"] = {"type": "UserAssigned", "userAssignedIdentities": {self.identity.id: {}}}

    def admit(self) -> None:
        scope = self.world.vaults.vault("kv-demo").resource_id
        self.admitted = self.world.arm.assign(self.identity.principal_id, KEY_VAULT_SECRETS_USER, scope)

    def put(self) -> httpx.Response:
        return self.owner.call("PUT", self.path, self.body)


def test_a_vault_reference_is_read_at_put_and_again_only_at_restart(quiet: Sandbox) -> None:
    app = Referring(quiet)
    assert app.put().json()["error"]["code"] == "SecretReferenceNotAccessible"
    app.admit()
    assert app.put().status_code == 201
    assert app.owner.get(app.path)["properties"]["secretReferences"] == [app.reference]
    held = quiet.world.groups.by_id[app.path.lower()]
    quiet.world.vaults.set_secret("kv-demo", "pull", "another-password")
    assert held.values == {"pull": app.password}
    assert app.owner.call("POST", f"{app.path}/restart").status_code == 400


@pytest.mark.parametrize(("option", "outages"), {"at-start": ["reference-unreadable", "invalid"], "as-resolved": []}.items())
def test_which_value_of_a_vault_reference_counts_is_an_option(run: Run, option: str, outages: list[str]) -> None:
    sandbox = run(vault_references=option)
    app = Referring(sandbox)
    app.admit()
    assert app.put().status_code == 201
    sandbox.world.arm.unassign(app.admitted)
    sandbox.world.clock.advance(60)
    app.admit()
    sandbox.world.clock.advance(3600)
    sandbox.world.vaults.set_secret("kv-demo", "pull", "another-password")
    sandbox.world.clock.advance(60)
    assert [one["reason"] for one in sandbox.oracle.report()["outages"]] == outages
    assert sandbox.oracle.can_pull(app.path) is (option == "as-resolved")


@pytest.mark.parametrize(("option", "able"), {"at-start": True, "as-resolved": False}.items())
def test_a_replaced_password_is_found_in_the_vault_at_the_next_start(run: Run, option: str, able: bool) -> None:
    sandbox = run(vault_references=option)
    app, world = Referring(sandbox), sandbox.world
    app.admit()
    assert app.put().status_code == 201
    new = world.registries.issue_admin(world.registries.servers[SERVER], "password")
    world.vaults.set_secret("kv-demo", "pull", new.value)
    world.clock.advance(1)
    assert sandbox.oracle.can_pull(app.path) is able


def test_tags_are_patched_without_a_restart(quiet: Sandbox) -> None:
    owner = public(quiet)
    assert owner.call("PUT", path(quiet), group_body()).status_code == 201
    run_before = quiet.world.groups.by_id[path(quiet).lower()].run
    response = owner.call("PATCH", path(quiet), {"tags": {"a": "b"}})
    assert (response.status_code, response.json()["tags"]) == (200, {"a": "b"})
    assert quiet.world.groups.by_id[path(quiet).lower()].run is run_before


def test_a_job_runs_to_its_end(quiet: Sandbox) -> None:
    owner = public(quiet)
    assert owner.call("PUT", path(quiet), group_body(restartPolicy="Never")).status_code == 201
    quiet.world.clock.advance(3600)
    shown = owner.get(path(quiet))["properties"]
    assert shown["instanceView"]["state"] == "Succeeded"
    state = shown["containers"][0]["properties"]["instanceView"]["currentState"]
    assert (state["state"], state["exitCode"]) == ("Terminated", 0)


def test_the_case_of_an_address_does_not_count_nor_do_its_double_slashes(quiet: Sandbox) -> None:
    owner = public(quiet)
    odd = path(quiet).replace("resourceGroups", "resourcegroups").replace("Instance/", "Instance//") + "/"
    assert owner.call("PUT", odd, group_body()).status_code == 201
    assert owner.get(path(quiet))["name"] == "app"


def test_what_is_not_emulated_says_so(quiet: Sandbox) -> None:
    response = Owner(quiet).call("POST", f"{path(quiet)}/containers/main/exec")
    assert response.status_code == 501
    assert "containers/main/exec" in response.json()["error"]["message"]


def test_a_request_without_api_version_is_refused(quiet: Sandbox) -> None:
    owner = Owner(quiet)
    response = owner.http.get(path(quiet), headers={"Authorization": f"Bearer {owner.token}"})
    assert (response.status_code, response.json()["error"]["code"]) == (400, "MissingApiVersionParameter")


def test_the_sdk_raises_what_azure_refuses(quiet: Sandbox) -> None:
    client = ContainerInstanceManagementClient(**sdk_options(Owner(quiet)))
    with pytest.raises(HttpResponseError, match="InaccessibleImage"):
        client.container_groups.begin_create_or_update("rg-main", "app", group_body(IMAGE))


LOSSES: dict[str, tuple[Callable[[Document], None], list[str]]] = {
    "nothing changed": (lambda body: None, []),
    "a secure value left out": (
        lambda body: body["properties"]["containers"][0]["properties"]["environmentVariables"].pop(),
        ["containers/main/environmentVariables/S/name", "containers/main/environmentVariables/S/secureValue"],
    ),
    "a registry password changed": (
        lambda body: body["properties"]["imageRegistryCredentials"][0].update(password="new"), []
    ),
    "a registry entry vanished": (
        lambda body: body["properties"].pop("imageRegistryCredentials"), ["imageRegistryCredentials/a.io/server"]
    ),
    "an empty volume vanished": (
        lambda body: body["properties"].pop("volumes"), ["volumes/tmp/name", "volumes/tmp/emptyDir"]
    ),
    "a tag of the tool came and went": (lambda body: body.update(tags={"team": "x", "rotator:at": "now"}), []),
    "a tag of a person vanished": (lambda body: body.pop("tags"), ["tags/team"]),
}  # fmt: skip


@pytest.mark.parametrize("sentence", LOSSES)
def test_a_loss_is_seen(sentence: str) -> None:
    change, expected = LOSSES[sentence]
    before = group_body(
        imageRegistryCredentials=[{"server": "a.io", "username": "u", "password": "p"}],
        volumes=[{"name": "tmp", "emptyDir": {}}],
    )
    before["tags"] = {"team": "x"}
    before["properties"]["containers"][0]["properties"]["environmentVariables"] = [
        {"name": "P", "value": "1"}, {"name": "S", "secureValue": "2"}
    ]  # fmt: skip
    after = copy.deepcopy(before)
    change(after)
    assert [path for path, _ in lost(before, after)] == expected
