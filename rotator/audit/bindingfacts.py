"""The facts of registry entries. Pure."""

from collections.abc import Iterator
from datetime import datetime

from rotator.audit.cases import Case, Facts, Sight, instant_text
from rotator.audit.groupfacts import last_start_at
from rotator.audit.limits import Limits
from rotator.audit.networkfacts import binding_network_facts
from rotator.model.credential import Principal, PrincipalKind
from rotator.model.estate import Estate
from rotator.model.group import Absent, Binding, ContainerGroup, Inline, ManagedIdentity, VaultReference
from rotator.model.image import normal_server
from rotator.model.lease import LEASE_TTL, StoredLease, stored_lease
from rotator.model.policy import Subject

_SOURCES = {Inline: "inline", VaultReference: "vault-reference", ManagedIdentity: "managed-identity", Absent: "absent"}


def binding_cases(
    estate: Estate, sight: Sight, group: ContainerGroup, about_group: Facts, now: datetime, limits: Limits
) -> Iterator[Case]:
    """Yield one case for each registry entry of a group, and for each registry that its images need without an entry."""
    shared = {name: value for name, value in about_group.known.items() if name in _SHARED}
    for binding in group.bindings:
        facts = Facts()
        facts.known.update(shared)
        facts.missing.update(about_group.missing)
        source = binding.source
        facts.put("source", _SOURCES[type(source)])
        facts.put("username", source.username if isinstance(source, Inline | VaultReference) else "")
        facts.put("identity_attached", source.attached if isinstance(source, ManagedIdentity) else True)
        facts.put("image_count", len(binding.images))
        host = normal_server(binding.registry)
        binding_network_facts(facts, estate, sight, group, host, _registry(facts, estate, sight, host, limits))
        _principal(facts, estate, sight, binding)
        facts.put("in_vault", *_in_vault(estate, sight, binding))
        lease = stored_lease(estate, group, binding)
        facts.put("lease_run_out", *_run_out(lease, sight, group, binding, now))
        facts.put("lease_ends_at", *_ends_at(lease))
        yield Case(
            subject=Subject.BINDING,
            resource=group.id.text,
            part=binding.registry,
            subscription=group.id.subscription,
            facts=facts.known,
            missing=facts.missing,
        )


_SHARED = frozenset(
    {
        "subscription",
        "resource_group",
        "group_name",
        "location",
        "tags",
        "state",
        "restart_policy",
        "os_type",
        "private_network",
        "system_assigned",
        "identity_count",
    }
)


def _registry(facts: Facts, estate: Estate, sight: Sight, host: str, limits: Limits) -> str:
    """Add the registry's own facts; returns why they are not known where they are not."""
    registry = estate.registry_of.get(host)
    facts.put("registry", host)
    facts.put("registry_is_azure", registry is not None or host.endswith(limits.registry_suffixes))
    why = sight.any_reason("registries") or f"no subscription in scope has a registry with the login server {host}"
    facts.put("registry_anonymous_pull", registry.anonymous_pull if registry else None, None if registry else why)
    facts.put("registry_admin_enabled", registry.admin_enabled if registry else None, None if registry else why)
    facts.put("registry_public_access", registry.public_access if registry else None, None if registry else why)
    facts.put("registry_abac", registry.abac if registry else None, None if registry else why)
    return why


def _principal(facts: Facts, estate: Estate, sight: Sight, binding: Binding) -> None:
    principal = binding.principal
    if principal is None:
        # A user name that nobody could place is not the same as none.
        nobody = not isinstance(binding.source, Inline | VaultReference)
        why = "the entry's user name tells nothing about whom it authenticates as"
        facts.put("principal", "" if nobody else None, why)
        facts.put("principal_kind", "" if nobody else None, why)
        return
    facts.put("principal", principal.id)
    facts.put("principal_kind", str(principal.kind))
    record = estate.records.get(principal)
    if record is None:
        hidden = why_unlisted(estate, sight, principal)
        facts.put("principal_exists", None if hidden else False, hidden)
        facts.put("principal_credentials", None if hidden else 0, hidden)
        facts.put("principal_enabled", None if hidden else False, hidden)
        return
    facts.put("principal_exists", True)
    facts.put("principal_enabled", record.enabled)
    listed = record.credentials
    facts.put("principal_credentials", None if listed is None else len(listed), "its credentials were not read")


def why_unlisted(estate: Estate, sight: Sight, principal: Principal) -> str | None:
    """Say why a principal without a record may still exist, or return None when its service was read and does not know it."""
    if principal.kind is PrincipalKind.ENTRA_APP:
        return sight.reason("applications", principal.name)
    if principal.kind is PrincipalKind.ACR_TOKEN:
        registry = estate.registry_of.get(principal.registry)
        if registry is None:
            unread = sight.any_reason("registries")
            return unread or f"no subscription in scope has a registry with the login server {principal.registry}"
        return sight.reason("tokens", registry.id.text)
    unread = sight.reason("principals", principal.id)
    return unread or f"{principal.registry} offers no list that this principal could be looked up in"


def _in_vault(estate: Estate, sight: Sight, binding: Binding) -> tuple[bool | None, str | None]:
    if isinstance(binding.source, VaultReference):
        return True, None
    if binding.principal is None:
        nobody = not isinstance(binding.source, Inline)
        return (False, None) if nobody else (None, "it is not known whom the entry authenticates as")
    stored = estate.secrets_of.get(binding.principal.id)
    if stored is not None:
        return stored.enabled, None
    unread = sight.any_reason("vault")
    return (None, unread) if unread else (False, None)


def _ends_at(lease: StoredLease | None) -> tuple[str | None, str | None]:
    if lease is None:
        return "", None
    return (instant_text(lease.ends_at), None) if lease.ends_at else (None, lease.why)


def _run_out(
    lease: StoredLease | None, sight: Sight, group: ContainerGroup, binding: Binding, now: datetime
) -> tuple[bool | None, str | None]:
    """Say whether the ECR password in the group has ended.

    The group's tag, or the vault for one that reads it there, tells exactly. Without, an update restarts every container, so that
    a group whose last start is older than a lease stores a password that has ended; a later start may have been a mere restart.
    """
    if lease is None:
        return False, None
    run_out = lease.run_out(now)
    started_at = None if isinstance(binding.source, VaultReference) else last_start_at(group)
    if run_out is None and started_at is not None and now - started_at >= LEASE_TTL:
        run_out = True
    return run_out, sight.any_reason("vault") or lease.why
