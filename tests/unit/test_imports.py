"""A secret that a person brings, in the cloud in memory: for a kind that a program could make secrets of, too."""

from datetime import timedelta

import pytest

from rotator.model.credential import Credential, Overlap, is_brought
from rotator.model.errors import Held, VerificationFailed
from rotator.model.rotation import Plan, Result
from rotator.model.secret import Secret
from rotator.rotation import imports
from rotator.rotation.record import RotationRecord
from tests.memorycloud import Issued, MemoryCloud
from tests.memoryports import context_of
from tests.nights import NIGHT, RULES, expiring_cloud, plan_of, run


def a_cloud() -> MemoryCloud:
    return expiring_cloud(Overlap.MANY, groups=3)


def by_hand(cloud: MemoryCloud) -> Issued:
    return cloud.plant(age=timedelta(0), ttl=timedelta(days=90))


def staged(cloud: MemoryCloud, value: str) -> RotationRecord | None:
    context, plan = context_of(cloud, RULES, "here"), forced(cloud)
    item = imports.item_for(plan, cloud.principal)
    credential: Credential = imports.tried(context, item, Secret(value), None)
    assert is_brought(credential.handle.id)
    return imports.kept(context, item, credential, Secret(value))


def forced(cloud: MemoryCloud) -> Plan:
    return plan_of(cloud, force=True)


def test_a_staged_secret_is_carried_on_by_any_later_run() -> None:
    cloud = a_cloud()
    new = by_hand(cloud)
    assert staged(cloud, new.value) is not None
    assert [one.result for one in run(cloud)] == [Result.SOAKING]
    assert {cloud.stored(one) for group in cloud.groups.values() for one in group.bindings} == {new.value}
    assert cloud.outages == []
    cloud.clock.sleep(NIGHT)
    assert [one.result for one in run(cloud)] == [Result.SUCCESS]
    assert [one.value for one in cloud.live()] == [new.value], "the old one was the service's, and ended there"


def test_nothing_is_kept_of_a_secret_that_does_not_pull() -> None:
    cloud = a_cloud()
    before = {name: len(versions) for name, versions in cloud.vault.items()}
    with pytest.raises(VerificationFailed):
        staged(cloud, "wrong-horse-battery")
    assert {name: len(versions) for name, versions in cloud.vault.items()} == before


def test_the_secret_in_use_is_recognised_and_the_staged_one_is_found_again() -> None:
    cloud = a_cloud()
    assert staged(cloud, cloud.issued[0].value) is None
    new = by_hand(cloud)
    first, effects = staged(cloud, new.value), cloud.effects
    again = staged(cloud, new.value)
    assert first is not None
    assert again is not None
    assert (again.handle, again.version) == (first.handle, first.version)
    assert cloud.effects == effects


def test_another_secret_takes_the_place_of_one_that_was_only_staged() -> None:
    cloud = a_cloud()
    mistaken, right = by_hand(cloud), by_hand(cloud)
    first = staged(cloud, mistaken.value)
    cloud.clock.sleep(timedelta(minutes=1))
    second = staged(cloud, right.value)
    assert first is not None
    assert second is not None
    assert second.rotation == first.rotation
    assert first.handle in second.old, "so that a person is told to end it"
    run(cloud)
    assert {cloud.stored(one) for group in cloud.groups.values() for one in group.bindings} == {right.value}


def test_another_secret_is_refused_once_groups_have_followed_the_first() -> None:
    cloud = a_cloud()
    staged(cloud, by_hand(cloud).value)
    cloud.sick.add("web-1")
    run(cloud)
    with pytest.raises(Held, match="is not finished"):
        staged(cloud, by_hand(cloud).value)
