"""What could not be read and not be judged, put together: twenty policies that lack one fact are one piece of news. Pure."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from rotator.model.estate import Unread
from rotator.model.policy import Finding, Severity
from rotator.report.words import beyond_title, count, listed, place

# A reason may hold parentheses itself; it ends where the next fact begins.
_WHY = re.compile(r"\w+ is not known \((.+?)\)(?=; \w+ is not known \(|$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Unjudged:
    """One thing that policies could not be held against. `severity` is the worst that may be wrong with it."""

    resource: str
    severity: Severity
    findings: tuple[Finding, ...]
    why: str

    @property
    def sentence(self) -> str:
        """Say how many policies could not be judged, and why."""
        return f"{count(len(self.findings), 'policy', 'policies')} could not be judged: {self.why}"


def unjudged(findings: Iterable[Finding]) -> tuple[Unjudged, ...]:
    """Return the things of these unknown findings, the worst first."""
    found: dict[str, list[Finding]] = {}
    for finding in findings:
        found.setdefault(finding.resource, []).append(finding)
    things = [
        Unjudged(
            resource=resource,
            severity=min((one.severity for one in some), key=lambda severity: severity.rank),
            findings=tuple(some),
            why=listed(dict.fromkeys(why for one in some for why in _why(one))),
        )
        for resource, some in found.items()
    ]
    return tuple(sorted(things, key=lambda one: (one.severity.rank, one.resource)))


def unread_by_reason(things: Iterable[Unread]) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    """Return each reason for which something could not be read, its advice, and what it was: `container-groups of rg/web`."""
    found: dict[tuple[str, str], dict[str, list[str]]] = {}
    for one in things:
        found.setdefault((one.reason, one.advice), {}).setdefault(one.what, []).append(place(one.scope))
    return tuple(
        (reason, advice, tuple(f"{what} of {listed(scopes)}" for what, scopes in kinds.items()))
        for (reason, advice), kinds in found.items()
    )


def _why(finding: Finding) -> list[str]:
    """Return why facts are missing; a finding that says it in another way is repeated as it is."""
    return _WHY.findall(finding.message) or [beyond_title(finding)]
