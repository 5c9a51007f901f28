"""The service's page: metrics, health, and the state of the estate. It reads what the last run left and changes nothing.

There is no log-in, so there is nothing here that an onlooker must not see, and no request makes a call to a cloud.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse

from rotator import __version__
from rotator.migration.paths import paths_of
from rotator.report import document, html
from rotator.report import json as written
from rotator.service.run import Run
from rotator.telemetry.metrics import CONTENT_TYPE, Metrics

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "X-Frame-Options": "DENY",
}


@dataclass(slots=True)
class LastRun:
    """What the page shows; written by the scheduler's thread, read by the web's."""

    _lock: Lock = field(default_factory=Lock)
    _run: Run | None = None

    def put(self, run: Run) -> None:
        """Show this run from now on."""
        with self._lock:
            self._run = run

    def get(self) -> Run | None:
        """Return the run to show; None before the first one has ended."""
        with self._lock:
            return self._run


def build(metrics: Metrics, last: LastRun, next_runs: Callable[[], dict[str, str]], ready: Callable[[], bool]) -> FastAPI:
    """Return the web application."""
    web = FastAPI(title="rotator", version=__version__, docs_url=None, redoc_url=None, openapi_url=None)

    @web.middleware("http")
    async def guarded(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
        response = await answer(request)
        response.headers.update(_HEADERS)
        return response

    @web.get("/metrics")
    def measured() -> Response:
        return Response(metrics.text(), headers={"Content-Type": CONTENT_TYPE})

    @web.get("/healthz")
    def alive() -> Response:
        return PlainTextResponse("ok\n")

    @web.get("/readyz")
    def can_work() -> Response:
        return PlainTextResponse("ready\n") if ready() else PlainTextResponse("not ready\n", status_code=503)

    @web.get("/api/status")
    def status() -> Response:
        return JSONResponse(_status(last.get(), next_runs()))

    @web.get("/")
    def page() -> Response:
        run = last.get()
        if run is None:
            return HTMLResponse(_WAITING, headers={"Refresh": "5"})
        return HTMLResponse(html.render(_report(run)))

    return web


def _report(run: Run) -> document.Report:
    return document.build(estate=run.estate, audit=run.audit, plan=run.plan, outcomes=run.outcomes, paths=paths_of(run.estate))


def _status(run: Run | None, next_runs: dict[str, str]) -> dict[str, object]:
    status: dict[str, object] = {"version": __version__, "next_runs": dict(next_runs), "last_run": None}
    if run is not None:
        report = _report(run)
        status["last_run"] = {
            "observed_at": _instant(run.estate.observed_at),
            "summary": written.plain(report.summary),
            "unread": written.plain(run.estate.unread),
            "outcomes": written.plain(run.outcomes),
            "retirements": written.plain(run.plan.retirements),
        }
    return status


def _instant(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


_WAITING = """<!doctype html><html lang="en"><meta charset="utf-8"><title>rotator</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'">
<p>The first audit is under way. This page shows its report when it has ended.</p></html>
"""
