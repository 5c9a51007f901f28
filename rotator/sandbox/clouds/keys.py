"""Resources whose keys container groups hold: storage accounts (file shares) and Log Analytics workspaces (logs)."""

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from rotator.sandbox.clouds import management
from rotator.sandbox.wire import Document, Handler, Refused, Reply, Request, Route, paging, refuse, rfc3339_fine

if TYPE_CHECKING:
    from rotator.sandbox.world import World

_STORAGE = "Microsoft.Storage/storageAccounts"
_WORKSPACES = "Microsoft.OperationalInsights/workspaces"
_PAGE = 20


@dataclass(slots=True, kw_only=True, repr=False)
class KeyHolder:
    """A resource with two keys. `customer_id` is a workspace's own id, which queries and container groups name."""

    kind: str
    resource_id: str
    location: str
    keys: tuple[str, str]
    created_at: datetime
    customer_id: str = ""

    @property
    def name(self) -> str:
        """The last part of the resource id."""
        return self.resource_id.rpartition("/")[2]


class Keys:
    """Storage accounts and workspaces by resource id, whatever its case."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self._holders: dict[str, KeyHolder] = {}

    def add_storage_account(
        self, resource_id: str, keys: tuple[str, str] | None = None, *, location: str = "westeurope"
    ) -> KeyHolder:
        """Create a storage account; without `keys` two are drawn that look like Azure's own."""
        drawn = keys or (self._storage_key(), self._storage_key())
        return self._add(_STORAGE, resource_id, location, drawn, "storage-account-key")

    def add_workspace(
        self, resource_id: str, workspace_id: str, keys: tuple[str, str] | None = None, *, location: str = "westeurope"
    ) -> KeyHolder:
        """Create a workspace whose `customerId` is `workspace_id`."""
        drawn = keys or (self._workspace_key(), self._workspace_key())
        holder = self._add(_WORKSPACES, resource_id, location, drawn, "workspace-key")
        holder.customer_id = workspace_id
        return holder

    def storage_accepts(self, account: str, key: str) -> bool:
        """Say whether a key opens the storage account of this name."""
        named = (one for one in self.of_kind(_STORAGE) if one.name.lower() == account.lower())
        return any(key in one.keys for one in named)

    def workspace_accepts(self, workspace_id: str, key: str) -> bool:
        """Say whether a key may write to the workspace."""
        holder = self.workspace(workspace_id)
        return holder is not None and key in holder.keys

    def workspace(self, workspace_id: str) -> KeyHolder | None:
        """Return a workspace by its customerId."""
        wanted = workspace_id.lower()
        return next((one for one in self.of_kind(_WORKSPACES) if one.customer_id.lower() == wanted), None)

    def of_kind(self, kind: str) -> Iterable[KeyHolder]:
        """Yield the resources of one type."""
        return (holder for holder in self._holders.values() if holder.kind == kind)

    def find(self, resource_id: str) -> KeyHolder | None:
        """Return a resource by id."""
        return self._holders.get(resource_id.lower())

    def _add(self, kind: str, resource_id: str, location: str, keys: tuple[str, str], ledger_kind: str) -> KeyHolder:
        holder = KeyHolder(kind=kind, resource_id=resource_id, location=location, keys=keys, created_at=self.world.now())
        self._holders[resource_id.lower()] = holder
        for number, key in enumerate(keys, start=1):
            self.world.ledger.record(key, ledger_kind, resource_id, f"key{number}")
        return holder

    def _storage_key(self) -> str:
        # Azure marks the keys of storage accounts: "+ASt" at place 76, a checksum behind it. Scanners look for it.
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
        return f"{self.world.text(76, alphabet)}+ASt{self.world.text(5, alphabet)}{self.world.text(1, 'AQgw')}=="

    def _workspace_key(self) -> str:
        return base64.b64encode(self.world.rng.randbytes(64)).decode()


# --- HTTP ---------------------------------------------------------------------------------------------------------


def _document(holder: KeyHolder) -> Document:
    shared: Document = {
        "id": holder.resource_id,
        "name": holder.name,
        "type": holder.kind,
        "location": holder.location,
        "tags": {},
    }
    if holder.kind == _STORAGE:
        return shared | {
            "kind": "StorageV2",
            "sku": {"name": "Standard_LRS", "tier": "Standard"},
            "properties": {
                "provisioningState": "Succeeded",
                "creationTime": rfc3339_fine(holder.created_at),
                "keyCreationTime": {f"key{number}": rfc3339_fine(holder.created_at) for number in (1, 2)},
                "primaryEndpoints": {"file": f"https://{holder.name}.file.core.windows.net/"},
                "allowSharedKeyAccess": True,
                "minimumTlsVersion": "TLS1_2",
                "supportsHttpsTrafficOnly": True,
            },
        }
    return shared | {
        "properties": {
            "customerId": holder.customer_id,
            "provisioningState": "Succeeded",
            "sku": {"name": "PerGB2018"},
            "retentionInDays": 30,
            "publicNetworkAccessForIngestion": "Enabled",
            "publicNetworkAccessForQuery": "Enabled",
        }
    }


def _listing(kind: str) -> Handler:
    def handle(world: "World", request: Request) -> Reply:
        scope = request.path.lower().partition("/providers/")[0]
        visible = [
            _document(holder)
            for holder in world.keys.of_kind(kind)
            if holder.resource_id.lower().startswith(f"{scope}/")
            and world.arm.allowed(request.known_caller, f"{kind}/read", holder.resource_id)
        ]
        return Reply(200, paging(visible, request, _PAGE))

    return handle


def _enter(world: "World", request: Request, kind: str, action: str) -> KeyHolder:
    """Demand the right at the resource, and find it."""
    resource_id = request.path if action == "read" else request.path.rpartition("/")[0]
    world.arm.demand(request.known_caller, f"{kind}/{action}", resource_id)
    holder = world.keys.find(resource_id)
    if holder is None or holder.kind != kind:
        raise _missing(kind, request)
    return holder


def _missing(kind: str, request: Request) -> Refused:
    name, group = request.params["name"], request.params["group"]
    return refuse(
        404,
        "ResourceNotFound",
        f"The Resource '{kind}/{name}' under resource group '{group}' was not found. For more details please go to "
        "https://aka.ms/ARMResourceNotFoundFix",
    )


def _getting(kind: str) -> Handler:
    def handle(world: "World", request: Request) -> Reply:
        holder = _enter(world, request, kind, "read")
        return Reply(200, _document(holder))

    return handle


def list_storage_keys(world: "World", request: Request) -> Reply:
    """Return both keys of a storage account."""
    holder = _enter(world, request, _STORAGE, "listkeys/action")
    world.events.append("keys.listed", resource=holder.resource_id)
    keys = [
        {
            "keyName": f"key{number}",
            "value": key,
            "permissions": "FULL",
            "creationTime": rfc3339_fine(holder.created_at),
        }
        for number, key in enumerate(holder.keys, start=1)
    ]
    return Reply(200, {"keys": keys})


def share_workspace_keys(world: "World", request: Request) -> Reply:
    """Return both keys of a workspace."""
    holder = _enter(world, request, _WORKSPACES, "sharedKeys/action")
    world.events.append("keys.listed", resource=holder.resource_id)
    return Reply(200, {"primarySharedKey": holder.keys[0], "secondarySharedKey": holder.keys[1]})


_route = partial(management.route, "arm")


def _routes_of(kind: str, short: str, keys: str, handler: Handler) -> Iterable[Route]:
    subscription = "/subscriptions/{subscription}"
    group = f"{subscription}/resourceGroups/{{group}}"
    yield _route(f"{short}.list", "GET", f"{subscription}/providers/{kind}", _listing(kind))
    yield _route(f"{short}.list", "GET", f"{group}/providers/{kind}", _listing(kind))
    yield _route(f"{short}.get", "GET", f"{group}/providers/{kind}/{{name}}", _getting(kind))
    yield _route(f"{short}.{keys}", "POST", f"{group}/providers/{kind}/{{name}}/{keys}", handler)


ROUTES: tuple[Route, ...] = (
    *_routes_of(_STORAGE, "storageAccounts", "listKeys", list_storage_keys),
    *_routes_of(_WORKSPACES, "workspaces", "sharedKeys", share_workspace_keys),
)
