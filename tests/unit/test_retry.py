"""What is tried again, how often, and after how long."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator.clients.retry import LONGEST_PAUSE, LONGEST_WISH, pause_after, retried
from rotator.model.errors import Conflict, Denied, Indeterminate, RemoteError, Throttled, Unavailable
from tests.unit.wireserver import ShownClock


def throttled(seconds: float | None = None) -> Throttled:
    wish = None if seconds is None else timedelta(seconds=seconds)
    return Throttled("slow down", api="arm", operation="list", retry_after=wish)


def unavailable() -> Unavailable:
    return Unavailable("gone", api="arm", operation="list")


def failing(*errors: RemoteError) -> tuple[Callable[[], str], list[int]]:
    """Work that raises each error once and then succeeds."""
    left, calls = list(errors), [0]

    def work() -> str:
        calls[0] += 1
        if left:
            raise left.pop(0)
        return "done"

    return work, calls


def test_throttles_and_outages_are_tried_again_until_the_work_succeeds() -> None:
    clock = ShownClock()
    work, calls = failing(throttled(7), unavailable(), throttled())
    assert retried(clock, work) == "done"
    assert calls == [4]
    assert len(clock.slept) == 3


def test_the_last_error_leaves_after_the_last_attempt() -> None:
    clock = ShownClock()
    work, calls = failing(*[unavailable() for _ in range(9)])
    with pytest.raises(Unavailable):
        retried(clock, work, attempts=6)
    assert calls == [6]
    assert len(clock.slept) == 5


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(Indeterminate("lost", api="arm", operation="put"), id="an effect that may be there"),
        pytest.param(Denied("no", api="arm", operation="put", needs="x"), id="a permission that is missing"),
        pytest.param(Conflict("busy", api="arm", operation="put"), id="a conflict, unless it was asked for"),
    ],
)
def test_everything_else_leaves_at_once(error: RemoteError) -> None:
    clock = ShownClock()
    work, calls = failing(error)
    with pytest.raises(type(error)):
        retried(clock, work)
    assert calls == [1]
    assert clock.slept == []


def test_an_effect_that_may_be_there_is_never_repeated_even_when_all_remote_errors_are() -> None:
    work, calls = failing(Indeterminate("lost", api="arm", operation="put"))
    with pytest.raises(Indeterminate):
        retried(ShownClock(), work, on=(RemoteError,))
    assert calls == [1]


def test_a_service_that_asks_for_more_than_we_have_is_left_to_the_next_run() -> None:
    clock = ShownClock()
    work, _ = failing(throttled(LONGEST_WISH.total_seconds() + 1))
    with pytest.raises(Throttled):
        retried(clock, work)
    assert clock.slept == []


@given(seconds=st.floats(0, 900), attempt=st.integers(1, 6), key=st.text())
def test_a_wish_is_never_cut_short(seconds: float, attempt: int, key: str) -> None:
    wish = timedelta(seconds=seconds)
    assert wish <= pause_after(throttled(seconds), attempt, key) <= wish + timedelta(seconds=1)


@given(attempt=st.integers(1, 20), key=st.text())
def test_a_pause_of_our_own_is_bounded_and_repeatable(attempt: int, key: str) -> None:
    pause = pause_after(unavailable(), attempt, key)
    assert timedelta(seconds=0.5) <= pause <= LONGEST_PAUSE
    assert pause == pause_after(unavailable(), attempt, key)


def test_parallel_work_does_not_come_back_in_one_burst() -> None:
    pauses = {pause_after(throttled(10), 1, f"group-{number}") for number in range(50)}
    assert len(pauses) > 45
