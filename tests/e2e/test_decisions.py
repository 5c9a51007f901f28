"""A person decides: the verbs at a terminal, the real SDKs against the emulated clouds, and the oracle's word on it."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from rotator.sandbox.clouds.registries.passwords import Slot
from tests.e2e.desk import Desk, Ended

WEB = "*/aci-web-pull"
ETL = "*/aci-etl-pull"
VERBS = ("resume", "roll-back", "abandon", "revoke")


def expect(ended: Ended, status: int, *sentences: str) -> Ended:
    assert ended.status == status, ended.words
    assert "Traceback" not in ended.words
    for sentence in sentences:
        assert sentence in ended.words, ended.words
    return ended


def standing(desk: Desk, name: str) -> Mapping[str, Any]:
    told = json.loads(desk.run("status", "--json").out)["situations"]
    return next(one for one in told if one["principal"].endswith(f"/{name}"))


def principal(desk: Desk, name: str) -> str:
    items = json.loads(desk.run("plan", "--json").out)["items"]
    found = next(one["principal"] for one in items if one["principal"]["name"] == name)
    return f"{found['kind']}:{found['registry']}/{name}"


def held_in_the_second_wave(desk: Desk) -> None:
    """The second group that is put crashes: the canary stores the new secret by then."""
    desk.fault({"on": "aci.groups.put", "nth": 2, "outcome": "crash-loop"})
    expect(desk.run("rotate", "--yes", "--only", WEB), 4, "rolled back")
    desk.fault()


def outages(desk: Desk) -> list[str]:
    return [one["group"] for one in desk.sandbox.oracle.report()["outages"]]


def ledger(desk: Desk, name: str) -> dict[str, Slot]:
    """The slots of a token, as the registry has them."""
    for registry in desk.world.registries.acr.values():
        if name in registry.tokens:
            return registry.tokens[name].slots
    raise AssertionError(name)


# --- held, and back ---------------------------------------------------------------------------------------------------------


def test_a_held_rotation_is_shown_everywhere_and_rolled_back(desk: Desk) -> None:
    held_in_the_second_wave(desk)

    expect(desk.run("status"), 4, "held; the vault gives out the new secret", "rotator roll-back 'acr-token:", "moved 2 groups")
    seen = standing(desk, "aci-web-pull")
    assert seen["cause"] == "unhealthy-group"
    assert seen["since"]
    assert len(seen["on_new"]) + len(seen["on_old"]) == 3
    metrics, page = desk.folder / "m.prom", desk.folder / "r.html"
    desk.run("run", "--once", "--metrics-file", str(metrics), "--report", str(page))
    assert 'rotator_rotation_held{credential_id="acr-token:contosoplatform.azurecr.io/aci-web-pull"' in metrics.read_text()
    assert 'reason="unhealthy-group"' in metrics.read_text()
    assert "rotator roll-back" in page.read_text()

    expect(desk.run("roll-back", WEB, "--dry-run"), 0, "back, then ends password")
    expect(desk.run("roll-back", WEB, "--yes"), 0, "rolled back;", "is in use", "2 groups moved", "The credential stays due")
    after = standing(desk, "aci-web-pull")
    assert len(after["on_new"]) == 3
    assert after["in_vault"] == after["new"] == seen["old"][0]
    expect(desk.run("roll-back", WEB, "--yes"), 0, "Nothing is left to do now.")
    expect(desk.run("history"), 0, "rolled back")
    assert desk.unharmed()

    expect(desk.run("abandon", WEB, "--yes"), 0, "the old secret is ended")
    expect(desk.run("abandon", WEB, "--yes"), 0, "there is nothing to give up")
    expect(desk.run("roll-back", WEB, "--yes"), 4, "there is nothing to go back to")
    assert desk.unharmed()


def test_a_held_rotation_is_resumed_by_its_own_name(desk: Desk) -> None:
    held_in_the_second_wave(desk)
    rotation = standing(desk, "aci-web-pull")["rotation"]
    expect(desk.run("resume", rotation), 2, "nobody is there to confirm")
    told = json.loads(desk.run("resume", rotation, "--yes", "--json").out)
    assert [one["result"] for one in told["outcomes"]] == ["soaking"]
    expect(desk.run("resume", WEB, "--yes"), 0, "Nothing is left to do now.")
    assert desk.unharmed()


def test_a_secret_that_was_never_accepted_is_abandoned(desk: Desk) -> None:
    desk.fault({"on": "registry.*", "status": 401, "code": "UNAUTHORIZED"}, {"on": "pull.*", "status": 401})
    expect(desk.run("rotate", "--yes", "--only", ETL), 4)
    desk.fault()
    assert standing(desk, "aci-etl-pull")["cause"] == "verification"
    expect(desk.run("roll-back", ETL, "--yes"), 4, "nothing uses the new secret: abandon it instead")
    expect(desk.run("abandon", ETL, "--yes"), 0, "given up; ended password", "The credential stays due")
    assert sum(slot.current is not None for slot in ledger(desk, "aci-etl-pull").values()) == 1
    assert desk.unharmed()


# --- revoked ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["aci-web-pull", "aci-gateway-pull"])
def test_a_leaked_password_is_ended_and_its_groups_get_another(desk: Desk, name: str) -> None:
    told = json.loads(desk.run("revoke", f"*/{name}", "--dry-run", "--json").out)["revocation"]
    assert desk.effects() == []
    expect(desk.run("revoke", f"*/{name}", "--yes"), 0, f"revoked {told['handles'][0]}; the new credential is in use")
    live = [slot.current for slot in ledger(desk, name).values() if slot.current is not None]
    assert len(live) == 1
    assert set(outages(desk)) <= {one.lower() for one in told["out"]}, "nobody else was out"
    report = desk.sandbox.oracle.report()
    assert all(one["to"] for one in report["outages"]), "everybody is back"
    assert report["orphans"] == report["lost_properties"] == []


def test_a_leaked_client_secret_is_ended_and_its_groups_get_another(desk: Desk) -> None:
    items = json.loads(desk.run("plan", "--json").out)["items"]
    app = next(
        one for one in items if one["principal"]["kind"] == "entra-app" and not one["held"] and "expired" not in one["reasons"]
    )
    name = f"entra-app:entra/{app['principal']['name']}"
    ended = expect(desk.run("revoke", name, "--yes"), 0, f"revoked {app['old'][0]}; the new credential is in use")
    assert "for at least" in ended.words
    seen = json.loads(desk.run("revoke", name, "--dry-run", "--json").out)["revocation"]
    assert seen["handles"] != app["old"]
    assert app["old"][0] not in seen["kept"]
    report = desk.sandbox.oracle.report()
    assert all(one["to"] for one in report["outages"])
    assert report["orphans"] == []


def test_an_old_password_that_soaks_is_revoked_without_a_successor(desk: Desk) -> None:
    expect(desk.run("rotate", "--yes", "--only", ETL), 0)
    old = standing(desk, "aci-etl-pull")["old"][0]
    ended = expect(desk.run("revoke", ETL, "--handle", old, "--yes"), 0, "nothing: the vault gives out", f"revoked {old}")
    assert "no group" in ended.words
    expect(desk.run("revoke", ETL, "--handle", old, "--yes"), 4, f"has no live secret {old}")
    assert desk.unharmed()


def test_a_lease_cannot_be_revoked_and_what_helps_is_said(desk: Desk) -> None:
    told = expect(desk.run("revoke", "ecr:210987654321*", "--yes"), 4, "nobody can end a lease before its time")
    assert "aws:TokenIssueTime" in told.words
    assert desk.effects() == []


# --- bad input --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    ("which", "sentence"),
    [
        ("acr-token:*", "fits 1"),
        ("rot-0123456789abcdef", "no rotation rot-0123456789abcdef is under way"),
        ("aci-etl-pul", "no credential has this id; did you mean acr-token:"),
        ("", "no credential has this id"),
        ("[", "no credential has this id"),
    ],
)
def test_what_names_no_single_credential_is_said_in_a_sentence(desk: Desk, verb: str, which: str, sentence: str) -> None:
    expect(desk.run(verb, which, "--yes"), 2, sentence)
    assert desk.effects() == []


@pytest.mark.parametrize("verb", VERBS)
def test_without_a_terminal_only_yes_is_an_answer(desk: Desk, verb: str) -> None:
    if verb != "revoke":
        held_in_the_second_wave(desk)
    before = desk.effects()
    status = 4 if verb == "abandon" else 2  # refused before anybody is asked
    expect(desk.run(verb, WEB), status)
    assert desk.effects() == before


def test_a_handle_that_does_not_exist_is_not_taken_for_ended(desk: Desk) -> None:
    expect(
        desk.run("revoke", ETL, "--handle", "password9@2020", "--yes"), 4, "has no live secret password9@2020", "It has: password"
    )
    expect(desk.run("revoke", ETL, "--handle", "x", "--all", "--yes"), 2, "--all names every secret already")
    assert desk.effects() == []


@pytest.mark.parametrize("verb", ["resume", "abandon"])
def test_what_is_in_order_needs_no_decision(desk: Desk, verb: str) -> None:
    expect(desk.run(verb, ETL, "--yes"), 0, "there is nothing to")
    told = json.loads(desk.run(verb, ETL, "--yes", "--json").out)
    assert told["outcomes"] == []
    assert desk.effects() == []
