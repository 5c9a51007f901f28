"""What Azure would refuse of a group's file, found before anything is sent. Pure; quotes no value that could be a secret.

Types and choices are those of the API's specification (Microsoft.ContainerInstance, 2026-07-01), limits those of
learn.microsoft.com/azure/container-instances/container-instances-resource-and-quota-limits.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from rotator.azure.writeonly import Object, objects, part
from rotator.deployment.schema import GROUP, Keys
from rotator.deployment.slots import Path
from rotator.model.arm import ArmId
from rotator.model.image import ImageReference, normal_server

_LISTS = frozenset(
    "containers initContainers imageRegistryCredentials volumes subnetIds secretReferences extensions ports"  # noqa: SIM905
    " environmentVariables volumeMounts".split()
)
_CHOICES: Mapping[str, Sequence[str]] = {
    "osType": ("Linux", "Windows"),
    "restartPolicy": ("Always", "OnFailure", "Never"),
    "priority": ("Regular", "Spot"),
    "protocol": ("TCP", "UDP"),
}
_MOST = {"containers": 60, "volumes": 20}
_MOST_PORTS = 5
_KINDS = ("initContainers", "containers")
_REFERENCES = ("passwordReference", "secureValueReference", "storageAccountKeyReference", "secretReference")


class Wrong(NamedTuple):
    """One fault: a sentence, where it is, and what to do."""

    message: str
    at: Path
    advice: str


def wrongs(whole: Object) -> Iterator[Wrong]:
    """Yield what is wrong, the most basic first; whoever reads on after the first one must expect wrong types."""
    properties = part(whole, "properties")
    zones = whole.get("zones") or []
    if not isinstance(zones, list) or not all(isinstance(one, str) for one in zones):
        yield Wrong("zones are no list of texts", ("zones",), 'For example zones: ["1"].')
    yield from _types(whole, GROUP, ())
    yield from _containers(properties)
    yield from _numbers(properties)
    yield from _names(properties)
    yield from _registries(whole, properties)


def _types(value: Any, keys: "Keys | None", at: Path) -> Iterator[Wrong]:  # noqa: ANN401 - whatever JSON holds
    if isinstance(value, list):
        for position, item in enumerate(value):
            yield from _types(item, keys, (*at, position))
    elif isinstance(value, dict) and keys is not None:
        for key, item in value.items():
            if item is None or key not in keys:
                continue
            here = (*at, key)
            if key in _LISTS and not (isinstance(item, list) and all(isinstance(one, dict) for one in item)):
                yield Wrong(f"{key} is no list of mappings", here, "Begin each element with a dash, and write key: value below.")
            elif key not in _LISTS and keys[key] is not None and not isinstance(item, dict):
                yield Wrong(f"{key} is no mapping", here, "Write key: value, one a line, indented below it.")
            elif key in _CHOICES and str(item).lower() not in {one.lower() for one in _CHOICES[key]}:
                yield Wrong(f"this {key} is unknown", here, f"Write {' or '.join(_CHOICES[key])}.")
            yield from _types(item, keys[key], here)


def _containers(properties: Object) -> Iterator[Wrong]:
    if not objects(properties.get("containers")):
        yield Wrong("the group has no containers", ("properties", "containers"), "Write at least one.")
    for kind, most in _MOST.items():
        number = len(objects(properties.get(kind)))
        if number > most:
            yield Wrong(f"the group has {number} {kind}; Azure takes {most}", ("properties", kind), "Make two groups of it.")
    for at, container in _each(properties):
        inside = part(container, "properties")
        if not isinstance(container.get("name"), str) or not container["name"]:
            yield Wrong("a container has no name", at, "Name it; put a name of digits into quotes.")
        if not isinstance(inside.get("image"), str) or not inside["image"]:
            yield Wrong(f"container {container.get('name')} has no image", at, "Name one.")
        for number, variable in enumerate(objects(inside.get("environmentVariables"))):
            for key in ("value", "secureValue"):
                if not isinstance(variable.get(key, ""), str):
                    here = (*at, "properties", "environmentVariables", number, key)
                    yield Wrong(f"the {key} of a variable is no text", here, "Put it into quotes.")


def _each(properties: Object) -> Iterator[tuple[Path, Object]]:
    for kind in _KINDS:
        for position, container in enumerate(objects(properties.get(kind))):
            yield ("properties", kind, position), container


def _numbers(properties: Object) -> Iterator[Wrong]:
    # A group made from a profile takes from it what its file leaves out.
    alone = not properties.get("containerGroupProfile")
    for at, container in _each(properties):
        inside = part(container, "properties")
        requests = part(part(inside, "resources"), "requests")
        for key in ("cpu", "memoryInGB"):
            if key not in requests and at[1] == "containers" and alone:
                yield Wrong(
                    f"container {container.get('name')} asks for no {key}",
                    at,
                    "Write resources: {requests: {cpu: 1, memoryInGB: 1}}.",
                )
            elif key in requests and not _is_number(requests[key]):
                here = (*at, "properties", "resources", "requests", key)
                yield Wrong(f"{key} is no number above zero", here, "For example 0.5 or 2; without quotes.")
        yield from _ports(inside.get("ports"), (*at, "properties", "ports"))
    address = properties.get("ipAddress")
    if isinstance(address, dict):
        at = ("properties", "ipAddress")
        if str(address.get("type", "")).lower() not in {"public", "private"}:
            yield Wrong("the type of the address is unknown", (*at, "type"), "Write Public or Private.")
        yield from _ports(address.get("ports"), (*at, "ports"))
        if len(objects(address.get("ports"))) > _MOST_PORTS:
            yield Wrong(f"the address has more than {_MOST_PORTS} ports", (*at, "ports"), "Azure takes no more.")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def _ports(ports: object, at: Path) -> Iterator[Wrong]:
    for position, one in enumerate(objects(ports)):
        port = one.get("port")
        if not isinstance(port, int) or isinstance(port, bool) or not 0 < port < 65536:
            yield Wrong("this is no port", (*at, position, "port"), "A number from 1 to 65535, without quotes.")


def _names(properties: Object) -> Iterator[Wrong]:
    """What refers to something by a name: it must be there once."""
    twice = [name for name, times in Counter(str(one.get("name")) for _, one in _each(properties)).items() if times > 1]
    if twice:
        yield Wrong(f"two containers are called {twice[0]}", ("properties", "containers"), "Name each differently.")
    volumes = {one.get("name") for one in objects(properties.get("volumes"))}
    for at, container in _each(properties):
        for position, mount in enumerate(objects(part(container, "properties").get("volumeMounts"))):
            if mount.get("name") not in volumes:
                where = (*at, "properties", "volumeMounts", position)
                yield Wrong(f"the volume {mount.get('name')} is mounted and not there", where, "Add it under volumes:.")
    declared = {one.get("name") for one in objects(properties.get("secretReferences"))}
    for at, key, name in _references(properties, ("properties",)):
        if name not in declared:
            yield Wrong(f"{key} {name} is not among secretReferences", at, "Add it there, with its identity and its address.")


def _references(value: object, at: Path) -> Iterator[tuple[Path, str, object]]:
    if isinstance(value, dict):
        for key, item in value.items():
            if key in _REFERENCES and item:
                yield (*at, key), key, item
            yield from _references(item, (*at, key))
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from _references(item, (*at, position))


def _registries(whole: Object, properties: Object) -> Iterator[Wrong]:
    images = [part(container, "properties").get("image") for _, container in _each(properties)]
    used = {ImageReference.parse(image).server for image in images if isinstance(image, str) and image}
    attached = {ArmId(one) for one in part(part(whole, "identity"), "userAssignedIdentities")}
    for position, entry in enumerate(objects(properties.get("imageRegistryCredentials"))):
        where: Path = ("properties", "imageRegistryCredentials", position)
        if not entry.get("server"):
            yield Wrong("a registry entry has no server", where, "Name the registry's login server.")
            continue
        host = normal_server(str(entry["server"]))
        if host not in used:
            yield Wrong(f"no image comes from {host}: Azure refuses such an entry", where, "Remove it.")
        if bool(entry.get("identity")) == bool(entry.get("username")):
            why = "has both a username and an identity" if entry.get("identity") else "has neither a username nor an identity"
            yield Wrong(f"the entry for {host} {why}", where, "Azure takes exactly one of them.")
        if entry.get("identity") and ArmId(str(entry["identity"])) not in attached:
            yield Wrong(f"the entry for {host} names an identity that the group does not have", where, "Add it under identity:.")
