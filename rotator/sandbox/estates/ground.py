"""The ground of an estate: subscriptions, identities, the vault and the workspace; and the rotator's own rights on it."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from rotator.sandbox.clouds.arm.records import Identity, ResourceGroup
from rotator.sandbox.clouds.arm.roles import (
    KEY_VAULT_SECRETS_OFFICER,
    KEY_VAULT_SECRETS_USER,
    LOG_ANALYTICS_READER,
    RoleDefinition,
)
from rotator.sandbox.clouds.keys import KeyHolder
from rotator.sandbox.wire import Document, rfc3339
from rotator.sandbox.world import World

VAULT = "kv-demo"
AUDIENCE = "api://AzureADTokenExchange"
ROTATOR_ACTIONS = (
    "Microsoft.Resources/subscriptions/read",
    "Microsoft.Resources/subscriptions/providers/read",
    "Microsoft.Resources/subscriptions/resourceGroups/read",
    "Microsoft.Resources/deployments/read",
    "Microsoft.ContainerInstance/containerGroups/read",
    "Microsoft.ContainerInstance/containerGroups/write",
    "Microsoft.ContainerInstance/containerGroups/restart/action",
    "Microsoft.ContainerInstance/locations/operations/read",
    "Microsoft.ContainerInstance/locations/usages/read",
    "Microsoft.ContainerRegistry/registries/read",
    "Microsoft.ContainerRegistry/registries/listCredentials/action",
    "Microsoft.ContainerRegistry/registries/regenerateCredential/action",
    "Microsoft.ContainerRegistry/registries/generateCredentials/action",
    "Microsoft.ContainerRegistry/registries/scopeMaps/read",
    "Microsoft.ContainerRegistry/registries/tokens/read",
    "Microsoft.ContainerRegistry/registries/tokens/write",
    "Microsoft.ManagedIdentity/userAssignedIdentities/read",
    "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action",
    "Microsoft.Network/virtualNetworks/subnets/join/action",
    "Microsoft.Network/virtualNetworks/subnets/read",
    "Microsoft.Network/privateEndpoints/read",
    "Microsoft.Network/privateDnsZones/read",
    "Microsoft.Network/privateDnsZones/virtualNetworkLinks/read",
    "Microsoft.Network/privateDnsZones/A/read",
    "Microsoft.OperationalInsights/workspaces/read",
    "Microsoft.OperationalInsights/workspaces/sharedKeys/action",
    "Microsoft.Storage/storageAccounts/read",
    "Microsoft.Storage/storageAccounts/listKeys/action",
    "Microsoft.Authorization/roleAssignments/read",
    "Microsoft.Authorization/roleDefinitions/read",
)
"""What the rotator's custom role holds, and nothing more: an adapter that needs another action fails with 403."""

MIGRATION_ACTIONS = (
    "Microsoft.Authorization/roleAssignments/write",
    "Microsoft.ManagedIdentity/userAssignedIdentities/write",
    "Microsoft.ContainerRegistry/registries/write",
)
"""What only migrations and the end of an admin user need: a role of its own, which an owner may leave out."""


@dataclass(slots=True, kw_only=True)
class Estate:
    """What a client must know of a seeded world."""

    name: str
    tenant_id: str
    subscriptions: list[str]
    client_id: str
    principal_id: str
    vault_url: str
    workspace_id: str
    aws_roles: list[dict[str, str]] = field(default_factory=list)
    registries: Document = field(default_factory=dict)
    rotation: Document = field(default_factory=dict)
    gitlab_owners: dict[str, list[str]] = field(default_factory=dict)
    outage_windows: dict[str, str] = field(default_factory=dict)


class Ground:
    """Plants what everything else stands on. Days count from the world's present instant, negative ones lie in the past."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.now = world.now()
        self.rotator = world.guid()
        self.registries: Document = {}
        self.rotation: Document = {}

    def at(self, days: float) -> datetime:
        """Return the instant so many days from now."""
        return self.now + timedelta(days=days)

    def subscription(self, name: str) -> str:
        """Add a subscription in which the rotator has its custom role."""
        subscription_id = self.world.guid()
        self.world.arm.add_subscription(subscription_id, name)
        return subscription_id

    def identity(self, group: ResourceGroup, name: str) -> Identity:
        """Add a user-assigned identity."""
        return self.world.arm.add_identity(group, name)

    def vault(self, home: ResourceGroup) -> str:
        """Add the vault."""
        resource_id = f"{home.id}/providers/Microsoft.KeyVault/vaults/{VAULT}"
        self.world.vaults.add_vault(VAULT, resource_id)
        return resource_id

    def workspace(self, home: ResourceGroup, name: str) -> str:
        """Add the Log Analytics workspace that registries, and Entra's diagnostic setting, write to."""
        resource_id = f"{home.id}/providers/Microsoft.OperationalInsights/workspaces/{name}"
        self.world.logs.sign_ins_to = self.world.keys.add_workspace(resource_id, self.world.guid()).customer_id
        return resource_id

    def key_holder(self, resource_id: str) -> KeyHolder:
        """Return a planted storage account or workspace; KeyError when there is none."""
        holder = self.world.keys.find(resource_id)
        if holder is None:
            raise KeyError(resource_id)
        return holder

    def vault_reader(self, identity: Identity) -> None:
        """Let an identity read the vault's secrets."""
        self.world.arm.assign(identity.principal_id, KEY_VAULT_SECRETS_USER, self.world.vaults.vault(VAULT).resource_id)

    def manage(
        self,
        principal: str,
        handle: str,
        value: str,
        *,
        issued_at: datetime,
        expires_at: datetime | None = None,
        rotation: str = "",
    ) -> str:
        """Put a credential into the vault under the tags by which the product knows it; return the secret's name.

        `rotation` names the rotation that brought it: groups that carry the same name in a tag store this value.
        """
        name = "pull-" + "".join(letter if letter.isalnum() else "-" for letter in principal.partition(":")[2]).strip("-")
        tags = {"rotator-principal": principal, "rotator-handle": handle, "rotator-issued": rfc3339(issued_at)}
        tags |= {"rotator-rotation": rotation} if rotation else {}
        self.world.vaults.set_secret(VAULT, name[:120], value, tags=tags, expires_at=expires_at, created_at=issued_at)
        return name[:120]

    # --- the end ---

    def finish(self, home: ResourceGroup, subscriptions: Sequence[str], workspace: str) -> Estate:
        """Give the rotator its identity and exactly the rights that it needs."""
        world = self.world
        rotator = self.identity(home, "id-rotator")
        for name, actions in (("Rotator", ROTATOR_ACTIONS), ("Rotator migrations", MIGRATION_ACTIONS)):
            # Not drawn from the seed: a world would be another one for every role that is added.
            role = RoleDefinition(id=str(uuid.uuid5(uuid.NAMESPACE_URL, name)), name=name, actions=actions, custom=True)
            world.arm.roles[role.id] = role
            for subscription_id in subscriptions:
                world.arm.assign(rotator.principal_id, role.id, f"/subscriptions/{subscription_id}", name=f"{role.id}-{name}")
        world.arm.assign(rotator.principal_id, KEY_VAULT_SECRETS_OFFICER, world.vaults.vault(VAULT).resource_id)
        world.arm.assign(rotator.principal_id, LOG_ANALYTICS_READER, workspace)
        world.graph.grant(rotator.principal_id, "Application.ReadWrite.OwnedBy")
        for thing in (*world.graph.applications(), *world.graph.service_principals()):
            if thing.app_id in self._apps():
                thing.owners.append(rotator.principal_id)
        world.entra.default_identity = rotator.principal_id.lower()
        return Estate(
            name=self.name,
            tenant_id=world.entra.tenant_id,
            subscriptions=list(subscriptions),
            client_id=rotator.client_id,
            principal_id=rotator.principal_id,
            vault_url=f"https://{world.vaults.vault(VAULT).host}",
            workspace_id=self.key_holder(workspace).customer_id,
            aws_roles=self._aws_roles(rotator),
            registries=self.registries,
            rotation=self.rotation,
            gitlab_owners=self._gitlab_owners(),
        )

    def _gitlab_owners(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for owner in sorted(self.world.gitlab.owners - {"personal"}):
            kind, _, which = owner.partition("/")
            found.setdefault(kind, []).append(which)
        return found

    def _apps(self) -> set[str]:
        return {application.app_id for application in self.world.graph.applications()}

    def _aws_roles(self, rotator: Identity) -> list[dict[str, str]]:
        roles = []
        for server in sorted(self.world.aws.registries):
            arn = f"arn:aws:iam::{server.partition('.')[0]}:role/rotator-pull"
            self.world.aws.add_role(
                arn, subject=rotator.principal_id, audience=AUDIENCE, permissions=("ecr:GetAuthorizationToken", "ecr:Describe*")
            )
            roles.append({"registry": server, "role_arn": arn, "audience": AUDIENCE})
        return roles
