"""The records of Azure Resource Manager itself, and who may do what."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from rotator.sandbox.clouds.arm.roles import BUILT_IN, RoleDefinition
from rotator.sandbox.wire import Bucket, Caller, Document, Refused, refuse, rfc3339, throttled

if TYPE_CHECKING:
    from rotator.sandbox.world import World

# Azure Resource Manager's limits per subscription, caller and kind of operation since 2024.
BUCKETS = {
    "reads": Bucket(capacity=250, per_second=25),
    "writes": Bucket(capacity=200, per_second=10),
    "deletes": Bucket(capacity=200, per_second=10),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """A subscription of this tenant."""

    id: str
    name: str


@dataclass(slots=True, kw_only=True)
class ResourceGroup:
    """A resource group; `id` keeps the case it was created in."""

    id: str
    name: str
    location: str
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Identity:
    """A user-assigned managed identity."""

    id: str
    name: str
    location: str
    principal_id: str
    client_id: str
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleAssignment:
    """A role for a principal at a scope and everything below it, honoured from `effective_at`."""

    id: str
    name: str
    principal_id: str
    principal_type: str
    role_id: str
    scope: str
    effective_at: datetime
    created_at: datetime


class Arm:
    """Subscriptions, resource groups, identities, roles. Ids are looked up without case, as Azure does."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.subscriptions: dict[str, Subscription] = {}
        self.resource_groups: dict[str, ResourceGroup] = {}
        self.identities: dict[str, Identity] = {}
        self.resources: dict[str, Document] = {}
        self.deployments: dict[str, list[Document]] = {}
        self.roles: dict[str, RoleDefinition] = {role.id: role for role in BUILT_IN}
        self.assignments: dict[str, RoleAssignment] = {}
        self._by_principal: dict[str, list[RoleAssignment]] = {}

    # --- what exists ---

    def add_subscription(self, subscription_id: str, name: str) -> Subscription:
        """Add a subscription to the tenant."""
        subscription = Subscription(id=subscription_id, name=name)
        self.subscriptions[subscription_id.lower()] = subscription
        return subscription

    def add_resource_group(self, subscription_id: str, name: str, location: str) -> ResourceGroup:
        """Add a resource group, or return the one of this name."""
        group_id = f"/subscriptions/{subscription_id}/resourceGroups/{name}"
        return self.resource_groups.setdefault(group_id.lower(), ResourceGroup(id=group_id, name=name, location=location))

    def add_identity(self, group: ResourceGroup, name: str) -> Identity:
        """Add a user-assigned identity; its ids are drawn from the seed."""
        identity = Identity(
            # The service of identities writes "resourcegroups" in lower case, unlike everybody else.
            id=f"{group.id}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{name}".replace(
                "resourceGroups", "resourcegroups"
            ),
            name=name,
            location=group.location,
            principal_id=self.world.guid(),
            client_id=self.world.guid(),
        )
        self.identities[identity.id.lower()] = identity
        self.world.entra.register_identity(
            client_id=identity.client_id, principal_id=identity.principal_id, resource_id=identity.id, name=name
        )
        return identity

    def add_resource(self, resource_id: str, kind: str, location: str) -> None:
        """Make a resource that has no table of its own known to the list of resources."""
        self.resources[resource_id.lower()] = {
            "id": resource_id,
            "name": resource_id.rpartition("/")[2],
            "type": kind,
            "location": location,
        }

    def add_deployment(
        self, group: ResourceGroup, name: str, outputs: Iterable[str], *, at: datetime | None = None, state: str = "Succeeded"
    ) -> None:
        """Add a template's deployment to a resource group's history; `outputs` are the ids of the resources that it put."""
        deployment_id = f"{group.id}/providers/Microsoft.Resources/deployments/{name}"
        properties = {
            "timestamp": rfc3339(at or self.world.now()),
            "provisioningState": state,
            "mode": "Incremental",
            "outputResources": [{"id": one} for one in outputs],
        }
        document = {"id": deployment_id, "name": name, "type": "Microsoft.Resources/deployments", "properties": properties}
        # A deployment of the same name replaces its entry in the history.
        others = [one for one in self.deployments.get(group.id.lower(), ()) if one["name"] != name]
        self.deployments[group.id.lower()] = [document, *others]

    def subscription(self, subscription_id: str) -> Subscription:
        """Return the subscription, or refuse with 404."""
        found = self.subscriptions.get(subscription_id.lower())
        if found is None:
            raise _subscription_not_found(subscription_id)
        return found

    def resource_group(self, subscription_id: str, name: str) -> ResourceGroup:
        """Return the resource group, or refuse with 404."""
        self.subscription(subscription_id)
        found = self.resource_groups.get(f"/subscriptions/{subscription_id}/resourceGroups/{name}".lower())
        if found is None:
            raise refuse(404, "ResourceGroupNotFound", f"Resource group '{name}' could not be found.")
        return found

    def identity(self, resource_id: str) -> Identity | None:
        """Return the user-assigned identity of this resource id, whatever its case."""
        return self.identities.get(resource_id.lower())

    # --- who may do what ---

    def assign(
        self,
        principal_id: str,
        role_id: str,
        scope: str,
        *,
        kind: str = "ServicePrincipal",
        name: str = "",
        delay: timedelta = timedelta(0),
    ) -> RoleAssignment:
        """Assign a role; `delay` is how long the planes take to honour it."""
        name = name or self.world.guid()
        effective_at = self.world.now() + delay
        assignment = RoleAssignment(
            id=f"{scope.rstrip('/')}/providers/Microsoft.Authorization/roleAssignments/{name}",
            name=name,
            principal_id=principal_id,
            principal_type=kind,
            role_id=role_id,
            scope=scope,
            effective_at=effective_at,
            created_at=self.world.now(),
        )
        self.assignments[assignment.id.lower()] = assignment
        self._by_principal.setdefault(principal_id.lower(), []).append(assignment)
        self.world.watch(f"identity:{principal_id}", effective_at)
        self.world.touch(f"identity:{principal_id}")
        return assignment

    def unassign(self, assignment: RoleAssignment) -> None:
        """Take a role assignment away."""
        self.assignments.pop(assignment.id.lower(), None)
        held = self._by_principal.get(assignment.principal_id.lower(), [])
        self._by_principal[assignment.principal_id.lower()] = [one for one in held if one != assignment]
        self.world.touch(f"identity:{assignment.principal_id}")

    def holds(self, principal_id: str, action: str, scope: str, *, data: bool = False, at: datetime | None = None) -> bool:
        """Say whether the principal may perform `action` at `scope` by a role there or above."""
        now, below = at or self.world.now(), f"{scope.lower().rstrip('/')}/"
        for assignment in self._by_principal.get(principal_id.lower(), ()):
            if assignment.effective_at > now or not below.startswith(f"{assignment.scope.lower().rstrip('/')}/"):
                continue
            role = self.roles.get(assignment.role_id)
            if role is not None and (role.grants_data(action) if data else role.grants(action)):
                return True
        return False

    def allowed(self, caller: Caller, action: str, scope: str) -> bool:
        """Say whether the caller may perform a control-plane action."""
        return self.holds(caller.object_id, action, scope)

    def allowed_data_action(self, principal_id: str, action: str, scope: str) -> bool:
        """Say whether a principal may perform a data-plane action."""
        return self.holds(principal_id, action, scope, data=True)

    def sees(self, caller: Caller, subscription_id: str) -> bool:
        """Say whether the caller has any role in the subscription; without one it does not exist for him."""
        root = f"/subscriptions/{subscription_id}".lower()
        return any(
            assignment.scope in ("", "/") or assignment.scope.lower() == root or assignment.scope.lower().startswith(f"{root}/")
            for assignment in self._by_principal.get(caller.object_id.lower(), ())
        )

    def demand(self, caller: Caller, action: str, scope: str) -> None:
        """Refuse with Azure's own text when the caller may not perform `action` at `scope`."""
        parts = scope.split("/")
        if len(parts) > 2 and parts[1].lower() == "subscriptions":
            self.subscription(parts[2])
            if not self.sees(caller, parts[2]):
                raise _subscription_not_found(parts[2])
        if not self.allowed(caller, action, scope):
            raise refuse(
                403,
                "AuthorizationFailed",
                f"The client '{caller.app_id}' with object id '{caller.object_id}' does not have authorization to "
                f"perform action '{action}' over scope '{scope}' or the scope is invalid. If access was recently "
                "granted, please refresh your credentials.",
            )

    def throttle(self, caller: Caller, method: str, subscription_id: str) -> dict[str, str]:
        """Take one token of the caller's bucket: the headers to send, or Refused 429."""
        if self.world.options.quiet:
            return {}
        kind = {"GET": "reads", "HEAD": "reads", "DELETE": "deletes"}.get(method, "writes")
        key = ("arm", subscription_id.lower(), caller.object_id, kind)
        wait, left = self.world.limits.take(key, BUCKETS[kind], self.world.now())
        if wait:
            self.world.events.append("arm.throttled", kind=kind, subscription=subscription_id)
            raise throttled(
                wait,
                "SubscriptionRequestsThrottled" if subscription_id else "TenantRequestsThrottled",
                f"Number of requests for subscription '{subscription_id}' and operation kind '{kind}' exceeded the "
                "backend storage limit. Please try again later.",
            )
        scope = "subscription" if subscription_id else "tenant"
        return {f"x-ms-ratelimit-remaining-{scope}-{kind}": str(left)}


def _subscription_not_found(subscription_id: str) -> Refused:
    return refuse(404, "SubscriptionNotFound", f"The subscription '{subscription_id}' could not be found.")


def below(scope: str, items: Iterable[str]) -> list[str]:
    """Return those resource ids that lie at or below `scope`."""
    root = scope.lower().rstrip("/")
    return [item for item in items if item.lower() == root or item.lower().startswith(f"{root}/")]
