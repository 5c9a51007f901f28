"""The usage log: the login events that registries send to a Log Analytics workspace."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from rotator.clients.logs import Logs, Row
from rotator.model.credential import Principal
from rotator.model.errors import RemoteError
from rotator.model.image import normal_server
from rotator.ports import Clock, Drain, Usage

INGESTION = timedelta(minutes=15)
"""How late an entry may arrive. Azure names 3 to 10 minutes for resource logs; not a promise, so configurable."""

# What a registry's log holds in `Identity` is the user name that was presented: the token's name, the registry's name for its
# admin user, the application id of a service principal. (From memory for the last two; a registry that logged something else
# would show no entry of the principal, which is why silence alone is only believed next to other entries.)
_BY_REGISTRY = """ContainerRegistryLoginEvents
| where TimeGenerated >= datetime({since})
| where LoginServer in~ ({servers})
| summarize Entries = count() by LoginServer"""
_BY_CALLER = """ContainerRegistryLoginEvents
| where TimeGenerated >= datetime({since})
| where LoginServer in~ ({servers})
| where Identity =~ {identity}
| summarize LastSeen = max(TimeGenerated) by CallerIpAddress"""


class LoginEvents:
    """Reads ContainerRegistryLoginEvents. The log tells who presented a principal's NAME, not which of its secrets."""

    def __init__(self, logs: Logs, workspace_id: str, clock: Clock, ingestion: timedelta = INGESTION) -> None:
        self._logs = logs
        self._workspace = workspace_id
        self._clock = clock
        self._ingestion = ingestion

    def usage(self, principal: Principal, registries: Sequence[str], since: datetime) -> Usage:
        """Say who presented the principal's name to the registries since an instant.

        IN_USE: somebody did. PROVED: nobody did, the window is longer than entries need to arrive, and every registry logged
        other logins in it, so the log works. ASSUMED: a registry logged nothing at all. UNKNOWN: the window is too short yet, or
        the log could not be read; an outage of the log must never look like silence.
        """
        now = self._clock.now()
        servers = sorted({normal_server(one) for one in registries})
        if not servers:
            return Usage(drain=Drain.UNKNOWN, detail="No registry is known to ask the log about.")
        try:
            seen = self._seen(principal, servers, since, now)
            if seen is not None:
                return seen
            logging = self._logging(servers, since, now)
        except RemoteError as error:
            return Usage(drain=Drain.UNKNOWN, detail=f"The login events could not be read: {error.message}")
        if now - since <= self._ingestion:
            minutes = int(self._ingestion.total_seconds() // 60)
            return Usage(drain=Drain.UNKNOWN, detail=f"Entries may arrive {minutes} minutes late; it is too early to tell.")
        silent = [server for server in servers if server not in logging]
        if silent:
            return Usage(
                drain=Drain.ASSUMED,
                detail=f"No login to {', '.join(silent)} was logged at all, so their silence proves nothing.",
            )
        until = now - self._ingestion
        return Usage(
            drain=Drain.PROVED,
            detail=f"Until {until:%Y-%m-%d %H:%M} UTC nobody presented {principal.name}, while other logins were logged.",
        )

    def _seen(self, principal: Principal, servers: list[str], since: datetime, now: datetime) -> Usage | None:
        query = _BY_CALLER.format(since=_instant(since), servers=_list(servers), identity=literal(principal.name))
        rows = self._logs.query(self._workspace, query, (since, now))
        if not rows:
            return None
        last = max(_at(row["LastSeen"]) for row in rows)
        callers = tuple(sorted({str(row["CallerIpAddress"]) for row in rows if row["CallerIpAddress"]}))
        return Usage(
            drain=Drain.IN_USE,
            last_seen_at=last,
            callers=callers,
            detail=f"{principal.name} was last presented at {last:%Y-%m-%d %H:%M} UTC.",
        )

    def _logging(self, servers: list[str], since: datetime, now: datetime) -> set[str]:
        query = _BY_REGISTRY.format(since=_instant(since), servers=_list(servers))
        rows: list[Row] = self._logs.query(self._workspace, query, (since, now))
        return {normal_server(str(row["LoginServer"])) for row in rows}


class NullUsageLog:
    """Stands in where no workspace is configured: an old secret is taken for idle when its soak is over."""

    def usage(self, principal: Principal, registries: Sequence[str], since: datetime) -> Usage:  # noqa: ARG002
        """Answer ASSUMED for everybody."""
        return Usage(drain=Drain.ASSUMED, detail="No log workspace is configured (usage_log.workspace_id).")


def literal(text: str) -> str:
    """Return a KQL string literal; names come from container groups, which other people write."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\r", "\\r").replace("\n", "\\n")
    return f'"{escaped}"'


def _list(servers: Sequence[str]) -> str:
    return ", ".join(literal(server) for server in servers)


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _at(value: object) -> datetime:
    return value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
