from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from rotator.audit.evaluate import evaluate
from rotator.audit.policies import default_policy_directory, load_policies
from rotator.audit.waivers import WAIVER_POLICIES, Waivers, load_waivers
from rotator.model.policy import Audit, Verdict, Waiver
from tests.builders import NOW, estate, registry

POLICIES = load_policies([default_policy_directory()])
ADMIN = "acr-admin-user-enabled"
SINNER = registry(admin_enabled=True)

ENTRY = f"""\
waivers:
  - id: demo-admin
    policy: {ADMIN}
    scope: /subscriptions/*/resourcegroups/REGISTRIES/*
    reason: the vendor's installer needs it
    approver: head of platform
    ticket: 1042
    expires_on: 2026-12-31
"""


def waiver(**changes: object) -> Waiver:
    given = {
        "id": "demo-admin",
        "policy": ADMIN,
        "scope": "*",
        "reason": "a reason",
        "approver": "somebody",
        "ticket": "SEC-1",
        "expires_on": date(2026, 12, 31),
    }
    given.update(changes)
    return Waiver(**given)  # type: ignore[arg-type]


def audit(waivers: Waivers, now: datetime = NOW) -> Audit:
    return evaluate(estate(registries=[SINNER]), POLICIES, waivers, now)


def verdicts(outcome: Audit) -> dict[str, str]:
    return {one.policy: one.waiver.id if one.waiver else "open" for one in outcome.findings}


def test_the_built_in_file_waives_nothing() -> None:
    assert load_waivers(default_policy_directory() / "waivers.yaml") == Waivers()


def test_a_waiver_covers_what_its_scope_matches_whatever_the_case(tmp_path: Path) -> None:
    (tmp_path / "waivers.yaml").write_text(ENTRY)
    waivers = load_waivers(tmp_path / "waivers.yaml")
    assert waivers.broken == ()
    outcome = audit(waivers)
    assert verdicts(outcome) == {ADMIN: "demo-admin"}
    assert outcome.open() == ()


LAST_DAY = datetime(2026, 12, 31, 23, 59, tzinfo=UTC)


def test_a_waiver_holds_through_its_last_day_in_utc_and_not_longer() -> None:
    waivers = Waivers(listed=(waiver(),))
    assert verdicts(audit(waivers, LAST_DAY)) == {ADMIN: "demo-admin"}
    assert verdicts(audit(waivers, LAST_DAY + timedelta(minutes=1))) == {ADMIN: "open", "waiver-expired": "open"}


NOT_COVERING: dict[str, Waiver] = {
    "of another policy": waiver(policy="credential-expired"),
    "of another resource": waiver(scope="/subscriptions/*/resourceGroups/elsewhere/*"),
    "of a part of the id only": waiver(scope="registries"),
}


@pytest.mark.parametrize("other", NOT_COVERING.values(), ids=NOT_COVERING.keys())
def test_a_waiver_covers_nothing_else(other: Waiver) -> None:
    assert verdicts(audit(Waivers(listed=(other,)))) == {ADMIN: "open"}


def test_the_waiver_that_lasts_longest_is_named() -> None:
    longer = waiver(id="longer", expires_on=date(2027, 6, 30))
    assert verdicts(audit(Waivers(listed=(waiver(), longer)))) == {ADMIN: "longer"}


def test_what_cannot_be_judged_cannot_be_waived() -> None:
    outcome = evaluate(estate(registries=[registry(admin_enabled=None)]), POLICIES, Waivers(listed=(waiver(),)), NOW)
    assert [(one.verdict, one.waiver) for one in outcome.findings] == [(Verdict.UNKNOWN, None)]


def test_a_waiver_of_a_policy_that_is_not_there_is_reported() -> None:
    outcome = audit(Waivers(listed=(waiver(policy="acr-admin-user-enbled"),)))
    assert verdicts(outcome) == {ADMIN: "open", "waiver-malformed": "open"}


BROKEN: dict[str, tuple[str, str, int, str]] = {
    "without an approver": ("    approver: head of platform\n", "", 2, "the key 'approver' is missing"),
    "with an empty reason": ("the vendor's installer needs it", "''", 5, "reason"),
    "with a date that is none": ("2026-12-31", "next year", 8, "expires_on"),
    "with a mistyped key": ("ticket: 1042", "tiket: 1042", 7, "unknown key 'tiket'; did you mean 'ticket'?"),
    "that is no mapping": (ENTRY[9:], "  - all of it\n", 2, "waivers"),
    "in a file with another key": ("waivers:", "waiver:", 1, "one key, `waivers`"),
    "in a file that is no YAML": ("waivers:", "waivers: [", 2, "this is no YAML"),
}


@pytest.mark.parametrize(("old", "new", "line", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_waiver_excuses_nothing_and_is_reported(tmp_path: Path, old: str, new: str, line: int, message: str) -> None:
    assert old in ENTRY
    (tmp_path / "waivers.yaml").write_text(ENTRY.replace(old, new))
    waivers = load_waivers(tmp_path / "waivers.yaml")
    assert waivers.listed == ()
    assert [one.line for one in waivers.broken] == [line]
    assert message in waivers.broken[0].message
    assert verdicts(audit(waivers)) == {ADMIN: "open", "waiver-malformed": "open"}


def test_a_broken_waiver_leaves_the_others_in_force(tmp_path: Path) -> None:
    (tmp_path / "waivers.yaml").write_text(ENTRY + "  - id: other\n")
    assert verdicts(audit(load_waivers(tmp_path / "waivers.yaml"))) == {ADMIN: "demo-admin", "waiver-malformed": "open"}


def test_two_waivers_of_one_name_are_one_and_a_complaint(tmp_path: Path) -> None:
    (tmp_path / "waivers.yaml").write_text(ENTRY + ENTRY.removeprefix("waivers:\n"))
    waivers = load_waivers(tmp_path / "waivers.yaml")
    assert len(waivers.listed) == 1
    assert "listed twice" in waivers.broken[0].message


def test_a_file_that_is_not_there_is_reported(tmp_path: Path) -> None:
    assert "cannot be read" in load_waivers(tmp_path / "waivers.yaml").broken[0].message


def test_the_rules_about_waivers_are_among_the_policies_of_the_audit() -> None:
    outcome = audit(Waivers())
    assert set(WAIVER_POLICIES) <= set(outcome.policies)
    assert set(outcome.tallies) == {policy.id for policy in outcome.policies}
