"""Registries, scope maps and tokens as the management API writes them (pure)."""

import hashlib
from datetime import datetime

from rotator.sandbox.clouds.registries.passwords import Slot
from rotator.sandbox.clouds.registries.records import Registry, ScopeMap, Token
from rotator.sandbox.wire import Document, rfc3339_fine

_READ_ONLY = frozenset(
    {"loginServer", "creationDate", "provisioningState", "adminUserEnabled", "dataEndpointHostNames", "status"}
)
_DEFAULT_POLICIES: dict[str, Document] = {
    "quarantinePolicy": {"status": "disabled"},
    "trustPolicy": {"type": "Notary", "status": "disabled"},
    "retentionPolicy": {"days": 7, "status": "disabled"},
}


def login_server(name: str, scope: str) -> str:
    """Return the login server of a new registry; with a label scope it carries a hash and is not the name alone."""
    if not scope or scope.lower() == "unsecure":
        return f"{name.lower()}.azurecr.io"
    digest = hashlib.sha256(name.lower().encode()).hexdigest()
    return f"{name.lower()}-{digest[:12]}.azurecr.io"


def settable(properties: Document) -> Document:
    """Return what a client may set, without what only the service writes."""
    return {key: value for key, value in properties.items() if key not in _READ_ONLY}


def registry_document(registry: Registry, now: datetime, tenant_id: str) -> Document:
    """Return a registry as GET shows it; a network rule set is shown for the Premium SKU only."""
    updating = registry.updating_until is not None and now < registry.updating_until
    given = registry.properties
    policies = {**_DEFAULT_POLICIES, **(given.get("policies") or {})}
    policies["retentionPolicy"] = {
        "lastUpdatedTime": rfc3339_fine(registry.created_at),
        **_DEFAULT_POLICIES["retentionPolicy"],
        **policies["retentionPolicy"],
    }
    properties: Document = {
        "loginServer": registry.login_server,
        "creationDate": rfc3339_fine(registry.created_at).replace("+00:00", "Z"),
        "provisioningState": "Updating" if updating else "Succeeded",
        "adminUserEnabled": registry.admin_enabled,
        "publicNetworkAccess": "Enabled",
        "networkRuleBypassOptions": "AzureServices",
        "zoneRedundancy": "Disabled",
        "anonymousPullEnabled": False,
        "dataEndpointEnabled": False,
        "dataEndpointHostNames": [],
        "privateEndpointConnections": [],
        "encryption": {"status": "disabled"},
        "roleAssignmentMode": "LegacyRegistryPermissions",
        **given,
        "policies": policies,
    }
    if registry.sku == "Premium":
        rules = {"defaultAction": "Allow", "ipRules": [], "virtualNetworkRules": []}
        properties["networkRuleSet"] = {**rules, **(given.get("networkRuleSet") or {})}
    document: Document = {
        "id": registry.id,
        "name": registry.name,
        "type": "Microsoft.ContainerRegistry/registries",
        "location": registry.location,
        "tags": registry.tags,
        "sku": {"name": registry.sku, "tier": registry.sku},
        "properties": properties,
    }
    if registry.identity and str(registry.identity.get("type", "None")).lower() != "none":
        document["identity"] = {"tenantId": tenant_id, **registry.identity}
    return document


def scope_map_document(registry: Registry, scope_map: ScopeMap) -> Document:
    """Return a scope map as GET shows it."""
    described = {"description": scope_map.description} if scope_map.description else {}
    return {
        "id": f"{registry.id}/scopeMaps/{scope_map.name}",
        "name": scope_map.name,
        "type": "Microsoft.ContainerRegistry/registries/scopeMaps",
        "properties": {
            "type": "SystemDefined" if scope_map.system else "UserDefined",
            **described,
            "creationDate": rfc3339_fine(scope_map.created_at).replace("+00:00", "Z"),
            "provisioningState": "Succeeded",
            "actions": scope_map.actions,
        },
    }


def password_entry(name: str, slot: Slot, value: str | None = None) -> Document | None:
    """Return one password of a token: without an expiry there is no `expiry`, and never a value on GET."""
    held = slot.current
    if held is None:
        return None
    entry: Document = {"name": name, "creationTime": rfc3339_fine(held.created_at)}
    if held.expires_at is not None:
        entry["expiry"] = rfc3339_fine(held.expires_at)
    if value is not None:
        entry["value"] = value
    return entry


def token_document(registry: Registry, token: Token, now: datetime) -> Document:
    """Return a token as GET shows it; `credentials` is absent until the first password."""
    passwords = [entry for name, slot in token.slots.items() if (entry := password_entry(name, slot))]
    properties: Document = {
        "scopeMapId": f"{registry.id}/scopeMaps/{token.scope_map}",
        "status": token.status,
        "creationDate": rfc3339_fine(token.created_at).replace("+00:00", "Z"),
        "provisioningState": "Succeeded" if now >= token.active_at else "Creating",
        "credentials": {"certificates": [], "passwords": passwords},
    }
    return {
        "id": f"{registry.id}/tokens/{token.name}",
        "name": token.name,
        "type": "Microsoft.ContainerRegistry/registries/tokens",
        "properties": properties,
    }
