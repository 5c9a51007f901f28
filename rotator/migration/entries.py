"""Whether one registry entry of a group can do without a stored password, and why not. Pure."""

from dataclasses import dataclass

from rotator.migration.choices import Choices
from rotator.model.credential import Principal, PrincipalKind
from rotator.model.estate import TAG_ROTATION, Estate, Registry
from rotator.model.group import Binding, ContainerGroup, Inline, ManagedIdentity, VaultReference
from rotator.model.migration import Change, Goal, Grant

# Facts 3.2: a registry honours either the first or the second, by its mode.
ACR_PULL = "7f951dda-4ed3-4680-a7ca-43fe172d538d"
REPOSITORY_READER = "b93aa761-3e63-49ed-ac28-beffa264f7ac"
SECRETS_USER = "4633458b-17de-408a-b874-0445c86b69e6"

_AZURE = {PrincipalKind.ACR_TOKEN, PrincipalKind.ACR_ADMIN, PrincipalKind.ACR_REFRESH_TOKEN, PrincipalKind.ENTRA_APP}
_BROUGHT = {PrincipalKind.GHCR, PrincipalKind.OTHER}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What an entry is judged by. `vault` is the vault's URL; `any_identity` asks what is possible, with whichever identity."""

    goal: Goal
    choices: Choices
    vault: str
    any_identity: bool = False


def candidates(group: ContainerGroup, rules: Rules) -> tuple[Binding, ...]:
    """Return the entries that store, or refer to, a password that the goal would do away with."""
    wanted = (Inline, VaultReference) if rules.goal is Goal.MANAGED_IDENTITY else (Inline,)
    return tuple(one for one in group.bindings if isinstance(one.source, wanted) and one.principal is not None)


def change_of(group: ContainerGroup, binding: Binding, estate: Estate, rules: Rules) -> Change | str:
    """Return what becomes of an entry, or the sentence that says why it cannot move."""
    if binding.principal is None or not isinstance(binding.source, Inline | VaultReference):
        return f"its entry for {binding.registry} authenticates as nobody who is known"
    if sum(other.registry == binding.registry for other in group.bindings) > 1:
        return f"it has two entries for {binding.registry}, which Azure tells apart by their position alone; remove one"
    why = _not_azure(binding, estate) if rules.goal is Goal.MANAGED_IDENTITY else _not_in_vault(binding.principal, estate)
    identity = rules.choices.identity_for(group.id, binding.registry)
    if not why and not identity and not rules.any_identity:
        why = f"no identity is named for {binding.registry}; give --identity, or set migration.identity"
    if why:
        return why
    stored = estate.secrets_of.get(binding.principal.id)
    return Change(
        registry=binding.registry,
        principal=binding.principal,
        before=binding.source,
        after=_after(binding.source, binding.principal, identity, estate, rules),
        images=tuple(str(image) for image in binding.images),
        way_back=stored.name if stored and stored.enabled else "",
        mark=stored.tags.get(TAG_ROTATION, "") if stored else "",
    )


def grant_of(change: Change, estate: Estate, rules: Rules) -> Grant:
    """Return the role that the new entry's identity needs."""
    if isinstance(change.after, VaultReference):
        vault = rules.choices.vault_id
        name = vault.rpartition("/")[2]
        return Grant(
            identity=change.after.identity, role=SECRETS_USER, role_name="Key Vault Secrets User", scope=vault, what=name
        )
    registry = estate.registry_of[change.registry]
    assert isinstance(change.after, ManagedIdentity)  # noqa: S101 - change_of makes no other
    role, name = (REPOSITORY_READER, "Container Registry Repository Reader") if registry.abac else (ACR_PULL, "AcrPull")
    return Grant(identity=change.after.identity, role=role, role_name=name, scope=registry.id.text, what=registry.name)


def _after(
    before: Inline | VaultReference, principal: Principal, identity: str, estate: Estate, rules: Rules
) -> ManagedIdentity | VaultReference:
    if rules.goal is Goal.MANAGED_IDENTITY:
        return ManagedIdentity(identity, attached=True)
    name = estate.secrets_of[principal.id].name
    # Without a version, so that it follows every rotation.
    return VaultReference(before.username, f"{rules.vault.rstrip('/')}/secrets/{name}", identity)


def _not_azure(binding: Binding, estate: Estate) -> str:
    host, registry = binding.registry, estate.registry_of.get(binding.registry)
    if registry is not None:
        return _shut(registry)
    if binding.principal is not None and binding.principal.kind in _AZURE:
        return (
            f"the registry {host} is in no subscription in scope, so that no role can be seen or given there; "
            "an identity of another tenant could not pull from it at all"
        )
    return f"{host} is no Azure registry, and Azure's identities are accepted by those alone; a vault reference is possible"


def _shut(registry: Registry) -> str:
    restricted = registry.closed is True
    if restricted and not (registry.trusted_services and registry.sku.lower() == "premium"):
        return (
            f"the network rules of {registry.login_server} shut Azure out; "
            "an identity gets in only on the Premium tier with trusted services allowed"
        )
    return ""


def _not_in_vault(principal: Principal, estate: Estate) -> str:
    if principal.kind is PrincipalKind.ACR_REFRESH_TOKEN:
        return "a refresh token ends after three hours wherever it is stored; move to a managed identity"
    if principal.kind is PrincipalKind.QUAY_PAIR:
        return "robots that take turns change the user name, which stands in the group itself; a single robot could be read"
    stored = estate.secrets_of.get(principal.id)
    if stored is None:
        verb = "import" if principal.kind in _BROUGHT else "rotate --force --only"
        return f"the password of {principal.id} is not in the vault; first: rotator {verb} '{principal.id}'"
    if not stored.enabled:
        return f"the vault's secret {stored.name} is disabled, so that no group could read it; enable its newest version"
    return ""
