"""Everything that can go wrong with one call, at every call: lost answers, refusals, and the end of the process."""

from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest

from rotator.model.credential import Overlap
from tests.memorycloud import PRINCIPALS, SECRETS, Fault, MemoryCloud
from tests.memoryports import hold_in_vault
from tests.nights import RULES, assert_good_end, nights, plant_due

PAIRS = [
    pytest.param((Overlap.TWO_SLOTS, Overlap.MANY), id="a token and an app"),
    pytest.param((Overlap.MANY, Overlap.LEASES), id="an app and a lease"),
    pytest.param((Overlap.LEASES, Overlap.TWO_SLOTS), id="a lease and a token"),
]


def shared_cloud(overlaps: tuple[Overlap, Overlap]) -> MemoryCloud:
    """Two principals that are both due: groups of the first, one that reads it from the vault, and one that uses both."""
    cloud = MemoryCloud(overlap=overlaps[0])
    first, second = (plant_due(cloud, overlap) for overlap in overlaps)
    cloud.add_group("a-inline", first)
    cloud.add_group("b-reader", first, reads=SECRETS[PRINCIPALS[overlaps[0]]])
    cloud.add_group("c-both", first, second)
    hold_in_vault(cloud, first)
    hold_in_vault(cloud, second)
    return cloud


def days(cloud: MemoryCloud, overlaps: tuple[Overlap, Overlap], *, keeps_journal: bool, runs: int = 0) -> None:
    """Run until everything is over: each night, or every two hours and with a short soak where leases are among them."""
    if Overlap.LEASES in overlaps:
        rules = replace(RULES, soak=timedelta(hours=6))
        nights(cloud, keeps_journal=keeps_journal, count=runs or 9, step=timedelta(hours=2), rules=rules)
    else:
        nights(cloud, keeps_journal=keeps_journal, count=runs or 5)


def calls(overlaps: tuple[Overlap, Overlap]) -> tuple[int, int]:
    """Count the changes and the looks of the undisturbed first night."""
    whole = shared_cloud(overlaps)
    days(whole, overlaps, keeps_journal=True, runs=1)
    first = (whole.effects, whole.reads)
    days(whole, overlaps, keeps_journal=True)
    assert_good_end(whole, overlaps)
    return first


@pytest.mark.parametrize("overlaps", PAIRS)
@pytest.mark.parametrize("fault", list(Fault), ids=lambda fault: fault.value)
def test_one_fault_at_any_change_ends_well(overlaps: tuple[Overlap, Overlap], fault: Fault) -> None:
    for number in range(1, calls(overlaps)[0] + 5):
        cloud = shared_cloud(overlaps)
        cloud.faults = {number: fault}
        days(cloud, overlaps, keeps_journal=number % 2 == 0)
        assert_good_end(cloud, overlaps)


@pytest.mark.parametrize("overlaps", PAIRS)
def test_no_answer_to_any_look_ends_well(overlaps: tuple[Overlap, Overlap]) -> None:
    for number in range(1, calls(overlaps)[1] + 5):
        cloud = shared_cloud(overlaps)
        cloud.blind = {number}
        days(cloud, overlaps, keeps_journal=number % 2 == 0)
        assert_good_end(cloud, overlaps)


@pytest.mark.parametrize("overlaps", PAIRS)
def test_many_faults_at_once_end_well(overlaps: tuple[Overlap, Overlap]) -> None:
    changes, looks = calls(overlaps)
    for seed in range(20):
        chance = Random(seed)  # noqa: S311 - a schedule that can be repeated
        cloud = shared_cloud(overlaps)
        cloud.faults = {chance.randint(1, 2 * changes): chance.choice(list(Fault)) for _ in range(chance.randint(2, 6))}
        cloud.blind = {chance.randint(1, 2 * looks) for _ in range(chance.randint(0, 6))}
        days(cloud, overlaps, keeps_journal=bool(seed % 2))
        days(cloud, overlaps, keeps_journal=False)
        assert_good_end(cloud, overlaps, in_time=Overlap.LEASES not in overlaps)
