"""HTTP of Azure Resource Manager's own resources."""

import re
from functools import partial

from rotator.sandbox.clouds import management
from rotator.sandbox.clouds.arm.records import Identity, ResourceGroup
from rotator.sandbox.wire import Document, Reply, Request, Route, paging, refuse
from rotator.sandbox.world import World

_PAGE = 20
# Versions that the provider of container instances announces: newest first, as Azure lists them.
_GROUP_VERSIONS = (
    "2026-07-01", "2026-06-01-preview", "2025-09-01", "2024-11-01-preview", "2024-05-01-preview", "2023-05-01",
    "2022-09-01", "2021-10-01", "2021-09-01", "2021-07-01", "2021-03-01", "2020-11-01", "2019-12-01", "2018-10-01",
)  # fmt: skip
_REGISTRY_VERSIONS = ("2026-09-01-preview", "2025-11-01", "2023-07-01", "2019-05-01")


route = partial(management.route, "arm")


def _subscription(world: World, subscription_id: str) -> Document:
    found = world.arm.subscription(subscription_id)
    return {
        "id": f"/subscriptions/{found.id}",
        "subscriptionId": found.id,
        "tenantId": world.entra.tenant_id,
        "displayName": found.name,
        "state": "Enabled",
        "managedByTenants": [],
        "authorizationSource": "RoleBased",
    }


def list_subscriptions(world: World, request: Request) -> Reply:
    """List the subscriptions in which the caller has any role; the others do not exist for him."""
    caller = request.known_caller
    visible = [_subscription(world, one.id) for one in world.arm.subscriptions.values() if world.arm.sees(caller, one.id)]
    return Reply(200, {**paging(visible, request, _PAGE), "count": {"type": "Total", "value": len(visible)}})


def get_subscription(world: World, request: Request) -> Reply:
    """Return one subscription."""
    subscription_id = request.params["subscription"]
    document = _subscription(world, subscription_id)
    if not world.arm.sees(request.known_caller, subscription_id):
        raise refuse(404, "SubscriptionNotFound", f"The subscription '{subscription_id}' could not be found.")
    return Reply(200, document)


def list_tenants(world: World, _request: Request) -> Reply:
    """List the one tenant."""
    tenant = world.entra.tenant_id
    return Reply(200, {"value": [{"id": f"/tenants/{tenant}", "tenantId": tenant, "displayName": "Contoso"}]})


def get_provider(world: World, request: Request) -> Reply:
    """Return a resource provider with the api-versions it knows."""
    scope = f"/subscriptions/{request.params['subscription']}"
    world.arm.demand(request.known_caller, "Microsoft.Resources/subscriptions/providers/read", scope)
    provider = request.params["provider"].lower()
    known = {
        "microsoft.containerinstance": ("Microsoft.ContainerInstance", "containerGroups", _GROUP_VERSIONS),
        "microsoft.containerregistry": ("Microsoft.ContainerRegistry", "registries", _REGISTRY_VERSIONS),
    }.get(provider)
    if known is None:
        raise refuse(404, "InvalidResourceNamespace", f"The resource namespace '{provider}' is invalid.")
    name, kind, versions = known
    return Reply(
        200,
        {
            "id": f"{scope}/providers/{name}",
            "namespace": name,
            "registrationState": "Registered",
            "resourceTypes": [{"resourceType": kind, "apiVersions": list(versions)}],
        },
    )


# --- resource groups and the list of resources ---


def _group_document(group: ResourceGroup) -> Document:
    return {
        "id": group.id,
        "name": group.name,
        "type": "Microsoft.Resources/resourceGroups",
        "location": group.location,
        "tags": group.tags,
        "properties": {"provisioningState": "Succeeded"},
    }


def put_resource_group(world: World, request: Request) -> Reply:
    """Create or update a resource group."""
    subscription, name = request.params["subscription"], request.params["group"]
    scope = f"/subscriptions/{subscription}/resourceGroups/{name}"
    world.arm.demand(request.known_caller, "Microsoft.Resources/subscriptions/resourceGroups/write", scope)
    body, existed = request.json(), scope.lower() in world.arm.resource_groups
    if not existed and not body.get("location"):
        raise refuse(400, "LocationRequired", "The location property is required for this definition.")
    group = world.arm.add_resource_group(subscription, name, str(body.get("location")))
    group.tags = dict(body.get("tags") or {})
    return Reply(200 if existed else 201, _group_document(group))


def get_resource_group(world: World, request: Request) -> Reply:
    """Return a resource group."""
    group = world.arm.resource_group(request.params["subscription"], request.params["group"])
    world.arm.demand(request.known_caller, "Microsoft.Resources/subscriptions/resourceGroups/read", group.id)
    return Reply(200, _group_document(group))


def list_resource_groups(world: World, request: Request) -> Reply:
    """List the resource groups of a subscription."""
    scope = f"/subscriptions/{request.params['subscription']}"
    world.arm.demand(request.known_caller, "Microsoft.Resources/subscriptions/resourceGroups/read", scope)
    found = [group for key, group in world.arm.resource_groups.items() if key.startswith(f"{scope.lower()}/")]
    return Reply(200, paging([_group_document(group) for group in found], request, _PAGE))


def list_deployments(world: World, request: Request) -> Reply:
    """List the history of a resource group's template deployments."""
    group = world.arm.resource_group(request.params["subscription"], request.params["group"])
    world.arm.demand(request.known_caller, "Microsoft.Resources/deployments/read", group.id)
    return Reply(200, paging(world.arm.deployments.get(group.id.lower(), []), request, _PAGE))


def list_resources(world: World, request: Request) -> Reply:
    """List the resources of a subscription, of one type where the filter says so; no properties, as in Azure.

    Only what the caller may read is listed. Azure's filter grammar is larger; this is what the CLI sends.
    """
    subscription = request.params["subscription"]
    world.arm.subscription(subscription)
    wanted = re.search(r"resourceType eq '([^']+)'", request.query.get("$filter", ""), re.IGNORECASE)
    root = f"/subscriptions/{subscription}/".lower()
    if not world.arm.sees(request.known_caller, subscription):
        raise refuse(404, "SubscriptionNotFound", f"The subscription '{subscription}' could not be found.")
    rows = [
        row
        for row in _resources(world)
        if str(row["id"]).lower().startswith(root)
        and (wanted is None or str(row["type"]).lower() == wanted[1].lower())
        and world.arm.allowed(request.known_caller, f"{row['type']}/read", str(row["id"]))
    ]
    return Reply(200, paging(rows, request, 1000))


def _resources(world: World) -> list[Document]:
    rows = list(world.arm.resources.values())
    tables = (
        (world.arm.identities.values(), "Microsoft.ManagedIdentity/userAssignedIdentities"),
        (world.registries.acr.values(), "Microsoft.ContainerRegistry/registries"),
        (world.groups.by_id.values(), "Microsoft.ContainerInstance/containerGroups"),
    )
    for records, kind in tables:
        rows += [
            {"id": record.id, "name": record.name, "type": kind, "location": record.location, "tags": record.tags}
            for record in records
        ]
    return rows


# --- user-assigned identities ---


def _identity_document(world: World, identity: Identity) -> Document:
    return {
        "id": identity.id,
        "name": identity.name,
        "type": "Microsoft.ManagedIdentity/userAssignedIdentities",
        "location": identity.location,
        "tags": identity.tags,
        "properties": {
            "tenantId": world.entra.tenant_id,
            "principalId": identity.principal_id,
            "clientId": identity.client_id,
        },
    }


def _identity_of(world: World, request: Request, action: str) -> tuple[ResourceGroup, str]:
    group = world.arm.resource_group(request.params["subscription"], request.params["group"])
    resource_id = f"{group.id}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{request.params['name']}"
    world.arm.demand(request.known_caller, f"Microsoft.ManagedIdentity/userAssignedIdentities/{action}", resource_id)
    return group, resource_id


def put_identity(world: World, request: Request) -> Reply:
    """Create a user-assigned identity, or update its tags."""
    group, resource_id = _identity_of(world, request, "write")
    existing = world.arm.identity(resource_id)
    identity = existing or world.arm.add_identity(group, request.params["name"])
    identity.tags = dict(request.json().get("tags") or {})
    return Reply(200 if existing else 201, _identity_document(world, identity))


def get_identity(world: World, request: Request) -> Reply:
    """Return a user-assigned identity."""
    _, resource_id = _identity_of(world, request, "read")
    identity = world.arm.identity(resource_id)
    if identity is None:
        raise refuse(404, "ResourceNotFound", f"The Resource '{resource_id}' was not found.")
    return Reply(200, _identity_document(world, identity))


def list_identities(world: World, request: Request) -> Reply:
    """List the user-assigned identities of a subscription."""
    scope = f"/subscriptions/{request.params['subscription']}"
    world.arm.demand(request.known_caller, "Microsoft.ManagedIdentity/userAssignedIdentities/read", scope)
    found = [one for key, one in world.arm.identities.items() if key.startswith(f"{scope.lower()}/")]
    return Reply(200, paging([_identity_document(world, one) for one in found], request, _PAGE))


def endpoints(_world: World, request: Request) -> Reply:
    """Return the endpoints of this cloud, which `az cloud register` reads when not told to skip it."""
    root = f"https://{request.host}"
    return Reply(
        200,
        {
            "resourceManager": root,
            "authentication": {"loginEndpoint": root, "audiences": [root, f"{root}/"], "tenant": "common"},
            "microsoftGraphResourceId": f"{root}/",
            "suffixes": {"keyVaultDns": "vault.azure.net", "acrLoginServer": "azurecr.io"},
        },
    )


_SUBSCRIPTION = "/subscriptions/{subscription}"
_GROUP = _SUBSCRIPTION + "/resourceGroups/{group}"
_IDENTITIES = "/providers/Microsoft.ManagedIdentity/userAssignedIdentities"

ROUTES: tuple[Route, ...] = (
    route("subscriptions.list", "GET", "/subscriptions", list_subscriptions),
    route("subscriptions.get", "GET", _SUBSCRIPTION, get_subscription),
    route("tenants.list", "GET", "/tenants", list_tenants),
    route("endpoints", "GET", "/metadata/endpoints", endpoints, auth="none"),
    route("providers.get", "GET", _SUBSCRIPTION + "/providers/{provider}", get_provider),
    route("resourceGroups.put", "PUT", _GROUP, put_resource_group),
    route("resourceGroups.get", "GET", _GROUP, get_resource_group),
    route("resourceGroups.list", "GET", _SUBSCRIPTION + "/resourceGroups", list_resource_groups),
    route("deployments.list", "GET", _GROUP + "/providers/Microsoft.Resources/deployments", list_deployments),
    route("resources.list", "GET", _SUBSCRIPTION + "/resources", list_resources),
    route("identities.put", "PUT", _GROUP + _IDENTITIES + "/{name}", put_identity),
    route("identities.get", "GET", _GROUP + _IDENTITIES + "/{name}", get_identity),
    route("identities.list", "GET", _SUBSCRIPTION + _IDENTITIES, list_identities),
)
