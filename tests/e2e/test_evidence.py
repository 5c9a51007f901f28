"""The evidence of real rotations against the emulated clouds, over HTTPS, looked at through the command line."""

import io
import json
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.desk import Desk, Ended, run

HEAD = "rotator-evidence-head"


def exported(desk: Desk) -> list[dict[str, Any]]:
    ended = desk_evidence(desk, "export")
    assert ended.status == 0, ended.err
    return [json.loads(line) for line in ended.out.splitlines()]


def desk_evidence(desk: Desk, *arguments: str) -> Ended:
    desk.run("history")  # writes the configuration file
    return run("evidence", *arguments, "--config", str(desk.folder / "rotator.yaml"))


def told(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the ids that the sandbox gives to answers from now on."""
    given: list[str] = []
    make: Callable[[], str] = desk.world.guid

    def guid() -> str:
        given.append(make())
        return given[-1]

    monkeypatch.setattr(desk.world, "guid", guid)
    return given


def soaked(desk: Desk) -> None:
    desk.world.clock.advance(3 * 3600)


def test_the_evidence_names_every_phase_with_handle_version_and_the_services_own_ids(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = told(desk, monkeypatch)
    assert desk.run("rotate", "--yes").status in {0, 4}
    soaked(desk)
    assert desk.run("rotate", "--yes").status in {0, 4}
    records = exported(desk)

    by_rotation: dict[str, list[dict[str, Any]]] = {}
    for one in records:
        if one.get("rotation"):
            by_rotation.setdefault(one["rotation"], []).append(one)
    whole = [steps for steps in by_rotation.values() if {"issue", "close"} <= {one["step"] for one in steps}]
    assert whole, "at least one rotation went from its announcement to its end"
    for steps in whole:
        kinds = [one["step"] for one in steps]
        assert {"announce", "issue", "stage", "verify", "promote", "soak", "retire", "close"} <= set(kinds)
        (issued,) = [one for one in steps if one["step"] == "issue"]
        for one in steps:
            if one["step"] in {"issue", "stage", "verify", "promote", "redeploy", "restart", "soak", "close"} and one["ok"]:
                assert one["handle"] == issued["handle"] or "left:" in one["detail"], one
            if one["step"] in {"announce", "stage", "verify", "promote", "soak", "disable"}:
                assert one["secret"], one
                assert one["version"] in versions(desk, one["secret"]), one
            if one["step"] in {"announce", "issue", "stage", "promote", "soak", "retire", "disable", "close"}:
                assert one["requests"], one
        assert all(one["handle"] not in ("", issued["handle"]) for one in steps if one["step"] == "retire")
    assert "disable" in {one["step"] for one in records}, "where the vault held the old secret"
    named = [request for one in records for request in one.get("requests", ())]
    assert any(one.startswith("container-instances redeploy 20") for one in named)
    assert any(one.startswith("key-vault write-secret 200") for one in named)
    assert all(any(part in ids for part in one.split()) for one in named), "each id was really sent by a service"
    assert {one["actor"]["verb"] for one in records} == {"rotate"}
    assert {one["actor"]["identity"] for one in records} == {"managed-identity"}
    assert desk.unharmed()


def versions(desk: Desk, name: str) -> set[str]:
    with desk.world.lock:
        return {one.version for one in desk.world.vaults.vault("kv-demo").secrets[name.lower()].versions}


def test_the_log_is_whole_and_the_vault_agrees(desk: Desk) -> None:
    desk.run("rotate", "--yes")
    ended = desk_evidence(desk, "verify")
    assert ended.status == 0, ended.words
    assert "The chain is intact." in ended.out
    assert re.search(r"The vault knows of record \d+, hash [0-9a-f]{64}\.", ended.out)
    said = json.loads(desk_evidence(desk, "verify", "--json").out)
    assert (said["intact"], said["examination"]["unanchored"]) == (True, 0)
    assert desk.unharmed()


def test_what_was_cut_off_is_found_through_the_vault_and_only_through_it(desk: Desk) -> None:
    desk.run("rotate", "--yes")
    with sqlite3.connect(desk.folder / "state" / "history.sqlite") as database:
        database.execute("delete from rotator_evidence where seq > 5")
    assert desk_evidence(desk, "verify", "--offline").status == 0
    ended = desk_evidence(desk, "verify")
    assert ended.status == 1
    assert "Record 6: cut off: the vault knows of record" in ended.words
    audited = desk.run("audit", "--metrics-file", str(desk.folder / "metrics.prom"))
    assert audited.status in {0, 1, 3}
    assert "rotator_audit_log_verified 0.0" in (desk.folder / "metrics.prom").read_text()


def test_an_export_is_checked_without_a_configuration(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.run("rotate", "--yes")
    file = tmp_path / "evidence.jsonl"
    assert desk_evidence(desk, "export", "-o", str(file)).status == 0
    desk.sandbox.oracle.scan(file.read_bytes(), str(file))
    monkeypatch.delenv("ROTATOR_CONFIG", raising=False)
    assert run("evidence", "verify", "--file", str(file)).status == 0
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join([*lines[:2], *lines[3:]]))
    ended = run("evidence", "verify", "--file", str(file))
    assert (ended.status, "Record 3: removed: record 3 is missing" in ended.words) == (1, True)
    with_vault = run("evidence", "verify", "--file", str(file), "--config", str(desk.folder / "rotator.yaml"))
    assert with_vault.status == 1
    file.write_text("".join(lines)[:-40])
    assert f"Record {len(lines)}: unreadable" in run("evidence", "verify", "--file", str(file)).words
    monkeypatch.setattr(sys, "stdin", io.StringIO("".join(lines), newline="\n"))
    assert run("evidence", "verify", "--file", "-").status == 0


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "The log is empty"),
        (b"hello\n", "Record 1: unreadable: the line is no record"),
        (b"\xff\xfe\x00\x80\n", "Record 1: unreadable"),
        (b'{"seq":1}\n', "Record 1: unreadable"),
    ],
)
def test_what_is_no_export_is_told_in_a_sentence(tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "export"
    file.write_bytes(content)
    ended = run("evidence", "verify", "--file", str(file))
    assert ended.status == (1 if content else 0)
    assert said in ended.words
    assert "Traceback" not in ended.err


def test_an_export_that_is_not_there_is_a_mistake_of_usage(tmp_path: Path) -> None:
    for file in (tmp_path / "nothing", tmp_path):
        ended = run("evidence", "verify", "--file", str(file))
        assert ended.status == 2
        assert "cannot be read" in ended.words


def test_a_vault_that_may_not_be_asked_leaves_the_answer_open(desk: Desk) -> None:
    desk.run("rotate", "--yes")
    desk.fault({"on": "vault.listVersions", "status": 403, "code": "Forbidden", "every": 1})
    ended = desk_evidence(desk, "verify")
    assert ended.status == 3
    assert "The vault's head was not compared" in ended.words


def test_a_disk_that_is_lost_leaves_a_log_that_says_so(desk: Desk) -> None:
    desk.run("rotate", "--yes")
    desk.configure(state={"directory": str(desk.folder / "new")})
    assert desk_evidence(desk, "verify").status == 3, "nothing is here, and the vault knows that there was something"
    soaked(desk)
    desk.run("rotate", "--yes")
    ended = desk_evidence(desk, "verify")
    assert ended.status == 0, ended.words
    assert "are not in this log: this log continues after one that is not here" in ended.words


def test_evidence_that_is_required_and_cannot_be_written_stops_the_run_before_it_begins(desk: Desk) -> None:
    desk.configure(state={"evidence_required": True})
    assert desk_evidence(desk, "verify").status == 0
    with sqlite3.connect(desk.folder / "state" / "history.sqlite") as database:
        database.execute("create trigger full before insert on rotator_evidence begin select raise(abort, 'full'); end")
    ended = desk.run("rotate", "--yes")
    assert ended.status == 4
    assert "the evidence log cannot be written" in ended.words
    assert desk.effects() == []


def test_the_documented_check_accepts_an_export_and_refuses_an_edited_one(desk: Desk) -> None:
    """An auditor needs no part of this program."""
    text = (Path(__file__).parents[2] / "docs" / "evidence.md").read_text(encoding="utf-8")
    (script,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    desk.run("rotate", "--yes")
    lines = desk_evidence(desk, "export").out.splitlines(keepends=True)

    def checked(given: list[str]) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-c", script], input="".join(given), capture_output=True, text=True, check=False, encoding="utf-8"
        )

    whole = checked(lines)
    assert (whole.returncode, whole.stdout.split()[:2]) == (0, ["record", str(len(lines))])
    assert "something is missing before 4" in checked([*lines[:2], *lines[3:]]).stderr
    assert "record 2 was changed" in checked([lines[0], lines[1].replace('"ok":true', '"ok":false'), *lines[2:]]).stderr
