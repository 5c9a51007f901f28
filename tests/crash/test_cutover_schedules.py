"""Bad nights of groups: those that read the vault, those that are not well, and the way back."""

from dataclasses import replace
from datetime import timedelta

import pytest

from rotator.model.credential import Overlap
from rotator.model.group import Inline
from rotator.model.rotation import Action, Result
from tests.memorycloud import APP, AWS, TOKEN, Fault, MemoryCloud
from tests.memoryports import MemoryVault, hold_in_vault
from tests.nights import (
    assert_good_end,
    die_after,
    expiring_cloud,
    nights,
    plan_of,
    rehearsed,
    run,
)

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
