"""The command line as people run it: the installed program, in processes of its own."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

_LONGEST = 240


@dataclass(frozen=True)
class Ended:
    status: int
    out: str
    err: str


@dataclass
class Shell:
    """Runs `rotator` in a folder with some environment variables, 80 columns wide and without a terminal."""

    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    def variables(self) -> dict[str, str]:
        mine = {name: value for name, value in os.environ.items() if not name.startswith(("ROTATOR_", "IDENTITY_"))}  # noqa: TID251
        return {**mine, "COLUMNS": "80", "NO_COLOR": "1", **self.environment}

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-c", "from rotator.cli.app import main; main()", *arguments]

    def run(self, *arguments: str) -> Ended:
        ended = subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env=self.variables(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_LONGEST,
            check=False,
        )
        return Ended(ended.returncode, ended.stdout, ended.stderr)

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            self.command(*arguments),
            cwd=self.folder,
            env=self.variables(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


@pytest.fixture
def sandboxed(tmp_path: Path) -> Iterator[Shell]:
    """A shell that `eval "$(rotator sandbox env)"` was said in, beside a running `rotator sandbox up`."""
    shell = Shell(tmp_path)
    folder = tmp_path / "clouds"
    running = shell.start("sandbox", "up", "--directory", str(folder), "--json")
    try:
        assert running.stdout is not None
        started = _object(running.stdout.readline)
        told = shell.run("sandbox", "env", "--directory", str(folder), "--json")
        assert json.loads(told.out) == started["environment"]
        yield Shell(tmp_path, json.loads(told.out))
    finally:
        running.send_signal(signal.SIGTERM)
        running.communicate(timeout=30)
    assert running.returncode == 0
    assert not (folder / "sandbox.json").exists()


def _object(line: Callable[[], str]) -> dict[str, object]:
    """Read one JSON object that is spread over lines."""
    text = ""
    while not text.endswith("\n}\n"):
        more = line()
        assert more, f"the sandbox ended: {text}"
        text += more
    read: dict[str, object] = json.loads(text)
    return read
