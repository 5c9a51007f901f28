"""HTTP of Azure Resource Manager's own resources."""

import re
from datetime import timedelta

from rotator.sandbox.clouds.arm.records import Identity, ResourceGroup, RoleAssignment
from rotator.sandbox.clouds.arm.roles import RoleDefinition
from rotator.sandbox.wire import Auth, Document, Handler, Reply, Request, Route, paging, refuse, rfc3339_fine
from rotator.sandbox.world import World

HOSTS = ("management.azure.com", "management.chinacloudapi.cn", "management.usgovcloudapi.net")
_PAGE = 20
_ROLE_DELAY_SECONDS = 60.0
# Versions that the provider of container instances announces: newest first, as Azure lists them.
_GROUP_VERSIONS = (
    "2026-07-01", "2026-06-01-preview", "2025-09-01", "2024-11-01-preview", "2024-05-01-preview", "2023-05-01",
    "2022-09-01", "2021-10-01", "2021-09-01", "2021-07-01", "2021-03-01", "2020-11-01", "2019-12-01", "2018-10-01",
)  # fmt: skip
_REGISTRY_VERSIONS = ("2026-09-01-preview", "2025-11-01", "2023-07-01", "2019-05-01")


def _route(operation: str, method: str, path: str, handler: Handler, auth: Auth = "arm") -> Route:
    return Route(service="arm", operation=f"arm.{operation}", method=method, path=path, hosts=HOSTS, handler=handler, auth=auth)


def _scope(request: Request) -> str:
    return f"/{request.params['scope']}"


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


# --- roles ---


def _role_document(role: RoleDefinition, scope: str) -> Document:
    return {
        "id": f"{scope.rstrip('/')}/providers/Microsoft.Authorization/roleDefinitions/{role.id}",
        "name": role.id,
        "type": "Microsoft.Authorization/roleDefinitions",
        "properties": {
            "roleName": role.name,
            "type": "CustomRole" if role.custom else "BuiltInRole",
            "assignableScopes": ["/"],
            "permissions": [
                {
                    "actions": list(role.actions),
                    "notActions": list(role.not_actions),
                    "dataActions": list(role.data_actions),
                    "notDataActions": [],
                }
            ],
        },
    }


def list_role_definitions(world: World, request: Request) -> Reply:
    """List role definitions, by name where the filter says so."""
    scope = _scope(request)
    world.arm.demand(request.known_caller, "Microsoft.Authorization/roleDefinitions/read", scope)
    wanted = re.search(r"roleName eq '([^']+)'", request.query.get("$filter", ""), re.IGNORECASE)
    roles = [role for role in world.arm.roles.values() if not wanted or role.name.lower() == wanted[1].lower()]
    return Reply(200, paging([_role_document(role, scope) for role in roles], request, 100))


def get_role_definition(world: World, request: Request) -> Reply:
    """Return one role definition."""
    role = world.arm.roles.get(request.params["name"].lower())
    if role is None:
        name = request.params["name"]
        raise refuse(404, "RoleDefinitionDoesNotExist", f"The specified role definition '{name}' does not exist.")
    return Reply(200, _role_document(role, _scope(request) if "scope" in request.params else ""))


def _assignment_document(assignment: RoleAssignment) -> Document:
    subscription = "/".join(assignment.scope.split("/")[:3])
    made_at = rfc3339_fine(assignment.effective_at)
    return {
        "id": assignment.id,
        "name": assignment.name,
        "type": "Microsoft.Authorization/roleAssignments",
        "properties": {
            "roleDefinitionId": f"{subscription}/providers/Microsoft.Authorization/roleDefinitions/{assignment.role_id}",
            "principalId": assignment.principal_id,
            "principalType": assignment.principal_type,
            "scope": assignment.scope,
            "createdOn": made_at,
            "updatedOn": made_at,
        },
    }


def put_role_assignment(world: World, request: Request) -> Reply:
    """Assign a role. The planes honour it after a minute: how long Azure takes is documented as minutes only."""
    scope, name = _scope(request), request.params["name"]
    world.arm.demand(request.known_caller, "Microsoft.Authorization/roleAssignments/write", scope)
    properties = request.json().get("properties") or {}
    role_id = str(properties.get("roleDefinitionId", "")).rpartition("/")[2].lower()
    if role_id not in world.arm.roles:
        raise refuse(404, "RoleDefinitionDoesNotExist", f"The specified role definition with ID '{role_id}' does not exist.")
    principal = str(properties.get("principalId", ""))
    for held in world.arm.assignments.values():
        if (held.scope.lower(), held.role_id, held.principal_id) == (scope.lower(), role_id, principal):
            raise refuse(409, "RoleAssignmentExists", "The role assignment already exists.")
    delay = timedelta(seconds=0 if world.options.quiet else _ROLE_DELAY_SECONDS)
    kind = str(properties.get("principalType") or "ServicePrincipal")
    assignment = world.arm.assign(principal, role_id, scope, kind=kind, name=name, delay=delay)
    world.events.append("role.assigned", principal=principal, role=role_id, scope=scope)
    return Reply(201, _assignment_document(assignment))


def list_role_assignments(world: World, request: Request) -> Reply:
    """List the role assignments at, above and below a scope; `atScope()` leaves out those below."""
    scope = _scope(request)
    world.arm.demand(request.known_caller, "Microsoft.Authorization/roleAssignments/read", scope)
    text, root = request.query.get("$filter", ""), scope.lower().rstrip("/")
    wanted = re.search(r"(?:principalId eq|assignedTo\()\s*'([^']+)'", text, re.IGNORECASE)
    rows = []
    for held in world.arm.assignments.values():
        at = held.scope.lower().rstrip("/")
        above_or_at = f"{root}/".startswith(f"{at}/")
        if not above_or_at and ("atscope()" in text.lower() or not at.startswith(f"{root}/")):
            continue
        if wanted is None or held.principal_id.lower() == wanted[1].lower():
            rows.append(_assignment_document(held))
    return Reply(200, paging(rows, request, 100))


def _assignment(world: World, request: Request, action: str) -> RoleAssignment:
    scope = _scope(request)
    world.arm.demand(request.known_caller, f"Microsoft.Authorization/roleAssignments/{action}", scope)
    name = request.params["name"]
    found = world.arm.assignments.get(f"{scope}/providers/Microsoft.Authorization/roleAssignments/{name}".lower())
    if found is None:
        raise refuse(404, "RoleAssignmentNotFound", f"The role assignment '{name}' is not found.")
    return found


def get_role_assignment(world: World, request: Request) -> Reply:
    """Return one role assignment."""
    return Reply(200, _assignment_document(_assignment(world, request, "read")))


def delete_role_assignment(world: World, request: Request) -> Reply:
    """Take a role assignment away."""
    assignment = _assignment(world, request, "delete")
    world.arm.unassign(assignment)
    return Reply(200, _assignment_document(assignment))


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
_ROLES = "/{scope...}/providers/Microsoft.Authorization/roleDefinitions"
_ASSIGNMENTS = "/{scope...}/providers/Microsoft.Authorization/roleAssignments"

ROUTES: tuple[Route, ...] = (
    _route("subscriptions.list", "GET", "/subscriptions", list_subscriptions),
    _route("subscriptions.get", "GET", _SUBSCRIPTION, get_subscription),
    _route("tenants.list", "GET", "/tenants", list_tenants),
    _route("endpoints", "GET", "/metadata/endpoints", endpoints, auth="none"),
    _route("providers.get", "GET", _SUBSCRIPTION + "/providers/{provider}", get_provider),
    _route("resourceGroups.put", "PUT", _GROUP, put_resource_group),
    _route("resourceGroups.get", "GET", _GROUP, get_resource_group),
    _route("resourceGroups.list", "GET", _SUBSCRIPTION + "/resourceGroups", list_resource_groups),
    _route("resources.list", "GET", _SUBSCRIPTION + "/resources", list_resources),
    _route("identities.put", "PUT", _GROUP + _IDENTITIES + "/{name}", put_identity),
    _route("identities.get", "GET", _GROUP + _IDENTITIES + "/{name}", get_identity),
    _route("identities.list", "GET", _SUBSCRIPTION + _IDENTITIES, list_identities),
    _route("roleDefinitions.list", "GET", _ROLES, list_role_definitions),
    _route("roleDefinitions.get", "GET", _ROLES + "/{name}", get_role_definition),
    _route("roleDefinitions.get", "GET", "/providers/Microsoft.Authorization/roleDefinitions/{name}", get_role_definition),
    _route("roleAssignments.put", "PUT", _ASSIGNMENTS + "/{name}", put_role_assignment),
    _route("roleAssignments.list", "GET", _ASSIGNMENTS, list_role_assignments),
    _route("roleAssignments.get", "GET", _ASSIGNMENTS + "/{name}", get_role_assignment),
    _route("roleAssignments.delete", "DELETE", _ASSIGNMENTS + "/{name}", delete_role_assignment),
)
