"""Schedules that once broke a promise, or could have: each is one bad night, told step by step."""

from dataclasses import replace
from datetime import timedelta

import pytest

from rotator.model.credential import Overlap
from rotator.model.group import GroupState, Inline
from rotator.model.rotation import Action, Result
from rotator.rotation.rules import Rules
from tests.memorycloud import APP, AWS, HOSTS, TOKEN, Crash, Fault, MemoryCloud
from tests.memoryports import MemoryVault, hold_in_vault
from tests.nights import NIGHT, RULES, Journal, assert_good_end, edit_tags, expiring_cloud, nights, plan_of, run

NEW = timedelta(days=60)  # after so long the credential that a rotation made is due itself


def die_after(cloud: MemoryCloud, effect: str) -> Journal:
    """Run until the effect of that name, or the first whose name begins so, and die; returns the journal of the dead process."""
    trial = rehearsed(cloud)
    number = trial.index(effect) if effect in trial else [name.startswith(effect) for name in trial].index(True)
    cloud.faults = {cloud.effects + number + 1: Fault.CRASH_AFTER}
    journal = Journal()
    with pytest.raises(Crash):
        run(cloud, journal)
    return journal


def rehearsed(cloud: MemoryCloud) -> list[str]:
    """Name the effects of a run, in order, without doing it."""
    from copy import deepcopy

    copy, names = deepcopy(cloud), list[str]()
    effect = copy.effect

    def named(what: str) -> object:
        names.append(what)
        return effect(what)

    copy.effect = named  # type: ignore[method-assign,assignment]
    run(copy)
    return names


# --- what could not be read ---------------------------------------------------------------------------------------------


def test_a_vault_that_cannot_be_read_makes_no_secret_an_orphan_and_nothing_due() -> None:
    cloud = expiring_cloud(Overlap.MANY)
    nights(cloud, keeps_journal=True, count=2)
    cloud.clock.sleep(NEW)

    plan = plan_of(cloud, "vault")

    assert plan.orphans == ()
    assert plan.items == ()
    run(cloud, plan=plan)
    cloud.watch("a run without the vault")
    assert cloud.outages == cloud.ran_out == []


def test_an_old_secret_is_kept_while_groups_could_not_be_read() -> None:
    cloud = expiring_cloud()
    run(cloud)
    cloud.add_group("unseen", cloud.issued[0])
    cloud.clock.sleep(NIGHT)

    run(cloud, plan=plan_of(cloud, "container-groups"))

    cloud.watch("the night without groups")
    assert cloud.outages == [], "its secret was not ended"
    nights(cloud, keeps_journal=True, count=3)
    assert_good_end(cloud)


def test_a_group_that_appears_during_the_soak_with_the_old_secret_is_moved_first() -> None:
    cloud = expiring_cloud()
    run(cloud)
    cloud.add_group("late", cloud.issued[0])
    nights(cloud, keeps_journal=True, count=4)
    assert_good_end(cloud)


@pytest.mark.parametrize("overlap", [Overlap.TWO_SLOTS, Overlap.MANY])
def test_a_group_that_moves_late_gives_the_old_secret_its_whole_soak_even_when_the_process_dies(overlap: Overlap) -> None:
    cloud = expiring_cloud(overlap)
    run(cloud)
    cloud.add_group("late", cloud.issued[0])
    cloud.clock.sleep(NIGHT)
    die_after(cloud, "redeploy late")

    run(cloud)

    assert not cloud.issued[0].ended, "the group has had its new credential for a moment only"
    nights(cloud, keeps_journal=True, count=3)
    assert_good_end(cloud)


# --- whose secret is it ---------------------------------------------------------------------------------------------------


def test_a_secret_in_use_is_no_orphan_when_the_vaults_tags_were_edited() -> None:
    cloud = expiring_cloud(Overlap.MANY)
    nights(cloud, keeps_journal=True, count=2)
    edit_tags(cloud, cloud.secret_name, lambda tags: {"owner": "somebody"})

    assert plan_of(cloud).orphans == ()


def test_another_installations_secret_is_no_orphan_of_ours() -> None:
    cloud = expiring_cloud(Overlap.MANY)
    cloud.plant(age=timedelta(days=1), ttl=timedelta(days=90), marker="rot-0123456789abcdef")
    assert plan_of(cloud).orphans == ()


def test_an_orphan_that_the_vault_holds_by_now_is_not_ended() -> None:
    """The plan may be minutes old: what it took for an orphan can be in use when its turn comes."""
    cloud = expiring_cloud(Overlap.MANY)
    run(cloud)
    spare = cloud.plant(age=timedelta(0), ttl=timedelta(days=90), marker=plan_of(cloud).retirements[0].rotation)
    plan = plan_of(cloud)
    assert [one.id for one in plan.orphans] == [spare.handle.id]
    edit_tags(cloud, cloud.secret_name, lambda tags: {**tags, "rotator-handle": spare.handle.id})

    run(cloud, plan=plan)

    assert not spare.ended


def test_a_secret_made_twice_ends_as_one() -> None:
    """An answer is lost and the list of secrets is late, so that a second one is made; the first is ended once it shows."""
    cloud = expiring_cloud(Overlap.MANY)
    die_after(cloud, "issue")
    lost = cloud.issued[-1]
    cloud.lagging = {lost.handle.id}
    run(cloud)
    cloud.lagging = set()
    nights(cloud, keeps_journal=False, count=3)
    assert lost.ended
    assert_good_end(cloud)


def test_a_first_rotation_that_died_before_its_secret_was_kept_still_ends_the_old_one() -> None:
    cloud = MemoryCloud(overlap=Overlap.MANY)
    old = cloud.plant(age=timedelta(days=80), ttl=timedelta(days=90))
    cloud.add_group("web", old)
    die_after(cloud, "issue")
    nights(cloud, keeps_journal=False, count=4)
    assert old.ended
    assert_good_end(cloud)


def test_of_several_unknown_secrets_none_is_ended() -> None:
    cloud = MemoryCloud(overlap=Overlap.MANY)
    unknown = [cloud.plant(age=timedelta(days=days), ttl=timedelta(days=180)) for days in (80, 50, 20)]
    cloud.add_group("web", unknown[1])
    nights(cloud, keeps_journal=True, count=3)
    assert not any(one.ended for one in unknown)
    assert len(cloud.live()) == 4
    assert cloud.outages == cloud.ran_out == []
    assert cloud.passwords[next(iter(cloud.groups)), HOSTS[APP]] == cloud.issued[-1].value


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


# --- the vault's names ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["acr-token-demo-azurecr-io-pull", "acr-token-demo-azurecr-io-pull--staged"])
def test_a_secret_of_somebody_else_is_never_overwritten(name: str) -> None:
    cloud = MemoryCloud()
    cloud.add_group("web", cloud.plant("password1", age=timedelta(days=1), ttl=timedelta(days=90)))
    MemoryVault(cloud).put(name, "theirs", {"team": "payments"}, None, enabled=True)

    [item] = plan_of(cloud, rules=Rules()).items

    assert name in item.held
    run(cloud, rules=Rules())
    assert [one.value for one in cloud.vault[name]] == ["theirs"]


def test_a_secret_that_came_since_the_plan_is_not_overwritten_either() -> None:
    cloud = MemoryCloud()
    cloud.add_group("web", cloud.plant("password1", age=timedelta(days=1), ttl=timedelta(days=90)))
    plan, name = plan_of(cloud, rules=Rules()), "acr-token-demo-azurecr-io-pull"
    MemoryVault(cloud).put(name, "theirs", {"rotator-principal": AWS.id}, None, enabled=True)

    [outcome] = run(cloud, plan=plan, rules=Rules())

    assert outcome.result is Result.HELD
    assert [one.value for one in cloud.vault[name]] == ["theirs"]
    assert len(cloud.issued) == 1, "nothing was made"


def test_two_principals_are_not_given_one_name() -> None:
    cloud = MemoryCloud()
    cloud.add_group("web", cloud.plant("password1", age=timedelta(days=80), ttl=timedelta(days=90)))
    cloud.add_group("shop", cloud.plant(age=timedelta(days=80), ttl=timedelta(days=90), principal=APP))

    items = plan_of(cloud, rules=Rules(secret_name="registry-password")).items

    assert [bool(item.held) for item in items] == [False, True]
    assert "registry-password" in items[1].held


def test_two_secrets_that_claim_one_principal_are_for_a_person() -> None:
    cloud = expiring_cloud()
    hold_in_vault(cloud, cloud.issued[0], "copied-by-hand")

    [item] = plan_of(cloud).items

    assert "copied-by-hand" in item.held


# --- groups that read from the vault ----------------------------------------------------------------------------------------


def test_a_reference_to_one_version_keeps_the_old_secret_alive() -> None:
    cloud = expiring_cloud()
    cloud.add_group("pinned", cloud.issued[0], reads="pull-demo", version="v1")

    nights(cloud, keeps_journal=True, count=4)

    assert cloud.outages == cloud.ran_out == []
    assert not cloud.issued[0].ended


def test_a_reference_to_another_secret_is_held_and_keeps_the_old_one_alive() -> None:
    cloud = expiring_cloud()
    MemoryVault(cloud).put("kept-by-hand", cloud.issued[0].value, {}, None, enabled=True)
    cloud.add_group("elsewhere", cloud.issued[0], reads="kept-by-hand")

    [item] = plan_of(cloud).items
    assert {one.group.name: one.action for one in item.consumers}["elsewhere"] is Action.HOLD
    nights(cloud, keeps_journal=True, count=4)

    assert cloud.outages == cloud.ran_out == []
    assert not cloud.issued[0].ended


def test_a_group_with_one_entry_inline_and_a_pinned_reference_in_the_other_is_held() -> None:
    cloud = expiring_cloud(Overlap.MANY, groups=0)
    old = cloud.issued[0]
    key = cloud.add_group("both", old, reads="pull-shared", version="v1").key
    group = cloud.groups[key]
    second = replace(group.bindings[0], registry="second.azurecr.io", source=Inline(APP.name))
    cloud.groups[key] = replace(group, bindings=(*group.bindings, second))
    cloud.passwords[key, "second.azurecr.io"] = old.value

    [item] = plan_of(cloud).items

    assert [one.action for one in item.consumers] == [Action.HOLD]


def test_groups_that_read_the_vault_are_restarted_and_inline_ones_put_again() -> None:
    cloud = expiring_cloud(groups=2)
    cloud.add_group("reader", cloud.issued[0], reads="pull-demo")
    nights(cloud, keeps_journal=True, count=3)
    assert (cloud.restarts, sorted(cloud.redeploys)) == (["reader"], ["web-0", "web-1"])
    assert_good_end(cloud)


def test_an_unhealthy_group_that_reads_the_vault_is_not_put_again() -> None:
    cloud = expiring_cloud(groups=1)
    cloud.add_group("a-reader", cloud.issued[0], reads="pull-demo")
    cloud.sick.add("a-reader")

    [outcome] = run(cloud)

    assert outcome.result is Result.HELD
    assert cloud.redeploys == []
    cloud.sick.clear()
    nights(cloud, keeps_journal=True, count=3)
    assert_good_end(cloud)


def test_a_group_is_not_restarted_onto_a_secret_that_was_disabled_since() -> None:
    cloud = expiring_cloud(groups=0)
    cloud.add_group("a-inline", cloud.issued[0])
    cloud.add_group("b-reader", cloud.issued[0], reads="pull-demo")
    journal = die_after(cloud, "redeploy a-inline")
    current = MemoryVault(cloud).look("pull-demo")
    assert current is not None
    MemoryVault(cloud).annotate("pull-demo", current.version, tags=current.tags, enabled=False)

    run(cloud, journal)

    assert cloud.restarts == []


def test_an_old_secret_is_not_ended_while_the_vault_holds_something_else_than_the_new_one() -> None:
    """Somebody went back by hand during the soak: the groups that read the vault use the old secret again."""
    cloud = expiring_cloud(groups=1)
    cloud.add_group("reader", cloud.issued[0], reads="pull-demo")
    run(cloud)
    MemoryVault(cloud).put("pull-demo", cloud.issued[0].value, {"rotator-principal": TOKEN.id}, None, enabled=True)

    nights(cloud, keeps_journal=True, count=3)

    assert cloud.outages == cloud.ran_out == []
    assert not cloud.issued[0].ended


# --- cutover and the way back -----------------------------------------------------------------------------------------------


def test_an_expired_secret_is_never_put_back() -> None:
    cloud = MemoryCloud()
    old = cloud.plant("password1", age=timedelta(days=80), ttl=timedelta(days=80, minutes=3))
    cloud.add_group("web", old)
    hold_in_vault(cloud, old)
    cloud.sick.add("web")
    cloud.clock.sleep(timedelta(minutes=4))

    [outcome] = run(cloud)

    assert outcome.result is Result.HELD
    assert cloud.redeploys == ["web"]
    cloud.ran_out.clear()  # it was out before the rotation, by its own expiry
    cloud.watch("the rotation")
    assert cloud.outages == cloud.ran_out == []


def test_the_way_back_is_found_although_the_new_secret_was_written_twice() -> None:
    cloud = expiring_cloud(groups=1)
    die_after(cloud, "write pull-demo")
    newest = cloud.vault["pull-demo"][-1]
    MemoryVault(cloud).put("pull-demo", newest.value, newest.secret.tags, newest.secret.expires_at, enabled=True)
    cloud.sick.add("web-0")

    [outcome] = run(cloud)

    assert outcome.result is Result.ROLLED_BACK


def test_a_crash_in_the_middle_does_not_hide_an_unhealthy_canary() -> None:
    cloud = expiring_cloud()
    cloud.sick.add("web-0")
    journal = die_after(cloud, "redeploy web-0")

    [outcome] = run(cloud, journal)

    assert outcome.result is Result.ROLLED_BACK
    assert cloud.redeploys == ["web-0", "web-0"]


@pytest.mark.parametrize("fault", [Fault.THROTTLED, Fault.UNAVAILABLE, Fault.DENIED, Fault.CONFLICT, Fault.LOST_BEFORE])
def test_a_group_that_azure_refuses_is_left_for_the_next_run_and_the_others_move(fault: Fault) -> None:
    cloud = expiring_cloud()
    number = rehearsed(cloud).index("redeploy web-0") + 1
    cloud.faults = {number: fault}

    [outcome] = run(cloud)

    assert outcome.result is Result.FAILED, "the run says that something is left to do"
    assert [one.name for one in outcome.left] == ["web-0"]
    nights(cloud, keeps_journal=True, count=3)
    assert sorted(cloud.redeploys) == [f"web-{number}" for number in range(5)], "nobody had to step in, nothing moved twice"
    assert_good_end(cloud)


def test_one_group_that_azure_always_refuses_does_not_keep_the_others_on_the_old_secret() -> None:
    cloud = expiring_cloud()
    cloud.refused.add("web-0")
    nights(cloud, keeps_journal=True, count=3)
    assert {"web-1", "web-2", "web-3", "web-4"} <= set(cloud.redeploys)
    assert not cloud.issued[0].ended
    assert cloud.outages == cloud.ran_out == []


def test_a_group_that_was_given_another_user_since_the_plan_is_left_alone() -> None:
    cloud = expiring_cloud(groups=1)
    plan = plan_of(cloud)
    key, group = next(iter(cloud.groups.items()))
    cloud.groups[key] = replace(group, bindings=(replace(group.bindings[0], source=Inline("another")),))

    run(cloud, plan=plan)

    assert cloud.redeploys == []
    assert cloud.groups[key].bindings[0].source == Inline("another")


def test_a_group_with_two_entries_of_one_registry_is_held() -> None:
    """Their write-only fields have one address each by position, so a password could land in the other's entry."""
    cloud = expiring_cloud(groups=1)
    key, group = next(iter(cloud.groups.items()))
    other = replace(group.bindings[0], source=Inline("another"), principal=None)
    cloud.groups[key] = replace(group, bindings=(other, *group.bindings))
    [item] = plan_of(cloud).items
    assert [one.action for one in item.consumers] == [Action.HOLD]


def test_a_group_without_room_for_a_tag_is_held() -> None:
    cloud = expiring_cloud(groups=1)
    key, group = next(iter(cloud.groups.items()))
    cloud.groups[key] = replace(group, tags={f"t{number}": "x" for number in range(50)})
    [item] = plan_of(cloud).items
    assert [one.action for one in item.consumers] == [Action.HOLD]


def test_another_principals_dead_password_from_the_vault_is_not_put_into_a_shared_group() -> None:
    cloud = expiring_cloud()
    dead = cloud.plant(age=timedelta(days=9), ttl=timedelta(days=90), principal=APP)
    alive = cloud.plant(age=timedelta(days=1), ttl=timedelta(days=90), principal=APP)
    hold_in_vault(cloud, dead)
    dead.ended = True
    cloud.add_group("shared", cloud.issued[0], alive)
    token_only = [one for one in plan_of(cloud).items if one.principal == TOKEN]

    run(cloud, plan=replace(plan_of(cloud), items=tuple(token_only)))

    assert cloud.outages == cloud.ran_out == []
    assert "shared" not in cloud.redeploys
    assert {f"web-{number}" for number in range(5)} <= set(cloud.redeploys), "the others moved"
    nights(cloud, keeps_journal=True, count=5)
    assert_good_end(cloud, [Overlap.TWO_SLOTS, Overlap.MANY])


def test_two_principals_of_one_group_rotate_in_one_run() -> None:
    for overlaps in ([Overlap.TWO_SLOTS, Overlap.MANY], [Overlap.TWO_SLOTS, Overlap.LEASES]):
        cloud = expiring_cloud(overlaps[0], groups=1)
        second = (
            cloud.plant(age=timedelta(hours=7), ttl=timedelta(hours=12), principal=AWS)
            if Overlap.LEASES in overlaps
            else cloud.plant(age=timedelta(days=80), ttl=timedelta(days=90), principal=APP)
        )
        hold_in_vault(cloud, second)
        cloud.add_group("shared", cloud.issued[0], second)
        nights(cloud, keeps_journal=True, count=12, step=timedelta(hours=4))
        assert_good_end(cloud, overlaps)


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
