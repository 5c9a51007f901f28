"""A deployment from a file whose process is killed for real, before the PUT and after it; the same command ends right."""

import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from rotator.cli.exits import INTERRUPTED
from rotator.cli.options import Level
from rotator.cli.session import opened, settings_of
from rotator.sandbox import Sandbox, SandboxOptions
from rotator.sandbox.faults import FaultPlan
from tests.crash.test_killed import Victim

_PROGRAM = (sys.executable, "-c", "from rotator.cli.app import main; main()")


@dataclass
class Deploying(Victim):
    """`rotator deploy -f group.yaml --yes` in processes of their own."""

    @property
    def command(self) -> tuple[str, ...]:
        return (*_PROGRAM, "deploy", "-f", str(self.folder / "group.yaml"), "--yes")

    def writes(self, name: str) -> None:
        """Export a group as the file that is deployed."""
        with opened(settings_of(self.folder / "rotator.yaml"), Level.WARNING) as application:
            files = application.deployments
            text = files.export(files.group(name, files.read()))
        (self.folder / "group.yaml").write_text(text)

    def puts(self) -> int:
        return sum(one.kind == "group.put" for one in self.sandbox.world.events.since())


@pytest.fixture
def victim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deploying]:
    with Sandbox(SandboxOptions(directory=tmp_path)) as sandbox:
        for name, value in sandbox.environment.items():
            monkeypatch.setenv(name, value)
        yield Deploying(sandbox, tmp_path)


@pytest.mark.parametrize(
    ("group", "kind", "puts", "forgets"),
    [
        # The storage account's key is read right before the PUT.
        pytest.param("payments-ledger", "keys.listed", 0, False, id="before"),
        pytest.param("payments-ledger", "group.put", 1, False, id="after, and nothing tells which keys it stores"),
        pytest.param("web-api", "group.put", 1, False, id="after"),
        pytest.param("web-api", "group.put", 1, True, id="after, and all that it remembers is lost"),
    ],
)
def test_a_deployment_that_is_killed_ends_right_when_it_is_run_again(
    victim: Deploying, group: str, kind: str, puts: int, forgets: bool
) -> None:
    victim.writes(group)
    victim.dies_at(kind)
    assert victim.puts() == puts
    if forgets:
        victim.forgets()
    victim.finishes()
    known = group == "web-api"
    assert victim.puts() == (1 if known else puts + 1)
    if known:
        victim.finishes()
        assert victim.puts() == 1, "nothing is left to put"
    report = victim.sandbox.oracle.report()
    for name in ("lost_properties", "orphans", "woken", "deleted", "leaks"):
        assert report[name] == [], name
    assert not report["outage_seconds"]
    assert victim.sandbox.oracle.scan((victim.folder / "stderr.txt").read_bytes(), "stderr") == []


def test_a_deployment_that_is_interrupted_says_what_to_do(victim: Deploying) -> None:
    victim.writes("web-api")
    # The operation never ends, so that the process waits for it when the signal comes.
    victim.sandbox.world.faults = FaultPlan.parse([{"on": "aci.groups.put", "outcome": "never-ends"}])
    assert victim.signalled_at("group.put", 1, signal.SIGINT) == INTERRUPTED
    assert "Interrupted. Run the same command again" in (victim.folder / "stderr.txt").read_text()
    assert "Traceback" not in (victim.folder / "stderr.txt").read_text()
