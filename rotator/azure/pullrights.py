"""Who may pull what from an Azure registry: the actions of scope maps and the roles of identities."""

from rotator.azure.writeonly import part
from rotator.clients.arm import Arm
from rotator.model.arm import ArmId
from rotator.model.errors import NotFound
from rotator.model.estate import Registry

_REGISTRY_VERSION = "2023-07-01"
_ROLE_VERSION = "2022-04-01"
_IDENTITY_VERSION = "2023-01-31"
# The built-in roles that let their holder pull, by the way in which the registry grants: learn.microsoft.com, built-in roles
# for containers. With permissions by repository (ABAC) the old ones count for nothing.
_PULLING = frozenset(
    {
        "7f951dda-4ed3-4680-a7ca-43fe172d538d",  # AcrPull
        "8311e382-0749-4cb8-b61a-304f252e45ec",  # AcrPush
        "b24988ac-6180-42a0-ab88-20f7382dd24c",  # Contributor
        "8e3af657-a8ff-443c-a75c-2fe8c4bcb635",  # Owner
    }
)
_PULLING_ABAC = frozenset({"b93aa761-3e63-49ed-ac28-beffa264f7ac"})  # Container Registry Repository Reader
_JUDGED = _PULLING | _PULLING_ABAC


class AzurePullRights:
    """Keeps `rotator.ports.PullRights`. One request a question."""

    def __init__(self, arm: Arm) -> None:
        self._arm = arm

    def actions(self, registry: Registry, scope_map: str) -> tuple[str, ...]:
        """Return what a scope map allows. Raises NotFound, Denied, Unavailable."""
        body = self._arm.get(
            f"{registry.id.text}/scopeMaps/{scope_map}",
            _REGISTRY_VERSION,
            service="container-registry",
            operation="read-scope-map",
            needs="Microsoft.ContainerRegistry/registries/scopeMaps/read",
            thing=f"scope map {scope_map}",
        )
        listed = part(body, "properties").get("actions")
        return tuple(str(one) for one in listed) if isinstance(listed, list) else ()

    def may_pull(self, registry: Registry, principal_id: str) -> bool | None:
        """Say whether a role of the principal lets it pull; None when it holds only roles that are not known here."""
        assignments = self._arm.pages(
            f"{registry.id.text}/providers/Microsoft.Authorization/roleAssignments",
            _ROLE_VERSION,
            service="authorization",
            operation="list-roles",
            needs="Microsoft.Authorization/roleAssignments/read",
            thing=f"registry {registry.name}",
            query={"$filter": f"assignedTo('{principal_id}')"},
        )
        held = {str(part(one, "properties").get("roleDefinitionId", "")).rpartition("/")[2].lower() for one in assignments}
        if held & (_PULLING_ABAC if registry.abac else _PULLING):
            return True
        # A role of the company's own may hold the action, and so may one that Azure adds.
        return None if held - _JUDGED or registry.abac is None else False

    def identity_exists(self, identity: ArmId) -> bool:
        """Say whether a user-assigned identity is there: a group goes on naming one that was deleted."""
        try:
            self._arm.get(
                identity.text,
                _IDENTITY_VERSION,
                service="access-control",
                operation="read-identity",
                needs="Microsoft.ManagedIdentity/userAssignedIdentities/read",
                thing=f"identity {identity.name}",
            )
        except NotFound:
            return False
        return True
