"""Every boundary and every pair of boundaries of a rotation, for every kind that has a driver, in the cloud in memory."""

from collections.abc import Iterable, Iterator

import pytest

from rotator.model.credential import Overlap, PrincipalKind
from tests.crash.kinds import KINDS
from tests.crash.memorymatrix import INVARIANTS, Play, overlap_of, play, violations
from tests.crash.stage import Journal
from tests.crash.tally import Tally

_KINDS = pytest.mark.parametrize("kind", KINDS, ids=str)
_THEN = pytest.mark.parametrize("then", Journal, ids=lambda then: then.value)
_BACK = (1, 2, 4, 8)
"""How many writes older a journal is that is put back."""
_STRIDE = 13
"""Continuous integration plays every so many-th pair; the number divides no other count of the matrix."""


def boundaries_of(overlap: Overlap) -> list[str]:
    """Play undisturbed, which must keep every promise, and name the boundaries."""
    whole = play(Play(overlap=overlap))
    assert violations(whole) == []
    return whole.boundaries


def play_all(schedules: Iterable[Play], tally: Tally) -> None:
    for schedule in schedules:
        played = play(schedule)
        found = violations(played)
        tally.add(deaths=played.died, faults=0, invariants=INVARIANTS, violations=len(found))
        names = played.boundaries
        told = [f"{number}: {name}" for number, name in enumerate(names, start=1)]
        assert found == [], "\n".join([str(schedule), *found, "", "boundaries that were passed:", *told])
        assert played.died or min(schedule.deaths) > len(names), "the process did not die"


def single(overlap: Overlap, then: Journal) -> Iterator[Play]:
    """Yield one death at each boundary; a journal that is put back is so with several of its older states."""
    for number in range(1, len(boundaries_of(overlap)) + 1):
        for back in _BACK if then is Journal.OLDER else (1,):
            yield Play(overlap=overlap, deaths=frozenset({number}), then=then, back=back)


def double(overlap: Overlap, then: Journal, stride: int) -> Iterator[Play]:
    """Yield two deaths: the second falls into the process that carries on, wherever that is by then."""
    count = len(boundaries_of(overlap))
    pairs = [(first, second) for first in range(1, count + 1) for second in range(first + 1, count + 6)]
    for number, pair in enumerate(pairs):
        if number % stride == 0:
            yield Play(overlap=overlap, deaths=frozenset(pair), then=then, back=1 + number % 7)


@_KINDS
@_THEN
def test_a_death_at_any_boundary(kind: PrincipalKind, then: Journal, tally: Tally) -> None:
    play_all(single(overlap_of(kind), then), tally)


@_KINDS
@_THEN
def test_two_deaths_at_any_boundaries(kind: PrincipalKind, then: Journal, full: bool, tally: Tally) -> None:
    play_all(double(overlap_of(kind), then, 1 if full else _STRIDE), tally)
