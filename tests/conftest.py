"""What every test may ask for: a program that pip does not bring, and the folder of recorded bodies."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.postgres import Server

RECORDED = Path(__file__).resolve().parent.parent.parent / "shared" / "data"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--require-programs",
        action="store_true",
        help="fail, rather than skip, where a program that a test needs is not installed (continuous integration does)",
    )


class Programs:
    """Finds programs; a test that needs a missing one skips and says what to install."""

    def __init__(self, *, required: bool) -> None:
        self._required = required

    def find(self, name: str, package: str) -> str:
        found = shutil.which(name)
        if found is None:
            sentence = f"{name} is not installed; on Debian: apt-get install {package}"
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
