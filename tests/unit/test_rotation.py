"""The rotation against a cloud in memory: whole runs, refusals, and a crash after every pair of effects."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import combinations

import pytest

from rotator.model.arm import ArmId
from rotator.model.credential import Overlap
from rotator.model.group import GroupState
from rotator.model.rotation import Action, Reason, Result
from rotator.model.tool import OwnedGroups, Tool
from rotator.rotation.plan import make_plan
from rotator.rotation.rules import Rules
from tests.memorycloud import TRAITS, VAULT, Fault, MemoryCloud
from tests.memoryports import estate_of, hold_in_vault
from tests.nights import NIGHT, RULES, assert_good_end, expiring_cloud, nights, plan_of, run


@pytest.mark.parametrize("overlap", [Overlap.TWO_SLOTS, Overlap.MANY])
def test_a_rotation_moves_every_group_and_ends_the_old_secret_after_the_soak(overlap: Overlap) -> None:
    cloud = expiring_cloud(overlap)

    [outcome] = run(cloud)

    assert outcome.result is Result.SOAKING
    assert len(cloud.live()) == 2, "the old secret lives through the soak"
    assert sorted(cloud.redeploys) == [f"web-{number}" for number in range(5)], "each group restarts once"
    assert run(cloud) == [], "nothing is due while it soaks"
    cloud.clock.sleep(timedelta(hours=24))
    [ended] = run(cloud)
    assert ended.result is Result.SUCCESS
    assert_good_end(cloud)
    assert plan_of(cloud).items == ()


def test_a_lease_moves_every_group_and_leaves_nothing_to_end() -> None:
    cloud = expiring_cloud(Overlap.LEASES)

    [outcome] = run(cloud)

    assert outcome.result is Result.SUCCESS
    assert_good_end(cloud)
    assert plan_of(cloud).items == ()


@pytest.mark.parametrize("overlap", [Overlap.TWO_SLOTS, Overlap.MANY])
@pytest.mark.parametrize("keeps_journal", [True, False], ids=["journal kept", "journal lost"])
def test_a_crash_after_any_pair_of_effects_ends_in_the_same_good_state(overlap: Overlap, keeps_journal: bool) -> None:
    whole = expiring_cloud(overlap, groups=2)
    nights(whole, keeps_journal=keeps_journal, count=3)
    last = whole.effects + 3
    for first, second in combinations(range(1, last + 1), 2):
        cloud = expiring_cloud(overlap, groups=2)
        cloud.faults = {first: Fault.CRASH_AFTER, second: Fault.CRASH_AFTER}
        nights(cloud, keeps_journal=keeps_journal, count=5)
        assert_good_end(cloud)


def test_a_stopped_group_keeps_its_old_secret_until_it_has_been_moved() -> None:
    cloud = expiring_cloud()
    old = cloud.issued[0]
    stopped = cloud.add_group("batch", old, state=GroupState.STOPPED)

    run(cloud)
    cloud.clock.sleep(NIGHT)
    assert run(cloud) == []
    assert not old.ended, "its stored secret would be dead at its next start"
    cloud.groups[stopped.key] = replace(cloud.groups[stopped.key], state=GroupState.RUNNING)
    nights(cloud, keeps_journal=False, count=2)
    assert_good_end(cloud)


def test_an_unhealthy_canary_gets_its_old_secret_back_and_stops_the_rotation() -> None:
    cloud = expiring_cloud()
    cloud.sick.add("web-0")

    [outcome] = run(cloud)

    assert outcome.result is Result.ROLLED_BACK
    assert cloud.redeploys == ["web-0", "web-0"], "there and back; no other group was touched"
    assert cloud.outages == []
    [item] = plan_of(cloud).items
    assert "not healthy" in item.held
    cloud.sick.clear()
    run(cloud, force=True)
    cloud.clock.sleep(NIGHT)
    run(cloud)
    assert_good_end(cloud)


def test_a_group_whose_image_is_gone_is_left_and_the_others_move() -> None:
    cloud = expiring_cloud()
    cloud.missing_images.add("app/web-3")

    [outcome] = run(cloud)

    assert [one.name for one in outcome.left] == ["web-3"]
    assert sorted(cloud.redeploys) == ["web-0", "web-1", "web-2", "web-4"]
    assert not cloud.issued[0].ended


Setup = Callable[[MemoryCloud], None]


def _both_slots_unknown(cloud: MemoryCloud) -> None:
    first = cloud.plant("password1", age=timedelta(days=80), ttl=None)
    cloud.plant("password2", age=timedelta(days=80, seconds=1), ttl=None)
    cloud.add_group("web", first)


def _other_slot_foreign(cloud: MemoryCloud) -> None:
    first = cloud.plant("password1", age=timedelta(days=80), ttl=timedelta(days=90))
    cloud.plant("password2", age=timedelta(days=3), ttl=None)
    cloud.add_group("web", first)
    hold_in_vault(cloud, first)


@pytest.mark.parametrize(
    ("setup", "sentence"),
    [
        pytest.param(_both_slots_unknown, "nothing tells which of them", id="both slots are live and the vault knows neither"),
        pytest.param(_other_slot_foreign, "nothing tells who uses it", id="the idle slot holds somebody's secret"),
    ],
)
def test_a_slot_that_may_be_in_use_is_never_filled(setup: Setup, sentence: str) -> None:
    cloud = MemoryCloud()
    setup(cloud)

    [item] = plan_of(cloud).items

    assert sentence in item.held
    assert "rotation.slots" in item.advice


def test_the_operators_word_on_a_slot_counts_only_while_the_vault_agrees() -> None:
    cloud = MemoryCloud()
    _other_slot_foreign(cloud)
    told = Rules(slots={cloud.principal.id: "password1"})
    [item] = plan_of(cloud, rules=told).items
    assert (item.held, item.slot) == ("", "password2")
    contradicted = Rules(slots={cloud.principal.id: "password2"})
    [item] = plan_of(cloud, rules=contradicted).items
    assert item.held


def test_a_credential_that_the_vault_does_not_hold_is_due() -> None:
    cloud = MemoryCloud()
    cloud.add_group("web", cloud.plant("password1", age=timedelta(days=1), ttl=timedelta(days=90)))

    [item] = plan_of(cloud, rules=Rules()).items

    assert item.reasons == (Reason.NOT_IN_VAULT,)
    assert item.secret_name == "acr-token-demo-azurecr-io-pull"
    assert [one.action for one in item.consumers] == [Action.REDEPLOY]


def test_more_restarts_than_one_run_may_cause_are_held() -> None:
    cloud = expiring_cloud(groups=8)
    plan = plan_of(cloud, rules=Rules(max_groups_per_run=5))
    assert [bool(item.held) for item in plan.items] == [False], "one item is never split, so the first always goes"


def test_an_old_secret_lives_while_a_group_outside_the_scope_may_store_it() -> None:
    cloud = expiring_cloud()
    run(cloud)
    cloud.clock.sleep(NIGHT)
    estate = estate_of(cloud)
    stranger = replace(estate.groups[0], id=ArmId(estate.groups[0].id.text + "-of-another-team"), tags={})
    plan = make_plan(replace(estate, bystanders=(stranger,)), TRAITS, RULES, cloud.clock.now(), vault=VAULT)
    [retirement] = plan.retirements
    assert retirement.waiting_for == (stranger.id,)
    assert not retirement.due(cloud.clock.now())


def test_groups_that_another_tool_deploys_are_held_for_it_only_where_that_is_asked_for() -> None:
    cloud = expiring_cloud(groups=3)
    owned = next(iter(cloud.groups.values())).id
    estate = replace(estate_of(cloud), owned={owned: Tool.TERRAFORM})

    def consumers(rules: Rules) -> dict[Action, list[str]]:
        [item] = make_plan(estate, TRAITS, rules, cloud.clock.now(), vault=VAULT).items
        assert not item.held
        found: dict[Action, list[str]] = {}
        for one in item.consumers:
            found.setdefault(one.action, []).append(f"{one.group.name} {one.why}".strip())
        return found

    assert len(consumers(RULES)[Action.REDEPLOY]) == 3
    chosen = consumers(replace(RULES, owned_groups=OwnedGroups.HOLD))
    assert len(chosen[Action.REDEPLOY]) == 2
    assert chosen[Action.HOLD] == [
        "web-0 terraform deploys it (rotation.owned_groups: hold); rotator plan --emit terraform writes the change"
    ]


def test_a_group_held_for_its_tool_keeps_its_old_secret_alive_and_is_never_out() -> None:
    cloud, rules = expiring_cloud(groups=3), replace(RULES, owned_groups=OwnedGroups.HOLD)
    owned = next(iter(cloud.groups.values())).id
    for _ in range(4):
        estate = replace(estate_of(cloud), owned={owned: Tool.BICEP})
        run(cloud, rules=rules, plan=make_plan(estate, TRAITS, rules, cloud.clock.now(), vault=VAULT))
        cloud.clock.sleep(NIGHT)
    assert sorted(cloud.redeploys) == ["web-1", "web-2"]
    assert cloud.outages == cloud.ran_out == []
    assert not cloud.issued[0].ended


def test_a_credential_whose_groups_are_all_held_is_held_and_says_what_writes_the_change() -> None:
    cloud, rules = expiring_cloud(groups=1), replace(RULES, owned_groups=OwnedGroups.HOLD)
    estate = replace(estate_of(cloud), owned={one.id: Tool.BICEP for one in cloud.groups.values()})
    [item] = make_plan(estate, TRAITS, rules, cloud.clock.now(), vault=VAULT).items
    assert "none of its groups can be moved: web-0: bicep deploys it" in item.held
