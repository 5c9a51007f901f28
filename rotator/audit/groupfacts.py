"""The facts of a container group. Pure."""

from collections.abc import Mapping
from datetime import datetime

from rotator.audit.cases import Facts, Sight
from rotator.audit.networkfacts import group_network_facts
from rotator.model.estate import Estate
from rotator.model.group import ContainerGroup, GroupState


def group_facts(estate: Estate, sight: Sight, group: ContainerGroup) -> Facts:
    """Return what is known of one group; its bindings know it too."""
    facts = Facts()
    facts.put("subscription", group.id.subscription)
    facts.put("resource_group", group.id.resource_group.lower())
    facts.put("group_name", group.name)
    facts.put("location", group.location)
    facts.put("tags", dict(group.tags))
    state = None if group.state is GroupState.UNKNOWN else str(group.state)
    facts.put("state", state, "only the list was read, which has no states")
    facts.put("restart_policy", group.restart_policy)
    facts.put("os_type", group.os_type)
    facts.put("private_network", group.private_network)
    facts.put("system_assigned", group.system_assigned)
    facts.put("identity_count", len(group.identities))

    in_commands = [one.path for one in group.suspects if "/command/" in one.path]
    in_git_urls = [one.path for one in group.suspects if "/gitRepo/" in one.path]
    facts.put("suspects_in_commands", in_commands)
    facts.put("suspects_in_git_urls", in_git_urls)
    others = {*in_commands, *in_git_urls}
    facts.put("suspects_in_environment", [one.path for one in group.suspects if one.path not in others])

    facts.put("write_only_fields", [one.path for one in group.write_only])
    # Fields that could not be looked for stand among the unsourced ones, so that no plan touches the group; to the audit
    # they are no violation as long as nobody has looked.
    unread = sight.reason("value-sources", group.id.text)
    unsourced = [one.path for one in estate.unsourced.get(group.id, ())]
    group_network_facts(facts, estate, sight, group)
    facts.put("unsourced_fields", None if unread else unsourced, unread)
    return facts


def last_start_at(group: ContainerGroup) -> datetime | None:
    """Return when a container of the group last started, or None when the instance view does not say.

    An update restarts every container, so the group cannot have been updated after this instant.
    """
    starts = []
    for container in _objects(_part(group.body, "properties").get("containers")):
        view = _part(_part(container, "properties"), "instanceView")
        for state in ("currentState", "previousState"):
            text = _part(view, state).get("startTime")
            if isinstance(text, str):
                starts.append(_instant(text))
    known = [one for one in starts if one is not None]
    return max(known, default=None)


def _instant(text: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo else None


def _objects(value: object) -> list[Mapping[str, object]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def _part(holder: Mapping[str, object], key: str) -> Mapping[str, object]:
    found = holder.get(key)
    return found if isinstance(found, Mapping) else {}
