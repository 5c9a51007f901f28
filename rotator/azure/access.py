"""Identities, role assignments and a registry's admin user over Azure Resource Manager: the AccessControl."""

import uuid
from datetime import UTC, datetime

from rotator.azure.groupbody import instant_of
from rotator.azure.writeonly import part
from rotator.clients.arm import Arm, Document
from rotator.model.arm import ArmId
from rotator.model.errors import Conflict, Rejected
from rotator.ports import UserIdentity

_IDENTITY = "Microsoft.ManagedIdentity/userAssignedIdentities"
_ASSIGNMENTS = "Microsoft.Authorization/roleAssignments"
_IDENTITY_VERSION, _ROLE_VERSION, _REGISTRY_VERSION = "2023-01-31", "2022-04-01", "2025-11-01"
_SERVICE = "access-control"


class AzureAccess:
    """Keeps `rotator.ports.AccessControl`."""

    def __init__(self, arm: Arm) -> None:
        self._arm = arm

    def identity(self, identity: ArmId) -> UserIdentity:
        """Return a user-assigned identity. NotFound when there is none."""
        body = self._arm.get(
            identity.text,
            _IDENTITY_VERSION,
            service=_SERVICE,
            operation="read-identity",
            needs=f"{_IDENTITY}/read",
            thing=f"identity {identity.name}",
        )
        return _identity(body)

    def create_identity(self, identity: ArmId, location: str) -> UserIdentity:
        """Create a user-assigned identity, or return the one that is there: a PUT of one that exists changes its tags alone."""
        return _identity(
            self._arm.send(
                "PUT",
                identity.text,
                _IDENTITY_VERSION,
                {"location": location},
                service=_SERVICE,
                operation="create-identity",
                needs=f"{_IDENTITY}/write",
                thing=f"identity {identity.name}",
                effect=False,
            ).body
        )

    def granted_at(self, principal_id: str, role: str, scope: str) -> datetime | None:
        """Return since when a role is assigned at a scope or above it; None when it is not."""
        found = self._arm.pages(
            f"{scope}/providers/{_ASSIGNMENTS}",
            _ROLE_VERSION,
            service=_SERVICE,
            operation="list-role-assignments",
            needs=f"{_ASSIGNMENTS}/read",
            thing=f"{ArmId(scope).name}",
            query={"$filter": f"principalId eq '{principal_id}'"},
        )
        below = f"{scope.lower().rstrip('/')}/"
        since = []
        for one in found:
            facts = part(one, "properties")
            at = str(facts.get("scope", "")).lower().rstrip("/")
            # The filter answers with what lies below the scope too, and that would be too little.
            if str(facts.get("roleDefinitionId", "")).rpartition("/")[2].lower() == role and below.startswith(f"{at}/"):
                since.append(instant_of(facts.get("createdOn")) or datetime.min.replace(tzinfo=UTC))
        return min(since, default=None)

    def grant(self, principal_id: str, role: str, scope: str) -> None:
        """Assign a role; one that is there already is success.

        The assignment's name follows from what it says, as in Bicep's `guid()`, so that a lost answer can simply be repeated.
        """
        name = uuid.uuid5(uuid.NAMESPACE_URL, f"{scope.lower()}|{principal_id.lower()}|{role}")
        subscription = f"/subscriptions/{ArmId(scope).subscription}"
        body: Document = {
            "properties": {
                "roleDefinitionId": f"{subscription}/providers/Microsoft.Authorization/roleDefinitions/{role}",
                "principalId": principal_id,
                # Said, so that Azure does not look up an identity that its directory may not know of yet.
                "principalType": "ServicePrincipal",
            }
        }
        try:
            self._arm.send(
                "PUT",
                f"{scope}/providers/{_ASSIGNMENTS}/{name}",
                _ROLE_VERSION,
                body,
                service=_SERVICE,
                operation="assign-role",
                needs=f"{_ASSIGNMENTS}/write",
                thing=ArmId(scope).name,
                effect=False,
            )
        except (Conflict, Rejected):
            # Azure says RoleAssignmentExists with the status of a conflict, also for another assignment that says the same.
            if self.granted_at(principal_id, role, scope) is None:
                raise

    def switch_admin_user_off(self, registry: ArmId) -> None:
        """Switch a registry's admin user off; both its passwords stop working."""
        self._arm.run(
            "PATCH",
            registry.text,
            _REGISTRY_VERSION,
            {"properties": {"adminUserEnabled": False}},
            service="container-registry",
            operation="disable-admin-user",
            needs="Microsoft.ContainerRegistry/registries/write",
            thing=f"registry {registry.name}",
            effect=False,
            final=False,
        )


def _identity(body: Document) -> UserIdentity:
    facts = part(body, "properties")
    return UserIdentity(
        id=ArmId(str(body.get("id", ""))),
        principal_id=str(facts.get("principalId", "")),
        tenant_id=str(facts.get("tenantId", "")).lower(),
    )
