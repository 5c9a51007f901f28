"""Log Analytics queries."""

from datetime import datetime

from azure.core.credentials import TokenCredential
from azure.monitor.query import LogsQueryClient, LogsQueryPartialResult

from rotator.clients.failures import translated
from rotator.clients.network import Network
from rotator.clients.observed import RequestObserver, unobserved
from rotator.clients.pipeline import policies, scope_of
from rotator.clients.retry import retried
from rotator.model.errors import Unavailable
from rotator.ports import Clock

READ = "Log Analytics Reader on the workspace (Microsoft.OperationalInsights/workspaces/query/read)"

Row = dict[str, object]


class Logs:
    """Queries of Log Analytics workspaces; safe to share between threads."""

    def __init__(
        self,
        credential: TokenCredential,
        endpoint: str,
        network: Network,
        clock: Clock,
        observe: RequestObserver = unobserved,
    ) -> None:
        self._clock = clock
        self._client = LogsQueryClient(
            credential,
            endpoint=endpoint,
            policies=policies(credential, scope_of(endpoint)),
            transport=network.azure_transport(clock, observe),
        )

    def query(self, workspace_id: str, kql: str, timespan: tuple[datetime, datetime]) -> list[Row]:
        """Return the rows of the first table, by column name; instants are aware UTC.

        `timespan` bounds TimeGenerated. Half an answer is none: a partial result raises Unavailable, since what it leaves out
        could be the very entry that was asked for.
        """
        return retried(self._clock, lambda: self._once(workspace_id, kql, timespan), key=workspace_id)

    def _once(self, workspace_id: str, kql: str, timespan: tuple[datetime, datetime]) -> list[Row]:
        with translated(api="logs", operation="query", needs=READ, thing=f"workspace {workspace_id}"):
            result = self._client.query_workspace(workspace_id, kql, timespan=timespan)
        if isinstance(result, LogsQueryPartialResult):
            raise Unavailable(f"Log Analytics workspace {workspace_id} answered only in part.", api="logs", operation="query")
        if not result.tables:
            return []
        table = result.tables[0]
        return [dict(zip(table.columns, row, strict=True)) for row in table.rows]
