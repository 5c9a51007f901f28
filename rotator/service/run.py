"""One run: read, judge, plan, rotate; the same for a person at a terminal, a scheduled container and the scheduler."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from rotator.application import Application
from rotator.model.credential import PrincipalKind
from rotator.model.estate import Estate
from rotator.model.policy import Audit
from rotator.model.rotation import Plan, Result, RotationOutcome
from rotator.ports import Observer

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one run saw and did. `plan` is what was decided before anything was done; `outcomes` is empty for an audit."""

    estate: Estate
    audit: Audit
    plan: Plan
    outcomes: tuple[RotationOutcome, ...] = ()

    @property
    def undone(self) -> bool:
        """Whether something that was due could not be done, or waits for a person."""
        return any(one.result.undone for one in self.outcomes)


def look(application: Application) -> Run:
    """Audit and plan; nothing in the clouds changes. The metrics show the estate afterwards."""
    began_at = application.clock.now()
    estate, audit = application.audit()
    plan = application.with_use(application.plan(estate))
    ended_at = application.clock.now()
    application.metrics.record_run("audit", {"audit": ended_at - began_at}, ended_at, succeeded=not estate.unread)
    log.info(
        "audited",
        groups=len(estate.groups),
        open=len(audit.open()),
        unknown=len(audit.unknown()),
        unread=len(estate.unread),
        due=len(plan.due),
    )
    return Run(estate=estate, audit=audit, plan=plan)


def carry_out(application: Application, run: Run, progress: Observer | None = None, *, name: str = "") -> Run:
    """Rotate what the run's plan says is due and retire what has soaked; then, if anything was done, look again.

    The result holds the estate as it is now, the plan that was carried out and what came of it. `name` is the run's: of runs with
    the same name, each rotation is done in one.
    """
    began_at = application.clock.now()
    outcomes = application.rotate(run.plan, progress, run=name)
    ended_at = application.clock.now()
    done = Run(estate=run.estate, audit=run.audit, plan=run.plan, outcomes=outcomes)
    application.metrics.record_run("rotate", {"rotate": ended_at - began_at}, ended_at, succeeded=not done.undone)
    log.info("rotated", outcomes=len(outcomes), undone=sum(1 for one in outcomes if one.result.undone))
    if not outcomes:
        return done
    after = look(application)
    return Run(estate=after.estate, audit=after.audit, plan=run.plan, outcomes=outcomes)


def run_once(application: Application, progress: Observer | None = None, *, run: str = "") -> Run:
    """Do everything that is due now."""
    return carry_out(application, look(application), progress, name=run)


def renew_leases(application: Application, progress: Observer | None = None, *, run: str = "") -> Run:
    """Renew what ends within hours, and leave everything else to the nightly run."""
    seen = look(application)
    leases = application.plan(seen.estate, [f"{PrincipalKind.ECR}:*"])
    return carry_out(application, replace(seen, plan=leases), progress, name=run)


def finish(application: Application, run: Run, progress: Observer | None = None) -> Run | None:
    """Sleep, on the application's clock, until what a run replaced has soaked, and end it; nothing else is rotated.

    Returns None when the run left nothing that soaks. What a stopped group may still store is not waited for.
    """
    soaking = {one.rotation for one in run.outcomes if one.result is Result.SOAKING}
    waiting = [one for one in application.unfinished() if one.rotation in soaking and not one.held and not one.waiting_for]
    if not waiting:
        return None
    _sleep_until(application, max(one.soak_until for one in waiting))
    seen = look(application)
    ending = tuple(one for one in seen.plan.retirements if one.rotation in soaking)
    only_ending = replace(seen.plan, items=(), orphans=(), retirements=ending)
    return carry_out(application, replace(seen, plan=only_ending), progress)


def _sleep_until(application: Application, at: datetime) -> None:
    left = at - application.clock.now()
    if left > timedelta(0):
        application.clock.sleep(left)
