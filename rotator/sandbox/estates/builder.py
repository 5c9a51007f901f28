"""The words in which an estate is written: registries, principals and container groups, planted without HTTP."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from rotator.sandbox.clouds.arm.records import Identity, ResourceGroup
from rotator.sandbox.clouds.arm.roles import (
    ACR_PULL,
    KEY_VAULT_SECRETS_OFFICER,
    KEY_VAULT_SECRETS_USER,
    LOG_ANALYTICS_READER,
    RoleDefinition,
)
from rotator.sandbox.clouds.containergroups.comparison import flatten
from rotator.sandbox.clouds.containergroups.records import Group, Run
from rotator.sandbox.clouds.keys import KeyHolder
from rotator.sandbox.clouds.registries.documents import login_server
from rotator.sandbox.clouds.registries.passwords import Format, Slot
from rotator.sandbox.clouds.registries.records import PlainRegistry, Registry, ScopeMap, Token
from rotator.sandbox.wire import Document, rfc3339
from rotator.sandbox.world import World

VAULT = "kv-demo"
ECR_SERVER = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
AUDIENCE = "api://AzureADTokenExchange"
ROTATOR_ACTIONS = (
    "Microsoft.Resources/subscriptions/read",
    "Microsoft.Resources/subscriptions/providers/read",
    "Microsoft.Resources/subscriptions/resourceGroups/read",
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
    "Microsoft.OperationalInsights/workspaces/read",
    "Microsoft.OperationalInsights/workspaces/sharedKeys/action",
    "Microsoft.Storage/storageAccounts/read",
    "Microsoft.Storage/storageAccounts/listKeys/action",
    "Microsoft.Authorization/roleAssignments/read",
    "Microsoft.Authorization/roleDefinitions/read",
)
"""What the rotator's custom role holds, and nothing more: an adapter that needs another action fails with 403."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """A planted credential: what a group stores to pull with it."""

    server: str
    username: str
    password: str

    def entry(self) -> Document:
        """Return it as an entry of imageRegistryCredentials."""
        return {"server": self.server, "username": self.username, "password": self.password}


class Builder:
    """Plants things in a world. Days count from the world's present instant, negative ones lie in the past."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.now = world.now()
        self.rotator = world.guid()
        self._planted = 0

    def at(self, days: float) -> datetime:
        """Return the instant so many days from now."""
        return self.now + timedelta(days=days)

    # --- the ground ---

    def subscription(self, name: str) -> str:
        """Add a subscription in which the rotator has its custom role."""
        subscription_id = self.world.guid()
        self.world.arm.add_subscription(subscription_id, name)
        return subscription_id

    def identity(self, group: ResourceGroup, name: str) -> Identity:
        """Add a user-assigned identity."""
        return self.world.arm.add_identity(group, name)

    def finish(self, home: ResourceGroup, subscriptions: Sequence[str], workspace: str) -> Estate:
        """Give the rotator its identity and exactly the rights that it needs."""
        world = self.world
        rotator = self.identity(home, "id-rotator")
        role = RoleDefinition(id=world.guid(), name="Rotator", actions=ROTATOR_ACTIONS, custom=True)
        world.arm.roles[role.id] = role
        for subscription_id in subscriptions:
            world.arm.assign(rotator.principal_id, role.id, f"/subscriptions/{subscription_id}")
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
        )

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

    def vault(self, home: ResourceGroup) -> str:
        """Add the vault."""
        resource_id = f"{home.id}/providers/Microsoft.KeyVault/vaults/{VAULT}"
        self.world.vaults.add_vault(VAULT, resource_id)
        return resource_id

    def workspace(self, home: ResourceGroup, name: str) -> str:
        """Add the Log Analytics workspace that registries write to."""
        resource_id = f"{home.id}/providers/Microsoft.OperationalInsights/workspaces/{name}"
        self.world.keys.add_workspace(resource_id, self.world.guid())
        return resource_id

    def key_holder(self, resource_id: str) -> KeyHolder:
        """Return a planted storage account or workspace; KeyError when there is none."""
        holder = self.world.keys.find(resource_id)
        if holder is None:
            raise KeyError(resource_id)
        return holder

    # --- registries and principals ---

    def registry(
        self,
        group: ResourceGroup,
        name: str,
        repositories: Iterable[str],
        *,
        form: Format = "long",
        admin: bool = False,
        label: str = "",
        abac: bool = False,
        workspace: str = "",
    ) -> Registry:
        """Add an Azure registry; every repository has the tags v1, v2 and latest."""
        properties: Document = {"autoGeneratedDomainNameLabelScope": label} if label else {}
        if abac:
            properties["roleAssignmentMode"] = "AbacRepositoryPermissions"
        registry = self.world.registries.add(
            Registry(
                id=f"{group.id}/providers/Microsoft.ContainerRegistry/registries/{name}",
                name=name,
                location=group.location,
                login_server=login_server(name, label),
                created_at=self.at(-700),
                admin_enabled=admin,
                properties=properties,
                password_format=form,
                repositories={repository: {"v1", "v2", "latest"} for repository in repositories},
            )
        )
        if workspace:
            self.world.logs.connect(registry.login_server, self.key_holder(workspace).customer_id)
        return registry

    def token(
        self,
        registry: Registry,
        name: str,
        repositories: Iterable[str],
        *,
        age: float,
        expires: float | None,
        slot: str = "password1",
        vault: bool = True,
    ) -> Secret:
        """Add a repository token with one password, `age` days old; `vault`: the product knows and holds it."""
        scope_map = f"{name}-map"
        if name.lower() not in registry.tokens:
            actions = [f"repositories/{repository}/content/read" for repository in repositories]
            registry.scope_maps[scope_map] = ScopeMap(name=scope_map, actions=actions, created_at=self.at(-age))
            registry.tokens[name.lower()] = Token(
                name=name, scope_map=scope_map, created_at=self.at(-age), active_at=self.at(-age)
            )
        token, created_at = registry.tokens[name.lower()], self.at(-age)
        password = self.world.registries.issue_token(
            registry, token, slot, created_at=created_at, expires_at=None if expires is None else self.at(expires)
        )
        secret = Secret(server=registry.login_server, username=name, password=password.value)
        if vault:
            self.manage(
                f"acr-token:{registry.login_server}/{name}",
                f"{slot}@{rfc3339(created_at)}",
                secret.password,
                issued_at=created_at,
                expires_at=password.expires_at,
            )
        return secret

    def admin(self, registry: Registry, *, vault: bool = False) -> Secret:
        """Return the admin user's first password."""
        current = registry.admin["password"].current
        if current is None:
            raise ValueError(f"{registry.name} has no admin user")
        if vault:
            self.manage(
                f"acr-admin:{registry.login_server}/{registry.name}",
                f"password@{rfc3339(current.created_at)}",
                current.value,
                issued_at=current.created_at,
            )
        return Secret(server=registry.login_server, username=registry.name, password=current.value)

    def app(
        self,
        registry: Registry,
        name: str,
        *,
        age: float,
        expires: float,
        on: Literal["application", "servicePrincipal"] = "application",
        vault: bool = True,
    ) -> Secret:
        """Add a service principal that may pull, with one secret on one of its two directory objects."""
        app_id, world = self.world.guid(), self.world
        principal = world.graph.add_application(app_id, name)
        value = f"{world.text(3)}8Q~{world.text(34)}"
        key_id = world.graph.add_secret(
            app_id, on, value=value, display_name="aci", start_at=self.at(-age), end_at=self.at(expires)
        )
        world.arm.assign(principal.object_id, ACR_PULL, registry.id)
        if vault:
            self.manage(
                f"entra-app:entra/{app_id}", f"{on}/{key_id}", value, issued_at=self.at(-age), expires_at=self.at(expires)
            )
        return Secret(server=registry.login_server, username=app_id, password=value)

    def ecr(self, server: str, repositories: Iterable[str]) -> None:
        """Add an ECR registry."""
        names = list(repositories)
        self.world.aws.add_registry(server, names)
        self.world.registries.add_plain(
            PlainRegistry(host=server, kind="ecr", repositories={name: {"v1", "v2", "latest"} for name in names})
        )

    def lease(self, server: str, *, age_hours: float, vault: bool = False) -> Secret:
        """Issue an ECR password so many hours ago; it lives for twelve."""
        issued_at = self.now - timedelta(hours=age_hours)
        password, expires_at = self.world.aws.issue_lease(server, issued_at)
        if vault:
            self.manage(f"ecr:{server}/AWS", f"lease@{rfc3339(expires_at)}", password, issued_at=issued_at, expires_at=expires_at)
        return Secret(server=server, username="AWS", password=password)

    def manage(self, principal: str, handle: str, value: str, *, issued_at: datetime, expires_at: datetime | None = None) -> str:
        """Put a credential into the vault under the tags by which the product knows it; return the secret's name."""
        name = "pull-" + "".join(letter if letter.isalnum() else "-" for letter in principal.partition(":")[2]).strip("-")
        tags = {"rotator-principal": principal, "rotator-handle": handle, "rotator-issued": rfc3339(issued_at)}
        self.world.vaults.set_secret(VAULT, name[:120], value, tags=tags, expires_at=expires_at, created_at=issued_at)
        return name[:120]

    def vault_reader(self, identity: Identity) -> None:
        """Let an identity read the vault's secrets."""
        self.world.arm.assign(identity.principal_id, KEY_VAULT_SECRETS_USER, self.world.vaults.vault(VAULT).resource_id)

    # --- container groups ---

    def group(
        self,
        home: ResourceGroup,
        name: str,
        containers: Sequence[Document],
        *,
        credentials: Iterable[Document] = (),
        api_version: str = "2023-05-01",
        age: float = 12.0,
        policy: str = "Always",
        state: str = "running",
        identities: Iterable[Identity] = (),
        tags: Mapping[str, str] | None = None,
        top: Document | None = None,
        vault_fields: Mapping[str, str] | None = None,
        location: str = "",
        id_as: str = "",
        **properties: object,
    ) -> Group:
        """Add a container group that was deployed `age` days ago.

        `vault_fields` are values of its write-only fields (path to value) that the vault holds; `state` is running,
        stopped or finished; `id_as` writes its id in another case.
        """
        document: Document = {"tags": dict(tags or {}), **(top or {})}
        body: Document = {"osType": "Linux", "restartPolicy": policy, "containers": list(containers), **properties}
        entries = list(credentials)
        if entries:
            body["imageRegistryCredentials"] = entries
        named: Document = {identity.id: {} for identity in identities}
        if named:
            document["identity"] = {"type": "UserAssigned", "userAssignedIdentities": named}
        document["properties"] = body
        group_id = f"{home.id}/providers/Microsoft.ContainerInstance/containerGroups/{name}"
        started_at = self.at(-age)
        group = Group(
            id=id_as or group_id,
            name=name,
            subscription=home.id.split("/")[2],
            resource_group=home.name,
            location=location or home.location,
            document=document,
            api_version=api_version,
            run=Run(
                pulled_at=started_at,
                ready_at=started_at + timedelta(seconds=30),
                ends_at=started_at + timedelta(minutes=5) if state == "finished" else None,
                container_ids=tuple(self.world.text(64, "0123456789abcdef") for _ in containers),
            ),
            ip=f"20.{self.world.rng.randrange(30, 120)}.{self.world.rng.randrange(255)}.{self.world.rng.randrange(1, 255)}",
            stopped_at=self.at(-age / 2) if state == "stopped" else None,
        )
        if "systemassigned" in str((document.get("identity") or {}).get("type", "")).lower():
            group.system_principal = self.world.guid()
        self._resolve(group)
        self._record(group)
        self.world.groups.add(group)
        for path, value in (vault_fields or {}).items():
            self.field(group, path, value)
        return group

    def field(self, group: Group, path: str, value: str) -> None:
        """Put the value of a write-only field into the vault, tagged with where it belongs."""
        self._planted += 1
        self.world.vaults.set_secret(
            VAULT,
            f"field-{group.name}-{self._planted}",
            value,
            tags={"rotator-group": group.id.lower(), "rotator-field": path},
        )

    def _resolve(self, group: Group) -> None:
        for entry in group.properties.get("secretReferences") or []:
            identity = self.world.arm.identities[str(entry["identity"]).lower()]
            group.values[str(entry["name"])] = self.world.vaults.read_as(identity.principal_id, str(entry["secretReferenceUri"]))

    def _record(self, group: Group) -> None:
        """Enter every secret value of the document into the ledger, whoever issued it."""
        for path, value in flatten(group.document).items():
            if path.endswith(("/secureValue", "/password", "/workspaceKey", "/storageAccountKey")) or "/secret/" in path:
                self.world.ledger.record(str(value), "group-field", f"group:{group.id.lower()}", path)

    def plain(
        self,
        host: str,
        kind: Literal["bearer", "basic"],
        users: Mapping[str, str],
        repositories: Iterable[str],
        *,
        realm: str = "",
        service: str = "",
        public: tuple[str, ...] = (),
    ) -> dict[str, Secret]:
        """Add a registry of another party; the credential of each user."""
        slots: dict[str, Slot] = {}
        for user, password in users.items():
            slots[user] = Slot()
            slots[user].put(password, self.at(-90), None, self.world.rng, timedelta(0))
            self.world.ledger.record(password, "third-party-password", f"plain:{host}/{user}", "password")
        self.world.registries.add_plain(
            PlainRegistry(
                host=host,
                kind=kind,
                realm=realm,
                service=service,
                users=slots,
                public=public,
                repositories={name: {"v1", "v2", "latest"} for name in repositories},
            )
        )
        return {user: Secret(server=host, username=user, password=password) for user, password in users.items()}

    def history(self, registry: Registry, identity: str, repository: str, days: Iterable[float]) -> None:
        """Plant login and pull events of the past in the registry's log."""
        agent = "docker/20.10.27 go/go1.20.13 kernel/5.15 os/linux arch/amd64 UpstreamClient(aci)"
        for day in days:
            at = self.at(-day)
            self.world.logs.record_login(registry.login_server, identity, "20.50.4.7", ok=True, user_agent=agent, at=at)
            self.world.logs.record_pull(
                login_server=registry.login_server,
                identity=identity,
                client_ip="20.50.4.7",
                repository=repository,
                tag="v1",
                ok=True,
                user_agent=agent,
                at=at,
            )


def container(
    name: str,
    image: str,
    *,
    cpu: float = 0.5,
    memory: float = 1.0,
    ports: Iterable[int] = (),
    env: Mapping[str, str] | None = None,
    secure: Mapping[str, str] | None = None,
    command: Sequence[str] = (),
    mounts: Mapping[str, str] | None = None,
) -> Document:
    """Return a container's document."""
    variables: list[Document] = [{"name": key, "value": value} for key, value in (env or {}).items()]
    variables += [{"name": key, "secureValue": value} for key, value in (secure or {}).items()]
    properties: Document = {
        "image": image,
        "ports": [{"port": port, "protocol": "TCP"} for port in ports],
        "environmentVariables": variables,
        "resources": {"requests": {"cpu": cpu, "memoryInGB": memory}},
    }
    if command:
        properties["command"] = list(command)
    if mounts:
        properties["volumeMounts"] = [{"name": volume, "mountPath": path} for volume, path in mounts.items()]
    return {"name": name, "properties": properties}


def init_container(name: str, image: str, *, secure: Mapping[str, str] | None = None, command: Sequence[str] = ()) -> Document:
    """Return an init container's document: it has no resources of its own."""
    made = container(name, image, secure=secure, command=command)
    for key in ("resources", "ports"):
        made["properties"].pop(key)
    return made


def secret_volume(name: str, files: Mapping[str, str]) -> Document:
    """Return a secret volume; the values are base64 already."""
    return {"name": name, "secret": dict(files)}


def as_json(files: Mapping[str, str]) -> str:
    """Return a secret volume's content as the vault holds it."""
    return json.dumps(dict(files), sort_keys=True)
