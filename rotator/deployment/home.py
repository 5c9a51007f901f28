"""Which group a file is about: the running one of its name, or the place where a new one is made. Pure."""

from rotator.deployment.template import KIND, Template
from rotator.model.arm import ArmId
from rotator.model.errors import ConfigError
from rotator.model.estate import Estate


def home_of(template: Template, estate: Estate, resource_group: str = "", subscription: str = "") -> ArmId:
    """Return the resource id that the file is put as. Raises ConfigError where that is not certain."""
    known = [
        one.id
        for one in estate.groups
        if one.name.lower() == template.name
        and resource_group.lower() in ("", one.id.resource_group.lower())
        and subscription.lower() in ("", one.id.subscription)
    ]
    if len(known) == 1:
        return known[0]
    if known:
        raise ConfigError(
            f"{len(known)} groups are called {template.name}", advice="Say which: --resource-group, --subscription."
        )
    if not resource_group:
        unread = "; it may be among what could not be read" if estate.unread else ""
        raise ConfigError(f"no group in scope is called {template.name}{unread}", advice="To create it, give --resource-group.")
    if subscription and subscription.lower() not in {one.lower() for one in estate.subscriptions}:
        raise ConfigError(f"subscription {subscription} is not in scope.subscriptions", advice="Add it, or name another.")
    homes = {one.id.subscription for one in estate.groups if one.id.resource_group.lower() == resource_group.lower()}
    possible = [subscription] if subscription else sorted(homes) or list(estate.subscriptions)
    if len(possible) > 1:
        raise ConfigError(f"{len(possible)} subscriptions are in scope", advice="Say which: --subscription.")
    [chosen] = possible
    return ArmId(f"/subscriptions/{chosen}/resourceGroups/{resource_group}/providers/{KIND}/{template.name}")
