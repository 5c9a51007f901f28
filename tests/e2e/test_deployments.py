"""Deploy, adopt and export at a terminal: the real SDKs against the emulated clouds, and the oracle's word on it."""

import io
import json

import pytest
import yaml

from rotator.sandbox.estates.ground import VAULT
from tests.e2e.desk import Desk, Ended

NEW = """\
apiVersion: 2021-10-01
location: westeurope
name: app-new
type: Microsoft.ContainerInstance/containerGroups
sku: Standard
properties:
  osType: Linux
  restartPolicy: Always
  containers:
    - name: web
      properties:
        image: {image}
        environmentVariables:
          - name: DB
            secureValue: ${{vault:{secret}}}
        resources: {{requests: {{cpu: 1.0, memoryInGB: 1.0}}}}
  imageRegistryCredentials:
    - server: {server}
      username: {username}
      password: ${{vault:{secret}}}
"""


@pytest.fixture
def said(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> "Said":
    return Said(desk, monkeypatch)


class Said:
    """The command line with something on standard input."""

    def __init__(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        self.desk, self._patch = desk, monkeypatch

    def __call__(self, text: str, verb: str, *arguments: str) -> Ended:
        self._patch.setattr("sys.stdin", io.StringIO(text))
        ended = self.desk.run(verb, *arguments)
        assert "Traceback" not in ended.words, ended.words
        self.desk.sandbox.oracle.scan(f"{ended.out}{ended.err}".encode(), f"output of {verb}")
        return ended


def new_group(desk: Desk) -> str:
    exported = yaml.safe_load(desk.run("export", "web-api").out)["properties"]
    [entry] = exported["imageRegistryCredentials"]
    return NEW.format(
        image=exported["containers"][0]["properties"]["image"],
        server=entry["server"],
        username=entry["username"],
        secret=entry["password"].removeprefix("${vault:").removesuffix("}"),
    )


def test_an_exported_group_deployed_again_changes_nothing_but_restarts(desk: Desk, said: Said) -> None:
    text = desk.run("export", "web-api").out
    looked = said(text, "deploy", "-f", "-", "--what-if")
    assert looked.status == 0
    assert "no property changes" in looked.words
    assert "every container restarts" in looked.words
    assert desk.effects() == []
    assert said(text, "deploy", "-f", "-").status == 2, "nobody is there to confirm"
    assert desk.effects() == []
    assert said(text, "deploy", "-f", "-", "--yes").status == 0
    assert [one for one in desk.effects() if one.startswith("group.")] == ["group.put"]
    assert desk.unharmed()


def test_a_new_group_is_made_and_the_next_rotation_moves_it(desk: Desk, said: Said) -> None:
    text = new_group(desk)
    assert said(text, "deploy", "-f", "-", "--yes").status == 2, "nobody said where"
    made = said(text, "deploy", "-f", "-", "--yes", "-g", "rg-platform-prod")
    assert made.status == 0, made.words
    assert "a new group" in made.words
    desk.run("rotate", "--yes", "--force", "--only", "*/aci-web-pull")
    told = json.loads(desk.run("plan", "--json", "--force", "--only", "*/aci-web-pull").out)
    assert "app-new" in json.dumps(told)
    assert desk.unharmed()


def test_a_deployed_group_carries_the_mark_of_the_rotation_whose_secret_it_stores(desk: Desk, said: Said) -> None:
    assert desk.run("rotate", "--yes", "--force", "--only", "*/aci-web-pull").status == 0
    assert said(new_group(desk), "deploy", "-f", "-", "--yes", "-g", "rg-platform-prod").status == 0
    groups = desk.world.groups.by_id
    marks = {
        group.document["tags"].get(f"rotator:{group.document['properties']['imageRegistryCredentials'][0]['server']}")
        for key, group in groups.items()
        if key.endswith(("/web-api", "/app-new"))
    }
    assert len(marks) == 1
    assert None not in marks


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        ("password: ${vault:", "password: hunter2-${vault:", "in plain text"),
        ("secureValue: ${vault:", "value: ${vault:", "no secret belongs there"),
        ("imageRegistryCredentials", "imageRegistryCredential", "did you mean imageRegistryCredentials?"),
        ("apiVersion: 2021-10-01", "apiVersion: 2099-01-01", "newer than"),
        ("      username:", "      identity: /x\n      username:", "has both a username and an identity"),
        ("  imageRegistryCredentials:", "  imageRegistryCredentials:\n    - {server: quay.io, username: x}",
         "no image comes from quay.io"),
        ("password: ${vault:", "password: ${vault:no-such-", "does not exist"),
        ("password: ${vault:", "password: *hunter2 ${vault:", "no YAML"),
        ("name: app-new", "name: App New", "the name is none"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_refused_with_its_line_before_anything_is_done(
    desk: Desk, said: Said, before: str, after: str, sentence: str
) -> None:
    text = new_group(desk)
    assert before in text
    ended = said(text.replace(before, after, 1), "deploy", "-f", "-", "--yes", "-g", "rg-platform-prod")
    assert ended.status == 2, ended.words
    assert "stdin:" in ended.words
    assert sentence in ended.words
    assert "hunter2" not in ended.words
    assert desk.effects() == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("properties", "osType"), "Windows"),
        (("properties", "restartPolicy"), "Never"),
        (("properties", "containers", 0, "properties", "resources", "requests", "cpu"), 3.5),
        (("zones",), ["2"]),
    ],
)
def test_what_azure_would_only_recreate_is_said_and_never_sent(desk: Desk, said: Said, path: tuple, value: object) -> None:  # type: ignore[type-arg]
    whole = yaml.safe_load(desk.run("export", "web-api").out)
    holder = whole
    for step in path[:-1]:
        holder = holder[step]
    holder[path[-1]] = value
    ended = said(yaml.safe_dump(whole), "deploy", "-f", "-", "--yes")
    assert ended.status == 4, ended.words
    assert "only by delete and create" in ended.words
    assert "az container delete" in ended.words
    assert desk.effects() == []


def test_a_password_that_cannot_pull_is_found_before_the_group_is_touched(desk: Desk, said: Said) -> None:
    text = new_group(desk)
    with desk.world.lock:
        desk.world.vaults.set_secret(VAULT, "wrong", "not-the-password")
    head, _, tail = text.rpartition("password: ${vault:")
    broken = f"{head}password: ${{vault:wrong}}\n"
    assert tail
    ended = said(broken, "deploy", "-f", "-", "--yes", "-g", "rg-platform-prod")
    assert ended.status == 4
    assert "does not accept the credential" in ended.words
    assert "group.put" not in desk.effects()


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
