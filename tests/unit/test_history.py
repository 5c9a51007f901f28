"""The history: what begins, what stays, what is resolved, and what is never kept."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from rotator.history import History
from rotator.history.record import KEPT
from rotator.model.errors import ConfigError
from rotator.model.estate import Estate
from rotator.model.policy import Audit
from rotator.model.usage import Pull
from tests import reportsample as sample
from tests.builders import group_id
from tests.fakes import FakeClock

LATER = sample.NOW + timedelta(hours=1)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(sample.NOW)


@pytest.fixture
def history(clock: FakeClock) -> History:
    return History("sqlite://", clock)


def later(audit: Audit, *, without: str = "") -> Audit:
    kept = tuple(one for one in audit.findings if one.policy != without)
    return replace(audit, findings=kept, evaluated_at=LATER)


def whole() -> Estate:
    return sample.estate(unread=False)


def test_pulls_that_azure_has_forgotten_are_remembered_without_their_number(history: History) -> None:
    def pull(hours: int, count: int) -> Pull:
        at = sample.NOW + timedelta(hours=hours)
        return Pull(group=group_id(), registry="demo.azurecr.io", first_at=sample.NOW, last_at=at, count=count)

    early, late = (replace(sample.retirement(), pulls=(pull(hours, count),)) for hours, count in ((1, 4), (2, 7)))
    assert history.with_pulls((early,)) == (early,)
    assert history.with_pulls((early,)) == (early,), "the same look twice adds nothing"
    # The counts are of one run and would be counted twice.
    assert history.with_pulls((late,))[0].pulls == (pull(2, 7), pull(1, 1))
    assert history.with_pulls((replace(late, rotation="another", pulls=()),))[0].pulls == ()


def test_a_database_that_is_away_leaves_what_azure_shows(history: History) -> None:
    history.close()
    with history._engine.begin() as connection:
        connection.execute(text("DROP TABLE IF EXISTS rotator_pulls"))
    shown = replace(sample.retirement(), pulls=())
    assert history.with_pulls((shown,)) == (shown,)


def test_a_finding_that_stays_keeps_its_beginning(history: History) -> None:
    history.record_audit(whole(), sample.audit())
    history.record_audit(whole(), later(sample.audit()))
    assert set(history.first_seen().values()) == {sample.NOW}
    assert history.findings_since(LATER) == ()


def test_a_finding_that_is_gone_is_resolved(history: History) -> None:
    history.record_audit(whole(), sample.audit())
    history.record_audit(whole(), later(sample.audit(), without="credential-expired"))
    (resolved,) = history.findings_since(LATER)
    assert (resolved.policy, resolved.first_seen_at, resolved.resolved_at) == ("credential-expired", sample.NOW, LATER)


def test_a_finding_that_could_not_be_looked_for_stays_open(history: History) -> None:
    blind = replace(sample.estate(), unread=(replace(sample.estate().unread[0], scope=sample.SUBSCRIPTION.upper()),))
    history.record_audit(whole(), sample.audit())
    history.record_audit(blind, later(sample.audit(), without="credential-expired"))
    assert history.findings_since(LATER) == ()


def test_a_finding_that_comes_back_begins_anew(history: History) -> None:
    history.record_audit(whole(), sample.audit())
    history.record_audit(whole(), later(sample.audit(), without="credential-expired"))
    again = replace(sample.audit(), evaluated_at=LATER + timedelta(hours=1))
    history.record_audit(whole(), again)
    (reborn,) = [one for one in history.findings_since(LATER) if one.policy == "credential-expired"]
    assert (reborn.first_seen_at, reborn.resolved_at) == (again.evaluated_at, None)


def test_events_and_outcomes_are_listed_the_newest_first(history: History) -> None:
    for event in sample.events():
        history.notice(event)
    history.record_audit(sample.estate(), sample.audit())
    history.record_outcomes(sample.outcomes())
    assert [entry.what for entry in history.recent()] == ["rotation", "rotation", "audit"]
    assert [entry.result for entry in history.recent(2)] == ["soaking", "held"]
    assert history.recent()[-1].result == "partial"
    assert [entry.result for entry in history.events_of("r-1")] == ["ok", "ok", "ok", "conflict", "ok"]


def test_old_events_are_forgotten(history: History, clock: FakeClock) -> None:
    history.notice(sample.events()[0])
    clock.sleep(KEPT + timedelta(days=1))
    history.record_audit(whole(), sample.audit())
    assert history.events_of("r-1") == ()


def test_a_file_is_read_by_the_next_process(tmp_path: Path, clock: FakeClock) -> None:
    url = f"sqlite:///{tmp_path / 'deep' / 'history.sqlite'}"
    first = History(url, clock)
    first.record_audit(whole(), sample.audit())
    first.close()
    second = History(url, clock)
    assert len(second.recent()) == 1
    assert second.recent()[0].at == sample.NOW
    second.close()


def test_nothing_of_a_groups_body_or_of_the_evidence_is_kept(tmp_path: Path, clock: FakeClock) -> None:
    file = tmp_path / "history.sqlite"
    history = History(f"sqlite:///{file}", clock)
    history.record_audit(sample.estate(), sample.audit())
    history.close()
    kept = b"".join(one.read_bytes() for one in tmp_path.iterdir())
    assert b"a-body-is-never-shown" not in kept
    assert b"binding.source" not in kept


def test_a_history_that_breaks_stops_nothing(history: History) -> None:
    with history._engine.begin() as connection:
        for table in ("rotator_events", "rotator_runs", "rotator_outcomes"):
            connection.execute(text(f"drop table {table}"))
    history.notice(sample.events()[0])
    history.record_audit(whole(), sample.audit())
    history.record_outcomes(sample.outcomes())


def test_a_newer_schema_is_refused(tmp_path: Path, clock: FakeClock) -> None:
    url = f"sqlite:///{tmp_path / 'history.sqlite'}"
    history = History(url, clock)
    with history._engine.begin() as connection:
        connection.execute(text("update rotator_schema set version = 99"))
    history.close()
    with pytest.raises(ConfigError, match="schema 99"):
        History(url, clock)


@pytest.mark.parametrize("url", ["no url", "nodb://x", "postgresql+psycopg://user:hunter2@127.0.0.1:1/x"])
def test_a_database_that_cannot_be_reached_is_a_configuration_error(url: str, clock: FakeClock) -> None:
    with pytest.raises(ConfigError) as caught:
        History(url, clock)
    assert "hunter2" not in str(caught.value)
