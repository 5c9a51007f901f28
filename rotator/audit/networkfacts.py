"""The facts of private networks. Pure."""

from ipaddress import ip_address

from rotator.audit.cases import Facts, Sight
from rotator.model.estate import Estate, Registry
from rotator.model.group import ContainerGroup
from rotator.model.network import network_of

# Names that no public resolver answers: RFC 6762 (.local), RFC 8375 (.home.arpa), ICANN's .internal, and common habits.
_PRIVATE_SUFFIXES = (".local", ".internal", ".home.arpa", ".lan", ".corp", ".intranet")


def group_network_facts(facts: Facts, estate: Estate, sight: Sight, group: ContainerGroup) -> None:
    """Add what is known of a group's subnets."""
    known = estate.networks.subnets
    unread = [one for one in group.subnets if one not in known]
    wrong = [one.name for one in group.subnets if one in known and not known[one].delegated]
    why = next((sight.reason("networks", one.text) for one in unread), None) or "its subnet was not read"
    facts.put("undelegated_subnets", None if unread and not wrong else wrong, why)


def binding_network_facts(facts: Facts, estate: Estate, sight: Sight, group: ContainerGroup, host: str, why_unknown: str) -> None:
    """Add what is known of the way from a group to one registry."""
    registry = estate.registry_of.get(host)
    facts.put("in_subnet", bool(group.subnets))
    facts.put("registry_host_private", _private_host(host))
    facts.put("registry_closed", registry.closed if registry else None, None if registry else why_unknown)
    endpoints = registry.endpoints if registry else None
    facts.put("registry_private_endpoint", None if endpoints is None else bool(endpoints), None if registry else why_unknown)
    linked = any(estate.networks.linked(network_of(one), host) for one in group.subnets)
    unread = sight.any_reason("private-zones")
    facts.put("private_dns_linked", None if unread and not linked else linked, unread)


def registry_network_facts(facts: Facts, estate: Estate, registry: Registry) -> None:
    """Add what is known of a registry's door."""
    facts.put("network_rules_deny", registry.rules_deny)
    facts.put("closed", registry.closed)
    facts.put("trusted_services", registry.trusted_services)
    facts.put("private_endpoints", None if registry.endpoints is None else len(registry.endpoints))
    networks = estate.networks
    read = [networks.endpoints[one] for one in registry.endpoints or () if one in networks.endpoints]
    # Only the groups' own subnets were read, and those are the ones that are delegated.
    inside = [one.id.name for one in read if (subnet := networks.subnets.get(one.subnet)) and subnet.delegated]
    whole = registry.endpoints is not None and len(read) == len(registry.endpoints)
    why = "its private endpoints were not read: no group in scope uses it, or one could not be read"
    facts.put("endpoints_in_group_subnets", inside if inside or whole else None, why)


def _private_host(host: str) -> bool:
    name = host.partition(":")[0]
    try:
        return ip_address(name).is_private
    except ValueError:
        return "." not in name or name.endswith(_PRIVATE_SUFFIXES)
