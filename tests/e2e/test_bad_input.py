"""What people do wrong, and what clouds do to them: one sentence that names the thing and what to do, and nothing half done."""

import json
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import trustme
from filelock import FileLock

from rotator.history import database
from rotator.sandbox.clouds.arm.roles import KEY_VAULT_SECRETS_OFFICER, KEY_VAULT_SECRETS_USER
from tests.e2e.desk import Desk, Ended

GUID = "5f0c7a1e-0000-4000-8000-000000000001"
ETL = ("rotate", "--yes", "--only", "*/aci-etl-pull")
TRANSITION = {
    "on": "aci.groups.put",
    "status": 409,
    "code": "ContainerGroupTransitioning",
    "message": "The container group 'etl-hourly' is still transitioning, please retry later.",
}
QUOTA = {
    "on": "aci.groups.put",
    "status": 409,
    "code": "ContainerGroupQuotaReached",
    "message": "Resource type 'Microsoft.ContainerInstance/containerGroups' container group quota 'StandardCores' exceeded in "
    "region 'westeurope'. Limit: '10', Usage: '10' Requested: '1'.",
}

Given = Callable[[Desk], None]


def expect(ended: Ended, status: int, *sentences: str) -> None:
    assert ended.status == status, ended.words
    assert "Traceback" not in ended.words
    assert "this is a bug" not in ended.words
    for sentence in sentences:
        assert sentence in ended.words, ended.words


def written(desk: Desk, name: str, text: str) -> str:
    file = desk.folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return str(file)


# --- what stands in the configuration ---


def strange_authority(desk: Desk) -> None:
    trustme.CA().cert_pem.write_to_path(desk.folder / "strange.pem")
    desk.configure(network={"ca_file": str(desk.folder / "strange.pem")})


@pytest.mark.parametrize(
    ("given", "status", "sentences"),
    {
        "a certificate file that is not there": (
            lambda desk: desk.configure(network={"ca_file": "none.pem"}),
            2,
            ["network.ca_file: none.pem cannot be read: No such file", "Name a PEM file"],
        ),
        "a certificate file without a certificate": (
            lambda desk: desk.configure(network={"ca_file": written(desk, "ca.pem", "hello")}),
            2,
            ["network.ca_file:", "ca.pem holds no certificate"],
        ),
        "another authority's certificate": (strange_authority, 3, ["could not be reached"]),
        "an address that is none": (
            lambda desk: desk.configure(network={"resolve": {"*.vault.azure.net": ""}}),
            2,
            ["network.resolve: *.vault.azure.net: '' is no address; write ip or ip:port"],
        ),
        "a state directory that cannot be made": (
            lambda desk: desk.configure(state={"directory": written(desk, "file", "") + "/state"}),
            2,
            ["state.directory:", "file/state cannot be made: Not a directory"],
        ),
        "a history that is no database": (
            lambda desk: written(desk, "state/history.sqlite", "rubbish " * 1000),
            2,
            ["history.sqlite is damaged", "Move it away and run again; the evidence in it is lost, and the new log says so"],
        ),
        "a journal that is no database": (
            lambda desk: written(desk, "state/journal.sqlite", "rubbish " * 1000),
            2,
            ["journal.sqlite is damaged", "the vault says where each rotation stands"],
        ),
        "a history that is nowhere": (
            lambda desk: desk.configure(state={"history_url": "postgresql+nothing://x/y"}),
            2,
            ["state.history_url names no database that can be reached"],
        ),
        "a folder of policies that is not there": (
            lambda desk: desk.configure(policies={"directories": ["nowhere"]}),
            2,
            ["nowhere: there is no such folder of policies"],
        ),
        "a policy without a severity": (
            lambda desk: desk.configure(
                policies={"directories": [str(Path(written(desk, "rules/mine.yaml", "id: mine\ntitle: x\n")).parent)]}
            ),
            2,
            ["rules/mine.yaml:1: the key 'severity' is missing"],
        ),
    }.values(),
)
def test_a_configuration_that_cannot_be_used(desk: Desk, given: Given, status: int, sentences: list[str]) -> None:
    given(desk)
    for command in (("audit",), ("rotate", "--yes")):
        expect(desk.run(*command), status, *sentences)
    assert desk.effects() == []


def test_a_waiver_that_cannot_be_read_excuses_nothing(desk: Desk) -> None:
    desk.configure(
        policies={"built_in": True, "waivers": written(desk, "mine.yaml", "waivers:\n- id: a\n  policy: credential-expired\n")}
    )
    expect(desk.run("config", "check"), 2, "mine.yaml:2: the key 'scope' is missing; it excuses nothing")
    expect(desk.run("audit"), 3, "A waiver cannot be read and excuses nothing", "mine.yaml:2: the key 'scope' is missing")


def test_a_waiver_past_its_date_is_named(desk: Desk) -> None:
    waiver = "{id: W-1, policy: credential-expired, scope: '*', reason: r, approver: eve, ticket: T-9, expires_on: 2020-01-31}"
    desk.configure(policies={"built_in": True, "waivers": written(desk, "mine.yaml", f"waivers: [{waiver}]\n")})
    expect(desk.run("config", "check"), 0, "W-1: the waiver of credential-expired ended on 2020-01-31 (T-9, eve)")


def test_a_policy_that_fails_its_own_example_is_named(desk: Desk) -> None:
    source = Path(__file__).parent.parent.parent / "policies" / "acr-admin-user-enabled.yaml"
    text = source.read_text().replace("expression:", "expression: |\n  true ||", 1).replace("|\n  true || |", "|\n  true ||", 1)
    desk.configure(policies={"built_in": False, "directories": [str(Path(written(desk, f"r/{source.name}", text)).parent)]})
    expect(desk.run("config", "check"), 2, "Readable: ", "acr-admin-user-enabled answers fail where its example says pass")


def test_a_history_that_another_program_holds(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.1)
    file = written(desk, "state/history.sqlite", "")
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("CREATE TABLE t (x)")
    other.execute("BEGIN EXCLUSIVE")
    try:
        expect(desk.run("audit"), 2, "history.sqlite is locked by another program", "Wait for it to end")
    finally:
        other.close()


# --- who rotator is, and what it may do ---


def no_vault_writing(desk: Desk) -> None:
    arm = desk.world.arm
    desk.unassign(KEY_VAULT_SECRETS_OFFICER)
    reader = replace(arm.roles[KEY_VAULT_SECRETS_USER], id=GUID, name="Reader of secrets")
    arm.roles[GUID] = reader
    arm.assign(desk.sandbox.estate.principal_id, GUID, desk.world.vaults.vault("kv-demo").resource_id)


@pytest.mark.parametrize(
    ("given", "sentences"),
    {
        "the client id of nobody": (
            lambda desk: desk.configure(identity={"client_id": GUID}),
            ["No identity could be found", "Check identity.kind and identity.client_id"],
        ),
        "a subscription that rotator does not see": (
            lambda desk: desk.configure(scope={"subscriptions": [GUID]}),
            [f"subscription {GUID}", "SubscriptionNotFound"],
        ),
        "no permission to read groups": (
            lambda desk: desk.forbid("containerGroups/read"),
            ["Grant Microsoft.ContainerInstance/containerGroups/read", "docs/permissions.md"],
        ),
        "no role at the vault": (
            lambda desk: desk.unassign(KEY_VAULT_SECRETS_OFFICER),
            ["Grant Microsoft.KeyVault/vaults/secrets/readMetadata/action", "Key Vault Secrets Officer"],
        ),
        "no permission in the directory": (
            lambda desk: desk.world.graph._principals[desk.sandbox.estate.principal_id].permissions.clear(),
            ["Grant Application.Read.All (Microsoft Graph application permission)"],
        ),
        "a vault that does not exist": (
            lambda desk: desk.configure(vault={"url": "https://kv-nothing.vault.azure.net"}),
            ["https://kv-nothing.vault.azure.net", "VaultNotFound"],
        ),
        "a vault that cannot be reached": (
            lambda desk: desk.configure(network={"resolve": {"kv-demo.*": "127.0.0.1:9", "*": desk.sandbox.address}}),
            ["Key Vault could not be reached", "https://kv-demo.vault.azure.net", "Check the network path"],
        ),
    }.values(),
)
def test_what_cannot_be_read_is_said_and_nothing_is_done_about_it(desk: Desk, given: Given, sentences: list[str]) -> None:
    given(desk)
    audited = desk.run("audit", "--fail-on", "never")
    expect(audited, 3, "Could not be read; nothing is known about these", *sentences)
    assert audited.out.count("Could not be read; nothing is known") == 1
    assert audited.err == ""


@pytest.mark.parametrize(
    ("given", "named", "effects"),
    {
        "no permission to put groups": (
            lambda desk: desk.forbid("containerGroups/write"),
            "Microsoft.ContainerInstance/containerGroups/write",
            {"registry.password.issued", "vault.secret.set", "vault.secret.updated"},
        ),
        "no permission to make passwords": (
            lambda desk: desk.forbid("generateCredentials/action"),
            "Microsoft.ContainerRegistry/registries/generateCredentials/action",
            {"vault.secret.set"},  # it is announced there before it is made
        ),
        "no permission to write secrets": (no_vault_writing, "Key Vault answered 403", set()),
    }.values(),
)
def test_a_missing_permission_stops_a_rotation_without_harm(desk: Desk, given: Given, named: str, effects: set[str]) -> None:
    given(desk)
    expect(desk.run(*ETL), 4, "failed", named)
    assert set(desk.effects()) == effects
    assert desk.unharmed()


def test_without_permission_to_end_passwords_the_old_one_stays_and_is_shown(desk: Desk) -> None:
    desk.configure(rotation={"soak": "30m"})
    desk.forbid("tokens/write")
    ended = desk.run("rotate", "--yes", "--wait", "--only", "*/aci-gateway-pull")
    expect(ended, 4, "retire password (token aci-gateway-pull", "Microsoft.ContainerRegistry/registries/tokens/write")
    expect(desk.run("status"), 4, "aci-gateway-pull", "old credential of")
    assert desk.unharmed()


# --- plans ---


@pytest.mark.parametrize(
    ("text", "sentence"),
    {
        "no JSON": ('{"made_at": 3', "plan.json: this is no saved plan: the text: Invalid JSON"),
        "JSON of something else": ("[1]", "plan.json: this is no saved plan: the text: Input should be an object"),
        "a plan without its end": ('{"made_at": "2026-01-01T00:00:00Z"}', "plan.json: this is no saved plan: items"),
    }.values(),
)
def test_what_is_no_plan_is_refused_before_a_cloud_is_asked(desk: Desk, text: str, sentence: str) -> None:
    desk.configure(network={"resolve": {"*": "127.0.0.1:9"}}, clock={"control_url": None})
    expect(desk.run("rotate", written(desk, "plan.json", text), "--yes"), 2, sentence, "Make one with rotator plan --save FILE.")


def test_a_plan_that_is_not_there(desk: Desk) -> None:
    expect(desk.run("rotate", "nowhere.json", "--yes"), 2, "the plan nowhere.json cannot be read: No such file")


def test_the_plan_of_another_estate_is_refused(desk: Desk) -> None:
    plan = str(desk.folder / "plan.json")
    assert desk.run("plan", "--save", plan).status == 0
    desk.configure(scope={"subscriptions": desk.settings["scope"]["subscriptions"][1:]})
    expect(desk.run("rotate", plan, "--yes"), 2, "the estate has changed since the plan was made", "Make a new plan")
    assert desk.effects() == []


def test_a_plan_with_a_group_that_was_deleted_since_is_refused(desk: Desk) -> None:
    plan = str(desk.folder / "plan.json")
    assert desk.run("plan", "--save", plan).status == 0
    desk.delete("web-internal")
    expect(desk.run("rotate", plan, "--yes"), 2, "aci-web-pull is no longer used by web-internal", "Make a new plan")
    assert desk.effects() == []


def test_a_credential_that_nobody_has_is_named(desk: Desk) -> None:
    for verb in (("plan",), ("rotate", "--yes")):
        expect(
            desk.run(*verb, "--only", "aci-web-pul"),
            2,
            "--only aci-web-pul: no credential has this id; did you mean acr-token:contosoplatform.azurecr.io/aci-web-pull?",
        )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    {
        "a report without an ending": (("--report", "audit"), "audit: a report ends in .html or .json"),
        "a report where nobody may write": (("--report", "/proc/none/audit.html"), "/proc/none/audit.html cannot be written"),
        "metrics where nobody may write": (("--metrics-file", "/proc/none/m.prom"), "/proc/none/m.prom cannot be written"),
    }.values(),
)
def test_a_file_that_cannot_be_written_is_refused_before_anything_is_done(
    desk: Desk, arguments: tuple[str, ...], sentence: str
) -> None:
    expect(desk.run("run", "--once", *arguments), 2, sentence)
    assert desk.effects() == []


# --- what happens meanwhile ---


def test_a_group_that_is_deleted_during_its_rotation_is_left(desk: Desk) -> None:
    desk.once("registry.password.issued", lambda: desk.delete("etl-hourly"))
    expect(desk.run(*ETL), 0, "etl-hourly: left: deleted since the plan", "1 group left: rg-data-prod/etl-hourly")
    assert desk.unharmed()


def test_a_group_in_transition_is_waited_for(desk: Desk) -> None:
    desk.fault(*(TRANSITION | {"nth": number} for number in (1, 2, 3)))
    expect(desk.run(*ETL), 0, "2 groups moved")
    assert desk.unharmed()


@pytest.mark.parametrize(
    ("fault", "sentence"),
    {
        "a group that stays in transition": (TRANSITION, "ContainerGroupTransitioning to redeploy (group etl-hourly)"),
        "a region without room": (QUOTA, "container group quota 'StandardCores' exceeded in region 'westeurope'"),
    }.values(),
)
def test_a_group_that_cannot_be_put_keeps_its_credential(desk: Desk, fault: dict[str, object], sentence: str) -> None:
    desk.fault(fault)
    expect(desk.run(*ETL), 4, sentence, "etl-hourly")
    assert "group.put" not in desk.effects()
    assert desk.unharmed()


def test_an_image_that_is_gone_leaves_its_group_alone(desk: Desk) -> None:
    etl = next(one for one in desk.world.registries.acr.values() if one.name == "contosodata")
    del etl.repositories["data/etl"]
    ended = desk.run(*ETL)
    expect(ended, ended.status, "data/etl:v1", "etl-hourly")
    assert ended.status in (0, 4)
    assert "etl-hourly" not in json.dumps([one.facts for one in desk.world.events.of("group.put")])
    assert desk.unharmed()


def test_a_second_rotator_on_the_same_journal_does_nothing(desk: Desk) -> None:
    (desk.folder / "state").mkdir()
    with FileLock(desk.folder / "state" / "journal.sqlite.lock"):
        expect(desk.run(*ETL), 4, "another rotator works on the journal", "state/journal.sqlite", "Wait for the other process")
    assert desk.effects() == []


# --- the sandbox itself ---


@pytest.mark.parametrize(
    ("text", "sentence"),
    {
        "no JSON": ("[", "faults.json:1: this is no JSON"),
        "a number": ("3", "faults.json holds no list of fault rules"),
        "a list of numbers": ("[1]", "faults.json holds no list of fault rules"),
        "an unknown key": ('[{"on": "*", "nope": 1}]', "faults.json: fault rule: unknown ['nope']"),
        "no operation": ('[{"nth": 1}]', "faults.json: fault rule: 'on' is missing"),
    }.values(),
)
def test_a_fault_plan_that_cannot_be_read(desk: Desk, text: str, sentence: str) -> None:
    expect(desk.sandbox_verb("up", "--faults", written(desk, "faults.json", text)), 2, sentence)


def test_an_estate_that_nobody_knows(desk: Desk) -> None:
    expect(desk.sandbox_verb("up", "--estate", "nothing"), 2, "there is no estate 'nothing'", "demo, empty, network, scale")


def test_a_port_that_is_taken(desk: Desk) -> None:
    port = desk.sandbox.address.rpartition(":")[2]
    expect(desk.sandbox_verb("up", "--port", port), 2, f"port {port} is in use", "--port")
    desk.configure(service={"host": "127.0.0.1", "port": int(port)})
    expect(desk.run("serve"), 2, f"service.port: port {port} of 127.0.0.1 is in use")
    assert desk.effects() == []


@pytest.mark.parametrize("verb", ["env", "oracle", "clock"])
def test_without_a_sandbox_each_verb_says_how_to_start_one(desk: Desk, verb: str) -> None:
    expect(desk.sandbox_verb(verb), 2, "no sandbox runs in", "rotator sandbox up --directory")


def test_a_sandbox_that_ended_without_a_word(desk: Desk) -> None:
    written(desk, "sandbox/sandbox.json", json.dumps({"control": "https://127.0.0.1:9", "environment": {}}))
    (desk.folder / "sandbox" / "ca.pem").write_bytes(desk.sandbox.ca_file.read_bytes())
    expect(desk.sandbox_verb("oracle"), 2, "no longer answers at https://127.0.0.1:9", "rotator sandbox up")


def test_a_duration_that_is_none(desk: Desk) -> None:
    written(desk, "sandbox/sandbox.json", json.dumps({"control": desk.sandbox.control_url, "environment": {}}))
    (desk.folder / "sandbox" / "ca.pem").write_bytes(desk.sandbox.ca_file.read_bytes())
    expect(desk.sandbox_verb("clock", "--advance", "soon"), 2, "--advance soon: a duration is written like 90d, 12h")
