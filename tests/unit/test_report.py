"""The report: complete at the top, escaped everywhere, the same in every format, and free of secrets."""

import base64
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from rotator.audit.evaluate import evaluate
from rotator.audit.policies import default_policy_directory, load_policies
from rotator.audit.waivers import NO_WAIVERS
from rotator.model.credential import PrincipalKind
from rotator.model.policy import Severity
from rotator.model.rotation import Plan, Reason
from rotator.model.secret import Secret
from rotator.report import html, words
from rotator.report import json as as_json
from rotator.report.document import Report, build
from rotator.report.unjudged import unjudged
from tests import reportsample as sample


@pytest.fixture
def report() -> Report:
    return build(
        estate=sample.estate(),
        audit=sample.audit(),
        plan=sample.plan(),
        outcomes=sample.outcomes(),
        oracle=sample.ORACLE,
        texts_scanned=5,
    )


def test_the_numbers_at_the_top_count_what_is_below(report: Report) -> None:
    summary = report.summary
    assert summary.violations == sum(len(one.open) for one in report.policies) == 4
    assert (summary.waived, summary.unknown, summary.unread) == (1, 1, 1)
    assert (summary.due, summary.held, summary.restarts, summary.soaking) == (1, 1, 6, 1)


def test_policies_with_violations_come_first_and_the_worst_before_all(report: Report) -> None:
    order = [one.policy.id for one in report.policies]
    assert order == ["credential-expired", "acr-admin-user-in-use", "credential-never-ends", "anonymous-pull"]


def test_the_best_way_of_authentication_is_listed_first(report: Report) -> None:
    assert [mode.id for mode in report.inventory][:3] == ["managed-identity", "vault-reference", "anonymous"]
    assert sum(mode.groups for mode in report.inventory) == 12


def test_a_waiver_is_shown_with_the_time_it_has_left(report: Report) -> None:
    (use,) = report.waivers
    assert use.findings == 1
    assert timedelta(days=18) < use.left < timedelta(days=19)


def test_the_page_says_first_what_could_not_be_read(report: Report) -> None:
    page = html.render(report)
    assert page.index("could not be read") < page.index("open violations") < page.index('id="findings"')
    assert "Grant Microsoft.ContainerInstance/containerGroups/read" in page


def test_an_estate_that_was_read_in_part_is_never_called_clean() -> None:
    audit = replace(sample.audit(), findings=())
    page = html.render(build(estate=sample.estate(), audit=audit, plan=sample.plan()))
    assert "No violation is open" not in page
    assert "in what could be read" in page


def test_the_page_loads_nothing_and_allows_itself_only_its_own_style(report: Report) -> None:
    page = html.render(report)
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"style-src &#39;sha256-{digest}&#39;" in page
    assert not re.search(r"<script|<img|<link|\son\w+=|\sstyle=|https?://|url\(|@import", page)


def test_a_name_that_is_markup_is_shown_and_not_run() -> None:
    evil = sample.finding(sample.POLICIES[0], sample.group_id("<script>alert(1)</script>").text, "", "<b>bold</b> `x<i>`")
    page = html.render(build(estate=sample.estate(), audit=replace(sample.audit(), findings=(evil,)), plan=sample.plan()))
    assert "<script" not in page
    assert "<b>bold" not in page
    assert "<code>x&lt;i&gt;</code>" in page


def test_an_empty_estate_has_a_page_too() -> None:
    empty = replace(sample.estate(unread=False), groups=(), records={}, registries=(), secrets=())
    nothing = Plan(made_at=sample.NOW, items=(), retirements=(), healthy=0, digest="")
    page = html.render(build(estate=empty, audit=replace(sample.audit(), findings=()), plan=nothing))
    assert "No violation is open." in page
    assert "Nothing is due" in page


def test_a_broken_promise_is_not_shown_as_kept() -> None:
    oracle = sample.ORACLE | {"outage_seconds": 0.4}
    report = build(estate=sample.estate(), audit=sample.audit(), plan=sample.plan(), oracle=oracle)
    assert report.proof is not None
    assert not report.proof.kept
    assert '<div class="promise broken"><b>0.4 s</b>' in html.render(report)


def test_a_number_that_the_oracle_does_not_give_is_no_zero() -> None:
    with pytest.raises(KeyError):
        build(estate=sample.estate(), audit=sample.audit(), plan=sample.plan(), oracle={"outage_seconds": 0})


def test_json_holds_the_same_facts(report: Report) -> None:
    written = json.loads(as_json.render(report))
    assert written["schema"] == "rotator.report/1"
    assert written["observed_at"] == "2026-11-02T08:30:00Z"
    assert written["summary"]["open"] == {"critical": 1, "high": 1, "medium": 2, "low": 0, "info": 0}
    assert written["due"][0]["item"]["principal"] == sample.PULL.id
    assert written["unread"][0]["code"] == "denied"


def test_no_format_shows_a_groups_body(report: Report) -> None:
    assert "a-body-is-never-shown" not in as_json.dumps(sample.estate().groups)
    assert "a-body-is-never-shown" not in html.render(report) + as_json.render(report)


@pytest.mark.parametrize("value", [Secret("s3cret-value"), {"a": [Secret("s3cret-value")]}, object(), {1: 2}])
def test_what_has_no_written_form_is_refused(value: object) -> None:
    with pytest.raises(TypeError) as caught:
        as_json.dumps(value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (lambda: words.lasting(timedelta(seconds=41)), "41 s"),
        (lambda: words.lasting(timedelta(hours=2, minutes=10)), "2 h 10 min"),
        (lambda: words.lasting(timedelta(hours=30)), "30 h"),
        (lambda: words.lasting(timedelta(days=14)), "14 d"),
        (lambda: words.relative(sample.NOW + timedelta(days=3), sample.NOW), "in 3 d"),
        (lambda: words.relative(sample.NOW - timedelta(hours=5), sample.NOW), "5 h ago"),
        (lambda: words.relative(sample.NOW, sample.NOW), "now"),
        (lambda: words.relative(None, sample.NOW), "-"),
        (lambda: words.place(sample.group_id("web-1").text), "rg-shop/web-1"),
        (lambda: words.place("acr-token:a.azurecr.io/b"), "acr-token:a.azurecr.io/b"),
        (lambda: words.count(1, "group"), "1 group"),
        (lambda: words.count(1200, "policy", "policies"), "1,200 policies"),
        (lambda: words.listed(["a", "b", "c", "d"]), "a, b, c and 1 more"),
        (lambda: words.called(sample.ECR, {}), "AWS 123456789012 eu-west-1"),
        (lambda: words.called(sample.APP, {sample.APP.id: "shop-pull"}), "shop-pull"),
        (lambda: words.short("password1@2026-08-23T04:58:24Z"), "password1 of 2026-08-23"),
        (lambda: words.short("lease@2026-11-23T17:10:01Z"), "lease until 2026-11-23 17:10"),
        (lambda: words.short("application/ade9c982-bdbd-455a-819d-dbab9879c997"), "application/ade9c982"),
        (lambda: words.short("containers/web/command"), "containers/web/command"),
        (lambda: words.why_due(sample.plan().due[0], sample.NOW), "ends in 14 d"),
        (lambda: words.subject(sample.APP.id, {sample.APP.id: "shop-pull"})[0], "shop-pull"),
        (lambda: words.subject(sample.group_id("web-1").text, {})[0], "rg-shop/web-1"),
    ],
)
def test_words(written: Callable[[], str], expected: str) -> None:
    assert written() == expected


def test_what_could_not_be_judged_is_one_entry_a_thing() -> None:
    registry = sample.HUB.registry
    asked = f"it cannot be told whether this holds: x. Expired is not known ({registry} offers no list (yet)); age is not known "
    findings = [
        sample.finding(policy, sample.HUB.id, "", f"hub: {asked}({registry} offers no list (yet))") for policy in sample.POLICIES
    ]
    (one,) = unjudged(findings)
    assert one.sentence == f"{len(findings)} policies could not be judged: {registry} offers no list (yet)"
    assert one.severity is Severity.CRITICAL


def test_the_reason_for_an_unknown_verdict_is_found_in_a_real_audit() -> None:
    audit = evaluate(sample.estate(unread=False), load_policies([default_policy_directory()]), NO_WAIVERS, sample.NOW)
    things = {one.resource: one for one in unjudged(audit.unknown())}
    assert things[sample.HUB.id].why == "its credentials could not be read"


def test_every_reason_has_words() -> None:
    assert set(words.REASONS) == set(Reason)


def test_every_kind_of_principal_has_a_name() -> None:
    assert set(words.KINDS) == set(PrincipalKind)
