"""Container groups, planted without HTTP; with all that they stand on, the words in which an estate is written."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta

from rotator.sandbox.clouds.arm.records import Identity, ResourceGroup
from rotator.sandbox.clouds.containergroups.comparison import flatten
from rotator.sandbox.clouds.containergroups.records import Group, Run
from rotator.sandbox.estates.documents import Secret
from rotator.sandbox.estates.ground import VAULT
from rotator.sandbox.estates.principals import Principals
from rotator.sandbox.wire import Document
from rotator.sandbox.world import World

ECR_SERVER = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"


class Builder(Principals):
    """Plants container groups."""

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self._planted = 0

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

    def _resolve(self, group: Group) -> None:
        for entry in group.properties.get("secretReferences") or []:
            identity = self.world.arm.identities[str(entry["identity"]).lower()]
            group.values[str(entry["name"])] = self.world.vaults.read_as(identity.principal_id, str(entry["secretReferenceUri"]))

    def _record(self, group: Group) -> None:
        """Enter every secret value of the document into the ledger, whoever issued it."""
        for path, value in flatten(group.document).items():
            if path.endswith(("/secureValue", "/password", "/workspaceKey", "/storageAccountKey")) or "/secret/" in path:
                self.world.ledger.record(str(value), "group-field", f"group:{group.id.lower()}", path)

    def reference(self, name: str, identity: Identity, secret: Secret) -> Document:
        """Return an entry of secretReferences: a secret of the vault without a version, read by an identity."""
        uri = self.world.vaults.vault(VAULT).secret_id(secret.held_as)
        return {"name": name, "identity": identity.id, "secretReferenceUri": uri}

    def field(self, group: Group, path: str, value: str) -> None:
        """Put the value of a write-only field into the vault, tagged with where it belongs."""
        self._planted += 1
        self.world.vaults.set_secret(
            VAULT,
            f"field-{group.name}-{self._planted}",
            value,
            tags={"rotator-group": group.id.lower(), "rotator-field": path},
        )
