"""The service's parts: cron as operators know it, runs that never overlap or die, and a page that changes nothing."""

import asyncio
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

import httpx
import pytest
from fastapi import FastAPI

from rotator.application import Application
from rotator.model.errors import ConfigError, Leaving, ReplicaLost, Unavailable
from rotator.model.estate import Estate
from rotator.model.policy import Audit
from rotator.model.rotation import Plan
from rotator.replicas.turns import Firing
from rotator.service import web
from rotator.service.run import Run, look, run_once
from rotator.service.scheduler import Scheduler, _instant, _trigger
from rotator.settings.running import Schedule
from rotator.telemetry.metrics import Metrics
from tests import reportsample as sample
from tests.fakes import FakeClock

MONDAY = datetime(2026, 11, 2, tzinfo=UTC)
RUN = Run(estate=sample.estate(), audit=sample.audit(), plan=sample.plan(), outcomes=sample.outcomes())


class Stand:
    """Answers as an application does, without clouds."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.clock = FakeClock(sample.NOW)
        self.metrics = Metrics()
        self.failure = failure
        self.rotated = 0
        self.runs = list[str]()

    def audit(self) -> tuple[Estate, Audit]:
        if self.failure:
            raise self.failure
        return sample.estate(), sample.audit()

    def plan(self, estate: Estate) -> Plan:
        return sample.plan()

    def with_use(self, plan: Plan) -> Plan:
        return plan

    def rotate(self, plan: Plan, progress: object = None, *, run: str = "") -> tuple[object, ...]:
        self.rotated += 1
        self.runs.append(run)
        return sample.outcomes()


def application(stand: Stand) -> Application:
    return cast("Application", stand)


@pytest.mark.parametrize(
    ("expression", "expected"),
    {
        "cron's 0 is Sunday": ("30 4 * * 0", "2026-11-08T04:30"),
        "so is 7": ("30 4 * * 7", "2026-11-08T04:30"),
        "1 is Monday": ("30 4 * * 1", "2026-11-02T04:30"),
        "a range of days": ("0 1 * * 2-4", "2026-11-03T01:00"),
        "a list of days": ("0 1 * * 5,0", "2026-11-06T01:00"),
        "every second day from Monday to Friday": ("0 1 * * 1-5/2", "2026-11-02T01:00"),
        "every third day from Sunday": ("0 1 * * */3", "2026-11-04T01:00"),
        "a name": ("0 1 * * sat", "2026-11-07T01:00"),
        "every day": ("23 2 * * *", "2026-11-02T02:23"),
        "a step": ("*/10 * * * *", "2026-11-02T00:00"),
    }.values(),
)
def test_cron_expressions_mean_what_cron_says(expression: str, expected: str) -> None:
    fires_at = _trigger("audit", expression, 0).get_next_fire_time(None, MONDAY)
    assert f"{fires_at:%Y-%m-%dT%H:%M}" == expected


@pytest.mark.parametrize("expression", ["", "daily", "61 * * * *", "* * * *", "0 0 * * 6-2", "0 0 * * 9"])
def test_what_is_no_cron_expression_is_refused(expression: str) -> None:
    with pytest.raises(ConfigError, match=r"schedule\.audit"):
        _trigger("audit", expression, 0)


def test_a_run_that_fails_leaves_the_scheduler_alive() -> None:
    seen: list[Run] = []
    stand = Stand(Unavailable("the cloud is away", api="arm", operation="list"))
    scheduler = Scheduler(application(stand), Schedule(), seen=seen.append)
    scheduler.watch()
    scheduler.fire("audit")
    stand.failure = ValueError("a bug")
    scheduler.fire("rotate")
    stand.failure = None
    scheduler.fire("audit")
    assert len(seen) == 1


@dataclass
class Seats:
    """The turns of a replica, as a test would have them. `noted` is what all replicas know."""

    noted: dict[Firing, bool]
    leading: bool = False

    def leads(self) -> bool:
        return self.leading

    def begin(self, firing: Firing) -> bool:
        if firing in self.noted:
            return False
        self.noted[firing] = False
        return True

    def end(self, firing: Firing) -> None:
        self.noted[firing] = True

    def left_over(self) -> list[Firing]:
        return [firing for firing, ended in self.noted.items() if not ended]

    def resign(self) -> None:
        self.leading = False


def led(stand: Stand, seats: Seats) -> Scheduler:
    """A scheduler whose jobs a test fires; an hourly one, so that a test never straddles two instants for long."""
    return Scheduler(application(stand), Schedule(), seen=lambda _: None, turns=seats)


def test_only_the_leader_fires_and_each_instant_once() -> None:
    noted: dict[Firing, bool] = {}
    first, second = Stand(), Stand()
    leader, other = led(first, Seats(noted, leading=True)), led(second, Seats(noted))
    for scheduler in (leader, other):
        scheduler.watch()
        scheduler.fire("rotate")
        scheduler.fire("rotate")
    assert (first.rotated, second.rotated) == (1, 0)
    assert list(noted.values()) == [True]
    assert first.metrics.registry.get_sample_value("rotator_leader") == 1
    assert second.metrics.registry.get_sample_value("rotator_leader") == 0


def test_who_comes_to_lead_makes_up_for_what_passed_unless_it_was_done() -> None:
    for done, made_up_for in ((False, 1), (True, 0)):
        stand, seats = Stand(), Seats({})
        scheduler = led(stand, seats)
        scheduler.watch()
        scheduler.fire("rotate")
        assert stand.rotated == 0
        seats.leading = True
        if done:
            [passed] = scheduler._passed.values()
            seats.noted[passed] = True
        scheduler.watch()
        scheduler._take_lead()
        assert stand.rotated == made_up_for


def test_who_comes_to_lead_carries_on_the_run_that_was_begun_under_its_name() -> None:
    begun = Firing(job="rotate", instant=MONDAY)
    stand, seats = Stand(), Seats({begun: False}, leading=True)
    scheduler = led(stand, seats)
    scheduler.watch()
    scheduler._take_lead()
    assert stand.runs == ["rotate-20261102T000000Z"]
    assert seats.noted == {begun: True}


def test_a_run_that_is_left_to_the_others_stays_open_for_the_next_leader() -> None:
    stand, seats = Stand(), Seats({}, leading=True)
    scheduler = led(stand, seats)
    scheduler.watch()
    for lost in (Leaving(), ReplicaLost()):
        stand.failure = lost
        scheduler.fire("rotate")
        assert list(seats.noted.values()) == [False]
        seats.noted.clear()


@pytest.mark.parametrize(
    ("expression", "now", "expected"),
    {
        "this very minute": ("23 2 * * *", "2026-11-02T02:23:00", "2026-11-02T02:23"),
        "delayed by its jitter": ("23 2 * * *", "2026-11-02T02:27:59", "2026-11-02T02:23"),
        "a run that was missed for hours": ("23 2 * * *", "2026-11-02T21:00:00", "2026-11-02T02:23"),
        "once a week": ("0 4 * * 0", "2026-11-07T21:00:00", "2026-11-01T04:00"),
        "in leap years": ("0 0 29 2 *", "2026-11-07T21:00:00", "2024-02-29T00:00"),
    }.values(),
)
def test_a_delayed_firing_is_that_of_the_schedules_instant(expression: str, now: str, expected: str) -> None:
    """Replicas draw their delays by themselves, and must mean the same run."""
    found = _instant(_trigger("rotate", expression, 0), datetime.fromisoformat(now).replace(tzinfo=UTC))
    assert f"{found:%Y-%m-%dT%H:%M}" == expected


def test_the_first_audit_is_made_at_once_and_the_rest_on_schedule() -> None:
    audited = threading.Event()
    scheduler = Scheduler(application(Stand()), Schedule(), seen=lambda _: audited.set())
    scheduler.start()
    try:
        assert audited.wait(10)
        assert set(scheduler.next_runs) == {"audit", "rotate", "leases"}
    finally:
        scheduler.stop()


def test_a_run_looks_again_after_it_has_done_something() -> None:
    stand = Stand()
    done = run_once(application(stand))
    assert stand.rotated == 1
    assert done.undone  # one rotation was held
    value = stand.metrics.registry.get_sample_value("rotator_run_last_completion_timestamp_seconds", {"mode": "rotate"})
    assert value == sample.NOW.timestamp()


def test_an_audit_that_did_not_see_everything_is_no_success() -> None:
    stand = Stand()
    look(application(stand))
    assert "rotator_run_last_success_timestamp_seconds{" not in stand.metrics.text()


@dataclass
class Browser:
    """Asks the web application without a port."""

    app: FastAPI

    def get(self, path: str) -> httpx.Response:
        return self.ask("GET", path)

    def post(self, path: str) -> httpx.Response:
        return self.ask("POST", path)

    def ask(self, method: str, path: str) -> httpx.Response:
        async def asked() -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app=self.app), base_url="http://rotator") as client:
                return await client.request(method, path)

        return asyncio.run(asked())


def client(last: web.LastRun) -> Browser:
    return Browser(web.build(Metrics(), last, lambda: {"audit": "soon"}, ready=lambda: last.get() is not None))


def test_before_the_first_audit_the_service_lives_but_is_not_ready() -> None:
    browser = client(web.LastRun())
    assert browser.get("/healthz").status_code == 200
    assert browser.get("/readyz").status_code == 503
    assert "first audit" in browser.get("/").text
    assert browser.get("/api/status").json()["last_run"] is None


def test_the_page_and_the_status_show_the_last_run() -> None:
    last = web.LastRun()
    last.put(RUN)
    browser = client(last)
    assert browser.get("/readyz").status_code == 200
    assert "could not be read" in browser.get("/").text
    status = browser.get("/api/status").json()
    assert status["last_run"]["summary"]["held"] == 1
    assert status["next_runs"] == {"audit": "soon"}


def test_metrics_are_served_in_prometheus_format() -> None:
    answer = client(web.LastRun()).get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "rotator_build_info{" in answer.text


@pytest.mark.parametrize("path", ["/", "/metrics", "/api/status", "/healthz"])
def test_nothing_can_be_changed_or_framed(path: str) -> None:
    browser = client(web.LastRun())
    assert browser.post(path).status_code == 405
    assert browser.get(path).headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/redoc", "/nothing"])
def test_nothing_else_is_served(path: str) -> None:
    assert client(web.LastRun()).get(path).status_code == 404
