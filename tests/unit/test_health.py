"""Health after an update, from the body of a GET."""

from datetime import UTC, datetime
from typing import Any

import pytest

from rotator.azure.health import assess

SINCE = datetime(2026, 11, 1, 12, 0, 0, 500_000, tzinfo=UTC)
BEFORE, SAME_SECOND, AFTER, LATER = (f"2026-11-01T{at}Z" for at in ("11:59:00", "12:00:00", "12:00:30", "12:01:00"))


def event(name: str, at: str) -> dict[str, Any]:
    return {"name": name, "firstTimestamp": BEFORE, "lastTimestamp": at, "count": 1, "message": name}


def container(state: str, *events: dict[str, Any], **current: object) -> dict[str, Any]:
    view = {"currentState": {"state": state, **current}, "events": list(events), "restartCount": 0}
    return {"name": "web", "properties": {"image": "x", "instanceView": view}}


def body(*containers: dict[str, Any], policy: str = "Always", **properties: object) -> dict[str, Any]:
    view = {"instanceView": {"state": "Running"}, "provisioningState": "Succeeded"}
    return {"properties": {**view, "restartPolicy": policy, "containers": list(containers), **properties}}


RUNNING = container("Running", event("Pulled", AFTER), event("Started", AFTER))
DONE = container("Terminated", event("Pulled", AFTER), exitCode=0, startTime=AFTER)
BROKE = container("Terminated", event("Pulled", AFTER), exitCode=3, startTime=AFTER)


@pytest.mark.parametrize(
    ("group", "healthy", "settled"),
    [
        pytest.param(body(RUNNING), True, True, id="runs on an image pulled after the update"),
        pytest.param(
            body(container("Running", event("Pulled", SAME_SECOND))), True, True, id="pulled in the second of the update"
        ),
        pytest.param(body(container("Running", event("Pulled", BEFORE))), False, False, id="still runs on the image from before"),
        pytest.param(body(container("Running", startTime=AFTER)), True, True, id="no events, but started after the update"),
        pytest.param(body(container("Running", startTime=BEFORE)), False, False, id="no events, and started before"),
        pytest.param(body(RUNNING, container("Waiting", detailStatus="ImagePullBackOff")), False, True, id="one cannot pull"),
        pytest.param(body(container("Waiting", detailStatus="CrashLoopBackOff")), False, True, id="a crash loop"),
        pytest.param(
            body(container("Waiting", detailStatus="CrashLoopBackOff: Back-off restarting failed")),
            False,
            True,
            id="a crash loop in Azure's words",
        ),
        pytest.param(
            body(container("Terminated", event("Pulled", AFTER), event("BackOff", LATER), exitCode=1)),
            False,
            True,
            id="backing off after a crash",
        ),
        pytest.param(body(container("Waiting", event("Failed", AFTER))), False, True, id="a failed pull"),
        pytest.param(
            body(container("Running", event("Failed", AFTER), event("Pulled", LATER))), True, True, id="a failure that passed"
        ),
        pytest.param(
            body(container("Running", event("Failed", BEFORE), event("Pulled", AFTER))), True, True, id="an old failure"
        ),
        pytest.param(body(container("Waiting", event("Pulling", AFTER))), False, False, id="still pulling"),
        pytest.param(body(DONE, policy="Never"), True, True, id="a job at its end"),
        pytest.param(
            body(BROKE, policy="Never", instanceView={"state": "Failed"}), True, True, id="a job that ended badly, but ran"
        ),
        pytest.param(body(BROKE, policy="OnFailure"), False, False, id="a job that will be tried again"),
        pytest.param(body(DONE), False, False, id="a service that ended will be started again"),
        pytest.param(body(RUNNING, provisioningState="Updating"), False, False, id="Azure is still at it"),
        pytest.param(
            body(container("Waiting", detailStatus="ErrImagePull"), provisioningState="Pending"), False, True, id="fails at once"
        ),
        pytest.param(body(provisioningState="Failed", instanceView={"state": "Pending"}), False, True, id="gave up"),
        pytest.param(body(RUNNING, instanceView={"state": "Stopped"}), False, True, id="stopped"),
        pytest.param(body(RUNNING, initContainers=[DONE]), True, True, id="with an init container that did its work"),
        pytest.param(body(RUNNING, initContainers=[{"name": "i", "properties": {}}]), True, True, id="an init container unseen"),
        pytest.param(
            body(RUNNING, initContainers=[container("Waiting", detailStatus="ImagePullBackOff")]), False, True, id="a stuck init"
        ),
    ],
)
def test_a_group_that(group: dict[str, Any], healthy: bool, settled: bool) -> None:
    found = assess(group, SINCE)
    assert (found.healthy, found.settled) == (healthy, settled), found.detail
    assert found.detail
