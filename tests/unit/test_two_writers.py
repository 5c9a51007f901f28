"""Two installations on one estate, each with a journal of its own: one works, the other holds, and nobody is locked out."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from rotator.model.credential import Overlap
from rotator.model.rotation import Result, RotationOutcome
from rotator.rotation.rules import Rules
from tests.memorycloud import MemoryCloud
from tests.nights import RULES, assert_good_end, expiring_cloud, nights, plan_of, run
from tests.turns import Turns

OVERLAPS = (Overlap.TWO_SLOTS, Overlap.MANY, Overlap.LEASES)


def together(
    cloud: MemoryCloud, seed: int, freezes: dict[str, tuple[int, timedelta]] | None = None, rules: Rules = RULES
) -> dict[str, list[RotationOutcome]]:
    """Let two installations make a plan of the same estate and carry it out at the same time."""
    plan, ended = plan_of(cloud, rules=rules), dict[str, list[RotationOutcome]]()

    def installation(name: str) -> Callable[[MemoryCloud], object]:
        def work(view: MemoryCloud) -> None:
            ended[name] = run(view, plan=plan, rules=rules, writer=name)

        return work

    Turns(cloud, seed, freezes).run({name: installation(name) for name in ("first", "second")})
    return ended


def later(cloud: MemoryCloud) -> None:
    """Let one of them run on; a lease does not live from one night to the next."""
    if cloud.overlap is Overlap.LEASES:
        nights(cloud, keeps_journal=True, count=9, step=timedelta(hours=3))
    else:
        nights(cloud, keeps_journal=True, count=4)


@pytest.mark.parametrize("overlap", OVERLAPS)
@pytest.mark.parametrize("start", range(0, 60, 20))
def test_two_at_the_same_time_lock_nobody_out_and_end_with_one_secret(overlap: Overlap, start: int) -> None:
    for seed in range(start, start + 20):
        cloud = expiring_cloud(overlap, groups=3)
        together(cloud, seed)
        later(cloud)
        assert_good_end(cloud)


@pytest.mark.parametrize("overlap", OVERLAPS)
def test_of_two_that_are_both_alive_at_least_one_goes_through(overlap: Overlap) -> None:
    through = (Result.SOAKING, Result.SUCCESS)
    for seed in range(40):
        cloud = expiring_cloud(overlap, groups=3)
        ended = together(cloud, seed)
        results = [one.result for outcomes in ended.values() for one in outcomes]
        assert any(one in through for one in results), (seed, ended)
        assert len(cloud.redeploys) == 3, f"seed {seed}: each group was put once"


@pytest.mark.parametrize("overlap", OVERLAPS)
def test_one_that_freezes_anywhere_for_longer_than_its_time_does_no_harm_when_it_wakes(overlap: Overlap) -> None:
    for boundary in range(1, 60):
        cloud = expiring_cloud(overlap, groups=3)
        together(cloud, boundary, {"first": (boundary, timedelta(minutes=45))})
        later(cloud)
        assert_good_end(cloud)
