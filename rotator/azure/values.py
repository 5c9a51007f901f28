"""Where the values of write-only fields are found again: the vault first, then the services that made them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import TypedDict

from rotator.azure.writeonly import Object, objects, part
from rotator.clients.arm import Arm
from rotator.model.arm import ArmId
from rotator.model.credential import Principal, PrincipalKind
from rotator.model.errors import Held, Rejected
from rotator.model.estate import STAGED_SUFFIX, TAG_FIELD, TAG_GROUP, TAG_PRINCIPAL, StoredSecret
from rotator.model.group import ContainerGroup, Inline, WriteOnlyField, registry_password
from rotator.model.secret import Secret
from rotator.ports import SecretStore

_STORAGE = "Microsoft.Storage/storageAccounts"
_WORKSPACES = "Microsoft.OperationalInsights/workspaces"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyVersions:
    """The api-versions of the two services that tell their keys; any stable one has these operations."""

    storage: str = "2023-05-01"
    workspaces: str = "2023-09-01"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """A place that holds a value: its name for people, and how to read it."""

    name: str
    read: Callable[[], Secret]


@dataclass(slots=True)
class _Index:
    """What the vault's tags say: secret names by group and field, and by the registry and user name of a principal."""

    fields: dict[tuple[str, str], str] = field(default_factory=dict)
    principals: dict[tuple[str, str], str] = field(default_factory=dict)
    held: dict[str, str] = field(default_factory=dict)


class StoredValues:
    """Keeps `rotator.ports.ValueSource`. Safe for threads.

    Searched in this order: for a registry password, the vault secret that holds the principal's own credential (tag
    `rotator-principal`); then any field's own vault secret (tags `rotator-group`, the group's id in any case, and
    `rotator-field`, the field's path); then the keys of the storage account or the Log Analytics workspace that the group
    names, looked for in the group's subscription and then in `subscriptions`. What was learnt is kept until `refresh`.
    """

    def __init__(
        self, vault: SecretStore, arm: Arm, *, subscriptions: Sequence[str] = (), versions: KeyVersions | None = None
    ) -> None:
        self._vault = vault
        self._arm = arm
        self._subscriptions = tuple(one.lower() for one in subscriptions)
        self._versions = versions or KeyVersions()
        self._lock = Lock()
        self._index: _Index | None = None
        self._listed: dict[tuple[str, str], Mapping[str, ArmId]] = {}

    def refresh(self, secrets: Iterable[StoredSecret] | None = None) -> None:
        """Forget what was learnt; the next question reads again, or takes `secrets`, a listing that the caller has."""
        with self._lock:
            self._index = None if secrets is None else _indexed(secrets)
            self._listed.clear()

    def locate(self, group: ContainerGroup, field: WriteOnlyField) -> str | None:
        """Name the place that holds the field's value (`vault:<name>`, `storage-keys:<account>`, `workspace-keys:<id>`), or None.

        Reads no value. Raises what the vault or Azure raised when they could not be searched: that is not the same as None.
        """
        source = self._source(group, field)
        return source.name if source else None

    def fetch(self, group: ContainerGroup, field: WriteOnlyField) -> Secret:
        """Return the field's value; Held when no place holds it."""
        source = self._source(group, field)
        if source is None:
            raise Held(
                f"nothing holds the value of {field.path} of group {group.name}",
                missing=(field.path,),
                advice=f"Store it in the vault under the tags {TAG_GROUP} ({group.id.key}) and {TAG_FIELD} ({field.path}).",
            )
        return source.read()

    def held(self, principal: Principal) -> Secret | None:
        """Return the value of the vault's secret that holds a principal's credential, or None without one."""
        name = self._vault_index().held.get(principal.id)
        return self._vault.read(name) if name is not None else None

    def _source(self, group: ContainerGroup, field: WriteOnlyField) -> _Source | None:
        index = self._vault_index()
        name = _of_principal(index, group, field) or index.fields.get((group.id.key, field.path))
        if name is not None:
            return _Source(name=f"vault:{name}", read=lambda: self._vault.read(name))
        kind, _, rest = field.path.partition("/")
        properties = part(group.body, "properties")
        if kind == "volumes" and rest.endswith("/azureFile/storageAccountKey"):
            volume = rest.removesuffix("/azureFile/storageAccountKey")
            shares = [one for one in objects(properties.get("volumes")) if one.get("name") == volume]
            account = str(part(shares[0], "azureFile").get("storageAccountName", "")) if shares else ""
            return self._storage(group.id.subscription, account)
        if field.path == "diagnostics/logAnalytics/workspaceKey":
            workspace = str(part(part(properties, "diagnostics"), "logAnalytics").get("workspaceId", ""))
            return self._workspace(group.id.subscription, workspace)
        return None

    def _vault_index(self) -> _Index:
        with self._lock:
            if self._index is None:
                self._index = _indexed(self._vault.inventory())
            return self._index

    def _storage(self, subscription: str, account: str) -> _Source | None:
        found = self._found(subscription, _STORAGE, self._versions.storage, account)
        if found is None:
            return None

        def read() -> Secret:
            call = _call("list-storage-keys", f"{_STORAGE}/listKeys/action", f"storage account {account}")
            body = self._arm.send("POST", f"{found.text}/listKeys", self._versions.storage, **call, effect=False).body
            # Either key opens the share; one that may only read would take the container's write access away.
            full = [one for one in objects(body.get("keys")) if str(one.get("permissions", "full")).lower() == "full"]
            return _key(full[0].get("value") if full else None, "list-storage-keys", f"storage account {account}")

        return _Source(name=f"storage-keys:{account}", read=read)

    def _workspace(self, subscription: str, customer_id: str) -> _Source | None:
        found = self._found(subscription, _WORKSPACES, self._versions.workspaces, customer_id)
        if found is None:
            return None

        def read() -> Secret:
            call = _call("list-workspace-keys", f"{_WORKSPACES}/sharedKeys/action", f"workspace {found.name}")
            body = self._arm.send("POST", f"{found.text}/sharedKeys", self._versions.workspaces, **call, effect=False).body
            return _key(body.get("primarySharedKey"), "list-workspace-keys", f"workspace {found.name}")

        return _Source(name=f"workspace-keys:{found.name}", read=read)

    def _found(self, subscription: str, kind: str, version: str, name: str) -> ArmId | None:
        """Look a storage account up by its name, a workspace by its customer id; both are unique in the whole cloud."""
        for one in dict.fromkeys((subscription, *self._subscriptions)) if name else ():
            found = self._listing(one, kind, version).get(name.lower())
            if found is not None:
                return found
        return None

    def _listing(self, subscription: str, kind: str, version: str) -> Mapping[str, ArmId]:
        with self._lock:
            listing = self._listed.get((subscription, kind))
            if listing is None:
                call = _call("list-key-holders", f"{kind}/read", f"subscription {subscription}")
                pages = self._arm.pages(f"/subscriptions/{subscription}/providers/{kind}", version, **call)
                listing = {_known_as(kind, body).lower(): ArmId(str(body.get("id", ""))) for body in pages}
                self._listed[subscription, kind] = listing
            return listing


class _Call(TypedDict):
    service: str
    operation: str
    needs: str
    thing: str


def _call(operation: str, needs: str, thing: str) -> _Call:
    return _Call(service="arm", operation=operation, needs=needs, thing=thing)


def _known_as(kind: str, body: Object) -> str:
    if kind == _WORKSPACES:
        return str(part(body, "properties").get("customerId", ""))
    return str(body.get("name", ""))


def _key(value: object, operation: str, thing: str) -> Secret:
    if not isinstance(value, str) or not value:
        raise Rejected(
            f"Azure answered the keys of {thing} without one that could be used.",
            api="arm",
            operation=operation,
            reason="unexpected-answer",
        )
    return Secret(value)


def _indexed(secrets: Iterable[StoredSecret]) -> _Index:
    index = _Index()
    for stored in secrets:
        # A staged secret is not verified yet, and a disabled one is refused by the vault.
        if stored.name.endswith(STAGED_SUFFIX) or not stored.enabled:
            continue
        tags = stored.tags
        if TAG_GROUP in tags and TAG_FIELD in tags:
            index.fields[ArmId(tags[TAG_GROUP]).key, tags[TAG_FIELD]] = stored.name
        if TAG_PRINCIPAL in tags:
            try:
                principal = Principal.parse(tags[TAG_PRINCIPAL])
            except ValueError:
                continue  # somebody else's tag of the same name
            index.principals[_login(principal)] = stored.name
            index.held[principal.id] = stored.name
    return index


def _login(principal: Principal) -> tuple[str, str]:
    """The registry and user name that a principal's secret goes with; a service principal's goes with any registry."""
    host = "" if principal.kind is PrincipalKind.ENTRA_APP else principal.registry
    return host, principal.name.lower()


def _of_principal(index: _Index, group: ContainerGroup, field: WriteOnlyField) -> str | None:
    """Return the vault secret of the principal whose password the field is.

    Found by the entry's host and user name, so that it works for a group that no inventory has classified yet.
    """
    hosts: set[str] = set()
    for binding in group.bindings:
        if not isinstance(binding.source, Inline):
            continue
        host, username = binding.registry, binding.source.username
        # As in the field paths: the first entry of a host has the short one, another user's entry of the same host its own.
        mine = f"imageRegistryCredentials/{host}/{username}/password"
        if field.path == mine or (host not in hosts and field == registry_password(host)):
            user = username.strip().lower()
            return index.principals.get((host, user)) or index.principals.get(("", user))
        hosts.add(host)
    return None
