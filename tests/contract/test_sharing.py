"""What replicas share: who lives, who takes over, who leads, which groups and how many writes.

Two sessions on a real PostgreSQL.
"""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import create_engine, text

from rotator.azure.pacing import WritePacer
from rotator.model.arm import ArmId
from rotator.model.errors import ConfigError, Fenced
from rotator.replicas.claims import SharedClaims
from rotator.replicas.fence import Fence
from rotator.replicas.ledger import SharedLedger
from rotator.replicas.membership import Lifetimes, Membership, Replicas, session_name
from rotator.replicas.turns import Firing, SharedTurns
from tests.postgres import Server

LIFETIMES = Lifetimes(dead_after=timedelta(seconds=15))
GROUP = ArmId("/subscriptions/s/resourceGroups/r/providers/Microsoft.ContainerInstance/containerGroups/web")
REGION = ("s", "westeurope")
NIGHT = Firing(job="rotate", instant=datetime(2026, 11, 2, 2, 23, tzinfo=UTC))


@dataclass
class Watch:
    """Real time, as a test would have it."""

    at: float = 0.0

    def __call__(self) -> float:
        return self.at


@dataclass
class Pair:
    """Two replicas that have joined; neither beats by itself, so that a test decides when one was last heard of."""

    url: str
    watches: tuple[Watch, Watch]
    replicas: tuple[Replicas, Replicas]
    lives: tuple[Membership, Membership]

    def age(self, which: int, seconds: float) -> None:
        """Let time pass for one replica, as if it had been frozen."""
        self.watches[which].at += seconds
        self.sql(
            "UPDATE rotator_replicas SET beaten_at = beaten_at - make_interval(secs => :seconds) WHERE name = :name",
            seconds=seconds,
            name=self.lives[which].name,
        )

    def sql(self, statement: str, **values: object) -> None:
        engine = create_engine(self.url.replace("postgresql:", "postgresql+psycopg:"))
        with engine.begin() as connection:
            connection.execute(text(statement), values)
        engine.dispose()


@pytest.fixture
def pair(database: str) -> Iterator[Pair]:
    watches = (Watch(), Watch())
    first, second = (Replicas(database, LIFETIMES, Fence(LIFETIMES.fence, watch)) for watch in watches)
    with ExitStack() as stack:
        lives = (stack.enter_context(first.joined()), stack.enter_context(second.joined()))
        yield Pair(database, watches, (first, second), lives)


# --- life and death -----------------------------------------------------------------------------------------------------------


def test_who_beats_in_time_is_not_buried(pair: Pair) -> None:
    pair.age(0, 14)
    assert pair.lives[1].bury(lambda name: None) == ()
    assert pair.lives[0].beat()


def test_who_does_not_is_buried_by_one_of_the_others_and_may_not_act_any_more(pair: Pair) -> None:
    took = list[str]()
    pair.age(0, 16)
    assert pair.lives[1].bury(took.append) == (pair.lives[0].name,)
    assert pair.lives[1].bury(took.append) == ()
    assert took == [pair.lives[0].name]
    for method in ("PUT", "POST", "DELETE", "PATCH"):
        with pytest.raises(Fenced):
            pair.replicas[0].fence.check(method)
    pair.replicas[0].fence.check("GET")
    pair.replicas[1].fence.check("PUT")
    assert not pair.lives[0].beat()


def test_the_fence_is_shut_before_anybody_may_take_over(pair: Pair) -> None:
    """The database is away for a replica that was frozen a little: it cannot know whether it was taken for dead, and stops."""
    pair.watches[0].at += 10.5
    pair.lives[0].engine.dispose()
    pair.lives[0].engine = create_engine("postgresql+psycopg://rotator@127.0.0.1:1/nowhere")
    with pytest.raises(Fenced):
        pair.replicas[0].fence.check("PUT")
    assert LIFETIMES.fence < LIFETIMES.dead_after


def test_who_was_merely_slow_asks_the_database_and_goes_on(pair: Pair) -> None:
    pair.age(0, 12)
    pair.replicas[0].fence.check("PUT")
    assert pair.lives[1].bury(lambda name: None) == ()


def test_a_takeover_that_fails_is_tried_again(pair: Pair) -> None:
    pair.age(0, 16)

    def fails(name: str) -> None:
        raise ValueError(name)

    with pytest.raises(ValueError, match=pair.lives[0].name):
        pair.lives[1].bury(fails)
    assert pair.lives[1].bury(lambda name: None) == (pair.lives[0].name,)


def test_who_was_frozen_while_it_started_is_told_that_its_life_is_over(pair: Pair) -> None:
    pair.age(0, 16)
    pair.lives[1].bury(lambda name: None)
    assert not pair.lives[0].beat()
    told = list[str]()
    pair.lives[0].on_loss(lambda: told.append("lost"))
    assert told == ["lost"]


def test_two_survivors_bury_a_third_once(pair: Pair) -> None:
    third = Replicas(pair.url, LIFETIMES)
    took, both = list[str](), threading.Barrier(2)

    def bury(life: Membership) -> None:
        both.wait(10)
        life.bury(took.append)

    with third.joined() as life:
        pair.sql("UPDATE rotator_replicas SET beaten_at = '-infinity' WHERE name = :name", name=life.name)
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(bury, pair.lives))
        assert took == [life.name]


def test_a_frozen_replica_that_holds_a_transaction_open_is_cut_off(pair: Pair) -> None:
    frozen = pair.lives[0].engine.connect()
    frozen.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('s/westeurope', 0))"))
    pair.age(0, 16)
    pair.lives[1].bury(lambda name: None)
    assert not WritePacer(None, SharedLedger(pair.replicas[1])).claim(REGION)  # type: ignore[arg-type]  # the ledger has the time
    frozen.invalidate()
    frozen.close()


def test_who_leaves_in_order_is_not_waited_for(pair: Pair) -> None:
    pair.lives[0].end(in_order=True)
    assert pair.lives[1].bury(lambda name: None) == (pair.lives[0].name,)
    pair.replicas[0].fence.check("PUT")


def test_who_leaves_with_work_under_way_may_not_go_on_with_it(pair: Pair) -> None:
    pair.lives[0].end(in_order=False)
    with pytest.raises(Fenced):
        pair.replicas[0].fence.check("PUT")


def test_a_session_bears_its_replicas_name_in_full() -> None:
    assert len(session_name("h" * 30 + "-4194304-01234567")) < 64, "PostgreSQL cuts longer ones"


def test_a_database_that_cannot_be_used_is_a_sentence(postgres: Server) -> None:
    with pytest.raises(ConfigError, match="journal's database"), Replicas(postgres.url("nowhere")).joined():
        raise AssertionError


# --- groups -------------------------------------------------------------------------------------------------------------------


def test_a_group_is_claimed_once_among_replicas_and_their_threads(pair: Pair) -> None:
    claims = [SharedClaims(replicas) for replicas in pair.replicas]
    inside, most, guard = 0, 0, threading.Lock()

    def put(which: int) -> None:
        nonlocal inside, most
        with claims[which].claim(GROUP):
            with guard:
                inside += 1
                most = max(most, inside)
            with guard:
                inside -= 1

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(put, [0, 1] * 6))
    assert most == 1


def test_a_dead_replicas_claim_ends_with_its_burial(pair: Pair) -> None:
    claims = [SharedClaims(replicas) for replicas in pair.replicas]
    claimed = threading.Event()

    def wait() -> None:
        with claims[1].claim(GROUP):
            claimed.set()

    with pytest.raises(Fenced), claims[0].claim(GROUP), ThreadPoolExecutor(1) as pool:  # noqa: PT012 - the release raises
        waiting = pool.submit(wait)
        assert not claimed.wait(0.5)
        pair.age(0, 16)
        pair.lives[1].bury(lambda name: None)
        waiting.result(10)
        assert claimed.is_set()


def test_a_database_that_is_away_is_a_crash_and_no_failed_step(pair: Pair) -> None:
    pair.lives[0].engine = create_engine("postgresql+psycopg://rotator@127.0.0.1:1/nowhere")
    with pytest.raises(Fenced), SharedClaims(pair.replicas[0]).claim(GROUP):
        raise AssertionError
    assert not isinstance(Fenced(), Exception), "so that no handler takes it for a failure of the work"
    with pytest.raises(Fenced):
        pair.replicas[0].fence.check("PUT")


# --- writes -------------------------------------------------------------------------------------------------------------------


@dataclass
class Clock:
    at: datetime = datetime(2026, 11, 2, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at

    def sleep(self, duration: timedelta) -> None:
        self.at += duration


def test_both_limits_hold_over_the_writes_of_all_replicas(pair: Pair) -> None:
    clock = Clock()
    pacers = [WritePacer(clock, SharedLedger(one, clock), per_five_minutes=5, per_hour=12) for one in pair.replicas]
    written = list[datetime]()
    for number in range(40):
        while pause := pacers[number % 2].claim(REGION):
            clock.sleep(pause)
        pacers[number % 2].heed(REGION, {})
        written.append(clock.at)
    for span, limit in ((timedelta(minutes=5), 5), (timedelta(hours=1), 12)):
        assert all(later - first > span for first, later in zip(written, written[limit:], strict=False))
    assert written[-1] - written[0] < timedelta(hours=3, minutes=15)


def test_replicas_that_ask_at_once_are_counted_one_by_one(pair: Pair) -> None:
    clock = Clock()
    pacers = [WritePacer(clock, SharedLedger(one, clock)) for one in pair.replicas]
    with ThreadPoolExecutor(8) as pool:
        granted = list(pool.map(lambda number: not pacers[number % 2].claim(REGION), range(130)))
    assert sum(granted) == 100
    assert not pacers[0].claim(("s", "northeurope"))


def test_a_pause_that_azure_asked_one_replica_for_holds_for_all(pair: Pair) -> None:
    clock = Clock()
    first, second = (WritePacer(clock, SharedLedger(one, clock)) for one in pair.replicas)
    assert not first.claim(REGION)
    first.heed(REGION, {"x-ms-ratelimit-remaining-subscription-resource-requests-pt5m": "0"})
    assert second.claim(REGION) > timedelta(minutes=5)


def test_a_write_that_a_dead_replica_had_under_way_counts_from_its_burial(pair: Pair) -> None:
    clock = Clock()
    ledgers = [SharedLedger(one, clock) for one in pair.replicas]
    pair.replicas[1].on_burial(ledgers[1].settle)
    pacers = [WritePacer(clock, one, per_five_minutes=1) for one in ledgers]
    assert not pacers[0].claim(REGION)
    clock.sleep(timedelta(minutes=20))
    assert pacers[1].claim(REGION) > timedelta(minutes=5)
    pair.age(0, 16)
    pair.lives[1].bury(lambda name: None)
    clock.sleep(timedelta(minutes=4))
    assert pacers[1].claim(REGION) == timedelta(minutes=1, seconds=1)


# --- the schedule -------------------------------------------------------------------------------------------------------------


def test_one_leads_and_another_leads_at_once_when_it_is_gone(pair: Pair) -> None:
    first, second = (SharedTurns(one) for one in pair.replicas)
    assert [first.leads(), second.leads(), first.leads()] == [True, False, True]
    pair.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = :name",
             name=session_name(pair.lives[0].name))  # fmt: skip
    assert second.leads()
    assert not first.leads()
    second.resign()
    assert first.leads()
    first.resign()


def test_an_instant_is_fired_once_and_what_a_dead_leader_began_is_carried_on(pair: Pair) -> None:
    first, second = (SharedTurns(one) for one in pair.replicas)
    assert first.begin(NIGHT)
    assert not second.begin(NIGHT)
    assert second.left_over() == (NIGHT,)
    assert second.left_over() == (), "it is its own by now"
    second.end(NIGHT)
    assert first.left_over() == ()
    assert not first.begin(NIGHT)
