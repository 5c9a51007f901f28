"""What Azure refuses of a PUT, with its own codes and words (pure, except for asking what exists)."""

from collections.abc import Iterator

from rotator.sandbox.clouds.containergroups.records import Group
from rotator.sandbox.clouds.registries.images import canonical_host, parse_image
from rotator.sandbox.wire import Document, Refused, refuse

_MANY = {"containers": 60, "volumes": 20}
_OS_TYPES = ("linux", "windows")
_POLICIES = ("always", "onfailure", "never")


def check_shape(name: str, body: Document, api_version: str) -> None:
    """Refuse a document that could not be read, or that contradicts itself."""
    properties = body.get("properties")
    if not isinstance(properties, dict):
        raise _unreadable("properties", "")
    _check_containers(name, properties)
    _check_choices(name, properties)
    _check_references(name, properties)
    _check_credentials(name, body, properties, api_version)


def _unreadable(required: str, path: str) -> Refused:
    return refuse(
        400,
        "InvalidRequestContent",
        f"The request content was invalid and could not be deserialized: 'Required property '{required}' not found in "
        f"JSON. Path '{path}', line 1, position {200 + len(path)}.'.",
    )


def _check_containers(name: str, properties: Document) -> None:
    containers = properties.get("containers")
    if not isinstance(containers, list) or not containers:
        raise refuse(
            400, "InvalidContainerGroup", f"The 'containers' of container group '{name}' must have at least one element."
        )
    for kind in ("containers", "volumes"):
        if len(properties.get(kind) or []) > _MANY[kind]:
            raise refuse(400, f"TooMany{kind.title()}", f"Container group '{name}' has more than {_MANY[kind]} {kind}.")
    for kind, position, container in _each(properties):
        path = f"properties.{kind}[{position}]"
        if not container.get("name"):
            raise _unreadable("name", path)
        inner = container.get("properties")
        if not isinstance(inner, dict):
            raise _unreadable("properties", path)
        if not inner.get("image"):
            raise _unreadable("image", f"{path}.properties")
        requests = (inner.get("resources") or {}).get("requests") or {}
        if kind == "containers" and not {"cpu", "memoryingb"} <= {str(key).lower() for key in requests}:
            # Code and text: azure-docs' and learners' reports of `az container create` without --cpu and --memory.
            raise refuse(
                400,
                "ResourceRequestsNotSpecified",
                f"The resource requests are not specified in container '{container['name']}' of contain group '{name}'. Both "
                "memory and CPU requests are required since API version '2017-07-01-preview'.",
            )
    names = [container["name"] for _, _, container in _each(properties)]
    if len(set(names)) < len(names):
        raise refuse(400, "DuplicateContainerName", f"Container group '{name}' has containers of the same name.")


def _each(properties: Document) -> Iterator[tuple[str, int, Document]]:
    for kind in ("containers", "initContainers"):
        for position, container in enumerate(properties.get(kind) or []):
            yield kind, position, container


def _check_choices(name: str, properties: Document) -> None:
    if str(properties.get("osType") or "Linux").lower() not in _OS_TYPES:
        raise refuse(400, "InvalidOsType", f"The OS type '{properties['osType']}' of container group '{name}' is invalid.")
    policy = properties.get("restartPolicy")
    if policy is not None and str(policy).lower() not in _POLICIES:
        raise refuse(400, "InvalidRestartPolicy", f"The restart policy '{policy}' of container group '{name}' is invalid.")


def _check_references(name: str, properties: Document) -> None:
    """Refuse a mount of a volume that is not there and a reference to a secret that is not declared."""
    volumes = {volume.get("name") for volume in properties.get("volumes") or []}
    declared = {entry.get("name") for entry in properties.get("secretReferences") or []}
    used = [entry.get("passwordReference") for entry in properties.get("imageRegistryCredentials") or []]
    for kind, position, container in _each(properties):
        inner = container["properties"]
        for mount in inner.get("volumeMounts") or []:
            if mount.get("name") not in volumes:
                raise refuse(
                    400,
                    "VolumeMountNotFound",
                    f"The volume '{mount.get('name')}' that {kind}[{position}] of container group '{name}' mounts is not found.",
                )
        used += [variable.get("secureValueReference") for variable in inner.get("environmentVariables") or []]
    for volume in properties.get("volumes") or []:
        share = volume.get("azureFile") or {}
        used.append(share.get("storageAccountKeyReference"))
    missing = sorted({str(one) for one in used if one} - {str(one) for one in declared})
    if missing:
        raise refuse(
            400,
            "InvalidSecretReference",
            f"The secret reference '{missing[0]}' of container group '{name}' is not found in its 'secretReferences'.",
        )


def _check_credentials(name: str, body: Document, properties: Document, api_version: str) -> None:
    identity = body.get("identity") or {}
    attached = {str(one).lower() for one in identity.get("userAssignedIdentities") or {}}
    used = {parse_image(str(container["properties"]["image"])).host for _, _, container in _each(properties)}
    where = f"in the 'imageRegistryCredentials' of container group '{name}'"
    for position, entry in enumerate(properties.get("imageRegistryCredentials") or []):
        if not entry.get("server"):
            raise _unreadable("server", f"properties.imageRegistryCredentials[{position}]")
        if entry.get("identity") and api_version[:10] < "2021-07-01":
            raise refuse(
                400,
                "InvalidImageRegistryCredentialType",
                f"Identity in 'imageRegistryCredentials' of container group '{name}' is not supported.",
            )
        if bool(entry.get("identity")) == bool(entry.get("username")):
            raise refuse(
                400,
                "AmbiguousImageResitryCredentialType",  # The misspelling is Azure's.
                f"The registry credential type {where} cannot be detected. Please set exactly one of username or identity",
            )
        if entry.get("identity") and str(entry["identity"]).lower() not in attached:
            raise refuse(
                400,
                "InvalidImageRegistryIdentity",
                f"The identity {where} not found in container group identity list.",
            )
        if entry.get("username") and not entry.get("password") and not entry.get("passwordReference"):
            raise refuse(400, "InvalidImageRegistryPassword", f"The password {where} cannot be empty.")
        if canonical_host(str(entry["server"])) not in used:
            # That Azure refuses this is known from clients that had to work around it; its code is not.
            raise refuse(
                400,
                "InvalidImageRegistryServer",
                f"The registry server '{entry['server']}' {where} is not used by any image.",
            )


def check_update(group: Group, body: Document) -> None:
    """Refuse what Azure only changes by delete and create: OS type, resources, restart policy, network, zones."""
    for field, old, new in _frozen(group.document, body):
        if old != new:
            raise refuse(
                400,
                "InvalidContainerGroupUpdate",
                f"The updates on container group '{group.name}' are invalid. If you are going to update the {field} "
                f'(old "{old}", new "{new}") for a container group, you must delete it first and then create a new one.',
            )


def needs_recreation(document: Document, body: Document) -> bool:
    """Say whether an update of a group would be refused."""
    return any(old != new for _, old, new in _frozen(document, body))


def _frozen(document: Document, body: Document) -> Iterator[tuple[str, str, str]]:
    old, new = document["properties"], body["properties"]
    for field, key, default in (("OsType", "osType", "linux"), ("RestartPolicy", "restartPolicy", "always")):
        yield field, str(old.get(key) or default).lower(), str(new.get(key) or default).lower()
    yield "Resources", _resources(old), _resources(new)
    yield "NetworkProfile", _network(old), _network(new)
    # That zones are frozen too is from memory.
    yield "Zones", str(document.get("zones") or []), str(body.get("zones") or [])
    yield "Priority", str(old.get("priority") or "Regular"), str(new.get("priority") or "Regular")


def _resources(properties: Document) -> str:
    totals: dict[str, float] = {}
    kinds: set[str] = set()
    for container in properties.get("containers") or []:
        requests = ((container["properties"].get("resources") or {}).get("requests")) or {}
        for key in ("cpu", "memoryInGB"):
            totals[key] = totals.get(key, 0.0) + float(requests.get(key) or 0)
        totals["gpu"] = totals.get("gpu", 0.0) + float((requests.get("gpu") or {}).get("count") or 0)
        kinds |= {str((requests.get("gpu") or {}).get("sku") or "")} - {""}
    return ", ".join([*(f"{key} {value:g}" for key, value in totals.items()), *sorted(kinds)])


def _network(properties: Document) -> str:
    subnets = sorted(str(one.get("id", "")).lower() for one in properties.get("subnetIds") or [])
    return ",".join([str((properties.get("networkProfile") or {}).get("id") or "").lower(), *subnets])
