"""The evidence log on a real file and a vault in memory: several writers, faults, lost databases, and people who edit it."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from rotator.history import History, chain
from rotator.history.anchor import CHECKPOINT, TAG_HASH, VaultAnchor
from rotator.history.chain import Damage, Examination
from rotator.history.evidence import EvidenceLog, EvidenceSettings
from rotator.model.errors import Held, RotatorError, Unavailable
from rotator.model.estate import StoredSecret
from rotator.ports import Clock
from tests import reportsample as sample
from tests.fakes import FakeClock
from tests.memorycloud import MemoryCloud
from tests.memoryports import MemoryVault

HEAD = "rotator-evidence-head"


@dataclass
class Lost:
    """Counts what the log could not take, and leaves no trail."""

    count: int = 0
    trail: list[str] = field(default_factory=list)

    def evidence_lost(self) -> None:
        self.count += 1

    def taken(self) -> tuple[str, ...]:
        return ()


class Place:
    """A folder with a database, a vault that outlives it, and logs that are opened on both."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "history.sqlite"
        self.cloud = MemoryCloud()
        self.clock: FakeClock = FakeClock(sample.NOW)
        self.vault = MemoryVault(self.cloud)
        self.lost = Lost()
        self.url = f"sqlite:///{self.file}"
        self._open: list[History] = []

    def log(self, *, required: bool = False, vault: MemoryVault | None = None) -> EvidenceLog:
        history = History(self.url, self.clock)
        self._open.append(history)
        anchor = VaultAnchor(vault or self.vault, HEAD, self.clock)
        actor = {"identity": "managed-identity", "host": "here"}
        return EvidenceLog(
            history.engine, self.clock, anchor, self.lost, self.lost, EvidenceSettings(actor=actor, required=required)
        )

    def run(self, log: EvidenceLog, events: int = 4) -> None:
        with log.kept("a run begins"):
            for event in sample.events()[:events]:
                log.notice(event)

    def edit(self, *statements: str) -> None:
        with sqlite3.connect(self.file) as connection:
            for statement in statements:
                connection.execute(statement)

    def close(self) -> None:
        for one in self._open:
            one.close()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.close()


def verified(log: EvidenceLog) -> Examination:
    return chain.examine(log.links(), heads=log.heads())


def damages(log: EvidenceLog) -> list[tuple[int, Damage]]:
    return [(flaw.seq, flaw.damage) for flaw in verified(log).flaws]


def test_a_run_is_recorded_and_its_head_is_in_the_vault(place: Place) -> None:
    log = place.log()
    place.run(log)
    found = verified(log)
    assert (found.intact, found.records, found.unanchored) == (True, 5, 0)
    assert found.vault is not None
    assert found.head is not None
    assert (found.vault.seq, found.vault.hash) == (5, found.head.hash)
    assert place.lost.count == 0


def test_each_run_moves_the_head_without_a_new_version_until_a_month_has_passed(place: Place) -> None:
    log = place.log()
    for _ in range(3):
        place.run(log)
    assert len(place.cloud.vault[HEAD]) == 1
    place.clock.sleep(CHECKPOINT * 12)
    place.run(log)
    assert len(place.cloud.vault[HEAD]) == 2
    assert {head.seq for head in log.heads()} == {20, 5}, "the newest, and what each version was made with"
    assert verified(log).intact


def test_a_run_that_recorded_nothing_asks_the_vault_nothing(place: Place) -> None:
    log = place.log()
    with log.kept(""):
        pass
    assert HEAD not in place.cloud.vault


def test_the_head_is_put_into_the_vault_when_the_run_fails_too(place: Place) -> None:
    log = place.log()
    with pytest.raises(KeyError), log.kept("a run begins"):
        raise KeyError
    assert [head.seq for head in log.heads()] == [1, 1]


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("update rotator_evidence set body = replace(body, '\"ok\":true', '\"ok\":false') where seq = 3", [(3, Damage.CHANGED)]),
        ("update rotator_evidence set body = 'x' where seq = 3", [(3, Damage.UNREADABLE)]),
        ("update rotator_evidence set hash = '00' where seq = 3", [(3, Damage.CHANGED), (3, Damage.CHANGED)]),
        ("delete from rotator_evidence where seq in (2, 3)", [(2, Damage.REMOVED)]),
        ("delete from rotator_evidence where seq > 3", [(4, Damage.CUT_OFF)]),
        ("delete from rotator_evidence where seq = 1", [(1, Damage.REMOVED)]),
    ],
)
def test_what_is_edited_behind_the_back_is_found(place: Place, statement: str, expected: list[tuple[int, Damage]]) -> None:
    log = place.log()
    place.run(log)
    assert verified(log).intact
    place.edit(statement)
    assert damages(log) == expected


def test_two_records_whose_contents_are_exchanged_are_found(place: Place) -> None:
    log = place.log()
    place.run(log)
    place.edit(
        "update rotator_evidence set seq = 100 where seq = 2",
        "update rotator_evidence set seq = 2 where seq = 3",
        "update rotator_evidence set seq = 3 where seq = 100",
    )
    assert {seq for seq, _ in damages(log)} >= {2, 3}


def test_a_check_of_what_is_new_finds_what_is_new_and_what_was_rewritten_before(place: Place) -> None:
    log = place.log()
    assert log.check([]) is None, "an empty log is neither whole nor broken"
    place.run(log)
    assert log.check(list(place.vault.inventory())) is True
    place.run(log)
    assert log.check(list(place.vault.inventory())) is True
    place.edit("update rotator_evidence set body = replace(body, '\"ok\":true', '\"ok\":false') where seq = 8")
    assert log.check([]) is True, "what was checked once is not read again"
    assert place.log().check([]) is False, "but a new process reads everything"
    place.run(log)
    place.edit("update rotator_evidence set body = replace(body, '\"ok\":true', '\"ok\":false') where seq = 13")
    assert log.check([]) is False
    assert log.check([]) is False, "and goes on saying so"


def test_a_check_notices_that_the_end_is_gone(place: Place) -> None:
    log = place.log()
    place.run(log)
    assert log.check(list(place.vault.inventory())) is True
    place.edit("delete from rotator_evidence where seq > 2")
    assert log.check(list(place.vault.inventory())) is False
    assert place.log().check(list(place.vault.inventory())) is False


def test_the_head_is_not_moved_over_a_log_that_was_cut(place: Place) -> None:
    log = place.log()
    place.run(log)
    place.edit("delete from rotator_evidence where seq > 2")
    place.run(place.log(), events=1)
    assert place.vault.look(HEAD).tags["rotator-evidence-seq"] == "5"  # type: ignore[union-attr]
    place.run(place.log(), events=4)
    assert damages(place.log()) == [(5, Damage.CHANGED)]


def test_two_logs_for_one_vault_are_noticed(place: Place, tmp_path: Path) -> None:
    place.run(place.log())
    other = Place(tmp_path / "other")
    other.vault, other.cloud = place.vault, place.cloud
    other.run(other.log())
    place.run(place.log(), events=1)
    assert damages(place.log()) == [(8, Damage.CUT_OFF)], "the vault knows of the other log's record 11"
    other.close()


def test_a_lost_database_is_continued_and_the_log_says_so(place: Place) -> None:
    place.run(place.log())
    place.close()
    for file in place.file.parent.iterdir():
        file.unlink()
    log = place.log()
    assert log.check(list(place.vault.inventory())) is None
    place.run(log)
    found = verified(log)
    assert (found.intact, found.records) == (True, 6)
    assert found.notices[0].startswith("records 1 to 5 are not in this log: this log continues after one that is not here")
    assert [head.seq for head in log.heads()] == [11, 5]
    assert place.log().check(list(place.vault.inventory())) is True


class Away(MemoryVault):
    """A vault that does not answer."""

    def look(self, name: str) -> StoredSecret | None:
        raise Unavailable("the vault is away", api="key-vault", operation="list-versions")


def test_a_log_does_not_begin_at_one_while_the_vault_cannot_say_how_far_it_was(place: Place) -> None:
    place.run(place.log(), events=2)
    place.close()
    for file in place.file.parent.iterdir():
        file.unlink()
    away = Away(place.cloud)
    log = place.log(vault=away)
    place.run(log)
    assert log.head() is None
    assert place.lost.count == 5
    log._anchor._vault = place.vault
    place.run(log, events=1)
    steps = [link.step for link in log.links()]
    assert steps[:3] == ["log-continues", "log-gap", "run"]
    assert any("5 records could not be written" in one for one in verified(log).notices)


def test_what_could_not_be_written_is_counted_and_the_chain_says_so(place: Place) -> None:
    log = place.log()
    place.run(log)
    place.edit("alter table rotator_evidence rename to away")
    for event in sample.events()[:3]:
        log.notice(event)
    assert place.lost.count == 3
    place.edit("alter table away rename to rotator_evidence")
    log.notice(sample.events()[0])
    found = verified(log)
    assert (found.intact, found.records) == (True, 7)
    assert found.notices == (f"record 6: 3 records could not be written from {_instant()} on (OperationalError)",)


def _instant() -> str:
    return sample.events()[0].at.isoformat().replace("+00:00", "Z")


def test_a_broken_log_stops_no_rotation_unless_it_is_required(place: Place) -> None:
    log, strict = place.log(), place.log(required=True)
    place.edit("drop table rotator_evidence")
    begun = []
    with log.kept("a run begins"):
        begun.append("as always")
    with pytest.raises(Held, match="evidence"), strict.kept("a run begins"):
        begun.append("never")
    with strict.kept(""):
        begun.append("nothing to do needs no evidence")
    assert begun == ["as always", "nothing to do needs no evidence"]
    assert log.check([]) is False


def test_a_head_that_somebody_edited_is_not_believed(place: Place) -> None:
    log = place.log()
    place.run(log)
    stored = place.cloud.vault[HEAD][-1]
    stored.secret = replace(stored.secret, tags={**stored.secret.tags, TAG_HASH: "no hash"})
    with pytest.raises(RotatorError, match="somebody has changed it"):
        log.heads()
    assert log.check(list(place.vault.inventory())) is False
    place.run(log)
    assert place.vault.look(HEAD).tags[TAG_HASH] == "no hash", "it is not overwritten either"  # type: ignore[union-attr]


def test_threads_that_write_at_once_make_one_chain(place: Place) -> None:
    logs = [place.log() for _ in range(3)]
    event = sample.events()[0]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda number: logs[number % 3].notice(event), range(60)))
    found = verified(logs[0])
    assert (found.intact, found.records, place.lost.count) == (True, 60, 0)


WRITER = """
import sys
from tests.unit.test_evidence_log import writer
writer(sys.argv[1])
"""


def writer(url: str) -> None:
    """Write forty records, as one of several processes."""
    clock: Clock = FakeClock(sample.NOW)
    history, lost = History(url, clock), Lost()
    anchor = VaultAnchor(MemoryVault(MemoryCloud()), HEAD, clock)
    log = EvidenceLog(history.engine, clock, anchor, lost, lost, EvidenceSettings())
    for _ in range(40):
        log.notice(sample.events()[0])
    history.close()
    assert lost.count == 0


def _together(url: str) -> None:
    running = [subprocess.Popen([sys.executable, "-c", WRITER, url], cwd=Path(__file__).parents[2]) for _ in range(2)]
    assert [one.wait(120) for one in running] == [0, 0]


def test_processes_that_write_at_once_make_one_chain(place: Place) -> None:
    _together(place.url)
    found = chain.examine(place.log().links())
    assert (found.intact, found.records) == (True, 80)


def test_replicas_on_postgresql_make_one_chain(database: str, place: Place) -> None:
    place.url = database.replace("postgresql:", "postgresql+psycopg:")
    _together(place.url)
    log = place.log()
    place.run(log)
    found = verified(log)
    assert (found.intact, found.records, found.unanchored) == (True, 85, 0)
    with log._engine.begin() as connection:
        connection.execute(text("delete from rotator_evidence where seq = 7"))
    assert damages(log) == [(7, Damage.REMOVED)]


def test_an_older_database_is_given_the_table(place: Place) -> None:
    place.log()
    place.close()
    place.edit("drop table rotator_evidence", "update rotator_schema set version = 1")
    log = place.log()
    place.run(log)
    assert verified(log).intact
    with sqlite3.connect(place.file) as connection:
        assert connection.execute("select version from rotator_schema").fetchall() == [(2,)]


def test_text_that_is_no_text_is_recorded_all_the_same(place: Place) -> None:
    log = place.log()
    log.notice(replace(sample.events()[0], detail="half a \ud800 pair, a \x00 and a \u2028"))
    assert verified(log).records == 1
    assert chain.examine(iter([chain._from_line(line) for line in log.lines()])).intact


def test_a_long_log_is_exported_a_page_at_a_time(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rotator.history.evidence._PAGE", 7)
    log = place.log()
    for _ in range(20):
        log.notice(sample.events()[0])
    lines = log.lines()
    first = next(lines)
    log.notice(sample.events()[0])
    exported = [first, *lines]
    assert len(exported) == 21
    assert chain.examine(iter([chain._from_line(line) for line in exported])).intact


def test_the_time_of_a_record_is_the_event_s(place: Place) -> None:
    log = place.log()
    event = replace(sample.events()[0], at=sample.NOW + timedelta(days=1))
    log.notice(event)
    (link,) = log.links()
    assert link.at == "2026-11-03T08:30:00Z"
