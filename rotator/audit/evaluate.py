"""Holds an estate against policies. Pure: the same estate, policies, waivers, limits and instant give the same audit."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from rotator.audit.cases import Case
from rotator.audit.expressions import Expression, compile_expression, situation
from rotator.audit.facts import cases
from rotator.audit.facttable import FactValue
from rotator.audit.limits import Limits
from rotator.audit.waivers import WAIVER_POLICIES, Waivers, complaints
from rotator.model.estate import Estate
from rotator.model.policy import Audit, Finding, Policy, Subject, Verdict

DEFAULT_LIMITS = Limits()


def evaluate(
    estate: Estate, policies: Sequence[Policy], waivers: Waivers, now: datetime, limits: Limits = DEFAULT_LIMITS
) -> Audit:
    """Return the verdicts of all policies on everything in the estate, the worst findings first.

    What could not be read, or whose facts do not decide, is UNKNOWN and never a pass. A waiver covers violations only: what
    nobody can see, nobody can excuse. Expired and broken waivers are findings themselves.
    """
    tallies: dict[str, dict[Verdict, int]] = {policy.id: dict.fromkeys(Verdict, 0) for policy in (*policies, *WAIVER_POLICIES)}
    compiled = _by_subject(policies)
    findings: list[Finding] = []
    for case in cases(estate, now, limits):
        rules = compiled[case.subject]
        known = situation(case.subject, case.facts) if rules else None
        for policy, expression in rules:
            lacking = [need for need in policy.needs if need not in case.facts]
            verdict = Verdict.UNKNOWN if lacking else expression.judge(known)
            tallies[policy.id][verdict] += 1
            if verdict is not Verdict.PASS:
                findings.append(_finding(policy, expression, case, verdict, estate.observed_at))
    today = now.astimezone(UTC).date()
    covered = [replace(one, waiver=waivers.covering(one, today)) if one.verdict is Verdict.FAIL else one for one in findings]
    for wrong in _about_waivers(waivers, policies, now):
        tallies[wrong.policy][Verdict.FAIL] += 1
        covered.append(wrong)
    return Audit(
        findings=tuple(sorted(covered, key=_worst_first)),
        tallies=tallies,
        policies=(*policies, *WAIVER_POLICIES),
        evaluated_at=now,
    )


def finding_id(policy: str, resource: str, part: str) -> str:
    """Return the id that a finding keeps as long as it stays: 16 hexadecimal digits of what is wrong and where.

    Azure changes the case of resource ids from answer to answer, so case is ignored.
    """
    return hashlib.sha256("\n".join((policy, resource.lower(), part.lower())).encode()).hexdigest()[:16]


def _by_subject(policies: Iterable[Policy]) -> Mapping[Subject, list[tuple[Policy, Expression]]]:
    compiled: dict[Subject, list[tuple[Policy, Expression]]] = {subject: [] for subject in Subject}
    for policy in policies:
        compiled[policy.subject].append((policy, compile_expression(policy.subject, policy.expression)))
    return compiled


def _finding(policy: Policy, expression: Expression, case: Case, verdict: Verdict, observed_at: datetime) -> Finding:
    read = sorted({*expression.reads, *policy.needs})
    message = f"{case.name}: {policy.title}"
    if verdict is Verdict.UNKNOWN:
        lacking = [f"{fact} is not known ({case.why_missing(fact)})" for fact in read if fact not in case.facts]
        reason = "; ".join(lacking) or "the expression failed on facts that are known"
        message = f"{case.name}: it cannot be told whether this holds: {policy.title}. {reason[:1].upper()}{reason[1:]}"
    return Finding(
        id=finding_id(policy.id, case.resource, case.part),
        policy=policy.id,
        title=policy.title,
        severity=policy.severity,
        verdict=verdict,
        resource=case.resource,
        part=case.part,
        subscription=case.subscription,
        message=message,
        remediation=policy.remediation,
        evidence={fact: _text(case.facts[fact]) for fact in read if fact in case.facts},
        observed_at=observed_at,
    )


def _about_waivers(waivers: Waivers, policies: Sequence[Policy], now: datetime) -> list[Finding]:
    return [
        Finding(
            id=finding_id(policy.id, resource, part),
            policy=policy.id,
            title=policy.title,
            severity=policy.severity,
            verdict=Verdict.FAIL,
            resource=resource,
            part=part,
            subscription="",
            message=sentence,
            remediation=policy.remediation,
            evidence={},
            observed_at=now,
        )
        for policy, resource, part, sentence in complaints(waivers, policies, now)
    ]


def _text(value: FactValue) -> str:
    """Write a fact for people. Of tags only the names: people keep all sorts of things in their values."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.2f}"
    return ", ".join(value) if isinstance(value, list | dict) else str(value)


def _worst_first(finding: Finding) -> tuple[int, bool, str, str, str]:
    return finding.severity.rank, finding.verdict is not Verdict.FAIL, finding.policy, finding.resource.lower(), finding.part
