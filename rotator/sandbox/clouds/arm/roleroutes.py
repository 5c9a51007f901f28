"""HTTP of role definitions and role assignments."""

import re
from datetime import timedelta

from rotator.sandbox.clouds.arm.records import RoleAssignment
from rotator.sandbox.clouds.arm.roles import RoleDefinition
from rotator.sandbox.clouds.arm.routes import route
from rotator.sandbox.wire import Document, Reply, Request, Route, paging, refuse, rfc3339_fine
from rotator.sandbox.world import World

_ROLE_DELAY_SECONDS = 60.0
_ROLES = "/{scope...}/providers/Microsoft.Authorization/roleDefinitions"
_ASSIGNMENTS = "/{scope...}/providers/Microsoft.Authorization/roleAssignments"


def _scope(request: Request) -> str:
    return f"/{request.params['scope']}"


def _role_document(role: RoleDefinition, scope: str) -> Document:
    # Asked at a resource, the id is still the subscription's: `az role assignment list` finds the role's name by it.
    subscription = "/".join(scope.split("/")[:3]) if scope.lower().startswith("/subscriptions/") else ""
    return {
        "id": f"{subscription}/providers/Microsoft.Authorization/roleDefinitions/{role.id}",
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
    made_at = rfc3339_fine(assignment.created_at)
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


ROUTES: tuple[Route, ...] = (
    route("roleDefinitions.list", "GET", _ROLES, list_role_definitions),
    route("roleDefinitions.get", "GET", _ROLES + "/{name}", get_role_definition),
    route("roleDefinitions.get", "GET", "/providers/Microsoft.Authorization/roleDefinitions/{name}", get_role_definition),
    route("roleAssignments.put", "PUT", _ASSIGNMENTS + "/{name}", put_role_assignment),
    route("roleAssignments.list", "GET", _ASSIGNMENTS, list_role_assignments),
    route("roleAssignments.get", "GET", _ASSIGNMENTS + "/{name}", get_role_assignment),
    route("roleAssignments.delete", "DELETE", _ASSIGNMENTS + "/{name}", delete_role_assignment),
)
