"""The program from the outside: what it prints, what it writes, and how it exits."""

import json
import signal
import socket
from pathlib import Path

import httpx
import jsonschema
import pytest
import yaml

from tests.e2e.conftest import Shell

VERBS = ("demo", "audit", "plan", "rotate", "run", "serve", "status", "history", "config", "sandbox", "completion", "version")
GUID = "5f0c7a1e-0000-4000-8000-000000000001"
SETTINGS = {"tenant_id": GUID, "scope": {"subscriptions": [GUID]}, "vault": {"url": "https://kv-demo.vault.azure.net"}}


def test_help_names_every_verb_and_every_exit_status(shell: Shell) -> None:
    ended = shell.run("--help")
    assert ended.status == 0
    assert all(f" {verb} " in ended.out for verb in VERBS)
    assert "Exit status: 0 in order; 1 findings" in " ".join(ended.out.split())
    assert max(len(line) for line in ended.out.splitlines()) <= 80


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(shell: Shell, verb: str) -> None:
    assert shell.run(verb, "--help").status == 0


def test_the_version_is_printed(shell: Shell) -> None:
    assert shell.run("version").out.startswith("rotator 0.")
    assert "version" in json.loads(shell.run("version", "--json").out)


def test_a_completion_script_is_printed(shell: Shell) -> None:
    assert "_ROTATOR_COMPLETE" in shell.run("completion", "bash").out


@pytest.mark.parametrize(
    ("text", "sentence"),
    {
        "a mistyped key": (yaml.safe_dump(SETTINGS | {"vualt": {}}), "vualt is no setting; did you mean vault?"),
        "a missing key": ("tenant_id: " + GUID, "vault is missing"),
        "no YAML": ("tenant_id: [", "this is no YAML"),
        "a bad duration": (yaml.safe_dump(SETTINGS | {"rotation": {"soak": "soon"}}), "a duration is written like 90d"),
    }.values(),
)
def test_a_wrong_configuration_is_one_sentence(shell: Shell, text: str, sentence: str) -> None:
    (shell.folder / "rotator.yaml").write_text(text)
    for verb in (("config", "check"), ("audit",)):
        ended = shell.run(*verb)
        assert ended.status == 2
        assert sentence in ended.err
        assert ended.err.startswith("error: rotator.yaml")
        assert "Traceback" not in ended.err


def test_without_a_configuration_it_says_what_to_do(shell: Shell) -> None:
    ended = shell.run("audit")
    assert ended.status == 2
    assert "there is no configuration file rotator.yaml" in ended.err
    assert "--config" in ended.err


def test_debugging_shows_where_an_error_came_from(shell: Shell) -> None:
    assert "Traceback" in shell.run("audit", "--log-level", "debug").err


def test_a_good_configuration_is_checked_without_a_cloud(shell: Shell) -> None:
    (shell.folder / "mine.yaml").write_text(yaml.safe_dump(SETTINGS))
    ended = shell.run("config", "check", "--config", "mine.yaml")
    assert (ended.status, ended.err) == (0, "")
    assert "1 subscription, vault https://kv-demo.vault.azure.net" in ended.out


def test_the_schema_accepts_what_the_program_accepts(shell: Shell) -> None:
    schema = json.loads(shell.run("config", "schema").out)
    jsonschema.validate(SETTINGS, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(SETTINGS | {"vualt": {}}, schema)


@pytest.mark.parametrize("arguments", [("nothing",), ("audit", "--nothing"), ("run",), ("rotate", "p.json", "--force")])
def test_wrong_usage_exits_with_two(shell: Shell, arguments: tuple[str, ...]) -> None:
    ended = shell.run(*arguments)
    assert ended.status == 2
    assert "Traceback" not in ended.err


def test_without_a_sandbox_it_says_how_to_start_one(shell: Shell) -> None:
    ended = shell.run("sandbox", "env")
    assert ended.status == 2
    assert "rotator sandbox up" in ended.err


def test_the_demo_keeps_every_promise(shell: Shell) -> None:
    ended = shell.run("demo", "--directory", "demo")
    assert ended.status == 0, ended.out + ended.err
    assert ended.err == ""
    assert "every promise kept" in ended.out
    page = (shell.folder / "demo" / "report.html").read_text()
    assert "What the oracle measured" in page
    log = (shell.folder / "demo" / "rotator.log").read_text().splitlines()
    assert all(json.loads(line)["timestamp"].endswith("Z") for line in log)


def test_an_operators_day(sandboxed: Shell, tmp_path: Path) -> None:
    audited = sandboxed.run("audit", "--report", "report.json")
    assert audited.status == 3, audited.err  # the demo estate holds things that nobody can judge
    assert "credential-expired" in audited.out
    assert json.loads((tmp_path / "report.json").read_text())["summary"]["groups"] == 37

    assert sandboxed.run("plan", "--save", "plan.json").status == 0
    asked = sandboxed.run("rotate", "plan.json")
    assert asked.status == 2
    assert "Give --yes" in asked.err

    carried_out = sandboxed.run("rotate", "plan.json", "--yes", "--metrics-file", "metrics.prom", "--log-level", "error")
    assert carried_out.status == 4  # two rotations of the demo estate wait for a person
    assert "the new credential is in use" in " ".join(carried_out.out.split())
    assert 'rotator_redeploys_total{result="success"}' in (tmp_path / "metrics.prom").read_text()

    again = sandboxed.run("rotate", "plan.json", "--yes")
    assert again.status == 2
    assert "the estate has changed since the plan was made" in again.err

    standing = json.loads(sandboxed.run("status", "--json").out)
    assert standing["soaking"]
    assert {one["principal"].split("/")[-1] for one in standing["held"]} == {"aci-batch-pull", "aci-sealed-pull"}

    remembered = json.loads(sandboxed.run("history", "--json", "-n", "50").out)
    assert {"soaking", "held", "success"} <= {one["result"] for one in remembered if one["what"] == "rotation"}

    once = sandboxed.run("run", "--once", "--json", "--fail-on", "never", "--log-level", "error")
    assert once.status == 4
    assert json.loads(once.out)["summary"]["due"] == 0


def test_rotate_and_wait_ends_the_old_credential(sandboxed: Shell) -> None:
    ended = sandboxed.run("rotate", "--only", "*/aci-gateway-pull", "--yes", "--wait")
    assert ended.status == 0, ended.err
    assert "the old secret is ended" in " ".join(ended.out.split())


def test_the_service_works_and_stops_when_told(sandboxed: Shell) -> None:
    port = _free_port()
    served = Shell(
        sandboxed.folder, {**sandboxed.environment, "ROTATOR_SERVICE__HOST": "127.0.0.1", "ROTATOR_SERVICE__PORT": str(port)}
    )
    running = served.start("serve")
    try:
        transport = httpx.HTTPTransport(retries=8)  # the port opens a moment after the process starts
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", transport=transport, timeout=60) as browser:
            assert browser.get("/healthz").text == "ok\n"
            assert "rotator_build_info" in browser.get("/metrics").text
            assert set(browser.get("/api/status").json()["next_runs"]) == {"audit", "rotate"}
    finally:
        running.send_signal(signal.SIGTERM)
        _, err = running.communicate(timeout=60)
    assert running.returncode == 0, err
    entries = [json.loads(line) for line in err.splitlines()]
    assert [one["event"] for one in entries if one["logger"] == "rotator.service.serve"] == ["serving", "stopping"]
    assert not [one for one in entries if one["level"] in ("warning", "error")]


def test_a_cloud_that_is_away_is_said_in_a_sentence(shell: Shell) -> None:
    away = f"127.0.0.1:{_free_port()}"
    # With the sandbox's clock away too, nothing is waited for between the tries.
    nowhere = {"network": {"resolve": {"*": away}}, "clock": {"control_url": f"https://{away}"}}
    (shell.folder / "rotator.yaml").write_text(yaml.safe_dump(SETTINGS | nowhere))
    ended = shell.run("audit")
    assert ended.status == 3
    assert ended.err.startswith("error: ")
    assert "Traceback" not in ended.err


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port
