"""Whether a registry's admin user is out of use, so that it can be switched off. Pure, but for asking the log."""

from collections import defaultdict
from datetime import datetime, timedelta

from rotator.model.credential import Principal, PrincipalKind
from rotator.model.estate import Estate, Registry
from rotator.model.migration import AdminUse, Caller
from rotator.model.usage import OWN_AGENT
from rotator.ports import UsageLog


def admin_use(estate: Estate, registry: Registry, log: UsageLog, now: datetime, window: timedelta) -> AdminUse:
    """Say who uses the admin user: container groups, running or not, and whoever logged in within the window."""
    name = registry.name.lower()
    principal = Principal(kind=PrincipalKind.ACR_ADMIN, registry=registry.login_server, name=name, resource_id=registry.id.text)
    groups = tuple(
        group.id for group in (*estate.groups, *estate.bystanders) if any(one.principal == principal for one in group.bindings)
    )
    uses = log.uses(principal, [registry.login_server], now - window)
    found: dict[str, list[datetime]] = defaultdict(list)
    for one in uses.entries:
        if OWN_AGENT not in one.agent:
            found[one.address].append(one.at)
    unread = next((one.reason for one in estate.unread if one.what in {"container-groups", "registries"}), "")
    return AdminUse(
        registry=registry.login_server,
        registry_id=registry.id,
        principal=principal,
        window_days=window.total_seconds() / 86400,
        groups=groups,
        callers=tuple(Caller(address=one, last_at=max(at), logins=len(at)) for one, at in sorted(found.items())),
        unknown=f"not every container group could be read: {unread}" if unread else uses.unreadable or uses.unproven,
    )
