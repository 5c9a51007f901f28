"""Runs at their times. A run that is late is done once, never twice; two runs never overlap."""

import threading
from collections.abc import Callable

import structlog
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger

from rotator.application import Application
from rotator.cron import cron_trigger
from rotator.model.errors import ConfigError, RotatorError
from rotator.service.run import Run, look, renew_leases, run_once
from rotator.settings import Schedule

log = structlog.get_logger(__name__)


class Scheduler:
    """Audits and rotates on the cron expressions of `schedule`, in UTC, each with a random delay up to its jitter.

    The schedule goes by the machine's clock, because it is about nights and maintenance windows; what a run decides goes by
    the application's. `seen` gets each run that ended. Raises ConfigError for an expression that is none.
    """

    def __init__(self, application: Application, schedule: Schedule, *, seen: Callable[[Run], None]) -> None:
        self._application = application
        self._seen = seen
        # An audit beside a rotation would read the estate half moved, and both would plan.
        self._one_at_a_time = threading.Lock()
        jitter = int(schedule.jitter.total_seconds())
        self._scheduler = BackgroundScheduler(
            timezone="UTC",
            executors={"default": ThreadPoolExecutor(2)},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        jobs = (
            ("audit", schedule.audit, self.audit),
            ("rotate", schedule.rotate, self.rotate),
            ("leases", schedule.leases, self.leases),
        )
        for name, expression, work in jobs:
            self._scheduler.add_job(work, _trigger(name, expression, jitter), id=name, name=name)

    def start(self) -> None:
        """Begin; the first audit is made at once, so that the page and the metrics have something to show."""
        self._scheduler.add_job(self.audit, id="first-audit", name="first audit")
        self._scheduler.start()

    def stop(self) -> None:
        """End after the run that is under way; nothing new begins."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=True)

    @property
    def next_runs(self) -> dict[str, str]:
        """When each job is next due, as RFC 3339."""
        return {
            job.id: job.next_run_time.isoformat()
            for job in self._scheduler.get_jobs()
            if getattr(job, "next_run_time", None) is not None and job.id != "first-audit"
        }

    def audit(self) -> None:
        """Audit now. A failure is logged and left to the next time."""
        self._guarded("audit", lambda: look(self._application))

    def rotate(self) -> None:
        """Rotate what is due now. A failure is logged and left to the next time."""
        self._guarded("rotate", lambda: run_once(self._application))

    def leases(self) -> None:
        """Renew leases now. A failure is logged and left to the next time."""
        self._guarded("leases", lambda: renew_leases(self._application))

    def _guarded(self, name: str, work: Callable[[], Run]) -> None:
        with self._one_at_a_time:
            try:
                self._seen(work())
            except RotatorError as error:
                log.error("a run failed", run=name, code=error.code, reason=error.message, advice=error.advice)  # noqa: TRY400
            except Exception:
                # A scheduler whose thread dies would be a service that is up and does nothing.
                log.exception("a run failed unexpectedly", run=name)


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
