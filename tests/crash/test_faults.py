"""Everything that can go wrong with each remote operation of a rotation, with the real SDKs against the sandbox."""

from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

import pytest

from rotator.model.credential import PrincipalKind
from tests.crash.faultmatrix import Cell, cells, mixture, play_cell, play_disturbed
from tests.crash.kinds import KINDS
from tests.crash.memorymatrix import INVARIANTS, Play, chances, overlap_of, play, violations
from tests.crash.schedule import Rehearsal, repeat
from tests.crash.tally import Tally

Rehearsals = Callable[[PrincipalKind], Rehearsal]
_KINDS = pytest.mark.parametrize("kind", KINDS, ids=str)
_SAMPLE = 4
_IN_MEMORY = 100
"""Schedules in memory for each seed and kind: they cost a hundredth of one with real processes."""


@_KINDS
def test_each_fault_at_each_operation(
    kind: PrincipalKind, rehearsals: Rehearsals, full: bool, tmp_path: Path, tally: Tally
) -> None:
    matrix: Sequence[Cell] = list(cells(kind, rehearsals(kind)))
    chosen = matrix if full else Random(f"cells of {kind}").sample(matrix, _SAMPLE)  # noqa: S311 - the same ones each time
    for number, cell in enumerate(chosen):
        play_cell(cell, tmp_path / str(number), tally)
    assert tally.counts["faults"], "no fault struck, so nothing is shown"


def test_any_seed_ends_well(chaos_seed: int, rehearsals: Rehearsals, tmp_path: Path, tally: Tally) -> None:
    kind = KINDS[chaos_seed % len(KINDS)]
    turns, faults = mixture(chaos_seed, kind, rehearsals(kind))
    play_disturbed(kind, tmp_path / "stage", turns, faults, tally, repeat(f"--chaos-seeds {chaos_seed}"))


@_KINDS
def test_any_seed_ends_well_in_memory(chaos_seed: int, kind: PrincipalKind, tally: Tally) -> None:
    overlap = overlap_of(kind)
    boundaries = len(play(Play(overlap=overlap)).boundaries)
    for number in range(_IN_MEMORY):
        schedule = chances(_IN_MEMORY * chaos_seed + number, overlap, boundaries)
        played = play(schedule)
        found = violations(played)
        tally.add(deaths=played.died, faults=0, invariants=INVARIANTS, violations=len(found))
        assert found == [], "\n".join([str(schedule), *found, "", *played.boundaries, "", repeat(f"--chaos-seeds {chaos_seed}")])
