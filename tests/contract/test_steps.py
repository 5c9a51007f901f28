"""The `Steps` port: what a workflow may rely on, whichever engine records it."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from rotator.model.credential import Overlap
from rotator.model.errors import Held
from rotator.model.rotation import Result
from rotator.ports import Errand, Json, Steps
from rotator.replicas.membership import Lifetimes, Replicas
from rotator.rotation.durable import Journal
from rotator.rotation.steps import MemorySteps
from tests.memorycloud import Crash, Fault
from tests.memoryports import context_of
from tests.nights import NIGHT, RULES, assert_good_end, expiring_cloud, plan_of, run

Work = Callable[[Steps], Json]
Engine = Callable[[Work], Json]
"""Runs a body against the port. The same engine called again replays what was recorded."""


@pytest.fixture
def in_memory() -> Engine:
    recorded: dict[str, Json] = {}
    return lambda work: work(MemorySteps(recorded))


def test_a_result_is_recorded_and_the_work_is_not_done_again(in_memory: Engine) -> None:
    done = list[str]()

    def kept(name: str) -> Json:
        done.append(name)
        return name

    def body(steps: Steps) -> Json:
        return [steps.run(name, partial(kept, name)) for name in ("a", "b")]

    assert in_memory(body) == in_memory(body) == ["a", "b"]
    assert done == ["a", "b"]


def test_an_error_of_ours_is_recorded_and_raised_again(in_memory: Engine) -> None:
    tries = list[int]()

    def work() -> Json:
        tries.append(1)
        raise Held("decide")

    for _ in range(2):
        with pytest.raises(Held, match="decide"):
            in_memory(lambda steps: steps.run("ask", work))
    assert len(tries) == 1


def test_errands_give_their_results_in_order_and_are_recorded_one_by_one(in_memory: Engine) -> None:
    done = list[Json]()
    errands = tuple(Errand(key=str(number), place="s/westeurope", argument=number) for number in range(5))

    def work(argument: Json) -> Json:
        if len(done) == 3:
            done.append("died")
            raise Crash
        done.append(argument)
        return argument

    with pytest.raises(Crash):
        in_memory(lambda steps: list(steps.each("go", errands, work)))
    assert in_memory(lambda steps: list(steps.each("go", errands, work))) == [0, 1, 2, 3, 4]
    assert done == [0, 1, 2, "died", 3, 4]


# --- the journals: the same promises, seen from outside ---------------------------------------------------------------------


HASTY = Lifetimes(dead_after=timedelta(seconds=3))


@pytest.fixture(params=["a file", "PostgreSQL"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Journal]]:
    """Makes a journal as a new process would have it."""
    if request.param == "a file":
        yield lambda: Journal(f"sqlite:///{tmp_path / 'journal.sqlite'}", lock=tmp_path / "lock")
    else:
        url = request.getfixturevalue("database")
        yield lambda: Journal(url, replicas=Replicas(url, HASTY))


def test_a_rotation_moves_every_group_and_tells_once_how_it_ended(journal: Callable[[], Journal]) -> None:
    cloud = expiring_cloud(Overlap.MANY, groups=7)
    told = list[Result]()
    with journal().opened(context_of(cloud, RULES), lambda outcome: told.append(outcome.result)) as opened:
        [outcome] = opened.rotate(plan_of(cloud).due, "first")
    assert outcome.result is Result.SOAKING
    assert len(outcome.redeployed) == 7
    assert told == [Result.SOAKING]


def test_the_same_run_asked_for_again_answers_from_the_journal(journal: Callable[[], Journal]) -> None:
    cloud = expiring_cloud(Overlap.MANY, groups=2)
    due = plan_of(cloud).due
    with journal().opened(context_of(cloud, RULES)) as opened:
        first = opened.rotate(due, "night")
        effects = cloud.effects
        assert opened.rotate(due, "night") == first
    assert cloud.effects == effects


@pytest.mark.parametrize("number", [3, 6, 9, 11])
def test_what_died_in_the_middle_is_carried_on(journal: Callable[[], Journal], number: int) -> None:
    cloud = expiring_cloud(Overlap.MANY, groups=4)
    cloud.faults = {number: Fault.CRASH_AFTER}
    context, plan = context_of(cloud, RULES), plan_of(cloud)
    with pytest.raises(Crash), journal().opened(context) as opened:
        opened.rotate(plan.due, "first")

    with journal().opened(context) as opened:
        [outcome] = opened.carried_on()

    assert outcome.result is Result.SOAKING
    assert len(cloud.issued) == 2
    cloud.clock.sleep(NIGHT)
    run(cloud)
    assert_good_end(cloud)
