"""`rotator explain` over every group of the emulated estates, held against the oracle's word."""

import json
from pathlib import Path
from typing import Any

import pytest

from rotator.sandbox.serve import Sandbox, SandboxOptions
from tests.e2e.desk import Desk

CANNOT_TELL = {
    # Nobody but the group has the password, and its service lists none.
    "tools-agent", "tools-cron",
    "legacy-portal",  # the admin user's passwords carry no date, and the vault got its copy after the group was deployed
    "scorer-soon",  # Amazon lists no leases, and no tag says which one the group stores
}  # fmt: skip


def answers(desk: Desk) -> dict[str, Any]:
    found = {}
    for key in list(desk.world.groups.by_id):
        told = json.loads(desk.run("explain", key, "--json").out)
        found[key] = told
    return found


def test_no_group_of_the_demonstration_is_explained_against_the_oracle(desk: Desk) -> None:
    told = answers(desk)

    wrong = {
        key.rpartition("/")[2]: one
        for key, one in told.items()
        if one["answer"] != "cannot tell" and (one["answer"] == "yes") != desk.sandbox.oracle.can_pull(key)
    }
    assert wrong == {}
    assert {key.rpartition("/")[2] for key, one in told.items() if one["answer"] == "cannot tell"} == CANNOT_TELL
    assert all(image["reason"] for one in told.values() for image in one["images"])
    assert desk.unharmed()
    assert desk.effects() == []


def test_no_group_in_a_private_network_is_explained_against_the_oracle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Sandbox(SandboxOptions(directory=tmp_path / "clouds", estate="network")) as clouds:
        for name, value in {**clouds.environment, "COLUMNS": "80", "NO_COLOR": "1"}.items():
            monkeypatch.setenv(name, value)
        desk = Desk(clouds, tmp_path)
        told = answers(desk)
        can = {key.rpartition("/")[2]: clouds.oracle.can_pull(key) for key in told}

    assert {key.rpartition("/")[2]: one["answer"] for key, one in told.items()} == {
        name: "yes" if pulls else "no" for name, pulls in can.items()
    }
    said = {key.rpartition("/")[2]: one["images"][0]["reason"] for key, one in told.items()}
    assert "with an identity only, never a password" in said["private-password"]
    assert "asks no DNS zone" in said["private-unlinked"]
    assert "does not trust Azure's services" in said["untrusted"]


def test_several_groups_of_one_name_are_listed(desk: Desk) -> None:
    ended = desk.run("explain", "web-*")
    assert ended.status == 2
    assert "fits 7 groups: web-" in ended.words
    assert "did you mean web-api?" in desk.run("explain", "web-apy").words


def test_a_redeploy_that_azure_refuses_without_a_reason_is_given_one(desk: Desk) -> None:
    refusal = {"status": 400, "code": "InaccessibleImage", "message": "The image 'x' in container group 'y' is not accessible."}
    desk.fault({"on": "aci.groups.put", "nth": 1, **refusal})

    ended = desk.run("rotate", "--yes", "--only", "*/aci-preview-pull", "--force")

    assert ended.status == 4, ended.words
    assert "although rotator pulls contosoplatform.azurecr.io/platform/web:latest" in ended.words


def test_an_explanation_names_the_scope_the_missing_image_and_the_wrong_user(desk: Desk) -> None:
    def change(name: str, **changes: str) -> str:
        with desk.world.lock:
            properties = desk.world.groups.by_id[desk.group(name)].properties
            if "image" in changes:
                properties["containers"][0]["properties"]["image"] = changes["image"]
            desk.world.groups.by_id[desk.group(name)].shown.clear()
            if "username" in changes:
                properties["imageRegistryCredentials"][0]["username"] = changes["username"]
        return " ".join(desk.run("explain", name).out.split())

    server = "contosoplatform.azurecr.io"
    assert "scope of token aci-web-pull does not include the repository payments/ledger" in change(
        "web-api", image=f"{server}/payments/ledger:v1"
    )
    assert f"{server}/platform/web:v99 does not exist" in change("web-preview", image=f"{server}/platform/web:v99")
    assert "has no token, and no admin user, that is called aci-wrong" in change("payments-fraud", username="aci-wrong")
