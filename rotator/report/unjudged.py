"""What could not be judged, one entry a thing: twenty policies that lack the same fact are one piece of news. Pure."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from rotator.model.policy import Finding, Severity
from rotator.report.words import beyond_title, count, listed

_WHY = re.compile(r" is not known \((.+?)\)(?:; |$)")


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


def _why(finding: Finding) -> list[str]:
    """Return why facts are missing; a finding that says it in another way is repeated as it is."""
    return _WHY.findall(finding.message) or [beyond_title(finding)]
