"""What a deployment would do, in words."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.text import Text

if TYPE_CHECKING:
    from rotator.deployment.difference import Change
    from rotator.deployments import Deployment


def preview(deployment: "Deployment") -> Text:
    """Return the lines that a person reads before saying yes. No line holds a secret."""
    return Text("\n".join(_lines(deployment)))


def _lines(deployment: "Deployment") -> Iterator[str]:
    what, group = deployment.difference, deployment.group
    new = deployment.current is None
    yield f"{group.name} in {group.resource_group}: " + ("a new group" if new else _restart(deployment))
    for warning in deployment.template.warnings:
        yield f"  warning: {warning}"
    if deployment.owner:
        yield f"  {deployment.owner}"
    if not what.changes:
        yield "  no property changes"
    yield from (_line(one) for one in what.changes)
    yield from (f"  = {path}\n      set from {source}" for path, source in what.filled)
    yield from (f"  ! {path}\n      would be lost: the file has no value for it" for path in what.lost)
    if what.recreate:
        yield f"  ! Azure would demand delete and create: {', '.join(what.recreate)}"


def _restart(deployment: "Deployment") -> str:
    if deployment.starts:
        return "does not run now, and would be started"
    return "every container restarts"


def _line(change: "Change") -> str:
    path = change.path.removeprefix("properties/").replace("/properties/", "/")
    if not change.before:
        return f"  + {path}: {change.after}"
    if not change.after:
        return f"  - {path}: {change.before}"
    if change.before == change.after:
        return f"  ~ {path}: changes {change.after}"
    return f"  ~ {path}: {change.before} -> {change.after}"
