"""Where a group's hidden values come from: the vault's versions behind a file's references, and the tags that remember them."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rotator.azure.groupbody import read_group
from rotator.deployment.references import Holder, Reference
from rotator.deployment.slots import without_values
from rotator.deployment.template import Template
from rotator.model.credential import Principal
from rotator.model.estate import STAGED_SUFFIX, TAG_PRINCIPAL, TAG_ROTATION, StoredSecret
from rotator.model.group import GROUP_TAG_PREFIX, Binding, ContainerGroup, Inline, VaultReference, registry_password
from rotator.ports import SecretStore
from rotator.rotation.consumers import Target

DEPLOYED = f"{GROUP_TAG_PREFIX}deployed"
"""The tag of a group that was put from a file: when, and which versions of its hidden values.

Azure never shows a hidden value, so without it nobody could tell whether a file was put already, nor, when the answer to a PUT
was lost, whether the PUT took effect.
"""
NO_SOURCES = "none"
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
NOBODY = Principal.parse("other:nowhere/nobody")


def looked_up(vault: SecretStore, template: Template, now: datetime) -> dict[str, StoredSecret]:
    """Return the version that each vault reference stands for; ConfigError where the vault has none that may be used."""
    found = {}
    for reference in template.references:
        if reference.holder is Holder.VAULT:
            stored = vault.look(reference.name)
            why = _unusable(reference.name, stored, vault.address, now)
            if why or stored is None:
                where = f"vault secret {reference.name} {why}"
                raise template.error(where, reference.at, "Correct the name, or put the value into the vault.")
            found[reference.name] = stored
    return found


def _unusable(name: str, stored: StoredSecret | None, vault: str, now: datetime) -> str:
    if name.endswith(STAGED_SUFFIX):
        return "is staged: it is not verified, and its consumers read the one without the suffix"
    if stored is None:
        return f"does not exist in {vault}"
    if not stored.enabled:
        return f"is disabled in {vault}"
    if stored.expires_at is not None and stored.expires_at <= now:
        return f"expired on {stored.expires_at:%Y-%m-%d}"
    return ""


def bindings_of(document: Mapping[str, Any]) -> Sequence[Binding]:
    """Return the registry entries of a document."""
    return read_group(without_values(document), datetime.min.replace(tzinfo=UTC)).bindings


def password_of(template: Template, binding: Binding) -> Reference | None:
    """Return the reference that stands for the password of a registry entry."""
    field = registry_password(binding.registry)
    return next((one for one in template.references if one.slot.field == field), None)


def tags_of(
    template: Template, stored: Mapping[str, StoredSecret], vault: SecretStore, current: ContainerGroup | None
) -> dict[str, str]:
    """Return the file's tags, and for each registry the mark of the rotation whose secret the group will store.

    Like a cutover: without it the next rotation would take the group for one that stores an older secret. What a migration
    wrote about an entry without a stored password stays.
    """
    tags = {name: value for name, value in template.document["tags"].items() if not name.startswith(GROUP_TAG_PREFIX)}
    for binding in bindings_of(template.document):
        name = GROUP_TAG_PREFIX + binding.registry
        if isinstance(binding.source, Inline):
            reference = password_of(template, binding)
            mark = _mark(stored.get(reference.name)) if reference else ""
        else:
            mark = _mark(_referred(vault, binding.source)) if isinstance(binding.source, VaultReference) else ""
            mark = mark or (current.tags.get(name, "") if current else "")
        if mark:
            tags[name] = mark
    return tags


def _referred(vault: SecretStore, source: VaultReference) -> StoredSecret | None:
    name = source.secret_url.split("/secrets/", 1)[-1].strip("/")
    target = Target(principal=NOBODY, mark="", secret_name=name, vault=vault.address)
    return vault.look(name) if target.is_read_by(source) else None


def _mark(stored: StoredSecret | None) -> str:
    if stored is None or TAG_PRINCIPAL not in stored.tags:
        return ""
    # A secret that rotator did not make has no mark: a group that stores it is known by having none.
    return stored.tags.get(TAG_ROTATION, "")


def sources_of(template: Template, stored: Mapping[str, StoredSecret]) -> str:
    """Return a short text that is another one as soon as a reference stands for another version.

    NO_SOURCES where everything that Azure hides is told by other tags; empty where nothing can tell.

    A registry's password that a rotation made is left out: its own tag tells, and a rotation changes that without this one.
    The keys of storage accounts and workspaces have no versions.
    """
    if any(one.holder is not Holder.VAULT for one in template.references):
        return ""
    marked = {
        id(reference)
        for binding in bindings_of(template.document)
        if isinstance(binding.source, Inline) and (reference := password_of(template, binding)) and _mark(stored[reference.name])
    }
    lines = [f"{one.at} {one} {stored[one.name].version}" for one in template.references if id(one) not in marked]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16] if lines else NO_SOURCES


def deployed_tag(sources: str, at: datetime) -> str:
    """Return the value of the tag DEPLOYED; no two instants have one value."""
    return f"{at.astimezone(UTC).isoformat()} {sources or 'unknown'}"


def deployed_at(tags: Mapping[str, str], sources: str) -> datetime | None:
    """Return since when a group with these tags has these very sources; None when it has not, or that is not known."""
    at, _, known = tags.get(DEPLOYED, "").partition(" ")
    if not sources or known != sources:
        return _LONG_AGO if sources == NO_SOURCES else None
    try:
        return datetime.fromisoformat(at)
    except ValueError:
        return None
