"""Storage accounts and workspaces as ARM shows them, and who may see their keys."""

import re
from collections.abc import Iterator

import pytest

from rotator.sandbox.clouds.arm.roles import CONTRIBUTOR, READER
from tests.sandbox.servedworld import GROUP, SUBSCRIPTION, Client, Cloud, served_world

STORAGE = f"{GROUP}/providers/Microsoft.Storage/storageAccounts/files"
WORKSPACE = f"{GROUP}/providers/Microsoft.OperationalInsights/workspaces/logs"
WORKSPACE_ID = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with served_world() as served:
        served.world.keys.add_storage_account(STORAGE)
        served.world.keys.add_workspace(WORKSPACE, WORKSPACE_ID)
        yield served


@pytest.fixture
def arm(cloud: Cloud) -> Client:
    return cloud.client("https://management.azure.com")


def test_storage_keys_look_like_azures_own_and_are_in_the_ledger(cloud: Cloud, arm: Client) -> None:
    cloud.allow(CONTRIBUTOR)
    answer = arm.send("POST", f"{STORAGE}/listKeys", api_version="2023-05-01").json()
    values = [one["value"] for one in answer["keys"]]
    assert [one["keyName"] for one in answer["keys"]] == ["key1", "key2"]
    for value in values:
        assert re.fullmatch(r"[A-Za-z0-9+/]{76}\+ASt[A-Za-z0-9+/]{5}[AQgw]==", value)
        assert cloud.world.keys.storage_accepts("files", value)
        assert [entry.kind for entry in cloud.world.ledger.find_in(f"key: {value}")] == ["storage-account-key"]
    assert not cloud.world.keys.storage_accepts("files", "wrong")


def test_workspace_keys_are_shared_with_those_who_may_act(cloud: Cloud, arm: Client) -> None:
    cloud.allow(CONTRIBUTOR)
    keys = arm.send("POST", f"{WORKSPACE}/sharedKeys", api_version="2020-08-01").json()
    assert cloud.world.keys.workspace_accepts(WORKSPACE_ID, keys["primarySharedKey"])
    assert cloud.world.keys.workspace_accepts(WORKSPACE_ID.upper(), keys["secondarySharedKey"])


@pytest.mark.parametrize("path", [f"{STORAGE}/listKeys", f"{WORKSPACE}/sharedKeys"])
def test_a_reader_sees_the_resource_but_not_its_keys(cloud: Cloud, arm: Client, path: str) -> None:
    cloud.allow(READER)
    assert arm.send("GET", path.rpartition("/")[0], api_version="2023-05-01").status_code == 200
    refused = arm.send("POST", path, api_version="2023-05-01")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "AuthorizationFailed")


@pytest.mark.parametrize("path", ["Microsoft.Storage/storageAccounts", "Microsoft.OperationalInsights/workspaces"])
def test_resources_are_listed_in_the_subscription_and_in_the_group(cloud: Cloud, arm: Client, path: str) -> None:
    cloud.allow(READER)
    for scope in (f"/subscriptions/{SUBSCRIPTION}", GROUP):
        listed = arm.send("GET", f"{scope}/providers/{path}", api_version="2023-05-01").json()["value"]
        assert [one["type"] for one in listed] == [path]
        assert cloud.world.ledger.find_in(str(listed)) == []


def test_a_workspace_names_the_id_that_queries_use(cloud: Cloud, arm: Client) -> None:
    cloud.allow(READER)
    shown = arm.send("GET", WORKSPACE, api_version="2023-09-01").json()
    assert shown["properties"]["customerId"] == WORKSPACE_ID


def test_a_missing_account_is_not_found(cloud: Cloud, arm: Client) -> None:
    cloud.allow(CONTRIBUTOR)
    missing = arm.send("POST", f"{STORAGE}2/listKeys", api_version="2023-05-01")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "ResourceNotFound")
