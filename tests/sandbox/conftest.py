"""Running sandboxes."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rotator.sandbox import Sandbox, SandboxOptions

STARTED_AT = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
Run = Callable[..., Sandbox]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Start sandboxes that end with the test: the empty estate, quiet, on a clock that stands still, unless told otherwise."""
    started: list[Sandbox] = []

    def start(**options: object) -> Sandbox:
        chosen = {"estate": "empty", "manners": "quiet", "started_at": STARTED_AT, "directory": tmp_path, **options}
        started.append(Sandbox(SandboxOptions(**chosen)).start())  # type: ignore[arg-type]
        return started[-1]

    yield start
    for sandbox in started:
        sandbox.stop()


@pytest.fixture(scope="session")
def _shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    directory = tmp_path_factory.mktemp("sandbox")
    with Sandbox(SandboxOptions(directory=directory, estate="empty", manners="quiet", started_at=STARTED_AT)) as sandbox:
        yield sandbox


@pytest.fixture
def quiet(_shared: Sandbox) -> Sandbox:
    """The empty estate, quiet, freshly seeded; its clock stands still but does not go back between tests."""
    _shared.reset()
    return _shared
