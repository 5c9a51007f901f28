"""The use cases: audit, plan, rotate, and what stands between them. Built by `rotator.wiring`; called by the command line and
by the service.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from glob import escape

from rotator.audit.evaluate import evaluate
from rotator.audit.limits import Limits
from rotator.audit.waivers import Waivers
from rotator.decisions import Decisions
from rotator.deployment.owners import OwnerRules, emitted
from rotator.deployment.ownership import Owners
from rotator.deployments import Deployments
from rotator.explaining import Explainer
from rotator.history.evidence import EvidenceLog
from rotator.history.record import History
from rotator.inventory.classify import KnownHosts
from rotator.inventory.gather import Readers, gather
from rotator.inventory.scope import Scope
from rotator.migrations import AtWork, Migrations
from rotator.model.credential import Handle
from rotator.model.errors import RotatorError
from rotator.model.estate import Estate
from rotator.model.policy import Audit, Policy
from rotator.model.rotation import Plan, Result, Retirement, RotationEvent, RotationOutcome
from rotator.model.tool import Tool
from rotator.model.usage import Usage
from rotator.ports import Clock, DeploymentHistory, Observer
from rotator.replicas.membership import Membership
from rotator.replicas.turns import Alone, Turns
from rotator.rotation import planfile
from rotator.rotation.context import Context
from rotator.rotation.durable import Journal
from rotator.rotation.finish import end_orphan, look_at_use
from rotator.rotation.plan import make_plan
from rotator.rotation.workflow import finish_off
from rotator.telemetry.metrics import Metrics

# As long as a Log Analytics workspace keeps its entries by default.
_LOOKS_BACK = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rulebook:
    """What the audit holds the estate against."""

    policies: tuple[Policy, ...]
    waivers: Waivers
    limits: Limits


class Application:
    """Everything that a verb of the command line, or a job of the scheduler, may ask for. Closed with `close`."""

    def __init__(
        self,
        *,
        clock: Clock,
        scope: Scope,
        hosts: KnownHosts,
        readers: Readers,
        rulebook: Callable[[], Rulebook],
        context: Context,
        journal: Journal,
        history: History,
        evidence: EvidenceLog,
        metrics: Metrics,
        explainer: Explainer,
        turns: Turns | None = None,
        observers: Sequence[Observer] = (),
        owners: OwnerRules,
        deployment_history: DeploymentHistory,
        api_version: str,
        migrations: Callable[[Context, AtWork], Migrations],
    ) -> None:
        self._owners = owners
        self._deployment_history = deployment_history
        self._api_version = api_version
        self.turns = turns or Alone()
        self.clock = clock
        self.history = history
        self.evidence = evidence
        self.metrics = metrics
        self._scope = scope
        self._hosts = hosts
        self._readers = readers
        self._rulebook = rulebook
        self.explain = explainer.explain
        self._journal = journal
        self._everyone = _Everyone(observers)
        self._context = replace(context, observer=self._everyone)
        self._uses: dict[tuple[str, datetime | None], Usage] = {}
        self.migrations = migrations(self._context, self.at_work)
        self.decisions = Decisions(
            context=self._context,
            read=self.estate,
            planned=lambda estate, principal: self.plan(estate, [escape(principal.id)], force=True),
            at_work=self._owned,
            remember=self._remember_all,
        )

    def audit(self) -> tuple[Estate, Audit]:
        """Read the clouds and hold them against the policies; what was found is remembered and measured.

        Raises PolicyError before anything is read when a policy is wrong. What could not be read is in `estate.unread`.
        """
        rules = self._rulebook()
        estate = self.estate()
        audit = evaluate(estate, rules.policies, rules.waivers, self.clock.now(), rules.limits)
        self.history.record_audit(estate, audit)
        principals = {*estate.records, *estate.consumers}
        used = self._context.usage.last_uses(principals, estate.observed_at - _LOOKS_BACK)
        self.metrics.set_estate(estate, self.with_use(self.plan(estate)), audit, used)
        self.metrics.set_evidence(self.evidence.check(estate.secrets))
        return estate, audit

    @property
    def deployments(self) -> Deployments:
        """What may be asked about one group's file."""
        return Deployments(
            context=self._context,
            read=self.estate,
            hosts=self._hosts,
            kept=self.evidence.kept,
            owner=lambda group: Owners(self._owners, self._deployment_history).of(group).sentence,
            api_version=self._api_version,
        )

    def estate(self) -> Estate:
        """Read the clouds anew, without a judgement."""
        estate = gather(self._readers, self._scope, hosts=self._hosts, rotatable=frozenset(self._context.drivers))
        # By tags alone: whoever looks at the whole estate pays for no histories.
        owned = {group.id: tool for group in estate.groups if (tool := self._owners.tool_of(group))}
        return replace(estate, owned=owned)

    def plan(self, estate: Estate, only: Sequence[str] = (), *, force: bool = False, allow_outage: bool = False) -> Plan:
        """Decide what is due. Nothing is touched."""
        traits = {kind: driver.traits for kind, driver in self._context.drivers.items()}
        vault = self._context.vault.address
        rules, now = self._context.rules, self.clock.now()
        return make_plan(estate, traits, rules, now, vault=vault, only=only, force=force, allow_outage=allow_outage)

    def emit(self, plan: Plan, estate: Estate, tool: Tool) -> tuple[str, tuple[str, ...]]:
        """Write what is due for the groups of another tool as text for that tool; it holds no value.

        Beside it are the sentences on histories that could not be read: groups may be missing from the text for want of them.
        Only templates leave a history. It is read for groups without a tag that are in the plan.
        """
        owners = Owners(self._owners, self._deployment_history)
        planned = {one.group for item in plan.items for one in item.consumers}
        planned |= {group for one in plan.retirements for group in one.waiting_for}
        meant = [one for one in estate.groups if one.id in planned]
        if tool is not Tool.BICEP:
            meant = [one for one in meant if estate.owned.get(one.id) is tool]
        found = [(group, owners.of(group)) for group in meant]
        text = emitted(plan, [group for group, owner in found if owner.tool is tool], tool, self._context.vault.address)
        return text, tuple(dict.fromkeys(owner.unread for _, owner in found if owner.unread))

    def with_use(self, plan: Plan) -> Plan:
        """Add to each retirement the pulls that earlier looks saw, and what the logs say of its old secrets.

        The latter is for people, since nothing ends without asking anew. Costs two requests for each rotation that soaks, and
        nothing when none does, or when this estate was asked about before.
        """
        seen = self._uses
        self._uses = {}
        retirements = self.history.with_pulls(plan.retirements)
        for one in retirements:
            if one.old:
                key = (one.rotation, one.seen_at)
                self._uses[key] = seen.get(key) or look_at_use(self._context, one)
        shown = tuple(replace(one, usage=self._uses.get((one.rotation, one.seen_at))) for one in retirements)
        return replace(plan, retirements=shown)

    @contextmanager
    def joined(self, leave_within: timedelta) -> Iterator[Membership | None]:
        """Do this process's part of what any replica has begun, until the block ends; without replicas there is no such part.

        What is under way here then is waited for as long as `leave_within`, and left to the others after that. Raises ReplicaLost
        when they have taken this process for dead.
        """
        if not self._journal.shared:
            yield None
            return
        with self._journal.opened(self._context, self._remember, leave_within=leave_within) as journal:
            yield journal.life

    def leave(self) -> None:
        """Have a rotation run that waits for its end raise Leaving, where other replicas carry on; else let it end."""
        self._journal.leave()

    def rotate(self, plan: Plan, progress: Observer | None = None, *, run: str = "") -> tuple[RotationOutcome, ...]:
        """Carry a plan out: first what an earlier process left unfinished, then what waits for its end, then what is due.

        `run` names this run; a rotation that was asked for in a run of that name is not begun a second time. Raises
        AlreadyRunning when another process works on the same SQLite journal, ReplicaLost when other replicas have taken this
        process for dead; everything else is in the outcomes.
        """
        # This run's own instant, not the plan's: a saved plan may be carried out a second time.
        run = run or f"{self.clock.now():%Y%m%dT%H%M%S%fZ}"
        context = self._context
        with self._owned(_work_of(plan, self.clock), progress) as journal:
            resumed = journal.carried_on()
            # The plan knows nothing of what has just been carried on, so it is out of date for these; the next run has a new one.
            stale = {outcome.principal for outcome in resumed}
            orphans = [_end_orphan(context, handle) for handle in plan.orphans if handle.principal not in stale]
            due = [one for one in plan.retirements if one.due(context.clock.now()) and one.principal not in stale]
            with ThreadPoolExecutor(max_workers=context.rules.max_parallel, thread_name_prefix="retirement") as pool:
                ended = tuple(pool.map(lambda one: finish_off(context, one), due))
            rotated = journal.rotate([one for one in plan.due if one.principal not in stale], run)
        waiting = [item for item in plan.items if item.held and item.principal not in stale]
        held = tuple(RotationOutcome.held(self.clock.now(), item) for item in waiting)
        here = (*(one for one in orphans if one is not None), *ended, *held)
        outcomes = (*resumed, *rotated, *here)
        self._remember_all(here, outcomes, plan)
        return outcomes

    def _remember_all(self, here: Sequence[RotationOutcome], outcomes: Sequence[RotationOutcome], plan: Plan) -> None:
        # The others are remembered where they were carried out, which may be another process.
        self.history.record_outcomes(here)
        self.metrics.record_outcomes(outcomes, plan)

    def _remember(self, outcome: RotationOutcome) -> None:
        self.history.record_outcomes([outcome])
        self.metrics.ended(outcome.rotation)

    @contextmanager
    def at_work(self, work: str, progress: Observer | None) -> Iterator[Context]:
        """Own the journal and keep evidence for work that is no rotation; yields the context in which everybody is told.

        Raises AlreadyRunning when another process is at work, Held when evidence is required and cannot be kept.
        """
        with self._owned(work, progress):
            yield self._context

    @contextmanager
    def _owned(self, work: str, progress: Observer | None) -> Iterator[Journal]:
        evidence = self.evidence.kept(work)
        with self._everyone.and_also(progress), self._journal.opened(self._context, self._remember) as journal, evidence:
            yield journal

    def unfinished(self) -> tuple[Retirement, ...]:
        """Return the rotations that soak, from the vault's tags and the groups'."""
        return self.plan(self.estate()).retirements

    def dump_plan(self, plan: Plan) -> str:
        """Write a plan as text."""
        return planfile.dump_plan(plan)

    def load_plan(self, text: str) -> Plan:
        """Read what `dump_plan` wrote; ConfigError when it is something else."""
        return planfile.load_plan(text)

    def check_unchanged(self, plan: Plan, estate: Estate) -> None:
        """Raise PlanChanged, naming what differs, unless the estate still leads to this very plan."""
        planfile.check_unchanged(plan, self.plan(estate, plan.only, force=plan.force, allow_outage=plan.allow_outage))

    def close(self) -> None:
        """Let go of files and connections."""
        self.history.close()


class _Everyone:
    """Passes events to several observers; none of them may stop a rotation half way."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = tuple(observers)

    @contextmanager
    def and_also(self, observer: Observer | None) -> Iterator[None]:
        """Have one more observer until the block ends."""
        before = self._observers
        self._observers = (*before, *([observer] if observer else []))
        try:
            yield
        finally:
            self._observers = before

    def notice(self, event: RotationEvent) -> None:
        for observer in self._observers:
            # A full disk under the history, or a closed terminal, must not leave a group between two credentials.
            with suppress(Exception):
                observer.notice(event)


def _end_orphan(context: Context, handle: Handle) -> RotationOutcome | None:
    ended = f"ended {handle.id}, a secret that nobody owned"
    outcome = RotationOutcome.at(context.clock.now(), handle.marker, handle.principal, detail=ended)
    try:
        if not end_orphan(context, handle):
            return None
    except RotatorError as error:
        outcome = replace(outcome, result=Result.FAILED, detail=error.message, code=error.code)
    return replace(outcome, ended_at=context.clock.now())


def _work_of(plan: Plan, clock: Clock) -> str:
    """Say what a run will do, for the evidence; nothing for a run that will do nothing."""
    ending = sum(1 for one in plan.retirements if one.due(clock.now()))
    if not (plan.due or ending or plan.orphans):
        return ""
    return f"a run begins: {len(plan.due)} rotations, {ending} retirements, {len(plan.orphans)} orphans to end"
