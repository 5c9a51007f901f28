"""Every metric of rotator, in one registry of its own.

Counters exist at zero from the start: a counter that first appears as 1 shows no increase to Prometheus, so the first
failure would raise no alert. Gauges about the estate come from the last reading as a whole (see `estate`).
"""

import platform
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from threading import Lock
from types import MappingProxyType

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
    write_to_textfile,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from rotator import __version__
from rotator.model.credential import Principal, PrincipalKind
from rotator.model.estate import Estate
from rotator.model.policy import Audit
from rotator.model.rotation import Plan, Reason, Result, RotationEvent, RotationOutcome
from rotator.telemetry.estate import Picture, complete_subscriptions, families
from rotator.telemetry.waiting import Waiting

# Series that begin at zero, so that the first rotation counts as a rise. A registry's refresh token is never rotated.
ROTATED = tuple(one for one in PrincipalKind if one is not PrincipalKind.ACR_REFRESH_TOKEN)
TRIGGERS = ("due", "requested", "unfinished", "retirement", "revocation", "roll-back")
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_CUTOVER_STEPS = ("redeploy", "restart", "health")
_MINUTES = (0.25, 0.5, 1, 2, 5, 10, 20, 40, 60, 120, 240)
_REQUEST_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


@dataclass(slots=True)
class _Running:
    principal: str
    started_at: datetime


class _Snapshot(Collector):
    """Answers a scrape with the last picture and the rotations that run now."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.picture: Picture | None = None
        self.running: dict[str, _Running] = {}
        self.seen_at: dict[str, datetime] = {}
        self.evidence: bool | None = None

    def collect(self) -> Iterator[GaugeMetricFamily]:
        with self.lock:
            picture, running, seen_at = self.picture, tuple(self.running.values()), dict(self.seen_at)
            evidence = self.evidence
        if picture is not None:
            yield from families(picture)
        scan = GaugeMetricFamily(
            "rotator_scan_last_success_timestamp_seconds",
            "When a subscription was last read in full.",
            labels=("subscription_id",),
        )
        for subscription, at in sorted(seen_at.items()):
            scan.add_metric((subscription,), at.timestamp())
        started = GaugeMetricFamily(
            "rotator_rotation_started_timestamp_seconds", "When a rotation that runs now began.", labels=("credential_id",)
        )
        for one in running:
            started.add_metric((one.principal,), one.started_at.timestamp())
        yield from (scan, started)
        if evidence is not None:
            # Not before the first check: a 0 that only means "not looked yet" would call somebody at every start.
            whole = GaugeMetricFamily("rotator_audit_log_verified", "Whether the last check found the evidence log whole.")
            whole.add_metric((), float(evidence))
            yield whole


class Metrics:
    """Keeps the metrics of one process. Thread-safe. No label ever holds a value, a version, a date or an error's text."""

    def __init__(self, max_age: Mapping[PrincipalKind, timedelta] | None = None) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # one more series for every counter, which no rule reads
        self.registry = CollectorRegistry()
        self.waiting = Waiting()
        self._max_age = dict(max_age or {})
        self._snapshot = _Snapshot()
        self.registry.register(self._snapshot)
        self._declare_rotations()
        self._declare_requests()
        self._declare_runs()

    def set_estate(
        self, estate: Estate, plan: Plan, audit: Audit, last_used: Mapping[Principal, datetime] = MappingProxyType({})
    ) -> None:
        """Replace every gauge about the estate; series of things that are gone end here."""
        with self._snapshot.lock:
            self._snapshot.picture = Picture(estate=estate, plan=plan, audit=audit, max_age=self._max_age, last_used=last_used)
            for subscription in complete_subscriptions(estate):
                self._snapshot.seen_at[subscription] = estate.observed_at
            self._snapshot.seen_at = {
                subscription: at for subscription, at in self._snapshot.seen_at.items() if subscription in estate.subscriptions
            }

    def notice(self, event: RotationEvent) -> None:
        """Count one event of a rotation (this is a `rotator.ports.Observer`)."""
        if event.group is None:
            # A group may be moved by another replica than the one that carries the rotation out and learns of its end.
            with self._snapshot.lock:
                self._snapshot.running.setdefault(event.rotation, _Running(event.principal.id, event.at))
        if event.step in _CUTOVER_STEPS and not event.ok:
            self._redeploys.labels(result="failed").inc()
        if event.step == "roll-back" and event.ok:
            self._redeploys.labels(result="rolled_back").inc()
        if not event.ok:
            self._step_failures.labels(kind=event.principal.kind.value, step=event.step, reason=event.code or "internal").inc()

    def ended(self, rotation: str) -> None:
        """Note that a rotation no longer runs here; whoever asked for it counts it."""
        with self._snapshot.lock:
            self._snapshot.running.pop(rotation, None)

    def record_outcomes(self, outcomes: Iterable[RotationOutcome], plan: Plan | None = None) -> None:
        """Count how rotations ended; with the plan they came from, by what set them off."""
        for outcome in outcomes:
            with self._snapshot.lock:
                self._snapshot.running.pop(outcome.rotation, None)
            kind, trigger = outcome.principal.kind.value, _trigger(outcome.rotation, plan)
            self._rotations.labels(kind=kind, trigger=trigger, result=outcome.result.value).inc()
            self._redeploys.labels(result="success").inc(len(outcome.redeployed))
            self._rotation_seconds.labels(kind=kind).observe((outcome.ended_at - outcome.started_at).total_seconds())

    def request(self, service: str, operation: str, code: str, seconds: float) -> None:
        """Count one request to a remote API (this is a `rotator.clients.observed.RequestObserver`)."""
        self.waiting.request(service, operation, code, seconds)
        self._requests.labels(service=service, operation=operation, code=code).inc()
        self._request_seconds.labels(service=service, operation=operation).observe(seconds)
        throttled = self._throttled.labels(service=service)  # exists at 0 from the service's first request on
        if code == "429":
            throttled.inc()

    def evidence_lost(self) -> None:
        """Count a record that the evidence log could not take (this is `rotator.history.evidence.Losses`)."""
        self._evidence_lost.inc()

    def set_evidence(self, whole: bool | None) -> None:  # noqa: FBT001 - the gauge is a yes or a no
        """Note what a check of the evidence log found; None, for an empty log, says nothing and shows nothing."""
        with self._snapshot.lock:
            self._snapshot.evidence = whole

    def record_run(self, mode: str, stages: Mapping[str, timedelta], ended_at: datetime, *, succeeded: bool) -> None:
        """Note that a run of a mode (`audit`, `rotate`) ended, how long its stages took, and whether it did all of its work."""
        self._completed.labels(mode=mode).set(ended_at.timestamp())
        if succeeded:
            self._succeeded.labels(mode=mode).set(ended_at.timestamp())
        for stage, duration in stages.items():
            self._stage_seconds.labels(mode=mode, stage=stage).set(duration.total_seconds())

    def set_leader(self, *, leads: bool) -> None:
        """Note whether this process fires the schedule; the only one always does."""
        self._leader.set(1 if leads else 0)

    def text(self) -> str:
        """Return everything in Prometheus' text format."""
        return generate_latest(self.registry).decode()

    def write_textfile(self, path: Path) -> None:
        """Write everything for node-exporter's textfile collector; the file is replaced in one step, never half written.

        A scheduled container that ends cannot be scraped; this is how its numbers get out.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        write_to_textfile(str(path), self.registry)

    def _declare_rotations(self) -> None:
        self._rotations = Counter(
            "rotator_rotations", "Rotations by how they ended.", ("kind", "trigger", "result"), registry=self.registry
        )
        self._step_failures = Counter(
            "rotator_rotation_step_failures",
            "Steps of rotations that failed.",
            ("kind", "step", "reason"),
            registry=self.registry,
        )
        self._rotation_seconds = Histogram(
            "rotator_rotation_duration_seconds",
            "How long a rotation took in one run.",
            ("kind",),
            registry=self.registry,
            buckets=[minutes * 60 for minutes in _MINUTES],
        )
        self._redeploys = Counter(
            "rotator_redeploys", "Groups moved to a new credential, or back to the old one.", ("result",), registry=self.registry
        )
        for result in ("success", "failed", "rolled_back"):
            self._redeploys.labels(result=result)
        for kind in ROTATED:
            self._rotation_seconds.labels(kind=kind.value)
            for trigger in TRIGGERS:
                for ending in Result:
                    self._rotations.labels(kind=kind.value, trigger=trigger, result=ending.value)

    def _declare_requests(self) -> None:
        self._requests = Counter(
            "rotator_azure_requests", "Requests to remote APIs.", ("service", "operation", "code"), registry=self.registry
        )
        self._request_seconds = Histogram(
            "rotator_azure_request_duration_seconds",
            "How long remote APIs took to answer.",
            ("service", "operation"),
            registry=self.registry,
            buckets=_REQUEST_SECONDS,
        )
        self._throttled = Counter(
            "rotator_azure_throttled", "Answers that asked us to slow down.", ("service",), registry=self.registry
        )

    def _declare_runs(self) -> None:
        self._evidence_lost = Counter(
            "rotator_evidence_lost_records", "Records that the evidence log could not take.", registry=self.registry
        )
        self._completed = Gauge(
            "rotator_run_last_completion_timestamp_seconds", "When a run last ended.", ("mode",), registry=self.registry
        )
        self._succeeded = Gauge(
            "rotator_run_last_success_timestamp_seconds",
            "When a run last did all of its work.",
            ("mode",),
            registry=self.registry,
        )
        self._stage_seconds = Gauge(
            "rotator_run_duration_seconds", "How long each stage of the last run took.", ("mode", "stage"), registry=self.registry
        )
        self._leader = Gauge(
            "rotator_leader",
            "1 where this replica audits and fires the schedule; its gauges alone are fresh.",
            registry=self.registry,
        )
        build = Gauge("rotator_build_info", "Always 1.", ("version", "pythonversion"), registry=self.registry)
        build.labels(version=__version__, pythonversion=platform.python_version()).set(1)


def _trigger(rotation: str, plan: Plan | None) -> str:
    item = next((one for one in plan.items if one.rotation == rotation), None) if plan else None
    if item is None:
        if plan and any(one.revoked and one.rotation == rotation for one in plan.retirements):
            return "revocation"
        ending = {one.rotation for one in plan.retirements} | {one.marker for one in plan.orphans} if plan else set()
        return "retirement" if rotation in ending else "unfinished"
    if Reason.REVOKED in item.reasons:
        return "revocation"
    if Reason.ROLLED_BACK in item.reasons:
        return "roll-back"
    if Reason.REQUESTED in item.reasons:
        return "requested"
    return "unfinished" if Reason.UNFINISHED in item.reasons else "due"
