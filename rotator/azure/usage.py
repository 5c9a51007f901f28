"""The usage logs in Log Analytics: the registries' login events, and the directory's service principal sign-ins."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from rotator.clients.logs import Logs
from rotator.model.credential import Principal, PrincipalKind
from rotator.model.errors import RemoteError
from rotator.model.image import normal_server
from rotator.model.usage import OWN_AGENT, Use, Uses
from rotator.ports import Clock

INGESTION = timedelta(minutes=15)
"""How late a login event may arrive. Azure names 3 to 10 minutes for resource logs; not a promise, so configurable."""
SIGN_INS_INGESTION = timedelta(hours=1)
"""How late a sign-in may arrive. Microsoft once published 5 minutes for 99 of 100; not a promise, so configurable."""

# Of more logins the newest are compared with pulls; that older ones were not is said.
_MOST = 5000

# What a registry's log holds in `Identity` is the user name that was presented: the token's name, the registry's name for its
# admin user, the application id of a service principal. (From memory for the last two; a registry that logged something else
# would show no entry of the principal, which is why silence alone is only believed next to other entries.)
_BY_REGISTRY = """ContainerRegistryLoginEvents
| where TimeGenerated >= datetime({since})
| where LoginServer in~ ({servers})
| summarize Entries = count() by LoginServer"""
_LOGINS = """ContainerRegistryLoginEvents
| where TimeGenerated >= datetime({since})
| where LoginServer in~ ({servers})
| where Identity =~ {identity}
| project TimeGenerated, CallerIpAddress, UserAgent, ResultType, ResultDescription
| top {most} by TimeGenerated desc"""
_LAST_USES = """ContainerRegistryLoginEvents
| where TimeGenerated >= datetime({since})
| where UserAgent != {own} and ResultDescription !contains "401" and ResultType !contains "unauthorized"
| summarize LastUsed = max(TimeGenerated) by LoginServer, Identity"""
# learn.microsoft.com/azure/azure-monitor/reference/tables/aadserviceprincipalsigninlogs
_SIGN_INS = """AADServicePrincipalSignInLogs
| where TimeGenerated >= datetime({since})
| where AppId =~ {identity}
| summarize LastSeen = max(TimeGenerated) by IPAddress, ServicePrincipalCredentialKeyId"""


class LoginEvents:
    """Reads ContainerRegistryLoginEvents. The log tells who presented a principal's NAME, not which of its secrets."""

    def __init__(self, logs: Logs, workspace_id: str, clock: Clock, ingestion: timedelta = INGESTION) -> None:
        self._logs = logs
        self._workspace = workspace_id
        self._clock = clock
        self._ingestion = ingestion

    def uses(self, principal: Principal, registries: Sequence[str], since: datetime) -> Uses:
        """Return the logins with the principal's name that were not refused.

        Silence is `unproven` where a registry logged nothing at all. An outage of the log never looks like silence.
        """
        now = self._clock.now()
        until, servers = now - self._ingestion, sorted({normal_server(one) for one in registries})
        if not servers:
            return Uses(complete_until=until, unreadable="no registry is known to ask the log about")
        given = {"since": _instant(since), "servers": ", ".join(literal(one) for one in servers)}
        query = _LOGINS.format(**given, identity=literal(principal.name), most=_MOST)
        try:
            rows = self._logs.query(self._workspace, query, (since, now))
            entries = tuple(
                Use(at=_at(row["TimeGenerated"]), address=str(row["CallerIpAddress"] or ""), agent=str(row["UserAgent"] or ""))
                for row in rows
                if not _refused(row)
            )
            logging = self._logs.query(self._workspace, _BY_REGISTRY.format(**given), (since, now))
        except RemoteError as error:
            return Uses(complete_until=until, unreadable=f"the login events could not be read: {error.message}")
        known = {normal_server(str(row["LoginServer"])) for row in logging}
        silent = ", ".join(server for server in servers if server not in known)
        unproven = f"no login to {silent} was logged at all, so that their silence proves nothing" if silent else ""
        if len(rows) == _MOST:
            unproven = f"there were more than {_MOST} logins, of which only the newest were looked at"
        return Uses(complete_until=until, entries=entries, unproven=unproven)

    def last_uses(self, principals: Iterable[Principal], since: datetime) -> Mapping[Principal, datetime]:
        """Return the last login of each principal that the log knows, with one query for all of them."""
        query = _LAST_USES.format(since=_instant(since), own=literal(OWN_AGENT))
        try:
            rows = self._logs.query(self._workspace, query, (since, self._clock.now()))
        except RemoteError:
            return {}
        found: dict[tuple[str, str], datetime] = {}
        for row in rows:
            name, at = str(row["Identity"]).lower(), _at(row["LastUsed"])
            # A service principal is the same one at every registry.
            for server in (normal_server(str(row["LoginServer"])), "entra"):
                found[server, name] = max(at, found.get((server, name), at))
        keys = {one: (one.registry, one.name.lower()) for one in principals}
        return {principal: found[key] for principal, key in keys.items() if key in found}


class SignIns:
    """Reads AADServicePrincipalSignInLogs, which names the secret that was used by its key id.

    The address is that of whoever signed in at Entra. When a registry signs in for its caller, that may be the registry.
    """

    def __init__(self, logs: Logs, workspace_id: str, clock: Clock, ingestion: timedelta = SIGN_INS_INGESTION) -> None:
        self._logs = logs
        self._workspace = workspace_id
        self._clock = clock
        self._ingestion = ingestion

    def uses(self, principal: Principal, registries: Sequence[str], since: datetime) -> Uses:  # noqa: ARG002 - Entra's, no registry's
        """Return each address's last sign-in with each key of the application, refused ones too: who presents a secret has it.

        Silence is `unproven` where there is no sign-in at all: nothing shows that the log receives them.
        """
        now = self._clock.now()
        until = now - self._ingestion
        query = _SIGN_INS.format(since=_instant(since), identity=literal(principal.name))
        try:
            rows = self._logs.query(self._workspace, query, (since, now))
        except RemoteError as error:
            return Uses(complete_until=until, unreadable=f"the sign-in log could not be read: {error.message}", names_keys=True)
        entries = tuple(
            Use(
                at=_at(row["LastSeen"]),
                address=str(row["IPAddress"] or ""),
                key=str(row["ServicePrincipalCredentialKeyId"] or ""),
            )
            for row in rows
        )
        unproven = "" if entries else "no sign-in of the application was logged at all, so that silence proves nothing"
        return Uses(complete_until=until, entries=entries, names_keys=True, unproven=unproven)


class UsageLogs:
    """Keeps `rotator.ports.UsageLog`: asks the directory's log about service principals, the registries' about everybody else."""

    def __init__(self, logins: LoginEvents, sign_ins: SignIns) -> None:
        self._logins = logins
        self._sign_ins = sign_ins

    def uses(self, principal: Principal, registries: Sequence[str], since: datetime) -> Uses:
        """Return who presented a secret of the principal since an instant."""
        if principal.kind is PrincipalKind.ENTRA_APP:
            return self._sign_ins.uses(principal, registries, since)
        return self._logins.uses(principal, registries, since)

    def last_uses(self, principals: Iterable[Principal], since: datetime) -> Mapping[Principal, datetime]:
        """Return the last login of each principal at a registry; the registries know service principals too."""
        return self._logins.last_uses(principals, since)


class NullUsageLog:
    """Stands in where no workspace is configured: an old secret is taken for idle when its soak is over."""

    def uses(self, principal: Principal, registries: Sequence[str], since: datetime) -> Uses:  # noqa: ARG002
        """Return nothing, which proves nothing."""
        # Nothing is on its way here, so that there is nothing to wait for either.
        return Uses(complete_until=datetime.max.replace(tzinfo=UTC), unproven="no log workspace is configured (usage_log)")

    def last_uses(self, principals: Iterable[Principal], since: datetime) -> Mapping[Principal, datetime]:  # noqa: ARG002
        """Return nothing."""
        return {}


def literal(text: str) -> str:
    """Return a KQL string literal; names come from container groups, which other people write."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\r", "\\r").replace("\n", "\\n")
    return f'"{escaped}"'


def _refused(row: dict[str, object]) -> bool:
    """Whether the registry refused the login; how it writes a result is not documented. It would have accepted an old secret."""
    said = f"{row['ResultType']} {row['ResultDescription']}".lower()
    return "401" in said or "unauthorized" in said


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _at(value: object) -> datetime:
    return value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
