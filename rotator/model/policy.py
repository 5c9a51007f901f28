"""Policies, waivers, and what comes of holding an estate against them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum


class Severity(StrEnum):
    """How bad a violation is; ordered by `rank`, the worst first."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    INFO = "info"

    @property
    def rank(self) -> int:
        """0 for the worst."""
        return list(Severity).index(self)


class Verdict(StrEnum):
    """UNKNOWN is a verdict of its own: what could not be read is never reported as clean."""

    PASS = "pass"
    FAIL = "fail"
    UNKNOWN = "unknown"


class Subject(StrEnum):
    """What a policy looks at; one evaluation each."""

    BINDING = "binding"
    GROUP = "group"
    REGISTRY = "registry"
    CREDENTIAL = "credential"


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """An external requirement that a policy maps to. `source` says who made the mapping."""

    framework: str
    id: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """One rule. `expression` is CEL and true when violated; `needs` names the facts without which the verdict is unknown."""

    id: str
    title: str
    severity: Severity
    subject: Subject
    expression: str
    needs: tuple[str, ...]
    rationale: str
    remediation: str
    controls: tuple[Control, ...]
    file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiver:
    """A dated, owned exception. `scope` is a glob over the finding's resource; it ends with the day `expires_on` (UTC)."""

    id: str
    policy: str
    scope: str
    reason: str
    approver: str
    ticket: str
    expires_on: date


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A verdict that is not a pass, on one thing.

    `resource` is an ARM id or a principal's id; `part` tells findings of one policy on one resource apart (a registry's
    host, a field's path, a handle). `evidence` are the facts that the policy read, none of which is ever a secret value.
    `id` stays the same from run to run while the thing stays wrong.
    """

    id: str
    policy: str
    title: str
    severity: Severity
    verdict: Verdict
    resource: str
    part: str
    subscription: str
    message: str
    remediation: str
    evidence: Mapping[str, str]
    observed_at: datetime
    waiver: Waiver | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """The outcome of one evaluation: the findings, worst first, and how many verdicts of each kind every policy gave."""

    findings: tuple[Finding, ...]
    tallies: Mapping[str, Mapping[Verdict, int]]
    policies: tuple[Policy, ...]
    evaluated_at: datetime

    def open(self) -> tuple[Finding, ...]:
        """The violations that no waiver covers."""
        return tuple(one for one in self.findings if one.verdict is Verdict.FAIL and one.waiver is None)

    def unknown(self) -> tuple[Finding, ...]:
        """What could not be judged."""
        return tuple(one for one in self.findings if one.verdict is Verdict.UNKNOWN)
