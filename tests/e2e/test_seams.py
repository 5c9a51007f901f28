"""Where two parts meet: every kind of credential on its own small estate, at a terminal, with the oracle's word on it."""

import io
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from rotator.sandbox.serve import Sandbox, SandboxOptions
from tests.e2e.desk import Desk
from tests.e2e.test_decisions import expect

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
    expect(desk.run("rotate", "--yes"), 4, "no outage is announced")
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
