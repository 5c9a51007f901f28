"""Instants, durations and names, written for people. Pure: the present instant comes in as an argument."""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from rotator.model.arm import ArmId
from rotator.model.credential import Principal, PrincipalKind
from rotator.model.policy import Finding
from rotator.model.rotation import PlanItem, Reason

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
    PrincipalKind.DOCKER_HUB_ORG: "Docker Hub organisation",
    PrincipalKind.GHCR: "GitHub account",
    PrincipalKind.GITLAB: "GitLab token",
    PrincipalKind.GITLAB_DEPLOY_TOKEN: "GitLab deploy token",
    PrincipalKind.QUAY: "Quay robot",
    PrincipalKind.QUAY_PAIR: "pair of Quay robots",
    PrincipalKind.OTHER: "registry account",
}

REASONS = {
    Reason.REVOKED: "revoked",
    Reason.ROLLED_BACK: "rolled back",
    Reason.EXPIRED: "expired",
    Reason.EXPIRING: "ends soon",
    Reason.TOO_OLD: "too old",
    Reason.NO_EXPIRY: "never ends",
    Reason.NOT_IN_VAULT: "not in the vault",
    Reason.OUT_OF_STEP: "a group may not store it",
    Reason.UNFINISHED: "left unfinished",
    Reason.REQUESTED: "asked for",
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


def described(principal: Principal) -> str:
    """Say what a principal is and where: `repository token, demo.azurecr.io`."""
    kind = KINDS[principal.kind]
    return kind if principal.registry == "entra" else f"{kind}, {principal.registry}"


def called(principal: Principal, names: Mapping[str, str]) -> str:
    """Return what to call a principal: its name, or its display name where the name is a GUID.

    Every ECR login is named AWS, so those are told apart by account and region.
    """
    if principal.kind is PrincipalKind.ECR:
        account, _, rest = principal.registry.partition(".dkr.ecr.")
        return f"{principal.name} {account} {rest.partition('.')[0]}".strip()
    return names.get(principal.id, principal.name)


def why_due(item: PlanItem, now: datetime) -> str:
    """Say why a credential is due: `expired 2 d ago, too old`."""
    parts = []
    for reason in item.reasons:
        ends = relative(item.expires_at, now) if item.expires_at else ""
        if ends and reason is Reason.EXPIRED:
            parts.append(f"expired {ends}")
        elif ends and reason is Reason.EXPIRING:
            parts.append(f"ends {ends}")
        else:
            parts.append(REASONS[reason])
    return listed(parts)


def short(part: str) -> str:
    """Shorten a handle to what people tell it by: `password1 of 2026-08-23`, `application/ade9c982`.

    Anything else that tells findings apart (a registry's host, a field's path) stays as it is.
    """
    slot, made, instant_ = part.partition("@")
    if made and re.match(r"\d{4}-\d\d-\d\dT", instant_):
        return f"{slot} until {instant_[:16].replace('T', ' ')}" if slot == "lease" else f"{slot} of {instant_[:10]}"
    return re.sub(r"^(\w+/[0-9a-f]{8})-[0-9a-f-]{27}$", r"\1", part)


def subject(resource: str, names: Mapping[str, str]) -> tuple[str, str]:
    """Return what to call the resource of a finding, and what it is.

    `names` are the display names of principals whose own name is a GUID, by their id.
    """
    try:
        principal = Principal.parse(resource)
    except ValueError:
        return place(resource), ""
    return called(principal, names), described(principal)


def beyond_title(finding: Finding) -> str:
    """Return what a finding's message says that its title does not; empty when it only names the resource once more."""
    _, found, rest = finding.message.partition(finding.title)
    return rest.lstrip(". ") if found else finding.message
