"""Three replicas of the installed program on one PostgreSQL, killed and frozen while they rotate a fleet.

What must hold at the end does not depend on when anything died: each credential rotated once, each group redeployed once, no
group ever without a credential that works, Azure's limits held by the sandbox's own count, and no value but in the vault.
"""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest

from rotator.sandbox import Sandbox, SandboxOptions
from tests.conftest import Programs
from tests.postgres import Server

_PROGRAM = (sys.executable, "-c", "from rotator.cli.app import main; main()")
_LONGEST = 900.0  # for a hang, not for a slow machine
_LOST = 4
"""The exit status of a replica that others have taken for dead."""


@dataclass
class Fleet:
    """The replicas, the clouds that they know by their settings alone, and the database that they share."""

    sandbox: Sandbox
    folder: Path
    url: str
    verb: tuple[str, ...]
    running: "dict[int, subprocess.Popen[bytes]]" = field(default_factory=dict)
    started_at: float = field(default_factory=time.monotonic)

    def start(self, number: int) -> None:
        mine = {name: value for name, value in os.environ.items() if not name.startswith(("ROTATOR_", "IDENTITY_"))}  # noqa: TID251
        ours = {
            "ROTATOR_STATE__JOURNAL_URL": self.url,
            "ROTATOR_STATE__DEAD_AFTER": "6s",
            "ROTATOR_STATE__DIRECTORY": str(self.folder / f"state-{number}"),
            "ROTATOR_ROTATION__DEFAULT_RENEW_BEFORE": "85d",
            "ROTATOR_SCHEDULE__ROTATE": "* * * * *",
            "ROTATOR_SCHEDULE__JITTER": "0s",
            "ROTATOR_SERVICE__HOST": "127.0.0.1",
            "ROTATOR_SERVICE__PORT": str(_free_port()),
        }
        self.running[number] = subprocess.Popen(
            [*_PROGRAM, *self.verb, "--config", str(self.folder / "rotator.yaml")],
            cwd=self.folder,
            env={**mine, **self.sandbox.environment, **ours},
            stdin=subprocess.DEVNULL,
            stdout=(self.folder / f"stdout-{number}.txt").open("wb"),
            stderr=(self.folder / f"stderr-{number}.txt").open("ab"),
        )

    def kill(self, number: int) -> None:
        self.running[number].kill()
        self.running[number].wait(30)

    def name(self, number: int) -> str:
        """The name of a replica's life, or nothing before it has joined."""
        rows = self.ask("SELECT name FROM rotator_replicas WHERE beaten_at > '-infinity'")
        return next((str(one) for (one,) in rows if f"-{self.running[number].pid}-" in str(one)), "")

    def ask(self, query: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self.url) as connection:
            try:
                return connection.execute(query.encode()).fetchall()
            except psycopg.errors.UndefinedTable:
                return []

    def until(self, true: Callable[[], bool], what: str) -> None:
        while not true():
            assert time.monotonic() - self.started_at < _LONGEST, f"{what}: {self.told()}"
            threading.Event().wait(0.1)

    def told(self) -> str:
        return "\n".join(file.read_text()[-3000:] for file in sorted(self.folder.glob("stderr-*.txt")))

    def moved(self) -> int:
        return len(self.sandbox.oracle.report()["redeploys"])

    def open_work(self) -> int:
        [(count,)] = self.ask("SELECT count(*) FROM dbos.workflow_status WHERE status IN ('PENDING', 'ENQUEUED')") or [(1,)]
        return int(str(count))

    def results(self) -> dict[str, set[str]]:
        """Return all that came of each rotation."""
        found: dict[str, set[str]] = {}
        for one, result in self.ask("SELECT rotation, result FROM rotator_outcomes"):
            found.setdefault(str(one), set()).add(str(result))
        return found

    def rotated(self) -> int:
        """Return how many rotations have ended well."""
        return sum(1 for results in self.results().values() if results & {"soaking", "success"})

    def stop(self) -> None:
        for process in self.running.values():
            process.send_signal(signal.SIGTERM)
        for process in self.running.values():
            process.wait(60)

    def freeze_and_wake(self, number: int) -> None:
        """Stop a replica until another has taken its work over, then let it go on: it must notice, and end."""
        frozen, name = self.running[number], self.name(number)
        frozen.send_signal(signal.SIGSTOP)
        self.until(lambda: (name,) not in self.ask("SELECT name FROM rotator_replicas"), f"{name} is taken over")
        frozen.send_signal(signal.SIGCONT)
        assert frozen.wait(60) == _LOST, self.told()
        assert "other replicas take its work over" in (self.folder / f"stderr-{number}.txt").read_text()

    def assert_whole(self, dump: bytes) -> None:
        report = self.sandbox.oracle.report()
        for name in ("outages", "lost_properties", "orphans", "woken", "deleted", "leaks"):
            assert report[name] == [], name
        assert report["write_limit_violations"] == 0
        assert {one for one, times in report["redeploys"].items() if times > 1} == set()
        assert self.sandbox.oracle.scan(dump, "the database") == []
        for file in self.folder.glob("stderr-*.txt"):
            assert self.sandbox.oracle.scan(file.read_bytes(), file.name) == []
            assert "Traceback" not in file.read_text()


def assert_once(issued: Counter[str], strikes: int) -> None:
    """One secret for each principal. Who is struck between the making of one and its staging leaves it to be made once more."""
    assert issued.total() - len(issued) <= strikes, issued


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def fleet(request: pytest.FixtureRequest, tmp_path: Path, postgres: Server) -> Iterator[Fleet]:
    verb, groups = request.param
    with Sandbox(SandboxOptions(directory=tmp_path, estate="scale", groups=groups)) as sandbox:
        fleet = Fleet(sandbox, tmp_path, postgres.database(), verb)
        try:
            yield fleet
        finally:
            for process in fleet.running.values():
                process.kill()
                process.wait(30)


@pytest.mark.parametrize("fleet", [(("serve",), 200)], indirect=True, ids=["serve"])
def test_replicas_that_are_killed_and_frozen_rotate_a_fleet_once(
    fleet: Fleet, postgres: Server, programs: Programs, pytestconfig: pytest.Config
) -> None:
    chance = random.Random(20261123)  # noqa: S311 - to be repeated, not to be secret
    before: Counter[str] = Counter(fleet.sandbox.oracle.report()["issued"])
    for number in range(3):
        fleet.start(number)
    fleet.until(lambda: fleet.moved() > 5, "the schedule has fired")
    kills = 6 if pytestconfig.getoption("--crash-full", default=False) else 3
    for kill in range(kills):
        number = chance.randrange(3)
        if kill == 1:
            fleet.until(lambda number=number: bool(fleet.name(number)), "it has joined")  # type: ignore[misc]
            fleet.freeze_and_wake(number)
        else:
            fleet.kill(number)
        fleet.start(number)
        so_far, moment = fleet.moved(), time.monotonic() + chance.uniform(1.0, 4.0)
        fleet.until(lambda so_far=so_far, moment=moment: fleet.moved() > so_far or time.monotonic() > moment, "it goes on")  # type: ignore[misc]
    fleet.until(lambda: fleet.rotated() >= 18 and fleet.open_work() == 0, "all is rotated")
    fleet.stop()

    after: Counter[str] = Counter(fleet.sandbox.oracle.report()["issued"])
    assert_once(after - before, kills)
    # One that was too late to send its request is held, with nothing sent, and begun again by the next run.
    assert set().union(*fleet.results().values()) <= {"soaking", "success", "held"}, fleet.results()
    fleet.assert_whole(postgres.dump(fleet.url, programs))


_ONCE = ("run", "--once", "--json", "--fail-on", "never")


@pytest.mark.parametrize("fleet", [(_ONCE, 60)], indirect=True, ids=["run --once"])
def test_three_single_runs_share_the_work_and_the_end_of_one_of_them(fleet: Fleet, postgres: Server, programs: Programs) -> None:
    before: Counter[str] = Counter(fleet.sandbox.oracle.report()["issued"])
    for number in range(3):
        fleet.start(number)
    fleet.until(lambda: fleet.moved() > 3, "one has begun")
    fleet.kill(0)
    for number in (1, 2):
        assert fleet.running[number].wait(_LONGEST) == 0, fleet.told()
    fleet.start(0)
    assert fleet.running[0].wait(_LONGEST) == 0, fleet.told()

    after: Counter[str] = Counter(fleet.sandbox.oracle.report()["issued"])
    assert_once(after - before, 1)
    assert fleet.open_work() == 0
    fleet.assert_whole(postgres.dump(fleet.url, programs))
