"""What logs and pulls say of an old secret, and what becomes of it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator.model.credential import Credential, Handle
from rotator.model.rotation import Retirement
from rotator.model.usage import OWN_AGENT, Drain, DrainRule, Pull, Usage, Use, Uses
from rotator.rotation.drain import Decision, decide, unexplained, usage_of
from rotator.rotation.rules import Rules
from tests.builders import application, group_id, token

CUTOVER = datetime(2026, 11, 1, 2, 0, tzinfo=UTC)
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
WINDOW = 5 * MINUTE
RULES = Rules(soak=DAY, drain_limit=7 * DAY, drain_quiet=7 * DAY, drain_window=WINDOW)
NOW = CUTOVER + DAY
RETIREMENT = Retirement(
    rotation="r",
    principal=token(),
    secret_name="pull",
    handle="password2@2026-11-01T00:00:00Z",
    old=("password1@2026-08-01T00:00:00Z",),
    cutover_at=CUTOVER,
    soak_until=CUTOVER + DAY,
    registries=("demo.azurecr.io",),
    seen_at=NOW,
)
KEYED = replace(RETIREMENT, principal=application(), handle="application/new", old=("application/OLD", "servicePrincipal/older"))


def use(after: timedelta, address: str = "20.1.2.3", **given: str) -> Use:
    return Use(at=CUTOVER + after, address=address, **given)


def pull(first: timedelta, last: timedelta | None = None, count: int = 1) -> Pull:
    end = first if last is None else last
    return Pull(group=group_id(), registry="demo.azurecr.io", first_at=CUTOVER + first, last_at=CUTOVER + end, count=count)


def logged(*entries: Use, keys: bool = False, **given: str) -> Uses:
    return Uses(complete_until=NOW - 15 * MINUTE, entries=entries, names_keys=keys, **given)


def judged(uses: Uses, *pulls: Pull, retirement: Retirement = RETIREMENT, now: datetime = NOW) -> Usage:
    return usage_of(replace(retirement, pulls=pulls), uses, RULES, now)


# --- what a log proves ---


@pytest.mark.parametrize(
    ("uses", "pulls", "drain"),
    [
        (logged(), (), Drain.PROVED),
        (logged(unproven="nothing was logged"), (), Drain.ASSUMED),
        (logged(unreadable="it is down"), (), Drain.UNKNOWN),
        (logged(use(HOUR)), (), Drain.IN_USE),
        (logged(use(-HOUR)), (), Drain.PROVED),
        (logged(use(HOUR)), (pull(HOUR - 3 * MINUTE),), Drain.ASSUMED),
        (logged(use(HOUR)), (pull(HOUR - 6 * MINUTE),), Drain.IN_USE),
        (logged(use(HOUR, agent=OWN_AGENT)), (), Drain.PROVED),
        (logged(use(HOUR), unproven="another registry is silent"), (), Drain.IN_USE),
    ],
)
def test_what_login_events_say_of_a_token(uses: Uses, pulls: tuple[Pull, ...], drain: Drain) -> None:
    assert judged(uses, *pulls).drain is drain


@pytest.mark.parametrize(
    ("uses", "drain"),
    [
        (logged(use(HOUR, key="new"), keys=True), Drain.PROVED),
        (logged(use(HOUR, key="new"), use(HOUR, key="old"), keys=True), Drain.IN_USE),
        (logged(use(HOUR, key="older"), keys=True), Drain.IN_USE),
        (logged(use(HOUR, key="new"), use(HOUR), keys=True), Drain.ASSUMED),
        (logged(keys=True, unproven="no sign-in at all"), Drain.ASSUMED),
        (logged(keys=True, unreadable="no such table"), Drain.UNKNOWN),
    ],
)
def test_what_sign_ins_say_of_an_application(uses: Uses, drain: Drain) -> None:
    # A pull of a group at the same time explains nothing where the log names the secret.
    assert judged(uses, pull(HOUR), retirement=KEYED).drain is drain


def test_a_use_is_told_with_addresses_the_latest_first() -> None:
    found = judged(logged(use(HOUR, "20.0.0.1"), use(2 * HOUR, "20.0.0.2"), use(3 * HOUR, "20.0.0.1")))

    assert found.callers == ("20.0.0.1", "20.0.0.2")
    assert found.last_seen_at == CUTOVER + 3 * HOUR
    assert found.detail == (
        "perhaps used (the log does not say which secret) by 20.0.0.1, 20.0.0.2, last at 2026-11-01 05:00 UTC"
    )


def test_a_login_after_the_groups_were_read_is_left_to_the_next_look() -> None:
    seen = replace(RETIREMENT, seen_at=CUTOVER + 2 * HOUR)
    assert judged(logged(use(3 * HOUR)), retirement=seen).drain is Drain.PROVED
    at_once = judged(logged(), retirement=replace(RETIREMENT, seen_at=CUTOVER))
    assert (at_once.drain, at_once.early) == (Drain.UNKNOWN, True)


def test_a_use_counts_until_the_secret_has_been_quiet_for_long_enough() -> None:
    uses = logged(use(HOUR))
    later = CUTOVER + 7 * DAY + HOUR
    waiting = replace(RETIREMENT, seen_at=later + HOUR)
    assert judged(replace(uses, complete_until=later), retirement=waiting, now=later).drain is Drain.IN_USE
    assert judged(replace(uses, complete_until=later), retirement=waiting, now=later + MINUTE).drain is Drain.PROVED


# --- what a pull explains ---

INSTANTS = st.integers(0, 48 * 60).map(lambda minutes: minutes * MINUTE)
USES = st.lists(INSTANTS.map(use), max_size=12)
PULLS = st.lists(
    st.tuples(INSTANTS, INSTANTS, st.integers(1, 5)).map(lambda given: pull(min(given[:2]), max(given[:2]), given[2])), max_size=4
)


@given(USES, PULLS)
def test_a_login_that_no_pull_surrounds_is_never_explained(uses: list[Use], pulls: list[Pull]) -> None:
    left = unexplained(uses, pulls, WINDOW)
    for one in uses:
        if not any(each.first_at - WINDOW <= one.at <= each.last_at + WINDOW for each in pulls):
            assert one in left


@given(USES, PULLS)
def test_in_between_no_more_logins_are_explained_than_pulls_were_counted(uses: list[Use], pulls: list[Pull]) -> None:
    apart = [
        one for one in uses if not any(min(abs(one.at - each.first_at), abs(one.at - each.last_at)) <= WINDOW for each in pulls)
    ]
    explained = len(uses) - len(unexplained(uses, pulls, WINDOW))
    assert explained <= len(uses) - len(apart) + sum(max(each.count - 2, 0) for each in pulls)


@given(USES, PULLS, PULLS)
def test_more_pulls_never_explain_less(uses: list[Use], pulls: list[Pull], more: list[Pull]) -> None:
    assert len(unexplained(uses, pulls + more, WINDOW)) <= len(unexplained(uses, pulls, WINDOW))


@given(USES, PULLS)
def test_a_login_away_from_every_pull_is_always_one_more(uses: list[Use], pulls: list[Pull]) -> None:
    outside = Use(at=CUTOVER + 10 * DAY, address="203.0.113.7")
    assert outside in unexplained([*uses, outside], pulls, WINDOW)
    assert len(unexplained([*uses, outside], pulls, WINDOW)) == len(unexplained(uses, pulls, WINDOW)) + 1


def test_a_group_that_pulls_every_hour_explains_each_of_its_logins_and_one_more_is_seen() -> None:
    hourly = pull(HOUR, 10 * HOUR, count=10)
    own = [use(number * HOUR + MINUTE) for number in range(1, 11)]
    assert unexplained(own, [hourly], WINDOW) == ()
    assert len(unexplained([*own, use(150 * MINUTE)], [hourly], WINDOW)) == 1


# --- what becomes of the secret ---

REPORT, NOT_IN_USE, ONLY_PROVED = DrainRule.REPORT, DrainRule.WHEN_NOT_IN_USE, DrainRule.ONLY_PROVED
END, KEEP, HOLD = Decision.END, Decision.KEEP, Decision.HOLD


@pytest.mark.parametrize(
    ("drain", "rule", "before", "after"),
    [
        (Drain.PROVED, REPORT, END, END),
        (Drain.PROVED, NOT_IN_USE, END, END),
        (Drain.PROVED, ONLY_PROVED, END, END),
        (Drain.ASSUMED, REPORT, END, END),
        (Drain.ASSUMED, NOT_IN_USE, END, END),
        (Drain.ASSUMED, ONLY_PROVED, KEEP, HOLD),
        (Drain.UNKNOWN, REPORT, END, END),
        (Drain.UNKNOWN, NOT_IN_USE, KEEP, END),
        (Drain.UNKNOWN, ONLY_PROVED, KEEP, HOLD),
        (Drain.IN_USE, REPORT, END, END),
        (Drain.IN_USE, NOT_IN_USE, KEEP, HOLD),
        (Drain.IN_USE, ONLY_PROVED, KEEP, HOLD),
    ],
)
def test_the_rule_decides_before_and_after_the_limit(drain: Drain, rule: DrainRule, before: Decision, after: Decision) -> None:
    rules = replace(RULES, drain=rule)
    limit = RETIREMENT.soak_until + rules.drain_limit
    assert decide(RETIREMENT, Usage(drain=drain), (), rules, limit - MINUTE) is before
    assert decide(RETIREMENT, Usage(drain=drain), (), rules, limit) is after


@pytest.mark.parametrize(("rule", "decision"), [(REPORT, END), (NOT_IN_USE, KEEP), (ONLY_PROVED, KEEP)])
def test_too_early_is_waited_for(rule: DrainRule, decision: Decision) -> None:
    early = Usage(drain=Drain.UNKNOWN, early=True)
    assert decide(RETIREMENT, early, (), replace(RULES, drain=rule), NOW + 30 * DAY) is decision


@pytest.mark.parametrize(("left", "decision"), [(HOUR, KEEP), (DAY, KEEP), (2 * DAY, HOLD), (None, HOLD)])
def test_a_secret_near_its_own_end_waits_for_nobody(left: timedelta | None, decision: Decision) -> None:
    late = RETIREMENT.soak_until + 8 * DAY
    ends_at = None if left is None else late + left
    alive = [Credential(handle=Handle(principal=token(), id=RETIREMENT.old[0]), username="pull", expires_at=ends_at)]
    assert decide(RETIREMENT, Usage(drain=Drain.IN_USE), alive, RULES, late) is decision
