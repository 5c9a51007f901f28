"""The values of a group that Azure keeps and never returns, found by their absence.

Reading a group and putting it again walk the same places, so what the one lists is exactly what the other must fill.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from rotator.model.group import WriteOnlyField, registry_password
from rotator.model.image import normal_server

Object = dict[str, Any]


class Form(Enum):
    """How a value is written into a request body: as it is, or as the JSON object that its text holds."""

    TEXT = "text"
    FILES = "files"
    OBJECT = "object"


@dataclass(frozen=True, slots=True)
class Place:
    """One absent value: `holder[key]` is where it belongs in the body that was walked."""

    field: WriteOnlyField
    holder: Object
    key: str
    form: Form = Form.TEXT


def objects(value: object) -> list[Object]:
    """Return the JSON objects of a list; an absent or null list has none."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def part(holder: Mapping[str, Any], key: str) -> Object:
    """Return the JSON object under `key`, the real one when there is one, so that a change to it changes the body."""
    found = holder.get(key)
    return found if isinstance(found, dict) else {}


def places(body: Mapping[str, Any]) -> Iterator[Place]:
    """Yield every place of a group's body whose value Azure did not return.

    The rules are those of the API specification's `@secret` properties; a reference to a vault secret in place of the value
    is returned by Azure and therefore no such place. Where it cannot be told whether there is a hidden value, there is one:
    guessing wrong the other way would delete it.

    One such property is not among them: `logAnalytics.workspaceResourceId`. It is optional, hardly anybody sets it (the Azure
    CLI does not), and whether a group has it cannot be seen; holding every group that writes to a workspace would be worse. The
    workspace's id and key, by which the logs arrive, are put again.
    """
    properties = part(body, "properties")
    yield from _numbered(_environment(properties))
    yield from _numbered(_volumes(properties))
    yield from _registries(properties)
    log = part(part(properties, "diagnostics"), "logAnalytics")
    if log and not log.get("workspaceKey"):
        yield Place(WriteOnlyField("diagnostics/logAnalytics/workspaceKey"), log, "workspaceKey")
    yield from _numbered(_extensions(properties))
    yield from _policy(properties)


def _numbered(found: Iterator[Place]) -> Iterator[Place]:
    """Give each place a path of its own: two of one name may hold two values, and one value for both would lose the other."""
    seen = Counter[WriteOnlyField]()
    for place in found:
        seen[place.field] += 1
        number = seen[place.field]
        yield place if number == 1 else replace(place, field=WriteOnlyField(f"{place.field.path}#{number}"))


def _environment(properties: Object) -> Iterator[Place]:
    for kind in ("initContainers", "containers"):
        for container in objects(properties.get(kind)):
            for variable in objects(part(container, "properties").get("environmentVariables")):
                if variable.get("value") is None and not (variable.get("secureValue") or variable.get("secureValueReference")):
                    path = f"{kind}/{container.get('name', '')}/environmentVariables/{variable.get('name', '')}/secureValue"
                    yield Place(WriteOnlyField(path), variable, "secureValue")


def _volumes(properties: Object) -> Iterator[Place]:
    for volume in objects(properties.get("volumes")):
        name = volume.get("name", "")
        if _hides_files(volume):
            yield Place(WriteOnlyField(f"volumes/{name}/secret"), volume, "secret", Form.FILES)
        share = part(volume, "azureFile")
        proofs = ("storageAccountKey", "storageAccountKeyReference", "userAssignedIdentityClientId")
        if share and not any(share.get(proof) for proof in proofs):
            yield Place(WriteOnlyField(f"volumes/{name}/azureFile/storageAccountKey"), share, "storageAccountKey")


def _hides_files(volume: Object) -> bool:
    if volume.get("secretReference"):
        return False
    secret = volume.get("secret")
    # Real answers say `"secret": {}`: even the names of the files are gone.
    if isinstance(secret, dict):
        return not any(secret.values())
    # Azure takes no volume without a kind, so one that shows none has a kind that is hidden.
    return all(value is None for key, value in volume.items() if key != "name")


def _registries(properties: Object) -> Iterator[Place]:
    seen: dict[str, str] = {}
    for entry in objects(properties.get("imageRegistryCredentials")):
        if any(entry.get(proof) for proof in ("identity", "password", "passwordReference")):
            continue
        host, username = normal_server(str(entry.get("server", ""))), str(entry.get("username", ""))
        # Two entries for one service under two names (docker.io, index.docker.io) with two users have two passwords: one
        # path for both would put one user's password in the other's entry.
        doubled = seen.setdefault(host, username) != username
        path = f"imageRegistryCredentials/{host}/{username}/password" if doubled else registry_password(host).path
        yield Place(WriteOnlyField(path), entry, "password")


def _extensions(properties: Object) -> Iterator[Place]:
    for extension in objects(properties.get("extensions")):
        # One may have no protected settings at all; that cannot be told from hidden ones.
        inside = extension.get("properties")
        if isinstance(inside, dict) and not inside.get("protectedSettings"):
            path = f"extensions/{extension.get('name', '')}/protectedSettings"
            yield Place(WriteOnlyField(path), inside, "protectedSettings", Form.OBJECT)


def _policy(properties: Object) -> Iterator[Place]:
    """The enforcement policy of a confidential group. Azure is thought to return it; put without it, the group would be open."""
    if str(properties.get("sku", "")).lower() != "confidential":
        return
    inside = properties.get("confidentialComputeProperties")
    if not isinstance(inside, dict):
        yield Place(WriteOnlyField("confidentialComputeProperties"), properties, "confidentialComputeProperties", Form.OBJECT)
    elif not inside.get("ccePolicy"):
        yield Place(WriteOnlyField("confidentialComputeProperties/ccePolicy"), inside, "ccePolicy")
