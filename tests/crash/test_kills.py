"""`kill -9` of the real program at every boundary of a whole rotation, for every kind that has a driver.

The processes are real, and so are the journal, the SDKs and HTTPS; only the clouds are emulated. A new process finishes what the
dead one left, and the oracle says whether anybody noticed.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import cycle
from pathlib import Path
from random import Random

import pytest

from rotator.model.credential import Overlap, PrincipalKind
from tests.crash.kinds import KINDS, leads, traits_of
from tests.crash.schedule import Rehearsal, Schedule, Stroke, play
from tests.crash.stage import Journal
from tests.crash.tally import Tally
from tests.crash.traps import Boundary

Rehearsals = Callable[[PrincipalKind], Rehearsal]
_KINDS = pytest.mark.parametrize("kind", KINDS, ids=str)
# How much of everything continuous integration has time for; a kind that goes the way of another gets a third of that.
_EVERY_EFFECT, _EVERY_COMMIT, _PAIRS, _MANY_PAIRS, _FOLLOWER = 2, 14, 2, 120, 3


def once(kind: PrincipalKind, boundaries: Sequence[Boundary], *, full: bool, every: int, first: int = 0) -> Iterator[Schedule]:
    """Yield one death at each boundary: with everything that can happen to the journal, or with one of these in turn.

    Of a sample `first` shifts the beginning. Each kind begins elsewhere, so that followers of one sort die at different places.
    """
    every = every if leads(kind) else every * _FOLLOWER
    begin = (KINDS.index(kind) + first) % min(every, len(boundaries) or 1)
    chosen = boundaries if full else boundaries[begin::every]
    for boundary, then in zip(chosen, cycle(Journal), strict=False):
        for each in Journal if full else (then,):
            yield Schedule(kind=kind, strokes=(Stroke(at=boundary, then=each),))


def pairs(kind: PrincipalKind, rehearsal: Rehearsal, count: int) -> Iterator[Schedule]:
    """Yield two deaths, of which the second comes in the process that carries on after the first, or in a later night."""
    chance = Random(f"pairs of {kind}")  # noqa: S311 - the same ones each time
    boundaries = (*rehearsal.at_effects(), *rehearsal.at_commits())
    while True:
        first, second = sorted(chance.sample(boundaries, 2), key=lambda one: one.night)
        strokes = tuple(Stroke(at=one, then=chance.choice(list(Journal))) for one in (first, second))
        yield Schedule(kind=kind, strokes=strokes)
        count -= 1
        if not count:
            return


def play_all(schedules: Iterator[Schedule], folder: Path, tally: Tally) -> None:
    played = 0
    for number, schedule in enumerate(schedules):
        play(schedule, folder / str(number), tally)
        played += 1
    assert played, "nothing was played, so nothing is shown"
    assert tally.counts["deaths"], "no process died, so nothing is shown"


@_KINDS
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("night", ["first", "later"])
def test_killed_at_every_effect(
    kind: PrincipalKind, night: str, when: str, rehearsals: Rehearsals, full: bool, tmp_path: Path, tally: Tally
) -> None:
    boundaries = [one for one in rehearsals(kind).at_effects() if one.when == when and (one.night == 0) == (night == "first")]
    if traits_of(kind).overlap is Overlap.SINGLE and night == "first":
        assert boundaries == [], "the stopped group would be left with a dead secret, so nothing begins before it runs"
        return
    # A sample strikes each effect on one of its sides: before the even ones, after the odd ones.
    play_all(once(kind, boundaries, full=full, every=_EVERY_EFFECT, first=int(when == "after")), tmp_path, tally)


@_KINDS
def test_killed_at_every_write_of_the_journal(
    kind: PrincipalKind, rehearsals: Rehearsals, full: bool, tmp_path: Path, tally: Tally
) -> None:
    play_all(once(kind, rehearsals(kind).at_commits(), full=full, every=_EVERY_COMMIT), tmp_path, tally)


@_KINDS
def test_killed_twice(kind: PrincipalKind, rehearsals: Rehearsals, full: bool, tmp_path: Path, tally: Tally) -> None:
    play_all(pairs(kind, rehearsals(kind), _MANY_PAIRS if full else _PAIRS), tmp_path, tally)


def test_a_schedule_that_was_asked_for(asked_for: str, tmp_path: Path, tally: Tally) -> None:
    play(Schedule.parse(asked_for), tmp_path / "asked", tally)
