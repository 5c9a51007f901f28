"""The program from the outside: what it prints, what it writes, and how it exits."""

import json
from datetime import datetime, timedelta
from pathlib import Path

import jsonschema
import pytest
import yaml

from tests.e2e.conftest import Demonstration, Served, Shell, free_port
from tests.e2e.desk import Desk, run

VERBS = (
    *("demo", "audit", "plan", "rotate", "run", "serve", "status", "resume", "roll-back", "abandon", "revoke"),
    *("history", "evidence", "config", "sandbox", "completion", "version"),
)
CLOCK_TIMES = tuple("012")  # a line of progress begins with one, and is as long as it is
GUID = "5f0c7a1e-0000-4000-8000-000000000001"
SETTINGS = {"tenant_id": GUID, "scope": {"subscriptions": [GUID]}, "vault": {"url": "https://kv-demo.vault.azure.net"}}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, 80 columns wide and without colour."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    return tmp_path


def test_the_installed_program_names_every_verb_and_every_exit_status(shell: Shell) -> None:
    ended = shell.run("--help")
    assert ended.status == 0
    assert all(f" {verb} " in ended.out for verb in VERBS)
    assert "Exit status: 0 in order; 1 findings" in ended.words
    assert max(len(line) for line in ended.out.splitlines()) <= 80


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(folder: Path, verb: str) -> None:
    assert run(verb, "--help").status == 0


@pytest.mark.parametrize(
    "verb",
    ["audit", "plan", "rotate", "run", "status", "resume", "roll-back", "abandon", "revoke", "history", "demo", "version"],
)
def test_what_the_readme_says_of_options(folder: Path, verb: str) -> None:
    """All verbs about an estate take --config; all but `serve` take --json."""
    told = run(verb, "--help").out
    assert "--json" in told
    assert ("--config" in told) == (verb not in ("demo", "version"))


def test_the_version_is_printed(folder: Path) -> None:
    assert run("version").out.startswith("rotator 0.")
    assert "version" in json.loads(run("version", "--json").out)


@pytest.mark.parametrize(
    ("text", "sentence"),
    {
        "a mistyped key": (yaml.safe_dump(SETTINGS | {"vualt": {}}), "vualt is no setting; did you mean vault?"),
        "a missing key": ("tenant_id: " + GUID, "vault is missing"),
        "no YAML": ("tenant_id: [", "this is no YAML"),
        "a bad duration": (yaml.safe_dump(SETTINGS | {"rotation": {"soak": "soon"}}), "a duration is written like 90d"),
    }.values(),
)
def test_a_wrong_configuration_is_one_sentence(folder: Path, text: str, sentence: str) -> None:
    (folder / "rotator.yaml").write_text(text)
    for verb in (("config", "check"), ("audit",)):
        ended = run(*verb)
        assert ended.status == 2
        assert sentence in ended.err
        assert ended.err.startswith("error: rotator.yaml")
        assert "Traceback" not in ended.err


def test_without_a_configuration_it_says_what_to_do(folder: Path) -> None:
    ended = run("audit")
    assert ended.status == 2
    assert "there is no configuration file rotator.yaml" in ended.err
    assert "--config" in ended.err


def test_debugging_shows_where_an_error_came_from(folder: Path) -> None:
    assert "Traceback" in run("audit", "--log-level", "debug").err


def test_a_good_configuration_is_checked_without_a_cloud(folder: Path) -> None:
    (folder / "mine.yaml").write_text(yaml.safe_dump(SETTINGS))
    ended = run("config", "check", "--config", "mine.yaml")
    assert (ended.status, ended.err) == (0, "")
    assert "In order: 1 subscription, vault https://kv-demo.vault.azure.net, " in ended.words
    checked = json.loads(run("config", "check", "--config", "mine.yaml", "--json").out)
    assert checked["ok"]
    assert checked["examples"] >= 3 * len(checked["policies"]) >= 30
    assert checked["problems"] == checked["notes"] == []


def test_the_schema_accepts_what_the_program_accepts(folder: Path) -> None:
    schema = json.loads(run("config", "schema").out)
    jsonschema.validate(SETTINGS, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(SETTINGS | {"vualt": {}}, schema)


@pytest.mark.parametrize("arguments", [("nothing",), ("audit", "--nothing"), ("run",), ("rotate", "p.json", "--force")])
def test_wrong_usage_exits_with_two(folder: Path, arguments: tuple[str, ...]) -> None:
    ended = run(*arguments)
    assert ended.status == 2
    assert "Traceback" not in ended.err


def test_the_demo_keeps_every_promise(demonstration: Demonstration) -> None:
    ended = demonstration.ended
    assert ended.status == 0, ended.out + ended.err
    assert ended.err == ""
    assert "every promise kept" in ended.out
    assert max(len(line) for line in ended.out.splitlines() if not line.startswith(CLOCK_TIMES)) <= 80
    assert "What the oracle measured" in demonstration.page.read_text()
    log = (demonstration.folder / "rotator.log").read_text().splitlines()
    assert all(json.loads(line)["timestamp"].endswith("Z") for line in log)


def test_an_operators_day(desk: Desk) -> None:
    desk.configure(policies={"built_in": True})
    report, plan, metrics = (str(desk.folder / name) for name in ("report.json", "plan.json", "metrics.prom"))
    audited = desk.run("audit", "--report", report)
    assert audited.status == 3, audited.err  # the demo estate holds things that nobody can judge
    assert "credential-expired" in audited.out
    assert json.loads(Path(report).read_text())["summary"]["groups"] == 37

    assert desk.run("plan", "--save", plan).status == 0
    asked = desk.run("rotate", plan)
    assert asked.status == 2
    assert "Give --yes" in asked.err

    carried_out = desk.run("rotate", plan, "--yes", "--metrics-file", metrics, "--log-level", "error")
    assert carried_out.status == 4  # two rotations of the demo estate wait for a person
    assert "the new credential is in use" in carried_out.words
    assert 'rotator_redeploys_total{result="success"}' in Path(metrics).read_text()

    again = desk.run("rotate", plan, "--yes")
    assert again.status == 2
    assert "the estate has changed since the plan was made" in again.err

    standing = json.loads(desk.run("status", "--json").out)
    assert standing["soaking"]
    held = {one["principal"].split("/")[-1] for one in standing["held"]}
    assert held == {"aci-batch-pull", "aci-sealed-pull", "contoso-bot", "ci"}

    remembered = json.loads(desk.run("history", "--json", "-n", "50").out)
    assert {"soaking", "held", "success"} <= {one["result"] for one in remembered if one["what"] == "rotation"}
    assert "soaking" in desk.run("history").out

    once = desk.run("run", "--once", "--json", "--fail-on", "never", "--log-level", "error")
    assert once.status == 4
    assert json.loads(once.out)["summary"]["due"] == 0
    assert desk.unharmed()


def test_a_rotation_beside_a_running_sandbox_and_its_oracle(sandboxed: Shell) -> None:
    hurried = Shell(sandboxed.folder, {**sandboxed.environment, "ROTATOR_ROTATION__SOAK": "30m"})
    ended = hurried.run("rotate", "--only", "*/aci-gateway-pull", "--yes", "--wait")
    assert ended.status == 0, ended.err
    assert "the old secret is ended" in ended.words
    told = hurried.run("sandbox", "oracle", "--directory", "clouds")
    assert told.status == 0, told.out + told.err
    assert "every promise kept" in told.out

    (hurried.folder / "note.txt").write_text("nothing of interest")
    before = json.loads(hurried.run("sandbox", "clock", "--directory", "clouds", "--json").out)["now"]
    after = json.loads(hurried.run("sandbox", "clock", "--directory", "clouds", "--advance", "40d", "--json").out)["now"]
    assert datetime.fromisoformat(after) - datetime.fromisoformat(before) >= timedelta(days=40)
    broken = hurried.run("sandbox", "oracle", "note.txt", "--directory", "clouds")
    assert broken.status == 4
    assert "A PROMISE WAS BROKEN" in broken.out
    assert "rg-data-prod/etl-hourly could not pull from contosodata" in broken.out


def test_the_service_works_and_stops_when_told(service: Served) -> None:
    assert service.pages["/healthz"] == "ok\n"
    assert service.pages["/readyz"] == "ready\n"
    assert "rotator_build_info" in service.pages["/metrics"]
    assert "Registry credentials of 37 container groups" in service.pages["/"]
    assert set(json.loads(service.pages["/api/status"])["next_runs"]) == {"audit", "rotate", "leases"}
    assert service.status == 0, service.err
    entries = [json.loads(line) for line in service.err.splitlines()]
    assert [one["event"] for one in entries if one["logger"] == "rotator.service.serve"] == ["serving", "stopping"]
    assert not [one for one in entries if one["level"] in ("warning", "error")]


def test_a_cloud_that_is_away_is_said_in_a_sentence(folder: Path) -> None:
    away = f"127.0.0.1:{free_port()}"
    # With the sandbox's clock away too, nothing is waited for between the tries.
    nowhere = {"network": {"resolve": {"*": away}}, "clock": {"control_url": f"https://{away}"}}
    (folder / "rotator.yaml").write_text(yaml.safe_dump(SETTINGS | nowhere))
    ended = run("audit")
    assert ended.status == 3
    assert ended.err.startswith("error: ")
    assert "Traceback" not in ended.err
