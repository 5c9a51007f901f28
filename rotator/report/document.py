"""The report as a value: everything a writer shows, already counted, sorted and put into words. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from rotator import __version__
from rotator.model.arm import ArmId
from rotator.model.estate import Estate, Unread
from rotator.model.migration import Path
from rotator.model.policy import Audit, Finding, Policy, Severity, Verdict, Waiver
from rotator.model.rotation import Action, Plan, PlanItem, Retirement, RotationOutcome, Situation
from rotator.report.inventory import Mode, modes
from rotator.report.unjudged import Unjudged, unjudged
from rotator.report.words import count, listed, place

SCHEMA = "rotator.report/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The numbers at the top. `open` has every severity, the worst first, zeros too."""

    groups: int
    registries: int
    principals: int
    open: Mapping[Severity, int]
    waived: int
    unknown: int
    unread: int
    due: int
    held: int
    restarts: int
    soaking: int

    @property
    def violations(self) -> int:
        """How many violations no waiver covers."""
        return sum(self.open.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyResult:
    """What one policy found: its violations, what it could not judge, what a waiver covers, and how often it passed."""

    policy: Policy
    open: tuple[Finding, ...]
    unknown: tuple[Finding, ...]
    waived: tuple[Finding, ...]
    passed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WaiverUse:
    """A waiver that covers something now. `left` is the time until it ends."""

    waiver: Waiver
    findings: int
    left: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """One item of the plan in words: `work` says what happens to its groups, `waves` how many move together."""

    item: PlanItem
    work: str
    waves: tuple[int, ...]
    held_groups: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What the sandbox's oracle measured while the rotations ran: the three promises as numbers."""

    outage_seconds: float
    lost_properties: int
    leaks: int
    orphans: int
    repaired: int
    redeploys: int
    requests: int
    texts_scanned: int

    @property
    def kept(self) -> bool:
        """Whether every promise held."""
        return not (self.outage_seconds or self.lost_properties or self.leaks or self.orphans)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One reading of the estate, what was made of it, and what was done.

    `names` gives the display name of principals whose own name is a GUID, by their id.
    """

    schema: str
    version: str
    made_at: datetime
    observed_at: datetime
    subscriptions: tuple[str, ...]
    summary: Summary
    unread: tuple[Unread, ...]
    policies: tuple[PolicyResult, ...]
    due: tuple[Rotation, ...]
    held: tuple[Rotation, ...]
    situations: tuple[Situation, ...]
    retirements: tuple[Retirement, ...]
    outcomes: tuple[RotationOutcome, ...]
    waivers: tuple[WaiverUse, ...]
    inventory: tuple[Mode, ...]
    paths: tuple[Path, ...]
    names: Mapping[str, str]
    proof: Proof | None

    def situation(self, rotation: Rotation) -> Situation | None:
        """Where an item of the plan stands, when it is held or not over."""
        return next((one for one in self.situations if one.principal == rotation.item.principal), None)

    @property
    def complete(self) -> bool:
        """Whether everything could be read."""
        return not self.unread

    @property
    def unjudged(self) -> tuple[Unjudged, ...]:
        """What could not be judged, one entry a thing."""
        return unjudged(finding for result in self.policies for finding in result.unknown)


def build(
    *,
    estate: Estate,
    audit: Audit,
    plan: Plan,
    outcomes: Iterable[RotationOutcome] = (),
    oracle: Mapping[str, object] | None = None,
    texts_scanned: int = 0,
    paths: Iterable[Path] = (),
) -> Report:
    """Return the report of one reading.

    `paths` are the groups' cheapest ways to zero secrets; `oracle` is the sandbox oracle's own report, when there was one.
    """
    return Report(
        schema=SCHEMA,
        version=__version__,
        made_at=audit.evaluated_at,
        observed_at=estate.observed_at,
        subscriptions=estate.subscriptions,
        summary=_summary(estate, audit, plan),
        unread=estate.unread,
        policies=_policies(audit),
        due=tuple(_rotation(item) for item in plan.items if not item.held),
        held=tuple(_rotation(item) for item in plan.items if item.held),
        situations=plan.situations,
        retirements=plan.retirements,
        outcomes=tuple(outcomes),
        waivers=_waivers(audit),
        inventory=modes(estate),
        paths=tuple(paths),
        names={one.principal.id: one.display_name for one in estate.records.values() if one.display_name},
        proof=None if oracle is None else proof(oracle, texts_scanned),
    )


def proof(oracle: Mapping[str, object], texts_scanned: int) -> Proof:
    """Read the oracle's report. A number that is missing there is an error, never a zero."""
    return Proof(
        outage_seconds=_number(oracle["outage_seconds"]),
        lost_properties=_size(oracle["lost_properties"]),
        leaks=_size(oracle["leaks"]),
        orphans=_size(oracle["orphans"]),
        repaired=_size(oracle["repaired"]),
        redeploys=_total(oracle["redeploys"]),
        requests=_total(oracle["requests"]),
        texts_scanned=texts_scanned,
    )


def _summary(estate: Estate, audit: Audit, plan: Plan) -> Summary:
    severities = Counter(one.severity for one in audit.open())
    return Summary(
        groups=len(estate.groups),
        registries=len(estate.registries),
        principals=len({*estate.records, *estate.consumers}),
        open={severity: severities[severity] for severity in Severity},
        waived=sum(1 for one in audit.findings if _waived(one)),
        unknown=len(audit.unknown()),
        unread=len(estate.unread),
        due=len(plan.due),
        held=sum(1 for item in plan.items if item.held and not item.awaits_window),
        restarts=plan.restarts,
        soaking=len(plan.retirements),
    )


def _policies(audit: Audit) -> tuple[PolicyResult, ...]:
    by_policy: dict[str, list[Finding]] = {}
    for finding in audit.findings:
        by_policy.setdefault(finding.policy, []).append(finding)
    results = [_result(policy, by_policy.get(policy.id, []), audit) for policy in audit.policies]
    return tuple(sorted(results, key=lambda one: (not one.open, one.policy.severity.rank, -len(one.open), one.policy.id)))


def _result(policy: Policy, findings: list[Finding], audit: Audit) -> PolicyResult:
    ordered = sorted(findings, key=lambda one: (place(one.resource), one.part))
    return PolicyResult(
        policy=policy,
        open=tuple(one for one in ordered if one.verdict is Verdict.FAIL and one.waiver is None),
        unknown=tuple(one for one in ordered if one.verdict is Verdict.UNKNOWN),
        waived=tuple(one for one in ordered if _waived(one)),
        passed=audit.tallies.get(policy.id, {}).get(Verdict.PASS, 0),
    )


def _waived(finding: Finding) -> bool:
    return finding.verdict is Verdict.FAIL and finding.waiver is not None


def _waivers(audit: Audit) -> tuple[WaiverUse, ...]:
    used = Counter(finding.waiver for finding in audit.findings if finding.waiver is not None)
    uses = [WaiverUse(waiver=waiver, findings=times, left=_end(waiver) - audit.evaluated_at) for waiver, times in used.items()]
    return tuple(sorted(uses, key=lambda use: use.left))


def _end(waiver: Waiver) -> datetime:
    """Return the instant at which a waiver no longer covers anything: the end of its last day in UTC."""
    day = waiver.expires_on
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)


def _rotation(item: PlanItem) -> Rotation:
    return Rotation(
        item=item,
        work=work_of(item),
        waves=tuple(len(wave) for wave in item.waves),
        held_groups=tuple((place(one.group.text), one.why) for one in item.consumers if one.action is Action.HOLD),
    )


def work_of(item: PlanItem) -> str:
    """Say in words what a rotation does to its groups: `redeploys 3 groups in waves of 1, 2; leaves 1`."""
    actions = Counter(one.action for one in item.consumers)
    parts = [f"redeploys {count(actions[Action.REDEPLOY], 'group')}"] if actions[Action.REDEPLOY] else []
    if actions[Action.RESTART]:
        parts.append(f"restarts {count(actions[Action.RESTART], 'group')}")
    if actions[Action.MARK]:
        parts.append(f"tags {actions[Action.MARK]}")
    if actions[Action.LEAVE]:
        parts.append(f"leaves {actions[Action.LEAVE]}")
    if actions[Action.HOLD]:
        parts.append(f"holds {actions[Action.HOLD]}")
    if not parts:
        return "no group uses it"
    if len(item.waves) > 1:
        parts[0] += f" in waves of {listed((str(len(wave)) for wave in item.waves), most=5)}"
    return "; ".join(parts)


def groups_named(groups: Iterable[ArmId]) -> str:
    """Name a few groups: `rg/a, rg/b, rg/c and 4 more`."""
    return listed(place(group.text) for group in groups)


def _number(value: object) -> float:
    if isinstance(value, (int, float)):
        return float(value)
    raise TypeError("the oracle's number is no number")


def _size(value: object) -> int:
    if isinstance(value, (list, tuple, dict)):
        return len(value)
    return int(_number(value))


def _total(value: object) -> int:
    return int(sum(_number(one) for one in value.values())) if isinstance(value, Mapping) else int(_number(value))
