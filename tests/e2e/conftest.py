"""The command line as people run it: the installed program, in processes of its own."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path

import httpx
import pytest
from filelock import FileLock

from rotator.sandbox.serve import Sandbox, SandboxOptions
from tests.e2e.desk import Desk, Ended
from tests.e2e.said import Said

_LONGEST = 600  # for a hang, not for a slow machine


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


@dataclass(frozen=True)
class Demonstration:
    """One run of `rotator demo` that many tests look at."""

    ended: Ended
    folder: Path

    @property
    def page(self) -> Path:
        return self.folder / "report.html"


@pytest.fixture(scope="session")
def demonstration(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Demonstration:
    """`rotator demo`, run once, also where several processes share the tests."""
    base = tmp_path_factory.getbasetemp()
    root = (base.parent if hasattr(request.config, "workerinput") else base) / "demonstration"
    with FileLock(f"{root}.lock"):
        told = root / "ended.json"
        if not told.exists():
            root.mkdir(exist_ok=True)
            ended = Shell(root).run("demo", "--directory", "demo")
            told.write_text(json.dumps(asdict(ended)))
    return Demonstration(Ended(**json.loads(told.read_text())), root / "demo")


@pytest.fixture(scope="session")
def clouds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """The demonstration's clouds in this process; `desk` seeds them anew for each test."""
    with Sandbox(SandboxOptions(directory=tmp_path_factory.mktemp("clouds"))) as sandbox:
        yield sandbox


@pytest.fixture
def desk(clouds: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """The command line in this process, in front of clouds that nobody has touched."""
    clouds.reset()
    for name, value in {**clouds.environment, "COLUMNS": "300", "NO_COLOR": "1"}.items():
        monkeypatch.setenv(name, value)
    return Desk(clouds, tmp_path)


@pytest.fixture
def said(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Said:
    """The command line with something on standard input."""
    return Said(desk, monkeypatch)


@pytest.fixture
def desk_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Desk]]:
    """The command line in this process, in front of clouds with an estate of the test's choice."""

    def opened(estate: str) -> Desk:
        sandbox = stack.enter_context(Sandbox(SandboxOptions(directory=tmp_path / "clouds", estate=estate)))
        for name, value in {**sandbox.environment, "COLUMNS": "300", "NO_COLOR": "1"}.items():
            monkeypatch.setenv(name, value)
        return Desk(sandbox, tmp_path)

    with ExitStack() as stack:
        yield opened


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


@dataclass(frozen=True)
class Served:
    """What a `rotator serve` answered, and how it ended."""

    pages: Mapping[str, str]
    status: int
    err: str


@pytest.fixture(scope="session")
def service(clouds: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Served:
    """`rotator serve` in a process of its own, asked for every page, and told to stop."""
    clouds.reset()
    folder, port = tmp_path_factory.mktemp("service"), free_port()
    variables = {"ROTATOR_CONFIG": str(clouds.options.directory / "rotator.yaml"), **clouds.environment}
    variables |= {"ROTATOR_SERVICE__HOST": "127.0.0.1", "ROTATOR_SERVICE__PORT": str(port)}
    running = Shell(folder, variables | {"ROTATOR_STATE__DIRECTORY": str(folder)}).start("serve")
    pages: dict[str, str] = {}
    try:
        transport = httpx.HTTPTransport(retries=8)  # the port opens a moment after the process starts
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", transport=transport, timeout=60) as browser:
            assert browser.get("/healthz").status_code == 200
            pause = threading.Event()
            assert any(browser.get("/readyz").status_code == 200 or pause.wait(0.1) for _ in range(300))
            for path in ("/healthz", "/readyz", "/metrics", "/api/status", "/"):
                pages[path] = browser.get(path).raise_for_status().text
    finally:
        running.send_signal(signal.SIGTERM)
        _, err = running.communicate(timeout=60)
    return Served(pages, running.returncode, err)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def _object(line: Callable[[], str]) -> dict[str, object]:
    """Read one JSON object that is spread over lines."""
    text = ""
    while not text.endswith("\n}\n"):
        more = line()
        assert more, f"the sandbox ended: {text}"
        text += more
    read: dict[str, object] = json.loads(text)
    return read
