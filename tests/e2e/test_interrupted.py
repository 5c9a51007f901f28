"""What breaks in the middle: the clouds go away while a rotation runs, or somebody presses Ctrl-C. The next run finishes it."""

import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from rotator.sandbox.faults import FaultPlan
from rotator.sandbox.serve import Sandbox, SandboxOptions
from tests.e2e.conftest import Shell, free_port
from tests.e2e.desk import Desk

ETL = ("rotate", "--yes", "--only", "*/aci-etl-pull")


@pytest.fixture
def fixed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """A sandbox that comes back on the same ports with the same world, and a configuration for it."""
    options = SandboxOptions(directory=tmp_path / "clouds", port=free_port(), control_port=free_port())
    sandbox = Sandbox(options)
    with sandbox:
        for name, value in sandbox.environment.items():
            monkeypatch.setenv(name, value)
        desk = Desk(sandbox, tmp_path)
        (tmp_path / "rotator.yaml").write_text(yaml.safe_dump(desk.settings))
        yield desk


def test_clouds_that_go_away_during_a_rotation_and_come_back(fixed: Desk) -> None:
    shell = Shell(fixed.folder, fixed.sandbox.environment)
    stopping = threading.Thread(target=fixed.sandbox.stop)

    def go_away() -> None:
        # The ports take a moment to close; from now on nobody is answered.
        fixed.world.faults = FaultPlan.parse([{"on": "*", "drop_before": True}])
        stopping.start()

    fixed.once("registry.password.issued", go_away)
    ended = shell.run(*ETL)
    stopping.join()
    assert ended.status in (3, 4), ended.words
    assert "could not be reached" in ended.words or "No answer of" in ended.words
    assert "Traceback" not in ended.words

    fixed.fault()
    fixed.sandbox.start()
    again = fixed.run(*ETL)
    assert again.status == 0, again.words
    put = fixed.sandbox.oracle.report()["redeploys"]
    assert put == {fixed.group("etl-hourly").lower(): 1, fixed.group("features-mixed").lower(): 1}
    assert fixed.unharmed()


def test_ctrl_c_during_a_rotation(fixed: Desk) -> None:
    shell = Shell(fixed.folder, fixed.sandbox.environment)
    running = shell.start(*ETL)
    fixed.once("registry.password.issued", lambda: running.send_signal(signal.SIGINT))
    out, err = running.communicate(timeout=60)
    assert running.returncode == 130, out + err
    assert err == "Interrupted: what was begun is being brought to its end. Press again to stop at once.\n", out
    again = fixed.run(*ETL)
    assert again.status == 0, again.words
    assert fixed.unharmed()
