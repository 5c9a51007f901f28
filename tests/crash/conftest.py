"""What the crash and fault matrix shares: the count of what was tried, and which schedules and seeds are wanted."""

import pickle
from collections.abc import Callable, Generator
from functools import cache
from pathlib import Path

import pytest

from rotator.model.credential import PrincipalKind
from tests.crash.schedule import Rehearsal, rehearse
from tests.crash.tally import PROPERTY, Tally

_SEEDED, _NAMED = "test_any_seed", "test_a_schedule_that_was_asked_for"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "chaos_seed" in metafunc.fixturenames:
        metafunc.parametrize("chaos_seed", seeds_of(str(metafunc.config.getoption("--chaos-seeds") or "0:3")))
    if "asked_for" in metafunc.fixturenames:
        metafunc.parametrize("asked_for", metafunc.config.getoption("--crash-schedule"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Who asks for seeds or for schedules gets these and nothing else of the matrix."""
    seeds, named = config.getoption("--chaos-seeds"), config.getoption("--crash-schedule")
    wanted = tuple(name for name, asked in ((_SEEDED, seeds), (_NAMED, named)) if asked)
    here = Path(__file__).parent

    def chosen(item: pytest.Item) -> bool:
        if here not in item.path.parents:
            return True
        return item.name.startswith(wanted) if wanted else not item.name.startswith(_NAMED)

    others = [one for one in items if not chosen(one)]
    if others:
        config.hook.pytest_deselected(items=others)
        items[:] = [one for one in items if chosen(one)]


def seeds_of(text: str) -> range:
    """Read `17` or `0:200`."""
    first, colon, last = text.partition(":")
    try:
        return range(int(first), int(last)) if colon else range(int(first), int(first) + 1)
    except ValueError:
        raise pytest.UsageError(f"--chaos-seeds takes a number or FIRST:END, not {text!r}") from None


@pytest.fixture
def full(request: pytest.FixtureRequest) -> bool:
    """Whether everything is wanted, or the sample that continuous integration has time for."""
    return bool(request.config.getoption("--crash-full"))


@pytest.fixture
def tally() -> Tally:
    return Tally()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Put what a test counted into the report of its call."""
    try:
        yield
    finally:
        counted = getattr(item, "funcargs", {}).get("tally")
        if isinstance(counted, Tally):
            item.user_properties.append((PROPERTY, counted.text()))


@pytest.fixture(scope="session")
def rehearsals(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[PrincipalKind], Rehearsal]:
    """Each kind's undisturbed rotation, played once for all test processes of a run."""
    mine = tmp_path_factory.getbasetemp()
    # The folder above a worker's own belongs to this run alone; without workers it is that of all runs.
    shared = mine.parent if hasattr(request.config, "workerinput") else mine

    @cache
    def of(kind: PrincipalKind) -> Rehearsal:
        file = shared / f"rehearsal-{kind.value}"
        if not file.exists():
            written = tmp_path_factory.mktemp("rehearsal") / "played"
            written.write_bytes(pickle.dumps(rehearse(kind, written.parent / kind.value)))
            written.replace(file)
        rehearsal: Rehearsal = pickle.loads(file.read_bytes())  # noqa: S301 - written by this very run
        return rehearsal

    return of
