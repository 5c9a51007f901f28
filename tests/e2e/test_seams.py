"""Where two parts meet: every kind of credential on its own small estate, at a terminal, with the oracle's word on it."""

import io
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from rotator.sandbox.serve import Sandbox, SandboxOptions
from tests.e2e.desk import Desk
from tests.e2e.test_decisions import expect
from tests.sandbox.owner import Owner

CLOSED = "0 3 1 1 * for 1h"
"""A window in January; the estates begin in November."""

Open = Callable[[str], Desk]


@pytest.fixture
def desk_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """Open a desk in front of the small estate of one kind of credential."""
    with ExitStack() as stack:

        def opened(kind: str) -> Desk:
            (folder := tmp_path / kind).mkdir()
            sandbox = stack.enter_context(Sandbox(SandboxOptions(directory=tmp_path / f"{kind}-clouds", estate=f"one-{kind}")))
            for name, value in {**sandbox.environment, "COLUMNS": "300", "NO_COLOR": "1"}.items():
                monkeypatch.setenv(name, value)
            return Desk(sandbox, folder)

        yield opened


@pytest.fixture
def types(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let a person write to the standard input of the next command."""
    return lambda text: monkeypatch.setattr(sys, "stdin", io.StringIO(text))


def items(desk: Desk, *arguments: str) -> Sequence[Mapping[str, Any]]:
    listed: Sequence[Mapping[str, Any]] = json.loads(desk.run("plan", "--json", *arguments).out)["items"]
    return listed


def drop_stopped(desk: Desk) -> None:
    """Remove the stopped group, which holds every rotation that ends the old secret at once."""
    desk.delete("batch")


# --- a lone secret that its service lists -----------------------------------------------------------------------------------


def test_an_announced_rotation_of_a_robot_waits_for_the_window_when_nothing_was_made_yet(desk_of: Open) -> None:
    desk = desk_of("quay")
    drop_stopped(desk)
    desk.fault({"on": "quay.robots.regenerate", "status": 403})
    expect(desk.run("rotate", "--yes"), 4)
    desk.fault()
    desk.configure(rotation={"outage_windows": {"quay:*": CLOSED}})
    expect(desk.run("rotate", "--yes"), 0, "skipped", "its window has not begun")
    assert desk.unharmed(), "nobody was out, because no token was made"


def test_a_token_that_somebody_regenerated_by_hand_is_noticed(desk_of: Open) -> None:
    desk = desk_of("quay")
    drop_stopped(desk)
    expect(desk.run("rotate", "--yes"), 0)
    assert items(desk) == []
    with desk.world.lock:
        desk.world.quay.regenerate(desk.world.quay.robots["contoso+puller"])
    [item] = items(desk)
    assert item["reasons"] == ["not-in-vault"]


# --- rotator import, and kinds whose driver could make a secret itself ------------------------------------------------------


@pytest.mark.parametrize("kind", ["acr-token", "acr-admin", "quay-pair", "ecr", "quay", "gitlab"])
def test_a_secret_is_not_even_asked_for_where_rotator_alone_may_make_one(desk_of: Open, kind: str) -> None:
    desk = desk_of(kind)
    before = desk.effects()
    told = expect(desk.run("import", "*"), 4, "rotator makes its secrets itself", "rotator rotate --force --only")
    assert ("--allow-outage" in told.words) == (kind in {"quay", "gitlab"})
    assert desk.effects() == before


def test_where_nothing_may_ask_docker_hub_a_person_brings_each_token(desk_of: Open, types: Callable[[str], None]) -> None:
    desk = desk_of("docker-hub")
    desk.settings["registries"] = {}
    expect(desk.run("plan"), 3, "Could not be read", "0 in order")
    for _ in range(2):
        with desk.world.lock:
            account = desk.world.hub.accounts["contoso"]
            token = desk.world.hub.issue(account, "by hand", ("repo:read",), None, desk.world.now())
        types(token.value)
        expect(desk.run("import", "*", "--from", "-", "--yes"), 3, "3 groups moved")
        desk.world.clock.advance(91 * 24 * 3600)
        expect(desk.run("rotate", "--yes"), 4, "could not be read", "bring one that was made by hand", "rotator import")
    assert desk.unharmed()


def test_a_secret_brought_while_the_last_one_soaks_is_told_to_wait(desk_of: Open) -> None:
    desk = desk_of("docker-hub")
    expect(desk.run("rotate", "--yes"), 0, "3 groups moved")
    expect(desk.run("import", "*"), 4, "its last rotation is not over; the old secret lives until")


def test_what_is_no_password_is_refused_before_it_is_tried(desk_of: Open, types: Callable[[str], None]) -> None:
    desk = desk_of("other")
    for text in ("   \n", " x\n", "x \r\n", "x\ny\n", "x\n\n", "x\ty\n", "\ufeffx\n", "x" * 10_001, "", "\n", "\r\n"):
        types(text)
        said = "no password" if text.strip("\r\n") else "no secret came"
        expect(desk.run("import", "*", "--from", "-", "--yes"), 2, said)
    assert desk.effects() == []


# --- revoked or rotated, and groups that another tool deploys ---------------------------------------------------------------


def given_to_terraform(desk: Desk, *names: str) -> None:
    """Tag groups as Terraform's, and leave them to it."""
    retag(desk, {"managed-by": "terraform"}, *names)
    desk.configure(rotation={"owned_groups": "hold"})


def retag(desk: Desk, tags: Mapping[str, str], *names: str) -> None:
    """Tag groups as their owner, beside the tags that they have."""
    owner = Owner(desk.sandbox)
    for name in names:
        before = owner.get(desk.group(name)).get("tags") or {}
        assert owner.call("PATCH", desk.group(name), {"tags": {**before, **tags}}).status_code == 200


def applied(desk: Desk, name: str) -> None:
    """Tag a group as `rotator plan --emit terraform` wrote it; which password it stores nobody can read."""
    text = next(
        one for one in desk.run("plan", "--emit", "terraform").out.split("// container group ") if one.startswith(f"{name}.")
    )
    found = re.search(r'tags = \{ "([^"]+)" = "([^"]+)" \}', text)
    assert found, text
    retag(desk, {found[1]: found[2]}, name)


@pytest.mark.parametrize("kind", ["acr-token", "acr-admin", "quay-pair", "quay"])
def test_a_revocation_says_which_groups_of_another_tool_it_leaves_out_until_they_have_followed(desk_of: Open, kind: str) -> None:
    desk = desk_of(kind)
    given_to_terraform(desk, "api")
    expect(
        desk.run("revoke", "*", "--dry-run"),
        0,
        "every group that can be moved",
        "rg-one/api stays without",
        "terraform deploys it",
    )
    expect(desk.run("revoke", "*", "--yes"), 0, "the new credential is in use", "1 group left: rg-one/api")

    expect(desk.run("status"), 4, "the old secret has ended, and nothing shows that api left it: terraform deploys it")
    assert "container group api." in desk.run("plan", "--emit", "terraform").out
    applied(desk, "api")
    expect(desk.run("status"), 0)
    assert items(desk) == []


def test_a_rotation_does_not_forget_groups_that_still_store_a_secret_which_ended_by_itself(desk_of: Open) -> None:
    desk = desk_of("acr-token")
    given_to_terraform(desk, "api")
    expect(desk.run("rotate", "--yes"), 0, "1 group left: rg-one/api")
    assert "tags = {" in desk.run("plan", "--emit", "terraform").out
    desk.world.clock.advance(12 * 24 * 3600)
    expect(desk.run("rotate", "--yes"), 4, "the old secret has ended, and nothing shows that api left it")
    expect(desk.run("status"), 4, "terraform deploys it")


def test_a_robot_of_a_pair_is_written_for_the_other_tool_by_its_own_name(desk_of: Open) -> None:
    desk = desk_of("quay-pair")
    given_to_terraform(desk, "api")
    assert 'username = "contoso+puller_b"' in desk.run("plan", "--emit", "terraform").out
    expect(desk.run("rotate", "--yes"), 0)
    assert 'username = "contoso+puller_b"' in desk.run("plan", "--emit", "terraform").out


def test_a_leaked_admin_password_is_not_ended_where_rotator_may_not_make_another(desk_of: Open) -> None:
    desk = desk_of("acr-admin")
    desk.settings["rotation"]["admin_users"] = []
    expect(desk.run("revoke", "*", "--yes"), 4, "only where rotation.admin_users names it", "az acr credential renew")
    assert desk.effects() == []


def test_a_revocation_without_a_possible_successor_says_so_before_anything_ends(desk_of: Open) -> None:
    desk = desk_of("acr-token")
    with desk.world.lock:
        next(iter(desk.world.registries.acr.values())).tokens["pull"].status = "disabled"
    told = expect(
        desk.run("revoke", "*", "--dry-run"), 0, "nothing is made in its place", "is disabled: a new secret would not work"
    )
    assert "until somebody acts" in told.words
    assert desk.effects() == []


def test_a_misspelt_slot_is_a_sentence_at_every_verb_that_would_need_it(desk_of: Open) -> None:
    desk = desk_of("acr-admin")
    name = "acr-admin:contosoone.azurecr.io/contosoone"
    desk.configure(rotation={"slots": {name: "pasword2"}})
    for verb in (("plan",), ("rotate", "--yes"), ("revoke", "*", "--yes"), ("audit",), ("status",)):
        expect(desk.run(*verb), 2, f"{name} has no slot 'pasword2'; it has password and password2")
    assert desk.effects() == []


# --- what the audit, the report and the status say --------------------------------------------------------------------------


def test_no_path_leads_a_pair_of_robots_to_where_it_could_not_be_rotated(desk_of: Open) -> None:
    desk = desk_of("quay-pair")
    paths = {one["group"].rpartition("/")[2]: one for one in json.loads(desk.run("audit", "--json").out)["paths"]}
    assert paths["web"]["way"] == "impossible"
    assert "robots that take turns" in paths["web"]["why"]
    identity = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-pull"
    expect(desk.run("migrate", "--to", "vault-reference", "--identity", identity, "--dry-run"), 0, "robots that take turns")


@pytest.mark.parametrize("kind", ["acr-token", "acr-admin", "docker-hub", "quay-pair", "quay"])
def test_a_stopped_group_that_stores_an_ended_secret_stays_on_the_list_until_it_has_another(desk_of: Open, kind: str) -> None:
    desk = desk_of(kind)
    expect(desk.run("revoke", "*", "--dry-run"), 0, "rg-one/batch stays without until somebody acts: it does not run")
    expect(desk.run("revoke", "*", "--yes"), 0)
    expect(desk.run("status"), 0, "waits for", "rg-one/batch")
    expect(desk.run("rotate", "--yes"), 0)
    desk.delete("batch")
    expect(desk.run("rotate", "--yes"), 0)
    expect(desk.run("status"), 0, "No rotation is under way")


def test_a_group_that_was_stopped_while_the_old_secret_ran_out_is_not_forgotten(desk_of: Open) -> None:
    desk = desk_of("docker-hub")
    desk.world.clock.advance(11 * 24 * 3600)
    expect(desk.run("rotate", "--yes"), 0, "3 groups moved")
    expect(desk.run("status"), 0, "rg-one/batch")


@pytest.mark.parametrize("window", [CLOSED, "0 0 30 2 * for 1h"])
def test_plan_and_status_say_when_the_next_window_begins(desk_of: Open, window: str) -> None:
    desk = desk_of("quay")
    drop_stopped(desk)
    desk.configure(rotation={"outage_windows": {"quay:*": window}})
    said = "The next window begins" if window == CLOSED else "announce a rotation.outage_windows"
    waits = 0 if window == CLOSED else 4  # what is announced needs nobody's decision
    expect(desk.run("plan"), 0, said, "--allow-outage")
    expect(desk.run("status"), waits, said)
    expect(desk.run("rotate", "--yes", "--force"), waits, "its new secret ends the old one at once")
    expect(desk.run("rotate", "--yes", "--allow-outage"), 2, "--allow-outage needs --only")
    assert desk.effects() == []
