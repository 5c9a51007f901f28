"""The end of the process, for real: SIGKILL in the middle of a rotation, then a new process that finishes it."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from rotator.sandbox import Sandbox, SandboxOptions
from rotator.sandbox.world import Event, EventLog

_COMMAND = (sys.executable, "-c", "from rotator.cli.app import main; main()", "rotate", "--yes", "--json")
_LONGEST = 600.0  # for a hang, not for a slow machine
_SOAK = timedelta(hours=2, minutes=10)


@dataclass(slots=True, kw_only=True)
class _Trap(EventLog):
    """The sandbox's own event log, which ends a process the moment an effect is written down in it."""

    kind: str
    left: int
    number: signal.Signals = signal.SIGKILL
    process: "subprocess.Popen[bytes] | None" = None

    def append(self, kind: str, /, **facts: object) -> Event:
        event = EventLog.append(self, kind, **facts)
        self.left -= kind == self.kind
        if self.process is not None and kind == self.kind and not self.left:
            self.process.send_signal(self.number)
        return event


@dataclass
class Victim:
    """The installed program in processes of its own, beside a sandbox that it knows only by its settings."""

    sandbox: Sandbox
    folder: Path

    @property
    def command(self) -> tuple[str, ...]:
        return _COMMAND

    def start(self) -> "subprocess.Popen[bytes]":
        mine = {name: value for name, value in os.environ.items() if not name.startswith(("ROTATOR_", "IDENTITY_"))}  # noqa: TID251
        return subprocess.Popen(
            [*self.command, "--config", str(self.folder / "rotator.yaml")],
            cwd=self.folder,
            env={**mine, **self.sandbox.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=(self.folder / "stderr.txt").open("ab"),
        )

    def finishes(self) -> None:
        """Run to the end; 4 says that a person has something to decide, and the estate has none of that."""
        assert self.start().wait(_LONGEST) == 0, (self.folder / "stderr.txt").read_text()

    def dies_at(self, kind: str, count: int = 1) -> None:
        """Kill the process at the `count`-th effect of a kind from now: it has happened, and its answer is never read."""
        assert self.signalled_at(kind, count, signal.SIGKILL) == -signal.SIGKILL, (self.folder / "stderr.txt").read_text()

    def signalled_at(self, kind: str, count: int, number: signal.Signals) -> int:
        """Send the process a signal at such an effect; returns with which status it ended."""
        calm = self.sandbox.world.events
        trap = _Trap(clock=calm.clock, _events=calm._events, kind=kind, left=count, number=number)
        self.sandbox.world.events = trap
        with self.sandbox.world.lock:
            trap.process = self.start()
        try:
            return trap.process.wait(_LONGEST)
        finally:
            trap.process.kill()
            self.sandbox.world.events = calm

    def forgets(self) -> None:
        """Lose all that the program remembers between its runs."""
        shutil.rmtree(self.folder / "state")

    def night(self) -> None:
        self.sandbox.world.clock.advance(_SOAK.total_seconds())

    def assert_whole(self, made: int) -> None:
        report = self.sandbox.oracle.report()
        for name in ("outages", "lost_properties", "orphans", "woken", "deleted", "leaks"):
            assert report[name] == [], name
        assert set(report["issued"].values()) <= set(range(1, made + 1)), report["issued"]
        remembered = [file for file in (self.folder / "state").rglob("*") if file.is_file()]
        assert any(file.name == "journal.sqlite" for file in remembered)
        for file in [*remembered, self.folder / "stderr.txt"]:
            assert self.sandbox.oracle.scan(file.read_bytes(), file.name) == []


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[Victim]:
    with Sandbox(SandboxOptions(directory=tmp_path, estate="scale", groups=24)) as sandbox:
        yield Victim(sandbox, tmp_path)


def test_a_rotation_that_is_killed_twice_is_carried_on_from_its_journal(victim: Victim) -> None:
    victim.dies_at("registry.password.issued")
    victim.dies_at("group.put", 3)
    victim.finishes()
    victim.night()
    victim.dies_at("registry.password.revoked")
    victim.finishes()
    victim.assert_whole(made=2)


def test_a_rotation_whose_journal_is_lost_as_well_is_carried_on_from_the_vault(victim: Victim) -> None:
    for kind, count in (("vault.secret.set", 2), ("group.put", 2)):
        victim.dies_at(kind, count)
        victim.forgets()
    victim.finishes()
    victim.assert_whole(made=1)
