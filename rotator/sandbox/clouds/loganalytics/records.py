"""The usage log: which tables there are, what registries write into them, and how late it can be read."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from rotator.sandbox.clouds.loganalytics.kql import Table
from rotator.sandbox.clouds.loganalytics.kql.values import Row, Value
from rotator.sandbox.clouds.loganalytics.schemas import SCHEMAS

if TYPE_CHECKING:
    from rotator.sandbox.world import World

LATENCY = (180.0, 600.0)
"""Seconds from an event to the moment a query sees it (resource logs: 3 to 10 minutes)."""

_ACR_SUFFIXES = (".azurecr.io", ".azurecr.cn", ".azurecr.us")

_SIGN_INS = "AADServicePrincipalSignInLogs"


@dataclass(frozen=True, slots=True)
class Entry:
    """One row, and the instant from which queries see it."""

    row: Row
    arrives_at: datetime


class _Tables(Mapping[str, Table]):
    """The tables by name, each put together when a query names it."""

    def __init__(self, names: Sequence[str], table: Callable[[str], Table]) -> None:
        self._names = names
        self._table = table

    def __getitem__(self, name: str) -> Table:
        if name not in self._names:
            raise KeyError(name)
        return self._table(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class Logs:
    """The rows of every workspace. A registry writes to `workspace_id` unless it is connected elsewhere or nowhere.

    `sign_ins_to` is the workspace of the tenant's diagnostic setting for service principals' sign-ins; None: there is none.
    """

    def __init__(self, world: "World") -> None:
        self.world = world
        self.workspace_id = world.guid()
        self.sign_ins_to: str | None = self.workspace_id
        self._connections: dict[str, str | None] = {}
        self._entries: dict[tuple[str, str], list[Entry]] = {}

    # --- what is recorded where ------------------------------------------------------------------------------------

    def connect(self, login_server: str, workspace_id: str | None) -> None:
        """Point a registry's diagnostic setting at a workspace; None takes the setting away, and nothing is recorded."""
        self._connections[login_server.lower()] = workspace_id

    def workspace_of(self, login_server: str) -> str | None:
        """Return the workspace that a registry writes to; None for one that writes nowhere, as other vendors' do."""
        if not login_server.lower().endswith(_ACR_SUFFIXES):
            return None
        return self._connections.get(login_server.lower(), self.workspace_id)

    def record_login(
        self,
        login_server: str,
        identity: str,
        client_ip: str,
        *,
        ok: bool,
        user_agent: str = "",
        at: datetime | None = None,
    ) -> None:
        """Record one login at a registry, now or at a past instant."""
        row = self._registry_row(login_server, identity, client_ip, "Login", ok=ok, user_agent=user_agent)
        self._append(self.workspace_of(login_server), "ContainerRegistryLoginEvents", at, row | {"JwtId": self.world.guid()})

    def record_pull(
        self,
        login_server: str,
        identity: str,
        client_ip: str,
        *,
        repository: str,
        tag: str = "",
        digest: str = "",
        ok: bool = True,
        user_agent: str = "",
        at: datetime | None = None,
    ) -> None:
        """Record one pull of a manifest."""
        row = self._registry_row(login_server, identity, client_ip, "Pull", ok=ok, user_agent=user_agent)
        row |= {
            "Repository": repository,
            "Tag": tag,
            "Digest": digest,
            "MediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "ArtifactType": "Image",
            "Size": 0,
            "UserTenantId": self.world.entra.tenant_id,
        }
        self._append(self.workspace_of(login_server), "ContainerRegistryRepositoryEvents", at, row)

    def record_sign_in(
        self,
        app_id: str,
        key_id: str,
        client_ip: str,
        *,
        error: int = 0,
        resource: str = "Azure Container Registry",
        at: datetime | None = None,
    ) -> None:
        """Record one sign-in of a service principal with one of its secrets; a wrong secret has no key id.

        Whose address Entra sees when a registry checks the secret for its caller is not known: here it is the caller's.
        """
        world = self.world
        principal = world.graph.service_principal_by_app_id(app_id)
        row: Row = dict.fromkeys(SCHEMAS[_SIGN_INS], "")
        row |= {
            "AppId": app_id.lower(),
            "Category": "ServicePrincipalSignInLogs",
            "ConditionalAccessStatus": "notApplied",
            "CorrelationId": world.guid(),
            "DurationMs": 0,
            "Id": world.guid(),
            "IPAddress": client_ip,
            "Level": "4",
            "OperationName": "Sign-in activity",
            "OperationVersion": "1.0",
            "ResourceDisplayName": resource,
            "ResultSignature": "FAILURE" if error else "SUCCESS",
            # Documented as Success or Failure; Microsoft's own sample queries compare it with 0.
            "ResultType": str(error),
            "ServicePrincipalCredentialKeyId": key_id,
            "ServicePrincipalId": principal.object_id if principal else "",
            "ServicePrincipalName": principal.display_name if principal else "",
        }
        self._append(self.sign_ins_to, _SIGN_INS, at, row)

    def record_container_event(
        self, workspace_id: str, group_id: str, container: str, reason: str, message: str, *, at: datetime | None = None
    ) -> None:
        """Record one event of a container group that logs to a workspace."""
        row = self._group_row(group_id, message)
        row |= {
            "ContainerName_s": container,
            "ContainerGroupInstanceId_g": self.world.guid(),
            "Count_d": 1.0,
            "FirstTimestamp_t": at or self.world.now(),
            "Reason_s": reason,
        }
        self._append(workspace_id, "ContainerEvent_CL", at, row)

    def record_container_log(
        self, workspace_id: str, group_id: str, container: str, image: str, message: str, *, at: datetime | None = None
    ) -> None:
        """Record one line that a container wrote."""
        row = self._group_row(group_id, message)
        row |= {"ContainerID_s": container, "ContainerImage_s": image, "Source_s": "LoggingAgent"}
        self._append(workspace_id, "ContainerInstanceLog_CL", at, row)

    # --- reading ---------------------------------------------------------------------------------------------------

    def tables(
        self, workspace_ids: Sequence[str], start_at: datetime | None, end_at: datetime | None, resource_id: str = ""
    ) -> Mapping[str, Table]:
        """Return every table as a query at this moment sees it: what has arrived, between the two instants."""
        now, root = self.world.now(), resource_id.lower()

        def table(name: str) -> Table:
            rows = [
                entry.row
                for workspace_id in workspace_ids
                for entry in self._entries.get((workspace_id.lower(), name), ())
                if entry.arrives_at <= now
                and _within(entry.row["TimeGenerated"], start_at, end_at)
                and (not root or str(entry.row.get("_ResourceId", "")).startswith(root))
            ]
            return Table(SCHEMAS[name], rows)

        fed = str(self.sign_ins_to).lower() in {one.lower() for one in workspace_ids}
        return _Tables([name for name in SCHEMAS if fed or name != _SIGN_INS], table)

    # --- inside ----------------------------------------------------------------------------------------------------

    def _append(self, workspace_id: str | None, table: str, at: datetime | None, row: Row) -> None:
        if workspace_id is None:
            return
        world = self.world
        generated_at = at or world.now()
        delay = 0.0 if world.options.quiet else world.rng.uniform(*LATENCY)
        full: Row = {
            **row,
            "TenantId": workspace_id,
            "TimeGenerated": generated_at,
            "SourceSystem": "Azure",
            "Type": table,
        }
        entry = Entry(full, generated_at + timedelta(seconds=delay))
        self._entries.setdefault((workspace_id.lower(), table), []).append(entry)

    def _registry_row(
        self, login_server: str, identity: str, client_ip: str, operation: str, *, ok: bool, user_agent: str
    ) -> Row:
        registry = self.world.registries.servers.get(login_server.lower())
        resource_id = registry.id.lower() if registry is not None else ""
        category = "ContainerRegistryLoginEvents" if operation == "Login" else "ContainerRegistryRepositoryEvents"
        return {
            "OperationName": operation,
            "Category": category,
            "CorrelationId": self.world.guid(),
            "LoginServer": login_server.lower(),
            "Identity": identity,
            "CallerIpAddress": client_ip,
            "DurationMs": str(self.world.rng.randint(5, 90)),
            "Region": registry.location if registry is not None else "",
            # How a result is written is not documented: readers should look for the number in either column.
            "ResultType": "HttpStatusCode.OK" if ok else "HttpStatusCode.Unauthorized",
            "ResultDescription": "200" if ok else "401",
            "UserAgent": user_agent,
            **_resource(resource_id),
        }

    def _group_row(self, group_id: str, message: str) -> Row:
        parts = group_id.split("/")
        return {
            "ContainerGroup_s": parts[-1],
            "ResourceGroup": parts[4] if len(parts) > 4 else "",
            "SubscriptionId": parts[2] if len(parts) > 2 else "",
            "Message": message,
            "OSType_s": "Linux",
            **_resource(group_id.lower()),
        }


def _resource(resource_id: str) -> Row:
    parts = resource_id.split("/")
    return {"_ResourceId": resource_id, "_SubscriptionId": parts[2] if len(parts) > 2 else ""}


def _within(at: Value, start_at: datetime | None, end_at: datetime | None) -> bool:
    if not isinstance(at, datetime):
        return False
    return (start_at is None or at >= start_at) and (end_at is None or at < end_at)
