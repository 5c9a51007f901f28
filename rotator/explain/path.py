"""Through which network a group reaches a registry, and whether the registry's door is open to it.

Azure lets nobody but a user-assigned identity past the network rules of a registry, and that only where the registry trusts
Azure's services; a private endpoint needs a DNS zone that the group's network asks (learn.microsoft.com: container-instances
troubleshooting, using-azure-container-registry-mi).
"""

from dataclasses import dataclass

from rotator.explain.answer import Answer, Because
from rotator.model.estate import Estate, Registry
from rotator.model.group import ContainerGroup, ManagedIdentity, Source
from rotator.model.network import network_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """A way in words, what stands in it (None: nothing is known to), and what would close it."""

    way: str
    obstacle: Because | None
    breaks: tuple[str, ...]


def path_of(estate: Estate, group: ContainerGroup, registry: Registry | None, source: Source) -> Path:
    """Return the way from a group to a registry; without a registry it is another party's, which is on the public network."""
    start = f"from {_place(group)}" if group.subnets else "from Azure's own network"
    if registry is None:
        breaks = ("the registry leaves the public network: Azure reaches no private registry of another party",)
        return Path(way=f"the public network, {start}", obstacle=None, breaks=breaks)
    if not registry.closed:
        shut = "somebody closes the registry to the public network" if registry.closed is False else ""
        hidden = "" if registry.closed is False else "; whether the registry has a firewall is not known"
        return Path(way=f"the public network, {start}{hidden}", obstacle=None, breaks=(shut,) if shut else ())
    return _closed(estate, group, registry, source, start)


def _closed(estate: Estate, group: ContainerGroup, registry: Registry, source: Source, start: str) -> Path:
    host, identity = registry.login_server, isinstance(source, ManagedIdentity)
    private = bool(registry.endpoints) and bool(group.subnets)
    way = f"a private endpoint, {start}" if private else f"past the registry's network rules, {start}"
    if not identity:
        reason = f"{host} is closed to the public network, and Azure pulls past that with an identity only, never a password"
        return Path(way=way, obstacle=_no(reason, "Give the group a user-assigned identity with AcrPull."), breaks=())
    if registry.trusted_services is False:
        reason = f"{host} is closed to the public network and does not trust Azure's services"
        remedy = f"az acr update --name {registry.name} --allow-trusted-services true"
        return Path(way=way, obstacle=_no(reason, remedy), breaks=())
    breaks = [f"somebody switches off {registry.name}'s trust in Azure's services"]
    if private:
        unread = next((one.reason for one in estate.unread if one.what == "private-zones"), "")
        if not any(estate.networks.linked(network_of(one), host) for one in group.subnets):
            if unread:
                return Path(way=way, obstacle=Because(answer=Answer.UNKNOWN, reason=unread), breaks=())
            reason = f"the group's network asks no DNS zone privatelink.azurecr.io that has an address for {host}"
            return Path(way=way, obstacle=_no(reason, f"Link the zone to {_place(group)}."), breaks=())
        breaks.append("the link between the DNS zone privatelink.azurecr.io and the network goes, or the zone's record")
    return Path(way=way, obstacle=None, breaks=tuple(breaks))


def _place(group: ContainerGroup) -> str:
    subnet = group.subnets[0]
    return f"network {network_of(subnet).name} (subnet {subnet.name})"


def _no(reason: str, remedy: str) -> Because:
    return Because(answer=Answer.NO, reason=reason, remedy=remedy)
