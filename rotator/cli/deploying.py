"""What a deployment would do, in words and for programs."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from rich.text import Text

from rotator.cli.output import fill

if TYPE_CHECKING:
    from rotator.deployment.deployment import Deployment
    from rotator.deployment.difference import Change, Difference


def preview(deployment: "Deployment", width: int = 80) -> Text:
    """Return the lines that a person reads before saying yes, each at most `width` wide where its words allow. No line holds a
    secret."""
    return Text("\n".join(fill(line, width, indent) for line, indent in _lines(deployment)))


def told(deployment: "Deployment", *, done: bool) -> Mapping[str, object]:
    """Return what the preview says, for `--json`. `done`: the group is as the file says, and healthy."""
    return {
        "group": deployment.group.text,
        "effect": _effect(deployment),
        "difference": deployment.difference,
        "warnings": deployment.template.warnings,
        "owner": deployment.owner,
        "done": done,
    }


def _effect(deployment: "Deployment") -> str:
    if deployment.current is None:
        return "create"
    if deployment.since is not None:
        return "none"
    return "refuse" if deployment.refused else "start" if deployment.starts else "restart"


def _lines(deployment: "Deployment") -> Iterator[tuple[str, int]]:
    """Yield each line, and how far what does not fit is indented."""
    what, group = deployment.difference, deployment.group
    yield f"{group.name} in {group.resource_group}: {_deed(deployment)}", 2
    for warning in deployment.template.warnings:
        yield f"  warning: {warning}", 4
    if deployment.owner:
        yield f"  {deployment.owner}", 4
    if not what.changes and deployment.since is None:
        yield f"  no property changes{_why(deployment)}", 4
    for one in what.changes:
        if not _says_nothing(one, what):
            yield _line(one), 6
    for path, source in what.filled:
        yield f"  = {path}", 6
        yield f"      {'has' if deployment.since else 'set from'} {source}", 6
    for path in what.lost:
        yield f"  ! {path}", 6
        yield "      would be lost: the file has no value for it", 6
    for reason in what.recreate:
        yield f"  ! {reason}", 6
        yield "      Azure changes this only by delete and create", 6


def _deed(deployment: "Deployment") -> str:
    return {
        "create": f"a new group in {deployment.template.location}",
        "none": "no change: this was put already",
        "refuse": "is not put as the file stands",
        "start": "does not run now, and would be started",
        "restart": "every container restarts",
    }[_effect(deployment)]


def _why(deployment: "Deployment") -> str:
    """Say why a group is put of which no property changes."""
    if deployment.refused or deployment.starts:
        return ""
    return "; it is put, since its hidden values may be other ones" if deployment.difference.filled else ""


def _says_nothing(change: "Change", what: "Difference") -> bool:
    """Whether a line would only repeat what another line tells: a hidden value, or the name of something with more to it."""
    path, hidden = _path(change), {at for at, _ in what.filled}
    holder, _, leaf = path.rpartition("/")
    if leaf not in {"name", "server"} or not holder:
        return path in hidden
    others = hidden | {_path(one) for one in what.changes if one is not change}
    return any(one.startswith(f"{holder}/") for one in others)


def _path(change: "Change") -> str:
    return change.path.removeprefix("properties/").replace("/properties/", "/")


def _line(change: "Change") -> str:
    path = _path(change)
    if not change.before:
        return f"  + {path}: {change.after}"
    if not change.after:
        return f"  - {path}: {change.before}"
    if change.before == change.after:
        return f"  ~ {path}: changes {change.after}"
    return f"  ~ {path}: {change.before} -> {change.after}"
