"""Bad nights in which it is not plain whose secret something is, or not everything could be read."""

from datetime import timedelta

import pytest

from rotator.model.credential import Overlap
from rotator.model.rotation import Result
from rotator.rotation.rules import Rules
from tests.memorycloud import APP, AWS, HOSTS, MemoryCloud
from tests.memoryports import MemoryVault, hold_in_vault
from tests.nights import NEW, NIGHT, assert_good_end, die_after, edit_tags, expiring_cloud, nights, plan_of, run

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
