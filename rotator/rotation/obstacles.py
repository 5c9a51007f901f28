"""Why a principal cannot be rotated before a person has done something. Pure."""

from collections.abc import Mapping

from rotator.model.credential import Principal, PrincipalKind, Traits
from rotator.model.estate import STAGED_SUFFIX, TAG_PRINCIPAL, Estate, StoredSecret
from rotator.model.group import VaultReference
from rotator.model.rotation import HeldCause
from rotator.rotation.naming import stranger_in
from rotator.rotation.rules import Rules
from rotator.rotation.sight import sees_secrets_of


def obstacle(
    estate: Estate, names: Mapping[str, StoredSecret], principal: Principal, secret_name: str, traits: Traits, rules: Rules
) -> tuple[str, str, HeldCause | None]:
    """Return what stands in the way, what to do about it and its class, or two empty texts and None.

    `names` is the vault by name in lower case.
    """
    claims = sorted(one.name for one in names.values() if _claims(one, principal))
    if len(claims) > 1:
        return (
            f"the vault secrets {' and '.join(claims)} both say that they hold {principal.id}",
            f"Remove the tag {TAG_PRINCIPAL} from the one that its groups do not use.",
            HeldCause.VAULT,
        )
    stranger = stranger_in(principal, secret_name, names, rules)
    if stranger:
        return (
            f"the vault's secret {stranger} is not {principal.id}'s, and would be overwritten",
            f"If it is meant to be, tag it {TAG_PRINCIPAL}={principal.id}; otherwise choose a name: rotation.secret_names",
            HeldCause.VAULT,
        )
    if not traits.listed:
        return "", "", None
    if principal.kind is PrincipalKind.ACR_ADMIN and principal.registry not in rules.admin_users:
        return (
            "the admin user may push and delete whatever the registry holds, so its password is not rotated but given up",
            f"rotator migrate --to managed-identity --only '{principal.id}'; see docs/registries/acr-admin.md",
            HeldCause.PRINCIPAL,
        )
    readers = _readers(estate, principal) if traits.slot_is_user else ()
    if readers:
        return (
            f"{', '.join(readers)} would read the next user's password beside the name of this one",
            "Such a group keeps the user name itself. Store the password in it, or give it a single user.",
            HeldCause.GROUPS,
        )
    known = estate.records.get(principal)
    if not sees_secrets_of(estate, principal):
        return f"{principal.id} could not be read", "See what could not be read at the top of the audit.", HeldCause.UNREAD
    if known is None:
        return (
            f"{principal.id} does not exist where its groups log in",
            "Create it again under this name, or give the groups another credential.",
            HeldCause.PRINCIPAL,
        )
    if known.enabled is False:
        return (
            f"{principal.id} is disabled: a new secret would not work either",
            "Enable it, or give the groups another credential.",
            HeldCause.PRINCIPAL,
        )
    return "", "", None


def _readers(estate: Estate, principal: Principal) -> tuple[str, ...]:
    """Name the groups, also those outside the scope, that read the principal's password from the vault."""
    return tuple(
        group.id.name
        for group in (*estate.groups, *estate.bystanders)
        if any(one.principal == principal and isinstance(one.source, VaultReference) for one in group.bindings)
    )


def _claims(stored: StoredSecret, principal: Principal) -> bool:
    return stored.tags.get(TAG_PRINCIPAL) == principal.id and not stored.name.endswith(STAGED_SUFFIX)
