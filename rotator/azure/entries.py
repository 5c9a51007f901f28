"""Replacing the way in which a group's registry entries authenticate, inside the body that is about to be put. Pure."""

import re
from collections.abc import Mapping

from rotator.azure.writeonly import Object, objects, part
from rotator.model.arm import ArmId
from rotator.model.group import Absent, Inline, ManagedIdentity, Source, VaultReference
from rotator.model.image import normal_server

_AUTHENTICATION = ("username", "password", "passwordReference", "identity")


def replace_entries(document: Object, entries: Mapping[str, Source]) -> None:
    """Change registry entries by normalised host; an entry never keeps a part of the way it had before.

    Azure refuses an entry with both a user name and an identity (AmbiguousImageResitryCredentialType), an identity that the
    group does not carry (InvalidImageRegistryIdentity), and a reference that is not declared.
    """
    properties = part(document, "properties")
    left = set()
    for entry in objects(properties.get("imageRegistryCredentials")):
        host = normal_server(str(entry.get("server", "")))
        source = entries.get(host)
        if source is None or isinstance(source, Absent):
            continue
        if entry.get("passwordReference") == reference_name(host) and not isinstance(source, VaultReference):
            left.add(reference_name(host))
        for key in _AUTHENTICATION:
            entry.pop(key, None)
        match source:
            case Inline(username):
                entry["username"] = username
            case ManagedIdentity(identity):
                entry["identity"] = identity
                _attach(document, identity)
            case VaultReference(username, url, identity):
                entry.update(username=username, passwordReference=reference_name(host))
                _declare(properties, reference_name(host), url, identity)
                _attach(document, identity)
    if left:
        _forget(properties, left)


def reference_name(host: str) -> str:
    """Return the name of the secret reference that holds a registry's password."""
    return "rotator-" + re.sub(r"[^a-z0-9]+", "-", host.lower()).strip("-")


def _attach(document: Object, identity: str) -> None:
    own = part(document, "identity")
    document["identity"] = own
    attached = part(own, "userAssignedIdentities")
    own["userAssignedIdentities"] = attached
    if ArmId(identity) not in {ArmId(one) for one in attached}:
        attached[identity] = {}
    own["type"] = "SystemAssigned, UserAssigned" if "systemassigned" in str(own.get("type", "")).lower() else "UserAssigned"


def _declare(properties: Object, name: str, url: str, identity: str) -> None:
    others = [one for one in objects(properties.get("secretReferences")) if one.get("name") != name]
    properties["secretReferences"] = [*others, {"name": name, "identity": identity, "secretReferenceUri": url}]


def _forget(properties: Object, names: set[str]) -> None:
    """Drop a reference that this program declared and nothing uses any more. What somebody else declared is theirs, and stays."""
    kept = [one for one in objects(properties.get("secretReferences")) if one.get("name") not in names]
    if kept:
        properties["secretReferences"] = kept
    else:
        properties.pop("secretReferences", None)
