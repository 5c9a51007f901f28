"""The durable engine itself, on a real file, around the cloud in memory."""

from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from rotator.model.credential import Overlap
from rotator.model.errors import AlreadyRunning
from rotator.model.rotation import Result
from rotator.rotation.durable import Journal
from rotator.rotation.engine import _tune_sqlite
from tests.memorycloud import Crash, Fault, MemoryCloud
from tests.memoryports import context_of
from tests.nights import NIGHT, RULES, assert_good_end, expiring_cloud, plan_of, run


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(f"sqlite:///{tmp_path / 'journal.sqlite'}", lock=tmp_path / "journal.sqlite.lock")


def finished(cloud: MemoryCloud) -> None:
    cloud.clock.sleep(NIGHT)
    run(cloud)
    assert_good_end(cloud)


def test_what_died_in_the_middle_is_carried_on_and_the_file_holds_no_secret(journal: Journal, tmp_path: Path) -> None:
    cloud = expiring_cloud(Overlap.MANY, groups=3)
    cloud.faults = {5: Fault.CRASH_AFTER}
    context, plan = context_of(cloud, RULES), plan_of(cloud)
    with pytest.raises(Crash), journal.opened(context) as opened:
        opened.rotate(plan.due, "first")

    with journal.opened(context) as opened:
        [outcome] = opened.carried_on()

    assert outcome.result is Result.SOAKING
    assert len(cloud.issued) == 2
    finished(cloud)
    written = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert not [one.value for one in cloud.issued if one.value.encode() in written]


def test_the_same_plan_carried_out_in_another_run_is_done_again(journal: Journal) -> None:
    """A saved plan whose first run failed must not be answered from the journal for ever."""
    cloud = expiring_cloud(groups=2)
    cloud.faults = {1: Fault.DENIED}
    context, plan = context_of(cloud, RULES), plan_of(cloud)
    results = []
    for number in ("first", "second"):
        with journal.opened(context) as opened:
            results += [outcome.result for outcome in opened.rotate(plan.due, number)]
    assert results == [Result.FAILED, Result.SOAKING]
    finished(cloud)


def test_only_one_process_works_on_a_journal(journal: Journal, tmp_path: Path) -> None:
    context = context_of(expiring_cloud(), RULES)
    other = Journal(f"sqlite:///{tmp_path / 'journal.sqlite'}", lock=tmp_path / "journal.sqlite.lock")
    with journal.opened(context), pytest.raises(AlreadyRunning), other.opened(context):
        raise AssertionError


def test_an_old_sqlite_is_given_the_clock_that_the_journal_asks_it_for() -> None:
    """SQLite before 3.42 answers NULL, and DBOS does not start on Python 3.12 and newer (Debian 12)."""
    _tune_sqlite()
    _tune_sqlite()
    with create_engine("sqlite://").connect() as connection:
        assert connection.scalar(text("SELECT unixepoch('subsec')")) > 1_700_000_000
