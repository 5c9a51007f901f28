"""What a person decides about a rotation that is held or not over: every verb, given once, twice, and killed in the middle."""

from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from dataclasses import replace
from datetime import timedelta

import pytest

from rotator.model.credential import Overlap
from rotator.model.errors import Held, RotatorError
from rotator.model.group import GroupState
from rotator.model.rotation import HeldCause, Result, Situation, Verb
from tests.memorycloud import SECRETS, Crash, Fault, MemoryCloud
from tests.memoryports import MemoryVault
from tests.nights import NIGHT, Journal, assert_good_end, expiring_cloud, nights, plan_of, run
from tests.person import Person

SLOTS_AND_MANY = pytest.mark.parametrize("overlap", [Overlap.TWO_SLOTS, Overlap.MANY], ids=lambda one: one.value)
KEPT_AND_LOST = pytest.mark.parametrize("keeps_journal", [True, False], ids=["journal kept", "journal lost"])


def sick_canary(overlap: Overlap) -> MemoryCloud:
    """A rotation that its canary held: the group does not become healthy, and the old secret was put back into it."""
    cloud = expiring_cloud(overlap)
    cloud.sick = {"web-0"}
    run(cloud)
    cloud.clock.sleep(timedelta(hours=1))
    return cloud


def half_moved(overlap: Overlap) -> MemoryCloud:
    """A rotation that a group of the second wave held: the canary and others store the new secret, the last one never moved."""
    cloud = expiring_cloud(overlap)
    cloud.sick = {"web-2"}
    run(cloud)
    cloud.clock.sleep(timedelta(hours=1))
    return cloud


def soaking(overlap: Overlap) -> MemoryCloud:
    """A rotation that went well and is not over."""
    cloud = expiring_cloud(overlap)
    run(cloud)
    cloud.clock.sleep(timedelta(hours=1))
    return cloud


def soaked(overlap: Overlap) -> MemoryCloud:
    """A credential that is in order."""
    cloud = expiring_cloud(overlap)
    nights(cloud, keeps_journal=True, count=2)
    return cloud


def unverified(overlap: Overlap) -> MemoryCloud:
    """A rotation whose new secret was never accepted."""
    cloud = expiring_cloud(overlap)
    secret_works(cloud, works=False)
    run(cloud)
    secret_works(cloud, works=True)
    return cloud


def secret_works(cloud: MemoryCloud, *, works: bool) -> None:
    """Let the registry accept new secrets, or refuse them all."""
    if works:
        cloud.__dict__.pop("accepts")
        return
    cloud.__dict__["accepts"] = lambda who, value: not value.startswith("issued") and MemoryCloud.accepts(cloud, who, value)


def situation_of(cloud: MemoryCloud) -> Situation:
    found = Person(cloud).situation()
    assert found is not None
    return found


def stored(cloud: MemoryCloud) -> list[str]:
    return [cloud.stored(one) for group in cloud.groups.values() for one in group.bindings]


def current(cloud: MemoryCloud) -> str:
    return MemoryVault(cloud).read(cloud.secret_name).reveal()


# --- what is shown ---------------------------------------------------------------------------------------------------------


@SLOTS_AND_MANY
def test_a_held_rotation_says_since_when_why_and_what_is_possible(overlap: Overlap) -> None:
    cloud = half_moved(overlap)
    seen = situation_of(cloud)
    assert seen.cause is HeldCause.UNHEALTHY_GROUP
    assert "web-2 is not healthy" in seen.why
    assert seen.since is not None
    assert seen.since < cloud.clock.now() - timedelta(minutes=59)
    assert [one.name for one in seen.on_new] == ["web-1", "web-3"] or [one.name for one in seen.on_new][:1] == ["web-0"]
    assert {one.role for one in seen.live} == {"new", "old"}
    assert {one.verb: bool(one.refused) for one in seen.choices} == {
        Verb.RESUME: False,
        Verb.ROLL_BACK: False,
        Verb.ABANDON: True,
    }
    assert "roll back first" in seen.choice(Verb.ABANDON).refused
    assert seen.choice(Verb.ROLL_BACK).command == f"rotator roll-back '{cloud.principal.id}'"


def test_the_advice_of_a_held_rotation_names_the_verb() -> None:
    held = next(item for item in plan_of(sick_canary(Overlap.MANY)).items if item.held)
    assert f"rotator resume '{held.principal.id}'" in held.advice


def test_an_item_that_is_held_before_it_began_can_only_be_mended() -> None:
    cloud = MemoryCloud(overlap=Overlap.TWO_SLOTS)
    for slot in ("password1", "password2"):
        cloud.add_group(f"of-{slot}", cloud.plant(slot, age=timedelta(days=80), ttl=timedelta(days=90)))
    seen = situation_of(cloud)
    assert seen.cause is HeldCause.NO_FREE_SLOT
    assert seen.phase == "not begun"
    assert all(one.refused for one in seen.choices)


# --- the verbs, undisturbed ------------------------------------------------------------------------------------------------


@SLOTS_AND_MANY
@pytest.mark.parametrize("begin", [sick_canary, half_moved, soaking])
def test_a_roll_back_returns_every_group_to_the_old_secret(overlap: Overlap, begin: Callable[[Overlap], MemoryCloud]) -> None:
    cloud = begin(overlap)
    old, restarts = cloud.issued[0], len(cloud.redeploys)
    on_new = len([one for one in stored(cloud) if one != old.value])
    cloud.sick = set()

    outcomes = Person(cloud).give(Verb.ROLL_BACK)

    assert [one.result for one in outcomes] == [Result.SOAKING]
    assert "rolled back" in outcomes[0].detail
    assert set(stored(cloud)) == {old.value}
    assert current(cloud) == old.value
    assert len(cloud.redeploys) - restarts == on_new, "who never left it does not restart"
    assert len({group.tags[next(iter(group.tags))] for group in cloud.groups.values()}) == 1, "all say the same"
    bad = cloud.issued[1]
    assert not bad.ended, "it soaks"
    assert cloud.outages == []


@SLOTS_AND_MANY
def test_after_its_soak_a_roll_back_ends_the_new_secret_and_the_next_rotation_goes_well(overlap: Overlap) -> None:
    cloud = sick_canary(overlap)
    Person(cloud).give(Verb.ROLL_BACK)
    cloud.sick = set()
    cloud.clock.sleep(NIGHT)
    nights(cloud, keeps_journal=True, count=5)
    assert cloud.issued[1].ended
    assert len(cloud.issued) == 3, "one that was given up, one that came after it"
    assert_good_end(cloud)


@SLOTS_AND_MANY
def test_abandoning_ends_the_secret_that_nobody_uses(overlap: Overlap) -> None:
    cloud = unverified(overlap)
    seen = situation_of(cloud)
    assert seen.cause is HeldCause.VERIFICATION
    assert "abandon" in seen.choice(Verb.ROLL_BACK).refused

    outcomes = Person(cloud).give(Verb.ABANDON)

    assert [one.result for one in outcomes] == [Result.SUCCESS]
    assert cloud.issued[1].ended
    assert Person(cloud).situation() is None
    assert [item.rotation for item in plan_of(cloud).due], "the credential is still due"
    nights(cloud, keeps_journal=True, count=3)
    assert_good_end(cloud)


@SLOTS_AND_MANY
def test_a_complete_roll_back_can_be_abandoned_at_once(overlap: Overlap) -> None:
    cloud = half_moved(overlap)
    cloud.sick = set()
    person = Person(cloud)
    person.give(Verb.ROLL_BACK)
    outcomes = person.give(Verb.ABANDON)
    assert [one.result for one in outcomes] == [Result.SUCCESS]
    assert [one.value for one in cloud.live()] == [cloud.issued[0].value]
    assert cloud.outages == []


@SLOTS_AND_MANY
def test_resuming_moves_the_rest(overlap: Overlap) -> None:
    cloud = half_moved(overlap)
    cloud.sick = set()
    outcomes = Person(cloud).give(Verb.RESUME)
    assert [one.result for one in outcomes] == [Result.SOAKING]
    assert set(stored(cloud)) == {cloud.issued[1].value}
    nights(cloud, keeps_journal=True, count=3)
    assert_good_end(cloud)


def test_resuming_what_is_over_begins_nothing() -> None:
    """A journal finished it underneath: the verb must not force another rotation."""
    cloud = half_moved(Overlap.MANY)
    cloud.sick = set()
    person = Person(cloud)
    before = person.situation()
    person.give(Verb.RESUME)
    nights(cloud, keeps_journal=True, count=2)
    made = len(cloud.issued)
    person.situation = lambda: before  # type: ignore[method-assign]  # what somebody saw two days ago
    assert person.give(Verb.RESUME) == ()
    assert len(cloud.issued) == made


# --- refusals --------------------------------------------------------------------------------------------------------------


def test_there_is_no_way_back_to_an_expired_secret() -> None:
    cloud = half_moved(Overlap.MANY)
    cloud.clock.sleep(timedelta(days=11))
    assert "has ended" in situation_of(cloud).choice(Verb.ROLL_BACK).refused


def test_there_is_no_way_back_to_a_secret_that_the_vault_never_held() -> None:
    cloud = MemoryCloud(overlap=Overlap.MANY)
    old = cloud.plant(age=timedelta(days=80), ttl=timedelta(days=90))
    cloud.add_group("web", old)
    cloud.sick = {"web"}
    run(cloud)
    with pytest.raises(Held, match="never held"):
        Person(cloud).give(Verb.ROLL_BACK)
    assert len(cloud.vault[f"{SECRETS[old.handle.principal]}--staged"]) == 2, "nothing is staged for it"


def test_there_is_no_way_back_from_a_lease() -> None:
    cloud = expiring_cloud(Overlap.LEASES)
    cloud.sick = {"web-0"}
    run(cloud)
    assert "a lease ends by itself" in situation_of(cloud).choice(Verb.ROLL_BACK).refused


def test_a_second_roll_back_does_not_turn_around() -> None:
    cloud = half_moved(Overlap.TWO_SLOTS)
    cloud.sick = set()
    person = Person(cloud)
    person.give(Verb.ROLL_BACK)
    restarts = len(cloud.redeploys)
    assert person.give(Verb.ROLL_BACK) == ()
    assert len(cloud.redeploys) == restarts
    assert current(cloud) == cloud.issued[0].value


def test_a_roll_back_that_is_not_complete_keeps_the_bad_secret() -> None:
    """A stopped group may store it: nobody looked at what it was given last."""
    cloud = half_moved(Overlap.MANY)
    key = next(key for key, group in cloud.groups.items() if cloud.stored(group.bindings[0]) == cloud.issued[1].value)
    cloud.groups[key] = replace(cloud.groups[key], state=GroupState.STOPPED)
    cloud.sick = set()
    person = Person(cloud)
    person.give(Verb.ROLL_BACK)
    assert "may still store" in situation_of(cloud).choice(Verb.ABANDON).refused
    cloud.clock.sleep(NIGHT)
    run(cloud)
    assert not cloud.issued[1].ended
    cloud.watch("the night after")
    assert cloud.outages == []


def test_a_group_that_was_deployed_by_hand_with_the_bad_secret_is_moved_and_not_just_marked() -> None:
    """A pipeline read the new secret from the vault and put a group without any tag: to mark it would be a lie."""
    cloud = half_moved(Overlap.MANY)
    cloud.sick = set()
    cloud.add_group("by-hand", cloud.issued[1])
    Person(cloud).give(Verb.ROLL_BACK)
    assert "by-hand" in cloud.redeploys
    assert set(stored(cloud)) == {cloud.issued[0].value}


def test_a_secret_that_ends_on_the_way_back_is_replaced_and_nobody_is_told_to_store_what_he_does_not() -> None:
    cloud = half_moved(Overlap.TWO_SLOTS)
    cloud.clock.sleep(timedelta(days=7))
    cloud.sick = {"web-0"}
    Person(cloud).give(Verb.ROLL_BACK)
    assert situation_of(cloud).phase == "held in the middle of a roll-back"
    cloud.clock.sleep(timedelta(days=4))
    cloud.sick = set()
    Person(cloud).give(Verb.RESUME)
    assert set(stored(cloud)) == {cloud.issued[-1].value}
    assert len(cloud.issued) == 3
    nights(cloud, keeps_journal=True, count=4)
    assert_good_end(cloud, in_time=False)


# --- killed in the middle, and given twice ---------------------------------------------------------------------------------

BEGINNINGS: dict[str, tuple[Callable[[Overlap], MemoryCloud], Callable[[Person], object]]] = {
    "roll-back of a canary": (sick_canary, lambda person: person.give(Verb.ROLL_BACK)),
    "roll-back in the second wave": (half_moved, lambda person: person.give(Verb.ROLL_BACK)),
    "roll-back during the soak": (soaking, lambda person: person.give(Verb.ROLL_BACK)),
    "abandon": (unverified, lambda person: person.give(Verb.ABANDON)),
    "resume": (half_moved, lambda person: person.give(Verb.RESUME)),
    "revoke in a quiet night": (soaked, lambda person: person.revoke()),
    "revoke during the soak": (soaking, lambda person: person.revoke()),
    "revoke the old one during the soak": (soaking, lambda person: person.revoke([person.cloud.issued[0].handle.id])),
    "revoke when held": (half_moved, lambda person: person.revoke()),
    "revoke all when held": (half_moved, lambda person: person.revoke(everything=True)),
}


LEAKED = {
    "revoke in a quiet night": (1,),
    "revoke during the soak": (1,),
    "revoke the old one during the soak": (0,),
    "revoke when held": (1,),
    "revoke all when held": (0, 1),
}


def effects_of(cloud: MemoryCloud, act: Callable[[Person], object]) -> int:
    copy = deepcopy(cloud)
    before = copy.effects
    act(Person(copy))
    return copy.effects - before


def judged(cloud: MemoryCloud) -> None:
    """All is well in the end, and nobody was out but those who stored what was revoked."""
    nights(cloud, keeps_journal=False, count=7)
    assert_good_end(cloud)


@SLOTS_AND_MANY
@KEPT_AND_LOST
@pytest.mark.parametrize("name", BEGINNINGS)
def test_a_verb_that_is_killed_after_any_effect_ends_well(overlap: Overlap, name: str, keeps_journal: bool) -> None:
    begin, act = BEGINNINGS[name]
    whole = begin(overlap)
    whole.sick = set()
    for number in range(1, effects_of(whole, act) + 1):
        for again in (True, False):
            cloud = deepcopy(whole)
            cloud.sick = set()
            cloud.faults = {cloud.effects + number: Fault.CRASH_AFTER}
            person = Person(cloud)
            with pytest.raises(Crash):
                act(person)
            if not keeps_journal:
                person.journal = Journal()
            if again:
                try:
                    act(person)
                except Held:
                    assert name.startswith("revoke"), "what is gone cannot be revoked by name"
            if name.startswith("revoke"):
                run(cloud, person.journal)
                assert all(cloud.issued[index].ended for index in LEAKED[name]), "the next run ends it, if not the verb"
            judged(cloud)


@SLOTS_AND_MANY
@pytest.mark.parametrize("name", BEGINNINGS)
@pytest.mark.parametrize("fault", [Fault.LOST_AFTER, Fault.LOST_BEFORE, Fault.DENIED], ids=lambda one: one.value)
def test_a_verb_with_one_answer_lost_or_refused_ends_well(overlap: Overlap, name: str, fault: Fault) -> None:
    begin, act = BEGINNINGS[name]
    whole = begin(overlap)
    whole.sick = set()
    for number in range(1, effects_of(whole, act) + 1):
        cloud = deepcopy(whole)
        cloud.sick = set()
        cloud.faults = {cloud.effects + number: fault}
        with suppress(RotatorError):  # the person sees it; what matters is what is left
            act(Person(cloud))
        judged(cloud)
