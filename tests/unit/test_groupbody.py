"""Reading Azure's JSON of a group."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from rotator.azure.groupbody import read_group
from rotator.model.group import Absent, ContainerGroup, GroupState, Inline, ManagedIdentity, VaultReference

NOW = datetime(2026, 11, 1, tzinfo=UTC)
ID = "/subscriptions/S1/resourceGroups/rg/providers/Microsoft.ContainerInstance/containerGroups/web"
IDENTITY = "/subscriptions/s1/resourceGroups/rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/puller"
RECORDED = Path(__file__).parents[2].parent / "shared" / "data" / "recorded-bodies"


def group(properties: dict[str, Any], **top: object) -> ContainerGroup:
    return read_group({"id": ID, "name": "web", "location": "westeurope", "properties": properties, **top}, NOW)


def container(image: str, **properties: object) -> dict[str, Any]:
    return {"name": "c", "properties": {"image": image, **properties}}


def test_images_of_all_containers_belong_to_the_entry_of_their_host_however_it_is_written() -> None:
    found = group(
        {
            "containers": [container("Demo.azurecr.io/app:1"), container("nginx"), container("mcr.microsoft.com/x:1")],
            "initContainers": [container("demo.azurecr.io/init@sha256:ab")],
            "imageRegistryCredentials": [{"server": "https://demo.azurecr.io/", "username": "pull"}],
        }
    )
    demo, hub = found.bindings
    assert demo.registry == "demo.azurecr.io"
    assert demo.source == Inline("pull")
    assert sorted(map(str, demo.images)) == ["demo.azurecr.io/app:1", "demo.azurecr.io/init@sha256:ab"]
    assert (hub.registry, hub.source) == ("index.docker.io", Absent())
    assert demo.principal is None


@pytest.mark.parametrize(
    ("entry", "source"),
    [
        pytest.param({"username": "u"}, Inline("u"), id="a password that is not returned"),
        pytest.param(
            {"username": "u", "passwordReference": "pw"},
            VaultReference("u", "https://kv.vault.azure.net/secrets/pw", IDENTITY),
            id="a vault reference",
        ),
        pytest.param({"username": "u", "passwordReference": "gone"}, VaultReference("u", "", ""), id="a dangling reference"),
        pytest.param(
            {"identity": IDENTITY.replace("resourceGroups", "resourcegroups")},
            ManagedIdentity(IDENTITY.replace("resourceGroups", "resourcegroups"), attached=True),
            id="an attached identity in another case",
        ),
        pytest.param({"identity": "/other"}, ManagedIdentity("/other", attached=False), id="an identity that is not attached"),
    ],
)
def test_a_registry_entry_authenticates_by(entry: dict[str, Any], source: object) -> None:
    found = group(
        {
            "imageRegistryCredentials": [{"server": "demo.azurecr.io", **entry}],
            "secretReferences": [
                {"name": "pw", "secretReferenceUri": "https://kv.vault.azure.net/secrets/pw", "identity": IDENTITY}
            ],
        },
        identity={"type": "SystemAssigned, UserAssigned", "userAssignedIdentities": {IDENTITY: {}}},
    )
    assert found.bindings[0].source == source
    assert found.system_assigned
    assert found.identities == (IDENTITY,)


def test_write_only_fields_are_found_by_their_absence() -> None:
    found = group(
        {
            "containers": [
                container(
                    "demo.azurecr.io/app",
                    environmentVariables=[
                        {"name": "PLAIN", "value": ""},
                        {"name": "DB"},
                        {"name": "BY_REFERENCE", "secureValueReference": "db"},
                    ],
                )
            ],
            "initContainers": [{"name": "i", "properties": {"image": "x", "environmentVariables": [{"name": "KEY"}]}}],
            "volumes": [
                {"name": "certs", "secret": {}},
                {"name": "share", "azureFile": {"shareName": "s", "storageAccountName": "acc"}},
                {"name": "keyed", "azureFile": {"shareName": "s", "storageAccountKeyReference": "k"}},
                {"name": "scratch", "emptyDir": {}},
            ],
            "imageRegistryCredentials": [
                {"server": "demo.azurecr.io", "username": "pull"},
                {"server": "quay.io", "username": "q", "passwordReference": "r"},
                {"server": "other.azurecr.io", "identity": IDENTITY},
            ],
            "diagnostics": {"logAnalytics": {"workspaceId": "w"}},
            "extensions": [{"name": "e", "properties": {"extensionType": "kube-proxy"}}],
        }
    )
    assert {field.path for field in found.write_only} == {
        "containers/c/environmentVariables/DB/secureValue",
        "initContainers/i/environmentVariables/KEY/secureValue",
        "volumes/certs/secret",
        "volumes/share/azureFile/storageAccountKey",
        "imageRegistryCredentials/demo.azurecr.io/password",
        "diagnostics/logAnalytics/workspaceKey",
        "extensions/e/protectedSettings",
    }


TERMINATED = {"instanceView": {"currentState": {"state": "Terminated", "startTime": "2026-01-01T00:00:00Z", "exitCode": 1}}}


@pytest.mark.parametrize(
    ("properties", "state"),
    [
        pytest.param({"provisioningState": "Succeeded"}, GroupState.UNKNOWN, id="a list has no instance view"),
        pytest.param({"instanceView": {"state": "Running"}}, GroupState.RUNNING, id="running"),
        pytest.param({"instanceView": {"state": "Stopped"}}, GroupState.STOPPED, id="stopped"),
        pytest.param(
            {"provisioningState": "Updating", "instanceView": {"state": "Running"}},
            GroupState.TRANSITIONING,
            id="being updated",
        ),
        pytest.param(
            {"provisioningState": "Succeeded", "instanceView": {"state": "Pending"}}, GroupState.TRANSITIONING, id="pending"
        ),
        pytest.param(
            {"provisioningState": "Failed", "instanceView": {"state": "Pending"}}, GroupState.FAILED, id="gave up on its image"
        ),
        pytest.param(
            {"restartPolicy": "OnFailure", "instanceView": {"state": "Succeeded"}}, GroupState.FINISHED, id="a finished job"
        ),
        pytest.param(
            {"restartPolicy": "Never", "instanceView": {"state": "Failed"}, "containers": [container("x", **TERMINATED)]},
            GroupState.FINISHED,
            id="a job that ran and failed",
        ),
        pytest.param(
            {"restartPolicy": "Never", "instanceView": {"state": "Failed"}, "containers": [container("x")]},
            GroupState.FAILED,
            id="a job that never started",
        ),
        pytest.param({"instanceView": {"state": "Failed"}}, GroupState.FAILED, id="a failed service"),
    ],
)
def test_the_state_is(properties: dict[str, Any], state: GroupState) -> None:
    assert group(properties).state is state


@pytest.mark.parametrize(
    "properties",
    [{"ipAddress": {"type": "Private"}}, {"subnetIds": [{"id": "/s"}]}, {"networkProfile": {"id": "/p"}}],
    ids=["a private address", "a subnet", "a network profile"],
)
def test_the_network_is_private_with(properties: dict[str, Any]) -> None:
    assert group(properties).private_network


def test_two_users_of_one_service_under_two_names_are_two_fields() -> None:
    found = group(
        {
            "imageRegistryCredentials": [
                {"server": "docker.io", "username": "one"},
                {"server": "index.docker.io", "username": "two"},
            ]
        }
    )
    assert len(found.write_only) == 2


def test_a_body_with_next_to_nothing_in_it_is_read() -> None:
    found = read_group({"id": ID, "properties": None, "tags": None}, NOW)
    assert (found.bindings, found.write_only, found.restart_policy) == ((), (), "Always")


def recorded() -> list[Path]:
    return sorted(RECORDED.glob("cg_resp_*.json"))


@pytest.mark.skipif(not recorded(), reason="the recorded bodies are not beside this repository")
@pytest.mark.parametrize("file", recorded(), ids=lambda file: file.stem)
def test_a_recorded_answer_is_read(file: Path) -> None:
    answer = json.loads(file.read_text())["body"]
    for body in answer.get("value", [answer]):
        if "error" in body:
            continue
        found = read_group(body, NOW)
        images = {one["properties"]["image"] for one in body["properties"]["containers"]}
        assert sum(len(binding.images) for binding in found.bindings) == len(
            {image for image in images if not image.startswith("mcr.microsoft.com/")}
        )
        assert found.name == body["name"]
        if "instanceView" in body["properties"]:
            assert found.state is not GroupState.UNKNOWN
