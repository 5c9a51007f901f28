"""Kinds whose new secret ends the old one at once: when they may begin, and that what has begun is finished."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from rotator.model.credential import Overlap
from rotator.model.group import GroupState, WriteOnlyField
from rotator.model.rotation import HeldCause, Plan, Result, Verb
from rotator.rotation.outages import is_open
from rotator.rotation.plan import make_plan
from rotator.rotation.rules import Rules
from tests.memorycloud import BOT, SECRETS, TRAITS, VAULT, Crash, Fault, MemoryCloud
from tests.memoryports import estate_of
from tests.nights import RULES, assert_good_end, expiring_cloud, run

NO_WINDOW = Rules(max_parallel=1, verify_pulls=2, secret_names=RULES.secret_names)


def planned(cloud: MemoryCloud, *, allow_outage: bool = False, rules: Rules = NO_WINDOW) -> Plan:
    return make_plan(estate_of(cloud), TRAITS, rules, cloud.clock.now(), vault=VAULT, allow_outage=allow_outage)


def single(groups: int = 3) -> MemoryCloud:
    return expiring_cloud(Overlap.SINGLE, groups)


@pytest.mark.parametrize(
    ("text", "now", "inside"),
    [
        ("0 2 * * 6 for 2h", datetime(2026, 11, 28, 2, 0, tzinfo=UTC), True),
        ("0 2 * * 6 for 2h", datetime(2026, 11, 28, 3, 59, tzinfo=UTC), True),
        ("0 2 * * 6 for 2h", datetime(2026, 11, 28, 4, 0, tzinfo=UTC), False),
        ("0 2 * * 6 for 2h", datetime(2026, 11, 27, 2, 0, tzinfo=UTC), False),
        ("30 23 * * * for 90m", datetime(2026, 11, 28, 0, 45, tzinfo=UTC), True),
    ],
)
def test_a_window_is_open_from_its_beginning_for_as_long_as_it_says(text: str, now: datetime, *, inside: bool) -> None:
    assert is_open(text, now) is inside


@pytest.mark.parametrize("text", ["", "0 2 * * 6", "for 2h", "0 2 * * 6 for 2d", "0 2 * * 6 for 0h", "0 25 * * 6 for 2h"])
def test_what_is_no_window_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        is_open(text, datetime(2026, 11, 28, tzinfo=UTC))


@pytest.mark.parametrize(
    ("window", "sentence"),
    [
        ("0 5 * * 6 for 2h", "The next window begins Sat 2026-11-28 05:00 UTC"),
        ("59 1 * * * for 2m", "The next window begins Tue 2026-11-24 01:59 UTC"),
        ("0 1 * * * for 61m", "The next window begins Tue 2026-11-24 01:00 UTC"),
        ("0 0 30 2 * for 2h", "Or announce a rotation.outage_windows"),
    ],
)
def test_a_plan_outside_its_window_says_when_the_next_one_begins(window: str, sentence: str) -> None:
    [item] = planned(single(), rules=replace(NO_WINDOW, outage_windows={"gitlab:*": window})).items
    assert item.cause is HeldCause.OUTAGE_WINDOW
    assert sentence in item.advice


def test_before_its_first_window_nobody_has_to_decide_anything() -> None:
    rules = replace(NO_WINDOW, outage_windows={"gitlab:*": "0 5 1 1 * for 2h"})
    [item] = planned(single(), rules=rules).items
    assert item.cause is HeldCause.WINDOW
    assert item.awaits_window


def test_a_credential_that_was_due_all_through_a_window_is_held_for_a_person() -> None:
    [item] = planned(single(), rules=replace(NO_WINDOW, outage_windows={"gitlab:*": "0 5 22 11 * for 2h"})).items
    assert item.cause is HeldCause.OUTAGE_WINDOW
    assert "at 2026-11-22 05:00 UTC, in which no run began it" in item.held


def test_nothing_is_made_when_the_window_has_ended_between_the_plan_and_its_turn() -> None:
    cloud, rules = single(), replace(NO_WINDOW, outage_windows={"*": "0 2 * * * for 1h"})
    plan = planned(cloud, rules=rules)
    assert not plan.items[0].held
    cloud.clock.sleep(timedelta(minutes=59))
    [outcome] = run(cloud, plan=plan, rules=rules)
    assert outcome.result is Result.HELD
    assert "its window is over, or too little is left of it; nothing was made" in outcome.detail
    assert len(cloud.issued) == 1


def test_what_a_person_allowed_needs_no_window() -> None:
    cloud = single()
    plan = planned(cloud, allow_outage=True)
    cloud.clock.sleep(timedelta(days=2))
    assert [one.result for one in run(cloud, plan=plan, rules=NO_WINDOW)] == [Result.SUCCESS]


def test_a_window_that_ends_after_the_secret_was_made_does_not_leave_the_groups_out() -> None:
    cloud, rules = single(), replace(NO_WINDOW, outage_windows={"*": "0 2 * * * for 10m"})
    cloud.faults = {3: Fault.CRASH_AFTER}
    with pytest.raises(Crash):
        run(cloud, rules=rules)
    cloud.clock.sleep(timedelta(hours=1))
    run(cloud, rules=rules)
    assert_good_end(cloud)


def test_without_a_window_it_is_held_and_says_who_would_be_out() -> None:
    cloud = single()
    [item] = planned(cloud).items
    assert item.cause is HeldCause.OUTAGE_WINDOW
    assert "no outage is announced" in item.held
    assert "--allow-outage" in item.advice
    assert "web-0, web-1, web-2 cannot pull" in item.outage
    run(cloud, plan=planned(cloud), rules=NO_WINDOW)
    assert len(cloud.issued) == 1


def test_a_window_or_a_persons_word_lets_it_begin_with_all_groups_at_once() -> None:
    for plan in (planned(single(), rules=RULES), planned(single(), allow_outage=True)):
        [item] = plan.items
        assert not item.held
        assert [len(wave) for wave in item.waves] == [3]


def test_a_closed_window_of_this_principal_and_an_open_one_of_another_let_nothing_begin() -> None:
    rules = Rules(outage_windows={BOT.id: "0 5 * * * for 1h", "quay:*": "* * * * * for 1h"}, secret_names=RULES.secret_names)
    [item] = planned(single(), rules=rules).items
    assert item.cause is HeldCause.OUTAGE_WINDOW


def test_every_group_moves_and_there_is_no_soak() -> None:
    cloud = single()
    [outcome] = run(cloud)
    assert outcome.result is Result.SUCCESS
    assert_good_end(cloud)
    assert cloud.announced, "the groups were out for the while that was announced"


def test_a_group_that_could_not_be_moved_holds_the_whole_whatever_a_person_allows() -> None:
    cloud = single()
    group = next(iter(cloud.groups.values()))
    lost = WriteOnlyField("containers/web/environmentVariables/KEY/secureValue")
    estate = replace(estate_of(cloud), unsourced={group.id: (lost,)})
    [item] = make_plan(estate, TRAITS, RULES, cloud.clock.now(), vault=VAULT, allow_outage=True).items
    assert item.cause is HeldCause.GROUPS
    assert group.id.name in item.held


def test_a_stopped_group_holds_it_until_a_person_leaves_it_behind_and_follows_when_it_runs() -> None:
    cloud = single()
    [old] = cloud.issued
    batch = cloud.add_group("batch", old, state=GroupState.STOPPED)
    [item] = planned(cloud, rules=RULES).items
    assert "batch could not start again" in item.held

    [outcome] = run(cloud, plan=planned(cloud, allow_outage=True))
    assert outcome.result is Result.SOAKING
    cloud.groups[batch.key] = replace(cloud.groups[batch.key], state=GroupState.RUNNING)
    cloud.clock.sleep(timedelta(minutes=5))
    run(cloud, rules=NO_WINDOW)
    run(cloud, rules=NO_WINDOW)
    assert_good_end(cloud)
    assert len(cloud.issued) == 2, "no other secret was made for it"


def test_a_secret_that_was_made_and_lost_is_made_again_outside_every_window() -> None:
    cloud = single()
    cloud.faults = {2: Fault.CRASH_AFTER}
    with pytest.raises(Crash):
        run(cloud)
    assert any(cloud.cannot_pull(one) for one in cloud.groups.values())
    [item] = planned(cloud).items
    assert not item.held
    run(cloud, rules=NO_WINDOW)
    assert_good_end(cloud)


def test_an_announcement_without_an_effect_waits_for_the_next_window() -> None:
    cloud = single()
    cloud.faults = {2: Fault.CRASH_BEFORE}
    with pytest.raises(Crash):
        run(cloud)
    [item] = planned(cloud).items
    assert item.cause is HeldCause.OUTAGE_WINDOW


def test_a_lost_answer_makes_another_one_from_its_lost_successor() -> None:
    cloud = single()
    cloud.faults = {2: Fault.LOST_AFTER}
    [outcome] = run(cloud)
    assert outcome.result is Result.SUCCESS
    assert [one.handle.id for one in cloud.live()] == ["token/3"]
    assert_good_end(cloud)


def test_nothing_is_made_while_the_registry_cannot_be_asked() -> None:
    cloud = single()
    cloud.missing_images = {"app/web-0", "app/web-1", "app/web-2"}
    [outcome] = run(cloud)
    assert outcome.result is Result.HELD
    assert len(cloud.issued) == 1
    assert cloud.announced == cloud.outages == []


def test_a_secret_made_by_somebody_else_since_the_plan_is_not_ended() -> None:
    cloud = single()
    plan = planned(cloud, rules=RULES)
    theirs = cloud.plant(age=timedelta(0), ttl=timedelta(days=90), principal=BOT)
    [outcome] = run(cloud, plan=plan)
    assert outcome.result is Result.HELD
    assert not theirs.ended


def test_a_new_secret_that_is_not_accepted_yet_is_tried_again_by_the_next_run_and_nobody_can_go_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cloud = single()
    traits = TRAITS[BOT.kind]
    late = cloud.clock.now() + traits.propagation + 2 * traits.propagation_limit
    accepts = cloud.accepts
    monkeypatch.setattr(
        cloud, "accepts", lambda who, value: accepts(who, value) and (cloud.clock.now() > late or value.startswith("planted"))
    )
    [outcome] = run(cloud)
    assert outcome.result is Result.HELD
    [situation] = planned(cloud).situations
    assert "nothing to go back to" in situation.choice(Verb.ROLL_BACK).refused
    assert situation.choice(Verb.ABANDON).refused
    cloud.clock.sleep(timedelta(minutes=10))
    run(cloud, rules=NO_WINDOW)
    assert_good_end(cloud)
    assert len(cloud.vault[SECRETS[BOT]]) == 2
