"""What rotations, vault secrets and moved groups are called. Pure."""

import hashlib
import re
from collections.abc import Mapping, Sequence

from rotator.model.credential import Handle, Principal, Traits
from rotator.model.estate import STAGED_SUFFIX, TAG_PRINCIPAL, StoredSecret
from rotator.model.lease import is_lease
from rotator.rotation.rules import Rules

_VAULT_NAME_LIMIT = 127 - len(STAGED_SUFFIX)


def marker_of(principal: Principal, old: Sequence[str]) -> str:
    """Return the name of the rotation that replaces these handles: the same work planned twice has the same name."""
    return "rot-" + _digest("\n".join((principal.id, *sorted(old))), 16)


def mark_of(rotation: str, handle: str) -> str:
    """Return the tag of a group that stores this secret of this rotation.

    It names the secret and not the rotation alone: a rotation that has to make its secret again moves its groups again. A lease
    is named in full, so that the tag says when it ends after the vault has gone on to the next one.
    """
    named = f"{rotation}.{_digest(handle, 8)}"
    return f"{named}.{handle}" if is_lease(handle) else named


def rotation_of(mark: str) -> str:
    """Return the rotation that `mark_of` named."""
    return mark.partition(".")[0]


def name_of(principal: Principal, rules: Rules) -> str:
    """Return the vault secret's name: the operator's choice, or the template with what Key Vault forbids made a hyphen."""
    chosen = rules.secret_names.get(principal.id)
    if chosen:
        return chosen
    text = rules.secret_name.format(kind=principal.kind.value, registry=principal.registry, name=principal.name)
    name = re.sub(r"[^0-9A-Za-z]+", "-", text).strip("-").lower()
    if len(name) <= _VAULT_NAME_LIMIT:
        return name
    return f"{name[: _VAULT_NAME_LIMIT - 9]}-{_digest(principal.id, 8)}"


def field_name_of(group: str, key: str, field: str) -> str:
    """Return the name of the vault secret for one hidden value of a group; `key` is the group's id, `field` the value's path."""
    text = re.sub(r"[^0-9A-Za-z]+", "-", f"aci-{group}-{field}").strip("-").lower()
    return f"{text[: _VAULT_NAME_LIMIT - 9]}-{_digest(key + field, 8)}"


def stranger_in(principal: Principal, name: str, stored: Mapping[str, StoredSecret], rules: Rules) -> str:
    """Return which of the principal's two secrets, `name` and its staged one, belongs to somebody else; empty for none.

    `stored` is by name in lower case. A secret without an owner's tag is taken over only when the operator chose its name.
    """
    consumers = stored.get(name.lower())
    ours = consumers is not None and consumers.tags.get(TAG_PRINCIPAL) == principal.id
    ours = ours or rules.secret_names.get(principal.id, "").lower() == name.lower()
    for found in (consumers, stored.get((name + STAGED_SUFFIX).lower())):
        owner = found.tags.get(TAG_PRINCIPAL, "") if found else principal.id
        if found is not None and owner != principal.id and (owner or not ours):
            return found.name
    return ""


def by_hand(traits: Traits, principal: Principal) -> str:
    """Tell a person how to bring a new secret."""
    return f"{traits.made_by_hand} Then bring it: rotator import '{principal.id}'"


def handle_of(principal: Principal, text: str) -> Handle:
    """Return the handle that a text names, with its slot where it has one: `slot@instant`."""
    slot, at, _ = text.partition("@")
    return Handle(principal=principal, id=text, slot=slot if at else "")


def _digest(text: str, length: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:length]
