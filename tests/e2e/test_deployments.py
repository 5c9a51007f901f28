"""Deploy, adopt and export at a terminal: the real SDKs against the emulated clouds, and the oracle's word on it."""

import contextlib
import io
import json
from dataclasses import replace
from datetime import datetime

import pytest
import yaml

from rotator.cli.options import Level
from rotator.cli.session import opened, settings_of
from rotator.model.errors import ConfigError, VerificationFailed
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
        ("  osType", "\tosType", "indented with a tab"),
        ("  osType: Linux", "  osType: Linux\n  osType: Linux", "a key stands twice"),
        ("apiVersion: ", "name: x\n---\napiVersion: ", "a second document begins"),
        ("password: ${vault:", "password: ${valt:", "a reference that cannot be read"),
        ("osType: Linux", "osType: Linus", "this osType is unknown"),
        ("cpu: 1.0", "cpu: lots", "cpu is no number above zero"),
        ("cpu: 1.0, ", "", "asks for no cpu"),
        ("  containers:", "  containers: none\n  x:", "containers is no list of mappings"),
        ("  osType: Linux", "  ipAddress: {type: Public, ports: [{port: http}]}", "this is no port"),
        ("        resources", "        volumeMounts: [{name: a, mountPath: /x}]\n        resources", "is mounted and not there"),
        ("  containers:", "  initContainers: [{name: web, properties: {image: x}}]\n  containers:", "two containers are called"),
        ("apiVersion", "tags: &a {x: *a}\napiVersion", "too large or too deep"),
        ("apiVersion", "? [a, b]\n: c\napiVersion", "no YAML"),
        ("apiVersion", "zones: 1\napiVersion", "zones are no list"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_refused_with_its_line_before_anything_is_done(
    desk: Desk, said: Said, before: str, after: str, sentence: str
) -> None:
    text = new_group(desk)
    assert before in text
    ended = said(text.replace(before, after, 1), "deploy", "-f", "-", "--yes", "-g", "rg-platform-prod")
    assert ended.status == 2, ended.words
    assert "error: stdin:" in ended.words
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


def test_sixty_one_containers_are_one_too_many(desk: Desk, said: Said) -> None:
    whole = yaml.safe_load(new_group(desk))
    [one] = whole["properties"]["containers"]
    whole["properties"]["containers"] = [{**one, "name": f"c{number}"} for number in range(61)]
    ended = said(yaml.safe_dump(whole), "deploy", "-f", "-", "--yes", "-g", "rg-platform-prod")
    assert ended.status == 2
    assert "61 containers; Azure takes 60" in ended.words


@pytest.mark.parametrize(
    ("enabled", "ends", "sentence"), [(False, None, "is disabled in"), (True, "2020-01-01T00:00:00Z", "expired on 2020-01-01")]
)
def test_a_reference_to_a_secret_that_may_not_be_used_is_refused(
    desk: Desk, said: Said, enabled: bool, ends: str | None, sentence: str
) -> None:
    text = new_group(desk)
    name = text.partition("secureValue: ${vault:")[2].partition("}")[0]
    with desk.world.lock:
        expires_at = datetime.fromisoformat(ends) if ends else None
        desk.world.vaults.set_secret(VAULT, name, "x", enabled=enabled, expires_at=expires_at)
    ended = said(text, "deploy", "-f", "-", "--yes", "-g", "rg-platform-prod")
    assert ended.status == 2, ended.words
    assert sentence in ended.words


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


def test_a_second_run_of_the_same_file_changes_nothing(desk: Desk, said: Said) -> None:
    text = desk.run("export", "web-api").out
    assert said(text, "deploy", "-f", "-", "--yes").status == 0
    desk.begin = len(desk.world.events.since())
    for arguments in (["--what-if"], [], ["--yes"]):
        again = said(text, "deploy", "-f", "-", *arguments)
        assert again.status == 0, again.words
        assert "no change: this was put already" in again.words
    assert desk.effects() == []
    assert "rotator:deployed" not in desk.run("export", "web-api").out
    assert desk.unharmed()
    name = text.partition("secureValue: ${vault:")[2].partition("}")[0]
    with desk.world.lock:
        desk.world.vaults.set_secret(VAULT, name, "another-value")
    newer = said(text, "deploy", "-f", "-", "--yes")
    assert "its hidden values may be other ones" in newer.words
    assert [one for one in desk.effects() if one.startswith("group.")] == ["group.put"]


@pytest.mark.parametrize(
    "rule",
    [
        {"on": "aci.groups.put", "nth": 1, "drop_after": True},
        {"on": "aci.groups.put", "nth": 1, "drop_before": True},
        {"on": "aci.groups.put", "nth": 1, "status": 409, "code": "ContainerGroupTransitioning"},
        {"on": "aci.groups.put", "nth": 1, "status": 429, "retry_after": 60},
        {"on": "aci.operations.get", "nth": 1, "status": 503},
    ],
    ids=["a lost answer", "a lost request", "another's deployment", "a throttle", "an unwatched operation"],
)
def test_what_gets_in_the_way_of_a_deployment_is_settled_in_the_same_run(desk: Desk, said: Said, rule: dict) -> None:  # type: ignore[type-arg]
    text = desk.run("export", "web-api").out
    desk.fault(rule)
    ended = said(text, "deploy", "-f", "-", "--yes")
    assert ended.status == 0, ended.words
    assert [one for one in desk.effects() if one.startswith("group.")] == ["group.put"]
    assert "no change" in said(text, "deploy", "-f", "-", "--what-if").words
    assert desk.unharmed()


def test_an_operation_that_fails_is_said_and_the_next_run_puts_again(desk: Desk, said: Said) -> None:
    text = desk.run("export", "web-api").out
    desk.fault({"on": "aci.groups.put", "nth": 1, "outcome": "operation-failed"})
    ended = said(text, "deploy", "-f", "-", "--yes")
    assert ended.status == 4, ended.words
    assert "was deployed, and failed" in ended.words
    assert "Nothing is put back" in ended.words
    desk.fault()
    again = said(text, "deploy", "-f", "-", "--yes")
    assert again.status == 0, again.words
    assert desk.effects().count("group.put") == 2


def test_a_group_that_somebody_changes_after_the_preview_is_not_put(desk: Desk, said: Said) -> None:
    text = desk.run("export", "payments-ledger").out
    group = desk.world.groups.by_id[desk.group("payments-ledger")]

    def meanwhile() -> None:
        group.document.setdefault("tags", {})["owner"] = "somebody"
        group.shown.clear()

    # The storage account's key is read after the yes, and before anything is sent.
    desk.once("keys.listed", meanwhile)
    ended = said(text, "deploy", "-f", "-", "--yes")
    assert ended.status == 4, ended.words
    assert "was changed since it was looked at; nothing was put" in ended.words
    assert "group.put" not in desk.effects()


@pytest.mark.parametrize(
    ("rule", "status", "sentence"),
    [
        ({"status": 400, "code": "InaccessibleImage"}, 4, "changed nothing: Azure Container Instances answered 400"),
        ({"status": 400, "code": "ContainerGroupQuotaReached"}, 4, "Ask Azure for a higher quota"),
        ({"status": 403, "code": "AuthorizationFailed"}, 3, "Microsoft.ContainerInstance/containerGroups/write is missing"),
    ],
)
def test_what_azure_refuses_is_one_sentence_and_changes_nothing(
    desk: Desk,
    said: Said,
    rule: dict[str, object],
    status: int,
    sentence: str,
) -> None:
    text = desk.run("export", "web-api").out
    desk.fault({"on": "aci.groups.put", **rule})
    ended = said(text, "deploy", "-f", "-", "--yes")
    assert ended.status == status, ended.words
    assert sentence in ended.words
    assert "group.put" not in desk.effects()


def test_a_group_of_which_the_job_has_ended_is_deployed_as_a_new_one(desk: Desk, said: Said) -> None:
    text = desk.run("export", "worker-backfill").out
    bigger = said(text.replace("cpu: 0.5", "cpu: 1.5"), "deploy", "-f", "-", "--what-if")
    assert "cpu: 0.5 -> 1.5" in bigger.words
    assert bigger.status == 0, bigger.words
    assert "would be started" in bigger.words
    assert "delete and create" not in bigger.words


def test_a_region_that_changes_and_a_place_that_does_not_exist_are_found_before_anything_is_sent(desk: Desk, said: Said) -> None:
    text = desk.run("export", "web-api").out
    moved = said(text.replace("location: westeurope", "location: northeurope"), "deploy", "-f", "-", "--what-if")
    assert moved.status == 4
    assert "region (westeurope to northeurope)" in moved.words
    subscription = desk.group("web-api").split("/")[2]
    where = ("-g", "rg-nowhere", "--subscription", subscription)
    nowhere = said(new_group(desk), "deploy", "-f", "-", "--what-if", *where)
    assert nowhere.status == 2
    assert "there is no resource group rg-nowhere" in nowhere.words
    assert "az group create" in nowhere.words


def test_every_group_is_exported_and_deployed_without_a_change_and_a_second_time_without_a_put(desk: Desk) -> None:
    file = desk.folder / "rotator.yaml"
    file.write_text(yaml.safe_dump(desk.settings))
    with opened(settings_of(file), Level.WARNING) as application:
        estate = application.estate()
        deployments = replace(application.deployments, read=lambda: estate)
        texts = {one.name: deployments.export(deployments.group(one.id.text, estate)) for one in estate.groups}
        whole = {name: text for name, text in texts.items() if "${vault:?}" not in text}
        looked = 0
        for name, text in whole.items():
            with contextlib.suppress(ConfigError):  # the vault's secret has ended
                made = deployments.prepare(text, name)
                assert (made.difference.changes, made.difference.lost, made.difference.recreate) == ((), (), ()), name
                looked += 1
        assert looked > 15
        running = [name for name, text in whole.items() if desk.world.groups.by_id[desk.group(name)].stopped_at is None]
        for name in running[:8]:
            with contextlib.suppress(ConfigError, VerificationFailed):
                deployments.deploy(deployments.prepare(whole[name], name))
                assert deployments.prepare(whole[name], name).since or "-keys:" in whole[name], name
    assert desk.sandbox.oracle.report()["lost_properties"] == []
