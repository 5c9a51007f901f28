"""What every test may ask for: a program that pip does not bring, and the folder of recorded bodies."""

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.crash.tally import PROPERTY, summary

if TYPE_CHECKING:
    from tests.postgres import Server

_TALLIES: list[str] = []
RECORDED = Path(__file__).resolve().parent.parent.parent / "shared" / "data"


def pytest_configure() -> None:
    """A shell's background job ignores Ctrl-C and hands that down; the tests' own processes are in the foreground."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--require-programs",
        action="store_true",
        help="fail, rather than skip, where a program that a test needs is not installed (continuous integration does)",
    )
    crash = parser.getgroup("crash and fault matrix")
    crash.addoption("--crash-full", action="store_true", help="every boundary, every pair, every fault: hours, not minutes")
    crash.addoption(
        "--chaos-seeds", metavar="N|FIRST:END", help="only the seeded mixtures of crashes and faults, with these seeds"
    )
    crash.addoption(
        "--crash-schedule",
        metavar="NAME",
        action="append",
        default=[],
        help="only the kill schedule of this name, as a failure shows it",
    )


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Reports travel from the processes of xdist to the first one; so does what the matrix counted in them."""
    if report.when == "call":
        _TALLIES.extend(str(value) for name, value in report.user_properties if name == PROPERTY)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    told = summary(_TALLIES)
    if told:
        terminalreporter.section("crash and fault matrix")
        terminalreporter.line(told)


class Programs:
    """Finds programs; a test that needs a missing one skips and says what to install."""

    def __init__(self, *, required: bool) -> None:
        self._required = required

    def find(self, name: str, package: str, *, how: str = "") -> str:
        found = shutil.which(name)
        if found is None:
            sentence = f"{name} is not installed; {how or f'on Debian: apt-get install {package}'}"
            if self._required:
                pytest.fail(sentence)
            pytest.skip(sentence)
        return found


@pytest.fixture(scope="session")
def programs(request: pytest.FixtureRequest) -> Programs:
    return Programs(required=request.config.getoption("--require-programs"))


@pytest.fixture(scope="session")
def postgres(programs: Programs) -> "Iterator[Server]":
    """A PostgreSQL server for this process's tests."""
    from tests.postgres import running

    with running(programs) as server:
        yield server


@pytest.fixture
def database(postgres: "Server") -> str:
    """The URL of an empty database."""
    return postgres.database()


@pytest.fixture(scope="session")
def recorded_bodies() -> Path:
    """The folder of real request and response bodies, which is not part of the project."""
    if not RECORDED.is_dir():
        pytest.skip("the folder ../shared/data with recorded bodies of the real services is not here")
    return RECORDED
