"""<name>.vault.azure.net: secrets as api-version 7.4 and the dated ones after it show them; and vaults as ARM shows them."""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlencode

from rotator.sandbox.clouds import management
from rotator.sandbox.clouds.keyvault import rules
from rotator.sandbox.clouds.keyvault.records import Secret, SecretVersion, Vault
from rotator.sandbox.wire import Document, Handler, Reply, Request, Route, Window, paging, refuse, throttled

if TYPE_CHECKING:
    from rotator.sandbox.world import World

_HOSTS = ("*.vault.azure.net", "*.vault.azure.cn", "*.vault.usgovcloudapi.net")
_LEVEL = "Recoverable+Purgeable"
_Thing = TypeVar("_Thing")


# --- documents ----------------------------------------------------------------------------------------------------


def _epoch(at: datetime) -> int:
    return int(at.timestamp())


def _item(vault: Vault, version: SecretVersion, secret_id: str) -> Document:
    attributes: Document = {"enabled": version.enabled}
    if version.not_before_at:
        attributes["nbf"] = _epoch(version.not_before_at)
    if version.expires_at:
        attributes["exp"] = _epoch(version.expires_at)
    attributes |= {
        "created": _epoch(version.created_at),
        "updated": _epoch(version.updated_at),
        "recoveryLevel": _LEVEL,
        "recoverableDays": vault.retention.days,
    }
    item: Document = {"id": secret_id, "attributes": attributes, "tags": version.tags}
    if version.content_type is not None:
        item["contentType"] = version.content_type
    return item


def _bundle(vault: Vault, version: SecretVersion, *, reveal: bool) -> Document:
    item = _item(vault, version, vault.secret_id(version.name, version.version))
    return {"value": version.value, **item} if reveal else item


def _deleted(vault: Vault, secret: Secret, *, versioned: bool) -> Document:
    current = secret.current
    deleted_at = secret.deleted_at or current.updated_at
    return {
        "recoveryId": vault.secret_id(secret.name, collection="deletedsecrets"),
        "deletedDate": _epoch(deleted_at),
        "scheduledPurgeDate": _epoch(deleted_at + vault.retention),
        **_item(vault, current, vault.secret_id(secret.name, current.version if versioned else "")),
    }


# --- before every operation ---------------------------------------------------------------------------------------


def _enter(world: "World", request: Request, action: str, *, rule: Window = rules.OTHERS) -> Vault:
    """Find the vault, take one of its requests and demand the role."""
    vault = world.vaults.of_host(request.host)
    if vault is None:
        raise refuse(404, "VaultNotFound", f"The vault of {request.host} does not exist.")
    name = request.params.get("name", "")
    if not world.options.quiet:
        wait, _ = world.limits.take(("vault", vault.name, str(rule.limit)), rule, world.now())
        if wait:
            world.events.append("vault.throttled", vault=vault.name)
            # Key Vault does not promise a Retry-After: a client has to back off by itself.
            raise throttled(
                wait,
                "Throttled",
                "Request was not processed because too many requests were received. Reason: VaultRequestTypeLimitReached",
                retry_after=False,
            )
    if name:
        rules.check_name(name)
    world.vaults.sweep(vault)
    world.vaults.demand(vault, request.known_caller.object_id, action, name)
    return vault


def _living(vault: Vault, name: str) -> Secret:
    secret = vault.secrets.get(name.lower())
    if secret is None or secret.deleted_at:
        raise rules.not_found(name)
    return secret


def _in_soft_delete(vault: Vault, name: str) -> Secret:
    secret = vault.secrets.get(name.lower())
    if secret is None or not secret.deleted_at:
        raise rules.deleted_not_found(name)
    return secret


def _page(vault: Vault, things: Sequence[_Thing], render: Callable[[_Thing], Document], request: Request) -> Reply:
    asked = request.query.get("maxresults", str(rules.PAGE))
    if not asked.isdigit() or not 1 <= int(asked) <= rules.PAGE:
        raise rules.bad(f"The maxresults parameter must be between 1 and {rules.PAGE}.")
    skipped = request.query.get("$skiptoken", "0")
    if not skipped.isdigit():
        raise rules.bad("The $skiptoken parameter is invalid.")
    start, end = int(skipped), int(skipped) + int(asked)
    link = None
    if end < len(things):
        # The port is spelt out in Key Vault's own links.
        host = request.host if vault.host != request.host.lower() else f"{vault.host}:443"
        link = f"https://{host}{request.path}?{urlencode({**request.query, '$skiptoken': str(end)})}"
    return Reply(200, {"value": [render(thing) for thing in things[start:end]], "nextLink": link})


# --- handlers -----------------------------------------------------------------------------------------------------


def set_secret(world: "World", request: Request) -> Reply:
    """Store a new version."""
    vault = _enter(world, request, "setSecret/action", rule=rules.CREATES)
    body, name = request.json(), request.params["name"]
    rules.check_body(body, value_demanded=True)
    known = vault.secrets.get(name.lower())
    if known is not None and known.deleted_at:
        raise rules.still_deleted(name)
    attributes = body.get("attributes") or {}
    world.vaults.set_secret(
        vault.name,
        name,
        body["value"],
        tags=body.get("tags"),
        content_type=body.get("contentType"),
        expires_at=rules.instant(attributes, "exp"),
        not_before_at=rules.instant(attributes, "nbf"),
        enabled=attributes.get("enabled", True),
    )
    return Reply(200, _bundle(vault, vault.secrets[name.lower()].current, reveal=True))


def get_secret(world: "World", request: Request) -> Reply:
    """Return the value of the newest or of one version."""
    vault = _enter(world, request, "getSecret/action")
    name, version = request.params["name"], request.params.get("version", "")
    return Reply(200, _bundle(vault, rules.readable(vault.secrets.get(name.lower()), name, version), reveal=True))


def update_secret(world: "World", request: Request) -> Reply:
    """Change attributes and tags of the newest or of one version; the value never changes."""
    vault = _enter(world, request, "update/action")
    body, name, number = request.json(), request.params["name"], request.params.get("version", "")
    rules.check_body(body, value_demanded=False)
    version = _living(vault, name).version(number)
    if version is None:
        raise rules.not_found(f"{name}/{number}")
    attributes = body.get("attributes") or {}
    world.vaults.update(
        vault,
        version,
        enabled=attributes.get("enabled"),
        tags=body.get("tags"),
        content_type=body.get("contentType"),
        expires_at=rules.instant(attributes, "exp"),
        not_before_at=rules.instant(attributes, "nbf"),
    )
    return Reply(200, _bundle(vault, version, reveal=False))


def list_secrets(world: "World", request: Request) -> Reply:
    """List the secrets with the attributes and tags of their newest version."""
    vault = _enter(world, request, "readMetadata/action")
    living = sorted((one for one in vault.secrets.values() if not one.deleted_at), key=lambda one: one.name)
    return _page(vault, living, lambda one: _item(vault, one.current, vault.secret_id(one.name)), request)


def list_versions(world: "World", request: Request) -> Reply:
    """List the versions of one secret, in the order of their ids, which is no order in time."""
    vault = _enter(world, request, "readMetadata/action")
    secret = vault.secrets.get(request.params["name"].lower())
    versions = [] if secret is None or secret.deleted_at else sorted(secret.versions, key=lambda one: one.version)
    return _page(vault, versions, lambda one: _bundle(vault, one, reveal=False), request)


def delete_secret(world: "World", request: Request) -> Reply:
    """Put a secret into soft delete."""
    vault = _enter(world, request, "delete")
    secret = _living(vault, request.params["name"])
    world.vaults.delete(vault, secret)
    return Reply(200, _deleted(vault, secret, versioned=True))


def list_deleted(world: "World", request: Request) -> Reply:
    """List what lies in soft delete."""
    vault = _enter(world, request, "readMetadata/action")
    deleted = sorted((one for one in vault.secrets.values() if one.deleted_at), key=lambda one: one.name)
    return _page(vault, deleted, lambda one: _deleted(vault, one, versioned=False), request)


def get_deleted(world: "World", request: Request) -> Reply:
    """Return one secret in soft delete, without its value."""
    vault = _enter(world, request, "readMetadata/action")
    return Reply(200, _deleted(vault, _in_soft_delete(vault, request.params["name"]), versioned=True))


def recover_deleted(world: "World", request: Request) -> Reply:
    """Take a secret out of soft delete."""
    vault = _enter(world, request, "recover/action")
    secret = _in_soft_delete(vault, request.params["name"])
    world.vaults.recover(vault, secret)
    return Reply(200, _bundle(vault, secret.current, reveal=False))


def purge_deleted(world: "World", request: Request) -> Reply:
    """End a deleted secret for good."""
    vault = _enter(world, request, "purge/action")
    world.vaults.purge(vault, _in_soft_delete(vault, request.params["name"]))
    return Reply(204)


# --- vaults as ARM resources --------------------------------------------------------------------------------------


def _vault_document(world: "World", vault: Vault) -> Document:
    return {
        "id": vault.resource_id,
        "name": vault.name,
        "type": "Microsoft.KeyVault/vaults",
        "location": vault.location,
        "tags": vault.tags,
        "properties": {
            "sku": {"family": "A", "name": "standard"},
            "tenantId": world.entra.tenant_id,
            "accessPolicies": [],
            "enabledForDeployment": False,
            "enableSoftDelete": True,
            "softDeleteRetentionInDays": vault.retention.days,
            "enableRbacAuthorization": True,
            "vaultUri": f"https://{vault.host}/",
            "provisioningState": "Succeeded",
            "publicNetworkAccess": "Enabled",
        },
    }


def list_vaults(world: "World", request: Request) -> Reply:
    """List the vaults of a subscription or resource group that the caller may see."""
    scope = request.path.lower().partition("/providers/")[0]
    visible = [
        _vault_document(world, vault)
        for vault in world.vaults.all()
        if vault.resource_id.lower().startswith(f"{scope}/")
        and world.arm.allowed(request.known_caller, "Microsoft.KeyVault/vaults/read", vault.resource_id)
    ]
    return Reply(200, paging(visible, request, 20))


def get_vault(world: "World", request: Request) -> Reply:
    """Return one vault."""
    world.arm.demand(request.known_caller, "Microsoft.KeyVault/vaults/read", request.path)
    for vault in world.vaults.all():
        if vault.resource_id.lower() == request.path.lower():
            return Reply(200, _vault_document(world, vault))
    name, group = request.params["vault"], request.params["group"]
    raise refuse(
        404,
        "ResourceNotFound",
        f"The Resource 'Microsoft.KeyVault/vaults/{name}' under resource group '{group}' was not found. For more details "
        "please go to https://aka.ms/ARMResourceNotFoundFix",
    )


# --- routes -------------------------------------------------------------------------------------------------------


def _route(operation: str, method: str, path: str, handler: Handler) -> Route:
    return Route(
        service="vault", operation=f"vault.{operation}", method=method, path=path, hosts=_HOSTS, handler=handler, auth="vault"
    )


_arm = partial(management.route, "arm")

_SUBSCRIPTION = "/subscriptions/{subscription}"
_GROUP = f"{_SUBSCRIPTION}/resourceGroups/{{group}}"
_PROVIDER = "providers/Microsoft.KeyVault/vaults"

ROUTES: tuple[Route, ...] = (
    _route("list", "GET", "/secrets", list_secrets),
    _route("set", "PUT", "/secrets/{name}", set_secret),
    _route("get", "GET", "/secrets/{name}", get_secret),
    _route("update", "PATCH", "/secrets/{name}", update_secret),
    _route("delete", "DELETE", "/secrets/{name}", delete_secret),
    _route("listVersions", "GET", "/secrets/{name}/versions", list_versions),
    _route("get", "GET", "/secrets/{name}/{version}", get_secret),
    _route("update", "PATCH", "/secrets/{name}/{version}", update_secret),
    _route("listDeleted", "GET", "/deletedsecrets", list_deleted),
    _route("getDeleted", "GET", "/deletedsecrets/{name}", get_deleted),
    _route("recover", "POST", "/deletedsecrets/{name}/recover", recover_deleted),
    _route("purge", "DELETE", "/deletedsecrets/{name}", purge_deleted),
    _arm("vaults.list", "GET", f"{_SUBSCRIPTION}/{_PROVIDER}", list_vaults),
    _arm("vaults.list", "GET", f"{_GROUP}/{_PROVIDER}", list_vaults),
    _arm("vaults.get", "GET", f"{_GROUP}/{_PROVIDER}/{{vault}}", get_vault),
)
