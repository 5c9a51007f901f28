"""What the service knows of a container group's document: which property came when, what is never shown (pure).

Paths leave out positions in lists: `properties.containers.properties.image`.
"""

import copy

from rotator.sandbox.wire import Document

_FIRST = "2017-08-01"
_CONTAINER: dict[str, str] = {
    "name": _FIRST,
    "properties": _FIRST,
    "properties.image": _FIRST,
    "properties.command": _FIRST,
    "properties.ports.*": _FIRST,
    "properties.environmentVariables": _FIRST,
    "properties.environmentVariables.name": _FIRST,
    "properties.environmentVariables.value": _FIRST,
    "properties.environmentVariables.secureValue": "2018-06-01",
    "properties.environmentVariables.secureValueReference": "2025-09-01",
    "properties.volumeMounts.*": _FIRST,
    "properties.resources.*": _FIRST,
    "properties.livenessProbe.*": "2018-09-01",
    "properties.readinessProbe.*": "2018-09-01",
    "properties.securityContext.*": "2022-10-01",
    "properties.configMap.*": "2024-05-01",
}
_GROUP: dict[str, str] = {
    "id": _FIRST,
    "name": _FIRST,
    "type": _FIRST,
    "location": _FIRST,
    "tags.*": _FIRST,
    "zones.*": "2021-09-01",
    "identity.*": "2018-10-01",
    "properties": _FIRST,
    "properties.osType": _FIRST,
    "properties.restartPolicy": _FIRST,
    "properties.ipAddress.*": _FIRST,
    "properties.provisioningState": _FIRST,
    "properties.instanceView.*": _FIRST,
    "properties.containers": _FIRST,
    "properties.initContainers": "2019-12-01",
    "properties.imageRegistryCredentials": _FIRST,
    "properties.imageRegistryCredentials.server": _FIRST,
    "properties.imageRegistryCredentials.username": _FIRST,
    "properties.imageRegistryCredentials.password": _FIRST,
    "properties.imageRegistryCredentials.identity": "2021-07-01",
    "properties.imageRegistryCredentials.identityUrl": "2021-07-01",
    "properties.imageRegistryCredentials.passwordReference": "2025-09-01",
    "properties.imageRegistryCredentials.isDelegatedIdentity": "2023-05-01",
    "properties.volumes": _FIRST,
    "properties.volumes.name": _FIRST,
    "properties.volumes.emptyDir.*": _FIRST,
    "properties.volumes.secret.*": _FIRST,
    "properties.volumes.gitRepo.*": _FIRST,
    "properties.volumes.secretReference.*": "2025-09-01",
    "properties.volumes.azureFile": _FIRST,
    "properties.volumes.azureFile.shareName": _FIRST,
    "properties.volumes.azureFile.readOnly": _FIRST,
    "properties.volumes.azureFile.storageAccountName": _FIRST,
    "properties.volumes.azureFile.storageAccountKey": _FIRST,
    "properties.volumes.azureFile.storageAccountKeyReference": "2025-09-01",
    "properties.volumes.azureFile.userAssignedIdentityClientId": "2026-07-01",
    "properties.diagnostics.*": "2018-06-01",
    "properties.networkProfile.*": "2018-09-01",
    "properties.dnsConfig.*": "2018-10-01",
    "properties.sku": "2019-12-01",
    "properties.encryptionProperties.*": "2020-11-01",
    "properties.subnetIds.*": "2021-07-01",
    "properties.extensions.*": "2022-09-01",
    "properties.priority": "2022-10-01",
    "properties.confidentialComputeProperties.*": "2022-10-01",
    "properties.provisioningTimeoutInSeconds": "2023-05-01",
    "properties.isCustomProvisioningTimeout": "2023-05-01",
    "properties.containerGroupProfile.*": "2024-05-01",
    "properties.standbyPoolProfile.*": "2024-05-01",
    "properties.isCreatedFromStandbyPool": "2024-05-01",
    "properties.secretReferences.*": "2025-09-01",
    "properties.identityAcls.*": "2025-09-01",
}


def _table() -> tuple[dict[str, str], dict[str, str]]:
    """Return the exact paths, and those below which everything is free."""
    exact, free = {}, {}
    nested = {f"properties.{kind}.{path}": at for kind in ("containers", "initContainers") for path, at in _CONTAINER.items()}
    for path, since in {**nested, **_GROUP}.items():
        if path.endswith(".*"):
            free[path[:-2]] = since
        else:
            exact[path] = since
    return exact, free


_EXACT, _FREE = _table()


def visible(document: Document, api_version: str, written_with: str) -> Document:
    """Return what a GET with `api_version` shows: newer properties are left out.

    A property that the sandbox does not know counts as added by the api-version it was last written with.
    """
    asked, written = api_version[:10], written_with[:10]

    def walk(value: object, path: str) -> object:
        if isinstance(value, list):
            return [walk(item, path) for item in value]
        if not isinstance(value, dict):
            return value
        kept = {}
        for key, item in value.items():
            below = f"{path}.{key}" if path else key
            if below in _FREE:
                if _FREE[below] <= asked:
                    kept[key] = item
            elif _EXACT.get(below, written) <= asked:
                kept[key] = walk(item, below)
        return kept

    return _as_document(walk(document, ""))


def without_secrets(document: Document) -> Document:
    """Return a copy without the fields that no answer ever contains; of secret volumes not even the names."""
    shown = copy.deepcopy(document)
    properties = shown["properties"]
    for kind in ("containers", "initContainers"):
        for container in properties.get(kind) or []:
            for variable in container.get("properties", {}).get("environmentVariables") or []:
                variable.pop("secureValue", None)
    for entry in properties.get("imageRegistryCredentials") or []:
        entry.pop("password", None)
    for volume in properties.get("volumes") or []:
        if volume.get("secret") is not None:
            volume["secret"] = {}
        if isinstance(volume.get("azureFile"), dict):
            volume["azureFile"].pop("storageAccountKey", None)
    workspace = (properties.get("diagnostics") or {}).get("logAnalytics")
    if isinstance(workspace, dict):
        for key in ("workspaceKey", "workspaceResourceId"):
            workspace.pop(key, None)
    for extension in properties.get("extensions") or []:
        (extension.get("properties") or {}).pop("protectedSettings", None)
    return shown


_READ_ONLY = ("provisioningState", "instanceView", "isCreatedFromStandbyPool")


def stored(body: Document) -> Document:
    """Return what the service keeps of a PUT: everything that is not its own to write.

    The undocumented properties that it adds to answers are taken back in silence, as clients that re-submit an
    export rely on.
    """
    kept = {key: value for key, value in _without_nulls(body).items() if key not in ("id", "name", "type", "systemData")}
    properties = kept.setdefault("properties", {})
    for key in _READ_ONLY:
        properties.pop(key, None)
    if not properties.get("isCustomProvisioningTimeout"):
        properties.pop("provisioningTimeoutInSeconds", None)
        properties.pop("isCustomProvisioningTimeout", None)
    for kind in ("containers", "initContainers"):
        for container in properties.get(kind) or []:
            container.get("properties", {}).pop("instanceView", None)
            _spell(container.get("properties", {}))
    for entry in properties.get("imageRegistryCredentials") or []:
        if entry.get("isDelegatedIdentity") is False:
            entry.pop("isDelegatedIdentity")
    for key in ("ip", "fqdn"):
        (properties.get("ipAddress") or {}).pop(key, None)
    identity = kept.get("identity")
    if isinstance(identity, dict):
        for key in ("principalId", "tenantId"):
            identity.pop(key, None)
        named = identity.get("userAssignedIdentities")
        if isinstance(named, dict):
            identity["userAssignedIdentities"] = {key: {} for key in named}
    if properties.get("sku") == "Standard":
        properties.pop("sku")
    return kept


def _as_document(value: object) -> Document:
    if not isinstance(value, dict):
        raise TypeError("a document is a JSON object")
    return value


def _without_nulls(document: Document) -> Document:
    """Return a copy in which a property that is null is absent."""

    def walk(value: object) -> object:
        if isinstance(value, dict):
            return {key: walk(item) for key, item in value.items() if item is not None}
        return [walk(item) for item in value] if isinstance(value, list) else value

    return _as_document(walk(document))


def _spell(container: Document) -> None:
    """Write the names of resources as the service does: it reads `memoryInGb` as well."""
    names = {"cpu": "cpu", "memoryingb": "memoryInGB", "gpu": "gpu"}
    requests = (container.get("resources") or {}).get("requests")
    if isinstance(requests, dict):
        container["resources"]["requests"] = {names.get(key.lower(), key): value for key, value in requests.items()}
