"""Two installations on one estate by mistake, for real: two processes, each with its own journal and history, and one vault."""

import os
import subprocess
import sys
from pathlib import Path

from rotator.sandbox import Sandbox, SandboxOptions

_COMMAND = (sys.executable, "-c", "from rotator.cli.app import main; main()", "rotate", "--yes", "--json")
_LONGEST = 600.0  # for a hang, not for a slow machine


def start(sandbox: Sandbox, settings: Path, state: Path) -> "subprocess.Popen[str]":
    mine = {name: value for name, value in os.environ.items() if not name.startswith(("ROTATOR_", "IDENTITY_"))}  # noqa: TID251
    return subprocess.Popen(
        [*_COMMAND, "--config", str(settings)],
        cwd=settings.parent,
        env={**mine, **sandbox.environment, "ROTATOR_STATE__DIRECTORY": str(state)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_two_installations_at_the_same_time_do_no_harm_and_say_who_holds(tmp_path: Path) -> None:
    with Sandbox(SandboxOptions(directory=tmp_path, estate="scale", groups=24)) as sandbox:
        both = [start(sandbox, tmp_path / "rotator.yaml", tmp_path / name) for name in ("one", "other")]
        said = [process.communicate(timeout=_LONGEST)[0] for process in both]
        assert {process.returncode for process in both} <= {0, 4}, said
        assert "another installation of rotator" in "".join(said)

        for name in ("one", "other"):  # what was held is taken up by whoever runs next
            sandbox.world.clock.advance(8000)
            again = start(sandbox, tmp_path / "rotator.yaml", tmp_path / name)
            assert again.wait(_LONGEST) == 0, again.communicate()[0]
        report = sandbox.oracle.report()

    for name in ("outages", "lost_properties", "orphans", "woken", "deleted", "leaks"):
        assert report[name] == [], name
    assert max(report["issued"].values()) <= 2, report["issued"]
