"""Instants, durations and names, written for people. Pure: the present instant comes in as an argument."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from rotator.model.arm import ArmId
from rotator.model.credential import PrincipalKind

_DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)
_MINUTE = timedelta(minutes=1)

KINDS = {
    PrincipalKind.ACR_TOKEN: "repository token",
    PrincipalKind.ACR_ADMIN: "registry admin user",
    PrincipalKind.ACR_REFRESH_TOKEN: "registry refresh token",
    PrincipalKind.ENTRA_APP: "service principal",
    PrincipalKind.ECR: "ECR login",
    PrincipalKind.DOCKER_HUB: "Docker Hub account",
    PrincipalKind.GHCR: "GitHub account",
    PrincipalKind.GITLAB: "GitLab token",
    PrincipalKind.QUAY: "Quay robot",
    PrincipalKind.OTHER: "registry account",
}


def instant(at: datetime | None) -> str:
    """Write `2026-11-01 08:30` (UTC); a dash for none."""
    return f"{at:%Y-%m-%d %H:%M}" if at else "-"


def lasting(duration: timedelta) -> str:
    """Write a duration in its one or two largest units: `3 d`, `2 h 10 min`, `40 s`."""
    rest = abs(duration)
    if rest >= 2 * _DAY:
        return f"{rest // _DAY} d"
    if rest >= _HOUR:
        hours, minutes = rest // _HOUR, rest % _HOUR // _MINUTE
        return f"{hours} h {minutes} min" if minutes and hours < 10 else f"{hours} h"
    if rest >= _MINUTE:
        return f"{rest // _MINUTE} min"
    return f"{rest.total_seconds():.0f} s"


def relative(at: datetime | None, now: datetime) -> str:
    """Write how far away an instant is: `in 3 d`, `5 h ago`, `now`; a dash for none."""
    if at is None:
        return "-"
    if abs(at - now) < _MINUTE:
        return "now"
    return f"in {lasting(at - now)}" if at > now else f"{lasting(now - at)} ago"


def place(text: str) -> str:
    """Shorten a resource id to what tells people where it is: `resource-group/name`; anything else stays as it is."""
    if not text.lower().startswith("/subscriptions/"):
        return text
    resource = ArmId(text)
    return f"{resource.resource_group}/{resource.name}" if resource.resource_group else resource.name


def count(number: int, one: str, many: str = "") -> str:
    """Write `1 group`, `2 groups`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def listed(things: Iterable[str], most: int = 3) -> str:
    """Write a list with commas; what is beyond `most` becomes `and 4 more`."""
    items = list(things)
    shown = ", ".join(items[:most])
    return f"{shown} and {len(items) - most} more" if len(items) > most else shown
