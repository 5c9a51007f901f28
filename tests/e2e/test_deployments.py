"""Adopt and export at a terminal, and groups that another tool deploys: the real SDKs against the emulated clouds."""

import json

import pytest
import yaml

from tests.e2e.desk import Desk
from tests.e2e.said import Said


def test_a_group_that_was_held_for_its_hidden_values_is_adopted_and_rotates(desk: Desk, said: Said) -> None:
    listed = desk.run("adopt", "payments-sealed", "--dry-run")
    assert listed.status == 4
    assert "API_KEY/secureValue missing" in listed.words
    assert desk.effects() == []
    held = json.loads(desk.run("plan", "--json", "--force").out)
    before = [one for item in held["items"] for one in item["consumers"] if one["group"]["text"].endswith("/payments-sealed")]
    assert before
    assert before[0]["action"] == "hold"

    document = next(one for key, one in desk.world.groups.by_id.items() if key.endswith("/payments-sealed")).document
    adopted = said(yaml.safe_dump({"name": "payments-sealed", **document}), "adopt", "payments-sealed", "--from", "-")
    assert adopted.status == 0, adopted.words
    again = said("{}", "adopt", "payments-sealed", "--from", "-")
    assert again.status == 0, "twice in a row"
    assert "stored in" not in again.words

    after = json.loads(desk.run("plan", "--json", "--force").out)
    now = [one for item in after["items"] for one in item["consumers"] if one["group"]["text"].endswith("/payments-sealed")]
    assert now[0]["action"] == "redeploy"
    assert desk.run("rotate", "--yes", "--force", "--only", f"*/{_user(document)}").status == 0
    assert desk.unharmed()


def _user(document: dict) -> str:  # type: ignore[type-arg]
    return str(document["properties"]["imageRegistryCredentials"][0]["username"])


def test_a_wrong_password_is_not_adopted(desk: Desk, said: Said) -> None:
    ended = said("imageRegistryCredentials/registry.contoso.dev/password: wrong-one\n", "adopt", "tools-cron", "--from", "-")
    assert ended.status == 4
    assert "not stored" in ended.words
    assert "wrong-one" not in ended.words
    assert desk.effects() == []


def test_a_pipeline_reads_the_preview_and_the_outcome_as_json(desk: Desk, said: Said) -> None:
    group = yaml.safe_load(desk.run("export", "web-api").out)
    text = yaml.safe_dump({**group, "tags": {**group.get("tags", {}), "stage": "blue"}})
    preview = json.loads(said(text, "deploy", "-f", "-", "--what-if", "--json").out)
    assert (preview["effect"], preview["done"]) == ("restart", False)
    assert [one["path"] for one in preview["difference"]["changes"]] == ["tags/stage"]
    assert json.loads(said(text, "deploy", "-f", "-", "--yes", "--json").out)["done"]
    again = json.loads(said(text, "deploy", "-f", "-", "--yes", "--json").out)
    assert (again["effect"], again["done"], again["group"]) == ("none", True, preview["group"])
    assert desk.unharmed()


@pytest.mark.parametrize(("tool", "sentence"), [("terraform", "azurerm_key_vault_secret"), ("bicep", "vault.getSecret(")])
def test_what_is_due_for_a_group_of_another_tool_is_written_for_that_tool(
    desk: Desk, said: Said, tool: str, sentence: str
) -> None:
    group = next(one for key, one in desk.world.groups.by_id.items() if key.endswith("/web-api"))
    with desk.world.lock:
        group.document.setdefault("tags", {})["managed-by"] = tool
        group.shown.clear()
    assert f"owner: {tool}" in desk.run("export", "web-api").out
    ended = said("", "plan", "--force", "--only", "*/aci-web-pull", "--emit", tool)
    assert sentence in ended.out
    assert "web-api" in ended.out
    assert "web-frontend" not in ended.out
    assert desk.effects() == []
    assert desk.unharmed()


def test_a_group_that_a_template_put_is_known_by_the_history_where_no_tag_tells(desk: Desk, said: Said) -> None:
    told = "owner: bicep, by the deployment payments-stack of"
    exported = desk.run("export", "payments-ledger").out
    assert f"# {told}" in exported
    assert told in said(exported, "deploy", "-f", "-", "--what-if").words
    assert told in said("", "adopt", "payments-ledger", "--dry-run").words
    assert "owner:" not in desk.run("export", "payments-fraud").out
    emitted = said("", "plan", "--emit", "bicep")
    assert emitted.status == 0
    assert "payments-ledger" in emitted.out
    assert "payments-fraud" not in emitted.out
    assert "payments-ledger" not in said("", "plan", "--emit", "terraform").out
    assert desk.effects() == []
    assert desk.unharmed()


def test_a_history_that_may_not_be_read_is_said_and_never_taken_for_nobody(desk: Desk, said: Said) -> None:
    desk.forbid("Microsoft.Resources/deployments/read")
    unknown = "owner: unknown. The deployments of rg-payments-prod could not be read"
    exported = desk.run("export", "payments-ledger").out
    assert f"# {unknown}" in exported
    assert unknown in said(exported, "deploy", "-f", "-", "--what-if").words
    emitted = said("", "plan", "--emit", "bicep")
    assert emitted.status == 3
    assert "Groups of it without a tag may be missing" in emitted.words
    assert said("", "plan", "--emit", "terraform").status == 0


def test_neither_audit_nor_plan_reads_histories(desk: Desk, said: Said) -> None:
    desk.world.requests.clear()
    said("", "plan")
    assert desk.world.requests.get("arm.deployments.list", 0) == 0
    said("", "plan", "--emit", "bicep")
    assert desk.world.requests.get("arm.deployments.list", 0) > 0


def test_a_group_of_another_tool_is_held_for_it_where_the_configuration_says_so(desk: Desk, said: Said) -> None:
    with desk.world.lock:
        for key, group in desk.world.groups.by_id.items():
            if key.endswith(("/payments-ledger", "/web-api")):
                group.document.setdefault("tags", {})["managed-by"] = "terraform"
                group.shown.clear()
    desk.configure(rotation={"owned_groups": "hold"})
    shown = said("", "plan", "--all")
    assert "holds web-api: terraform deploys it" in said("", "plan", "--force", "--only", "*/aci-web-pull").words
    assert "terraform deploys it (rotation.owned_groups: hold); rotator plan --emit terraform" in shown.words
    assert "payments-ledger" in said("", "plan", "--emit", "terraform").out
    said("", "rotate", "--only", "*/aci-ledger-pull", "--yes")
    assert desk.effects() == []
    assert desk.unharmed()
