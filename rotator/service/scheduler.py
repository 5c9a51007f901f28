"""Runs at their times. A run that is late is done once, never twice; two runs never overlap."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import structlog
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from rotator.application import Application
from rotator.cron import cron_trigger
from rotator.model.errors import ConfigError, Fenced, Leaving, ReplicaLost, RotatorError
from rotator.replicas.turns import Alone, Firing, Turns
from rotator.service.run import Run, look, renew_leases, run_once
from rotator.settings.running import Schedule

log = structlog.get_logger(__name__)

_FIRST, _WATCH, _TAKE_LEAD = "first-watch", "watch", "take-lead"
_WATCH_SECONDS = 2


class Scheduler:
    """Audits and rotates on the cron expressions of `schedule`, in UTC, each with a random delay up to its jitter.

    The schedule goes by the machine's clock, because it is about nights and maintenance windows; what a run decides goes by
    the application's. `seen` gets each run that ended. Raises ConfigError for an expression that is none.

    Every replica runs one, but only the one that leads, by its `turns`, does anything. The others remember what they let pass: it
    is made up for when one of them leads and finds that it was not done.
    """

    def __init__(
        self, application: Application, schedule: Schedule, *, seen: Callable[[Run], None], turns: Turns | None = None
    ) -> None:
        self._application = application
        self._seen = seen
        self._turns = turns or Alone()
        # An audit beside a rotation would read the estate half moved, and both would plan.
        self._one_at_a_time = threading.Lock()
        self._passed: dict[str, Firing] = {}
        self._stopping = False
        self.leads = False
        jitter = int(schedule.jitter.total_seconds())
        self._scheduler = BackgroundScheduler(
            timezone="UTC",
            executors={"default": ThreadPoolExecutor(3)},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        self._works: dict[str, Callable[[str], Run]] = {
            "audit": lambda _: look(application),
            "rotate": lambda run: run_once(application, run=run),
            "leases": lambda run: renew_leases(application, run=run),
        }
        self._plain: dict[str, CronTrigger] = {}
        for name, expression in (("audit", schedule.audit), ("rotate", schedule.rotate), ("leases", schedule.leases)):
            self._plain[name] = _trigger(name, expression, 0)
            self._scheduler.add_job(self.fire, _trigger(name, expression, jitter), args=[name], id=name, name=name)

    def start(self) -> None:
        """Begin; who leads audits at once, so that the page and the metrics have something to show."""
        self._scheduler.add_job(self.watch, id=_FIRST, name="who leads")
        if not isinstance(self._turns, Alone):
            self._scheduler.add_job(self.watch, IntervalTrigger(seconds=_WATCH_SECONDS), id=_WATCH, name="who leads")
        self._scheduler.start()

    def stop(self, *, wait: bool = True) -> None:
        """End, after the run that is under way unless `wait` is False; nothing new begins, and another replica may lead."""
        self._stopping = True
        if self._scheduler.running:
            self._scheduler.shutdown(wait=wait)
        self._turns.resign()

    @property
    def next_runs(self) -> dict[str, str]:
        """When each job is next due, as RFC 3339."""
        return {
            job.id: job.next_run_time.isoformat()
            for job in self._scheduler.get_jobs()
            if getattr(job, "next_run_time", None) is not None and job.id in self._works
        }

    def watch(self) -> None:
        """See whether this process leads; one that comes to lead audits at once, and makes up for what was left."""
        if self._stopping:
            return
        led, self.leads = self.leads, self._turns.leads()
        self._application.metrics.set_leader(leads=self.leads)
        if self.leads and not led:
            log.info("leading")
            self._scheduler.add_job(self._take_lead, id=_TAKE_LEAD, name="take the lead", replace_existing=True)

    def fire(self, name: str) -> None:
        """Do a job for the instant that its schedule says, unless that was done. A failure is left to the next time."""
        firing = Firing(job=name, instant=_instant(self._plain[name], datetime.now(UTC)))  # noqa: TID251 - see the class
        if self.leads:
            self._carry_out(firing)
        else:
            self._passed[name] = firing

    def _take_lead(self) -> None:
        self._guarded("audit", lambda: look(self._application))
        try:
            left = self._turns.left_over()
        except Fenced:
            return
        for firing in left:
            log.info("carrying on what an earlier leader began", run=firing.run)
            self._carry_out(firing, begun=True)
        for firing in [*self._passed.values()]:
            self._carry_out(firing)

    def _carry_out(self, firing: Firing, *, begun: bool = False) -> None:
        self._passed.pop(firing.job, None)
        try:
            if self._stopping or not (begun or self._turns.begin(firing)):
                return
            if self._guarded(firing.job, lambda: self._works[firing.job](firing.run)):
                self._turns.end(firing)
        except Fenced:
            log.warning("a run was left to the other replicas", run=firing.run, why=Fenced.__name__)

    def _guarded(self, name: str, work: Callable[[], Run]) -> bool:
        """Do the work; False when it was cut off and another replica carries it on."""
        with self._one_at_a_time:
            try:
                self._seen(work())
            except (Leaving, ReplicaLost, Fenced) as error:
                log.warning("a run was left to the other replicas", run=name, why=type(error).__name__)
                return False
            except RotatorError as error:
                log.error("a run failed", run=name, code=error.code, reason=error.message, advice=error.advice)  # noqa: TRY400
            except Exception:
                # A scheduler whose thread dies would be a service that is up and does nothing.
                log.exception("a run failed unexpectedly", run=name)
            return True


def _instant(trigger: CronTrigger, now: datetime) -> datetime:
    """Return the last instant of a cron expression that is not in the future: what a delayed firing was meant for."""
    back = timedelta(hours=1)
    while back < timedelta(days=4000):
        found, ahead = None, trigger.get_next_fire_time(None, now - back)
        while ahead is not None and ahead <= now:
            found, ahead = ahead, trigger.get_next_fire_time(ahead, ahead + timedelta(seconds=1))
        if found is not None:
            instant: datetime = found.astimezone(UTC)
            return instant
        back *= 5
    return now


def _trigger(name: str, expression: str, jitter: int) -> CronTrigger:
    try:
        trigger = cron_trigger(expression)
    except ValueError:
        raise ConfigError(
            f"schedule.{name}: {expression!r} is no cron expression",
            advice="Write five fields: minute, hour, day of month, month, day of week; for example 23 2 * * *.",
        ) from None
    trigger.jitter = jitter or None
    return trigger
