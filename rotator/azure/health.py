"""Whether a group works after an update, from the body of a GET. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from enum import IntEnum
from typing import Any

from rotator.azure.groupbody import in_transition, instant_of, restart_policy, state_of
from rotator.azure.writeonly import Object, objects, part
from rotator.model.group import GroupState
from rotator.ports import Health

# `detailStatus` of a waiting container, as Kubernetes names them and Azure passes them on. Unlike a container that is being
# created, these do not pass by waiting a little: the verified credential or the image is not accepted, or the program dies.
_STUCK = frozenset(
    {
        "imagepullbackoff", "errimagepull", "invalidimagename", "errimageneverpull",
        "crashloopbackoff", "createcontainererror", "createcontainerconfigerror", "runcontainererror",
    }
)  # fmt: skip


class _Rank(IntEnum):
    """How much one container's state says; the group's verdict is the worst of its containers."""

    HEALTHY = 0
    WAITING = 1
    UNHEALTHY = 2


def assess(body: Mapping[str, Any], since: datetime) -> Health:
    """Return the group's health after the update that began at `since`.

    Healthy: every container runs, or has run to its end where the restart policy lets it, on an image pulled after `since`.
    A job that ended badly is healthy here: the question is whether it could be pulled, and putting it again would run it a
    second time. Unhealthy and settled: an image that cannot be pulled, a crash loop, a failed or stopped group. `detail`
    names containers and states, never the text of an event, which may quote what a registry or a program said.
    """
    state = state_of(body)
    if state is GroupState.STOPPED:
        return Health(healthy=False, settled=True, detail="the group is stopped")
    # Azure keeps its times in whole seconds; a pull in the second of the update belongs to the update.
    since = since.replace(microsecond=0)
    verdicts = list(_verdicts(body, since))
    rank, detail = max(verdicts, key=lambda verdict: verdict[0], default=(_Rank.WAITING, "no container is listed"))
    if rank is _Rank.UNHEALTHY:
        return Health(healthy=False, settled=True, detail=detail)
    if in_transition(body):
        return Health(healthy=False, settled=False, detail="Azure is still deploying the group")
    if state is GroupState.FAILED:
        return Health(healthy=False, settled=True, detail="Azure reports the group as failed")
    if rank is _Rank.WAITING:
        return Health(healthy=False, settled=False, detail=detail)
    return Health(healthy=True, settled=True, detail=f"{len(verdicts)} container(s) on images pulled after the update")


def _verdicts(body: Mapping[str, Any], since: datetime) -> Iterator[tuple[_Rank, str]]:
    properties = part(body, "properties")
    for container in objects(properties.get("initContainers")):
        # One that Azure shows no view of tells nothing; the containers that wait for it do. It runs to its end by design.
        if _view(container):
            yield _verdict(container, "OnFailure", since)
    for container in objects(properties.get("containers")):
        yield _verdict(container, restart_policy(body), since)


def _view(container: Object) -> Object:
    return part(part(container, "properties"), "instanceView")


def _verdict(container: Object, policy: str, since: datetime) -> tuple[_Rank, str]:
    name, view = container.get("name", ""), _view(container)
    current, events = part(view, "currentState"), objects(view.get("events"))
    state, status = str(current.get("state", "")).lower(), str(current.get("detailStatus", ""))

    # Azure writes the reason with a sentence behind it: "CrashLoopBackOff: Back-off restarting failed".
    if state == "waiting" and status.partition(":")[0].strip().lower() in _STUCK:
        return _Rank.UNHEALTHY, f"container {name} is waiting: {status}"
    trouble_at, well_at = _last(events, "failed", "backoff"), _last(events, "pulled", "started")
    if trouble_at and trouble_at >= since and not (well_at and well_at >= trouble_at):
        return _Rank.UNHEALTHY, f"container {name} cannot pull its image or does not stay up (its last event is a failure)"

    # Without any pull event (Azure forgets old ones) a start after the update says the same: a restart pulls again.
    pulled_at, started_at = _last(events, "pulled"), instant_of(current.get("startTime"))
    fresh = pulled_at >= since if pulled_at else bool(started_at and started_at >= since)
    if not fresh:
        return _Rank.WAITING, f"container {name} has pulled no image since the update"
    if state == "running" or (state == "terminated" and _ended(current, policy)):
        return _Rank.HEALTHY, ""
    return _Rank.WAITING, f"container {name} is {state or 'not started'}"


def _ended(current: Object, policy: str) -> bool:
    """Say whether a terminated container is at its end; under OnFailure one that failed is started again."""
    if policy.lower() == "never":
        return True
    return policy.lower() == "onfailure" and current.get("exitCode") == 0


def _last(events: Iterable[Object], *names: str) -> datetime | None:
    instants = [
        instant_of(event.get("lastTimestamp") or event.get("firstTimestamp"))
        for event in events
        if str(event.get("name", "")).lower() in names
    ]
    return max((at for at in instants if at is not None), default=None)
