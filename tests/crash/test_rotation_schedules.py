"""Schedules that once broke a promise, or could have: each is one bad night, told step by step."""

from dataclasses import replace
from datetime import timedelta

import pytest

from rotator.model.credential import Overlap
from rotator.model.group import GroupState
from rotator.model.rotation import Result
from tests.memorycloud import TOKEN, MemoryCloud
from tests.memoryports import MemoryVault, hold_in_vault
from tests.nights import (
    NEW,
    NIGHT,
    RULES,
    assert_good_end,
    die_after,
    edit_tags,
    expiring_cloud,
    nights,
    plan_of,
    run,
)

# --- journals and lists that lag behind -------------------------------------------------------------------------------------


@pytest.mark.parametrize("overlap", [Overlap.TWO_SLOTS, Overlap.MANY])
@pytest.mark.parametrize("effect", ["write", "issue", "annotate", "redeploy"])
def test_an_old_journal_that_comes_back_changes_nothing_that_others_finished(overlap: Overlap, effect: str) -> None:
    """A process dies; another, without its journal, finishes the work; months later the first comes back."""
    for months in (0, 1, 3):
        cloud = expiring_cloud(overlap)
        journal = die_after(cloud, effect)
        nights(cloud, keeps_journal=False, count=3)
        assert_good_end(cloud)
        for _ in range(months):
            cloud.clock.sleep(timedelta(days=31))
            nights(cloud, keeps_journal=False, count=3)
        restarts = len(cloud.redeploys)
        run(cloud, journal)
        cloud.watch("the old journal")
        assert cloud.outages == cloud.ran_out == []
        assert len(cloud.redeploys) == restarts
        nights(cloud, keeps_journal=False, count=3)
        assert_good_end(cloud)


@pytest.mark.parametrize("overlap", [Overlap.TWO_SLOTS, Overlap.MANY])
def test_a_secret_in_use_that_the_registry_does_not_list_yet_is_not_made_anew(overlap: Overlap) -> None:
    cloud = expiring_cloud(overlap)
    die_after(cloud, "redeploy web-0")
    cloud.lagging = {cloud.issued[-1].handle.id}

    run(cloud)

    assert cloud.outages == cloud.ran_out == []
    assert len(cloud.issued) == 2
    cloud.lagging = set()
    nights(cloud, keeps_journal=False, count=3)
    assert_good_end(cloud)


@pytest.mark.parametrize("overlap", [Overlap.TWO_SLOTS, Overlap.MANY])
def test_an_old_secret_that_the_registry_does_not_list_at_the_soak_is_ended_after_it(overlap: Overlap) -> None:
    cloud = expiring_cloud(overlap)
    die_after(cloud, "redeploy web-4")
    cloud.lagging = {cloud.issued[0].handle.id}
    run(cloud)
    cloud.lagging = set()
    cloud.clock.sleep(NIGHT)
    nights(cloud, keeps_journal=False, count=2)
    assert_good_end(cloud)


@pytest.mark.parametrize("overlap", [Overlap.TWO_SLOTS, Overlap.MANY])
@pytest.mark.parametrize("effect", ["write pull-{}", "annotate pull-{}--staged", "redeploy web-0", "redeploy web-4"])
def test_the_record_of_a_rotation_may_be_edited_away_in_the_middle(overlap: Overlap, effect: str) -> None:
    cloud = expiring_cloud(overlap)
    die_after(cloud, effect.format(cloud.secret_name.removeprefix("pull-")))
    edit_tags(cloud, f"{cloud.secret_name}--staged", lambda tags: {})
    nights(cloud, keeps_journal=False, count=4)
    if overlap is Overlap.TWO_SLOTS and effect.startswith("annotate"):
        assert cloud.outages == [], "before it was promoted nothing tells whose the second password is; a person is asked"
        assert plan_of(cloud).items[0].held
    else:
        assert_good_end(cloud)


def test_nothing_is_ended_while_the_registry_does_not_list_the_secret_in_use() -> None:
    """A token's password is ended by sending the list of those that stay: a late list would end the new one with the old."""
    cloud = expiring_cloud()
    run(cloud)
    cloud.clock.sleep(NIGHT)
    cloud.lagging = {cloud.issued[-1].handle.id}
    [outcome] = run(cloud)
    assert outcome.result is Result.HELD
    assert len(cloud.live()) == 2
    cloud.lagging = set()
    run(cloud)
    assert_good_end(cloud)


# --- slots ------------------------------------------------------------------------------------------------------------------


def test_a_slot_that_a_person_filled_after_ours_was_announced_is_not_filled_again() -> None:
    cloud = expiring_cloud()
    die_after(cloud, "write pull-demo--staged")
    cloud.clock.sleep(timedelta(hours=9))
    theirs = cloud.plant("password2", age=timedelta(0), ttl=timedelta(days=365))
    cloud.add_group("made-by-hand", theirs)
    cloud.clock.sleep(timedelta(hours=9))

    [outcome] = run(cloud)

    assert outcome.result is Result.HELD
    assert cloud.outages == cloud.ran_out == []
    assert not theirs.ended


def test_a_stale_word_on_the_slot_does_not_outweigh_what_the_last_rotation_recorded() -> None:
    cloud = MemoryCloud()
    first = cloud.plant("password1", age=timedelta(days=80), ttl=None)
    cloud.add_group("web", first)
    told = replace(RULES, slots={TOKEN.id: "password1"})
    nights(cloud, keeps_journal=True, count=2, rules=told)
    cloud.plant("password1", age=timedelta(0), ttl=timedelta(days=365))
    edit_tags(cloud, cloud.secret_name, lambda tags: {"rotator-principal": TOKEN.id})
    cloud.clock.sleep(NEW)

    run(cloud, rules=told)

    cloud.watch("the stale word")
    assert cloud.outages == cloud.ran_out == []


@pytest.mark.parametrize("overlap", [Overlap.TWO_SLOTS, Overlap.MANY])
def test_a_group_that_stays_stopped_does_not_let_the_others_secret_run_out_unseen(overlap: Overlap) -> None:
    """With two slots a person is told; with more, the next secret is made and all old ones wait together."""
    cloud = MemoryCloud(overlap=overlap)
    old = cloud.plant("password1", age=timedelta(days=80), ttl=None)
    cloud.add_group("web", old)
    stopped = cloud.add_group("batch", old, state=GroupState.STOPPED)
    hold_in_vault(cloud, old)
    nights(cloud, keeps_journal=True, count=2)
    cloud.clock.sleep(NEW)

    plan = plan_of(cloud)

    [item] = plan.items
    if overlap is Overlap.TWO_SLOTS:
        assert "batch" in item.held
        return
    nights(cloud, keeps_journal=True, count=2)
    assert not old.ended
    cloud.groups[stopped.key] = replace(cloud.groups[stopped.key], state=GroupState.RUNNING)
    nights(cloud, keeps_journal=True, count=3)
    assert_good_end(cloud)


def test_more_old_secrets_than_a_tag_holds_are_for_a_person() -> None:
    cloud = MemoryCloud(overlap=Overlap.MANY)
    old = cloud.plant(age=timedelta(days=80), ttl=None)
    cloud.add_group("web", old)
    cloud.add_group("batch", old, state=GroupState.STOPPED)
    hold_in_vault(cloud, old)
    for _ in range(40):
        nights(cloud, keeps_journal=True, count=2)
        cloud.clock.sleep(NEW)
    assert cloud.outages or len(cloud.live()) < 40
    assert not old.ended


def test_a_rotation_whose_groups_were_all_deleted_is_finished_and_leaves_one_secret() -> None:
    for overlap in (Overlap.TWO_SLOTS, Overlap.MANY):
        for effect in ("issue", "write pull-{}", "redeploy web-0"):
            cloud = expiring_cloud(overlap)
            die_after(cloud, effect.format(cloud.secret_name.removeprefix("pull-")))
            cloud.groups.clear()
            nights(cloud, keeps_journal=False, count=4)
            assert_good_end(cloud)


# --- leases -----------------------------------------------------------------------------------------------------------------


def test_a_held_lease_goes_on_by_itself_because_waiting_for_a_person_would_be_an_outage() -> None:
    cloud = expiring_cloud(Overlap.LEASES)
    cloud.sick.add("web-0")
    [outcome] = run(cloud)
    assert outcome.result is Result.HELD

    for _ in range(24):
        cloud.clock.sleep(timedelta(hours=2))
        cloud.watch("waiting")
        run(cloud)

    assert cloud.outages == cloud.ran_out == []


def test_a_group_that_is_out_of_step_gets_the_lease_that_the_vault_holds() -> None:
    cloud = expiring_cloud(Overlap.LEASES)
    run(cloud)
    made = len(cloud.issued)
    cloud.add_group("late", cloud.issued[0])

    run(cloud)

    assert len(cloud.issued) == made, "no new lease"
    assert sorted(cloud.redeploys) == ["late", *(f"web-{number}" for number in range(5))], "nobody else restarts"
    assert_good_end(cloud)


# --- two programs at once ---------------------------------------------------------------------------------------------------


def test_two_programs_with_two_journals_do_not_end_each_others_secret_once_it_is_in_use() -> None:
    """One made and promoted a secret; the other's record of the same rotation, with a dead secret, came later."""
    cloud = expiring_cloud(Overlap.MANY)
    die_after(cloud, "redeploy web-0")
    mine = cloud.issued[-1]
    staged = cloud.vault["pull-shared--staged"][-1]
    tags = {**staged.secret.tags, "rotator-handle": "application/key-of-the-other", "rotator-phase": "held"}
    MemoryVault(cloud).put("pull-shared--staged", "dead", tags, None, enabled=True)

    for _ in range(4):
        run(cloud, force=True)
        cloud.clock.sleep(NIGHT)

    assert cloud.outages == cloud.ran_out == []
    assert not mine.ended or mine.value not in cloud.passwords.values()


def test_a_rotation_that_has_to_make_its_secret_again_moves_its_groups_again() -> None:
    """It was held for so long that its new secret ran out; the group that had moved must not count as moved."""
    cloud = expiring_cloud()
    cloud.issued[0].expires_at = None
    cloud.sick.add("web-1")
    run(cloud)
    cloud.clock.sleep(timedelta(days=91))
    cloud.sick.clear()
    assert cloud.cannot_pull(next(iter(cloud.groups.values()))), "a person was asked for three months"

    nights(cloud, keeps_journal=True, count=3)

    assert_good_end(cloud, in_time=False)
