"""Deployments that are accepted and then go wrong: how long they take, how they end, and what a GET shows of them (pure).

The crash loop is written as real answers show it (Praqma/Network-MultiTool#25 on GitHub). A pull that fails late is known
from Azure's page on container states; the wording of its `detailStatus` is inferred from the crash loop's.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from rotator.sandbox.clouds.containergroups.records import Run
from rotator.sandbox.faults import Fault
from rotator.sandbox.wire import Document, rfc3339

GIVES_UP_AFTER = timedelta(seconds=1800)
"""`provisioningTimeoutInSeconds` of every group that names none of its own: then Azure calls the deployment failed."""

_NEVER = timedelta(days=3650)
_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(seconds=10), timedelta(minutes=5)
_BACK_OFF_AFTER = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """When the operation ends, counted from the request, and with which error if it fails."""

    ends_after: timedelta
    failure: Document | None = None


def foresee(run: Run, document: Document, fault: Fault, usual: timedelta) -> Trouble:
    """Give a run the bad end that the fault plan wants for it."""
    run.outcome = fault.outcome
    if fault.outcome == "crash-loop":
        if run.ends_at is not None:
            run.ends_at = run.ready_at  # restart policy Never: it is not started again
        # The deployment itself succeeds. It ends a little later than usual, after the first crash.
        return Trouble(ends_after=usual + 2 * _BACK_OFF_AFTER)
    run.ends_at = None
    if fault.outcome == "never-ends":
        return Trouble(ends_after=_NEVER)
    failure = {"code": fault.error_code, "message": fault.error_message}
    if fault.outcome == "operation-failed":
        return Trouble(ends_after=usual, failure=failure)
    seconds = document["properties"].get("provisioningTimeoutInSeconds")
    return Trouble(ends_after=timedelta(seconds=float(seconds)) if seconds else GIVES_UP_AFTER, failure=failure)


def view(run: Run, image: str, identifier: str, now: datetime) -> Document:
    """Return the instance view of a container whose run goes wrong."""
    if run.outcome == "crash-loop":
        return _crash_loop(run, image, identifier, now)
    pulling = event("Pulling", f'pulling image "{image}"', run.pulled_at, run.pulled_at)
    if run.outcome == "pull-back-off":
        return _back_off(run, image, now)
    waiting = {"state": "Waiting", "detailStatus": "ContainerCreating" if run.outcome == "never-ends" else ""}
    return {"restartCount": 0, "currentState": waiting, "events": [pulling] if run.outcome == "never-ends" else []}


def _crash_loop(run: Run, image: str, identifier: str, now: datetime) -> Document:
    """A program that ends as soon as it is started: the platform starts it again after longer and longer pauses."""
    first = run.ready_at
    if now < first:
        return {"restartCount": 0, "currentState": {"state": "Waiting", "detailStatus": "ContainerCreating"}, "events": []}
    started_at, restarts = last_start(first, now)
    events = [
        event("Pulling", f'pulling image "{image}"', run.pulled_at, run.pulled_at),
        event("Pulled", f'Successfully pulled image "{image}"', run.pulled_at, run.pulled_at),
        event("Created", f"Created container with id {identifier}", first, started_at, restarts + 1),
        event("Started", f"Started container with id {identifier}", first, started_at, restarts + 1),
    ]
    backed_off_at = started_at + _BACK_OFF_AFTER
    if now >= backed_off_at:
        events.append(
            event(
                "BackOff", "Back-off restarting failed container", first + _BACK_OFF_AFTER, backed_off_at, restarts + 1, "Warning"
            )
        )
    return {
        "restartCount": restarts,
        "currentState": {"state": "Waiting", "detailStatus": "CrashLoopBackOff: Back-off restarting failed"},
        "previousState": {
            "state": "Terminated",
            "startTime": rfc3339(started_at),
            "exitCode": 1,
            "finishTime": rfc3339(started_at),
            "detailStatus": "Error",
        },
        "events": events,
    }


def last_start(first: datetime, now: datetime) -> tuple[datetime, int]:
    """Return when it was tried last, and how often before: after longer and longer pauses."""
    at, pause, restarts = first, _FIRST_PAUSE, 0
    while pause < _LONGEST_PAUSE:
        if now < at + pause:
            return at, restarts
        at, pause, restarts = at + pause, min(2 * pause, _LONGEST_PAUSE), restarts + 1
    more = (now - at) // _LONGEST_PAUSE
    return at + more * _LONGEST_PAUSE, restarts + more


def _back_off(run: Run, image: str, now: datetime) -> Document:
    """A registry that refuses the platform after the deployment was accepted. Azure goes on trying, even after giving up."""
    first = run.pulled_at
    if now < first:
        return {"restartCount": 0, "currentState": {"state": "Waiting", "detailStatus": "ContainerCreating"}, "events": []}
    tried_at, tries = last_start(first, now)
    events = [
        event("Pulling", f'pulling image "{image}"', first, tried_at, tries + 1),
        event(
            "Failed",
            f'Failed to pull image "{image}": rpc error: code = Unknown desc = Error response from daemon: unauthorized',
            first,
            tried_at,
            tries + 1,
            "Warning",
        ),
        event("BackOff", f'Back-off pulling image "{image}"', first, tried_at, tries + 1),
    ]
    status = f'ImagePullBackOff: Back-off pulling image "{image}"'
    return {"restartCount": 0, "currentState": {"state": "Waiting", "detailStatus": status}, "events": events}


def event(name: str, message: str, first: datetime, last: datetime, count: int = 1, kind: str = "Normal") -> Document:
    """Return an event of a container; one that came several times is written once, with its first and its last time."""
    return {
        "count": count,
        "firstTimestamp": rfc3339(first),
        "lastTimestamp": rfc3339(last),
        "name": name,
        "message": message,
        "type": kind,
    }
