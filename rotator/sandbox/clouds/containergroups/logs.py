"""What a container has written: lines made from the world's clock and the image's name alone, so no secret can be in them."""

import re
from datetime import datetime, timedelta

from rotator.sandbox.clouds.containergroups.records import Group, Run
from rotator.sandbox.clouds.containergroups.troubles import last_start
from rotator.sandbox.wire import Refused, refuse, rfc3339

_HEARTBEAT = timedelta(minutes=10)
_KEPT = 1000
"""Lines. Azure keeps that many of a container that has ended, of a running one 4 MB (resource and quota limits)."""


def written(group: Group, container: str, now: datetime, *, tail: str = "", timestamps: bool = False) -> str:
    """Return a container's log, one line each for its start, its heartbeats and its end; `tail` lines of it when given.

    A log belongs to one run: a restart begins another one. Refused as ACI does, when the container has not started.
    """
    image, init = _container(group, container)
    lines = _lines(group, image, now, init=init)
    if not lines:
        # Status, code and words as virtual-kubelet/virtual-kubelet#237 has them.
        raise refuse(
            404,
            "ContainerLogNotAvailable",
            f"Log of container '{container}' in container group '{group.name}' is not available yet. Please check container "
            "'InstanceView' for more information or retry later.",
        )
    shown = lines[-min(_number(tail), _KEPT) :] if tail else lines[-_KEPT:]
    return "".join(f"{rfc3339(at)} {text}\n" if timestamps else f"{text}\n" for at, text in shown)


def _container(group: Group, name: str) -> tuple[str, bool]:
    """Return the image of a container, and whether it runs before the others."""
    for kind in ("containers", "initContainers"):
        for one in group.properties.get(kind) or []:
            if str(one["name"]).lower() == name.lower():
                return str(one["properties"]["image"]), kind == "initContainers"
    raise _unknown(group, name)


def _unknown(group: Group, name: str) -> Refused:
    # A guess: no source shows what Azure answers.
    return refuse(404, "ContainerNotFound", f"The container '{name}' is not found in container group '{group.name}'.")


def _number(tail: str) -> int:
    if re.fullmatch("[0-9]{1,10}", tail) and int(tail) > 0:
        return int(tail)
    # A guess as well; the specification says no more than that it is an int32.
    raise refuse(400, "InvalidParameter", f"The value '{tail}' of the query parameter 'tail' is not a positive number.")


def _lines(group: Group, image: str, now: datetime, *, init: bool) -> list[tuple[datetime, str]]:
    """Return all lines with their times; none before the container's start."""
    run, until = group.run, min(now, group.stopped_at or now)
    if until < run.ready_at or run.outcome not in ("", "crash-loop"):
        return []
    started_at, ends_at, code = _span(run, until)
    if init:
        ends_at, code = started_at, 0
    lines = [(started_at, f"Started {image}.")]
    last = min(until, ends_at or until)
    beats = (last - started_at) // _HEARTBEAT
    lines += [(started_at + beat * _HEARTBEAT, f"Alive for {beat * 10} minutes.") for beat in range(1, beats + 1)]
    if ends_at is not None and ends_at <= until:
        lines.append((ends_at, f"Ended with exit code {code}."))
    elif group.stopped_at is not None and group.stopped_at <= now:
        lines.append((group.stopped_at, "Ended with exit code 0."))
    return lines


def _span(run: Run, until: datetime) -> tuple[datetime, datetime | None, int]:
    """Return when the container was started last, when it ends by itself, and its exit code then."""
    if not run.outcome:
        return run.ready_at, run.ends_at, 0
    started_at = run.ends_at or last_start(run.ready_at, until)[0]
    return started_at, started_at, 1
