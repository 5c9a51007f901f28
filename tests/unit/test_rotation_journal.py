"""The durable engine itself, on a real file, around the cloud in memory."""

import os
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from rotator.model.credential import Overlap
from rotator.model.errors import AlreadyRunning
from rotator.model.rotation import Result
from rotator.rotation.durable import Journal, _mend_old_sqlite
from tests.conftest import Programs
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
        opened.rotate(plan.due, "first", 1)

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
            results += [outcome.result for outcome in opened.rotate(plan.due, number, 1)]
    assert results == [Result.FAILED, Result.SOAKING]
    finished(cloud)


def test_only_one_process_works_on_a_journal(journal: Journal, tmp_path: Path) -> None:
    context = context_of(expiring_cloud(), RULES)
    other = Journal(f"sqlite:///{tmp_path / 'journal.sqlite'}", lock=tmp_path / "journal.sqlite.lock")
    with journal.opened(context), pytest.raises(AlreadyRunning), other.opened(context):
        raise AssertionError


@pytest.fixture
def database(tmp_path: Path, programs: Programs) -> Iterator[str]:
    """An empty PostgreSQL of its own."""
    make, serve = programs.find("initdb", "postgresql"), programs.find("postgres", "postgresql")
    folder = Path(tempfile.mkdtemp(prefix="journal"))
    # It refuses to run as root.
    user = "nobody" if os.geteuid() == 0 else None
    if user:
        shutil.chown(folder, user)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    subprocess.run([make, "-D", folder, "-U", "rotator", "-A", "trust", "-N"], user=user, check=True, stdout=subprocess.DEVNULL)
    running = subprocess.Popen(
        [serve, "-D", folder, "-h", "127.0.0.1", "-p", str(port), "-k", folder], user=user, stderr=subprocess.DEVNULL
    )
    try:
        while not (folder / "postmaster.pid").exists() or "ready" not in (folder / "postmaster.pid").read_text():
            assert running.poll() is None
            threading.Event().wait(0.05)
        yield f"postgresql://rotator@127.0.0.1:{port}/postgres"
    finally:
        running.terminate()
        running.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


def test_replicas_take_turns_at_a_journal_in_postgresql(database: str) -> None:
    cloud = expiring_cloud(groups=2)
    context, plan = context_of(cloud, RULES), plan_of(cloud)
    with Journal(database, lock=None).opened(context) as opened:
        with pytest.raises(AlreadyRunning), Journal(database, lock=None).opened(context):
            raise AssertionError
        [outcome] = opened.rotate(plan.due, "first", 1)
    assert outcome.result is Result.SOAKING
    with Journal(database, lock=None).opened(context) as opened:
        assert opened.carried_on() == ()
    finished(cloud)


def test_an_old_sqlite_is_given_the_clock_that_the_journal_asks_it_for() -> None:
    """SQLite before 3.42 answers NULL, and DBOS does not start on Python 3.12 and newer (Debian 12)."""
    _mend_old_sqlite()
    _mend_old_sqlite()
    with create_engine("sqlite://").connect() as connection:
        assert connection.scalar(text("SELECT unixepoch('subsec')")) > 1_700_000_000
