"""The usage log through azure-monitor-query: what arrives when, time spans, batches, rights and errors."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError
from azure.monitor.query import LogsBatchQuery, LogsQueryClient, LogsQueryResult, LogsQueryStatus

from rotator.sandbox.clouds.arm.roles import LOG_ANALYTICS_READER
from rotator.sandbox.clouds.loganalytics.routes import span_of
from tests.sandbox.servedworld import APP_ID, GROUP, Cloud, served_world

WORKSPACE = f"{GROUP}/providers/Microsoft.OperationalInsights/workspaces/logs"
SERVER = "demo.azurecr.io"
DAY = timedelta(days=1)


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with served_world() as served:
        served.world.keys.add_workspace(WORKSPACE, served.world.logs.workspace_id)
        served.allow(LOG_ANALYTICS_READER)
        yield served


@pytest.fixture
def logs(cloud: Cloud) -> LogsQueryClient:
    return LogsQueryClient(cloud.credential(), **cloud.wiring)


def ask(cloud: Cloud, logs: LogsQueryClient, query: str, timespan: object = DAY) -> list[list[object]]:
    answer = logs.query_workspace(cloud.world.logs.workspace_id, query, timespan=timespan)  # type: ignore[arg-type]
    assert isinstance(answer, LogsQueryResult)
    return [list(row) for row in answer.tables[0].rows]


def test_a_login_is_seen_three_to_ten_minutes_later(cloud: Cloud, logs: LogsQueryClient) -> None:
    cloud.world.logs.record_login(SERVER, "pull-token", "10.0.0.1", ok=True, user_agent="docker/27")
    query = "ContainerRegistryLoginEvents | project LoginServer, Identity, CallerIpAddress, ResultDescription"
    cloud.advance(minutes=2)
    assert ask(cloud, logs, query) == []
    cloud.advance(minutes=8)
    assert ask(cloud, logs, query) == [[SERVER, "pull-token", "10.0.0.1", "200"]]


def test_the_last_use_of_each_identity_is_summarized(cloud: Cloud, logs: LogsQueryClient) -> None:
    at = cloud.world.now() - timedelta(hours=3)
    for minutes, identity in ((0, "a"), (10, "b"), (20, "a")):
        cloud.world.logs.record_login(SERVER, identity, "10.0.0.1", ok=True, at=at + timedelta(minutes=minutes))
    query = (
        f"ContainerRegistryLoginEvents | where LoginServer =~ '{SERVER.upper()}' and TimeGenerated > ago(1d)"
        " | summarize Last = max(TimeGenerated), Uses = count() by Identity | order by Identity asc"
    )
    rows = ask(cloud, logs, query)
    assert [(row[0], row[2]) for row in rows] == [("a", 2), ("b", 1)]
    assert rows[0][1] == at + timedelta(minutes=20)


def test_a_pull_is_recorded_with_its_repository(cloud: Cloud, logs: LogsQueryClient) -> None:
    at = cloud.world.now() - timedelta(hours=1)
    cloud.world.logs.record_pull(SERVER, "pull-token", "10.0.0.1", repository="team/app", tag="v1", at=at)
    query = "ContainerRegistryRepositoryEvents | where OperationName == 'Pull' | project Repository, Tag, Identity"
    assert ask(cloud, logs, query) == [["team/app", "v1", "pull-token"]]


def test_a_registry_without_a_diagnostic_setting_records_nothing(cloud: Cloud, logs: LogsQueryClient) -> None:
    cloud.world.logs.connect(SERVER, None)
    at = cloud.world.now() - timedelta(hours=1)
    for server in (SERVER, "ghcr.io", "123456789012.dkr.ecr.eu-west-1.amazonaws.com"):
        cloud.world.logs.record_login(server, "x", "10.0.0.1", ok=True, at=at)
    assert ask(cloud, logs, "ContainerRegistryLoginEvents | count") == [[0]]


@pytest.mark.parametrize(
    ("timespan", "found"),
    [
        (timedelta(hours=2), 1),
        (timedelta(days=2), 2),
        (None, 2),
        ((datetime(2020, 1, 1, tzinfo=UTC), timedelta(days=1)), 0),
        ((datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)), 2),
    ],
)
def test_the_time_span_limits_what_is_seen(cloud: Cloud, logs: LogsQueryClient, timespan: object, found: int) -> None:
    for hours in (1, 30):
        cloud.world.logs.record_login(SERVER, "x", "10.0.0.1", ok=True, at=cloud.world.now() - timedelta(hours=hours))
    assert ask(cloud, logs, "ContainerRegistryLoginEvents | count", timespan) == [[found]]


def test_container_events_and_logs_have_their_own_tables(cloud: Cloud, logs: LogsQueryClient) -> None:
    table, at, group = cloud.world.logs, cloud.world.now() - timedelta(hours=1), f"{GROUP}/providers/x/containerGroups/web"
    table.record_container_event(table.workspace_id, group, "main", "Pulled", "Successfully pulled image", at=at)
    table.record_container_log(table.workspace_id, group, "main", "demo/web:1", "hello", at=at)
    assert ask(cloud, logs, "ContainerEvent_CL | project ContainerGroup_s, Reason_s") == [["web", "Pulled"]]
    assert ask(cloud, logs, "ContainerInstanceLog_CL | project ResourceGroup, Message") == [["rg", "hello"]]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("ContainerRegistryLoginEvents | where User == 'x'", ("SemanticError", "SEM0100", "named 'User'")),
        ("LoginEvents | count", ("SemanticError", "SEM0100", "named 'LoginEvents'")),
        ("ContainerRegistryLoginEvents | frob", ("SyntaxError", "SYN0002", "'frob' on line [1,32]")),
    ],
)
def test_a_wrong_query_is_an_error_that_names_what_is_wrong(
    cloud: Cloud, logs: LogsQueryClient, query: str, words: tuple[str, ...]
) -> None:
    with pytest.raises(HttpResponseError) as wrong:
        ask(cloud, logs, query)
    assert wrong.value.status_code == 400
    assert all(word in str(wrong.value) for word in ("BadArgumentError", *words))


def test_a_batch_answers_each_query_for_itself(cloud: Cloud, logs: LogsQueryClient) -> None:
    workspace_id = cloud.world.logs.workspace_id
    good = LogsBatchQuery(workspace_id, "ContainerRegistryLoginEvents | count", timespan=DAY)
    bad = LogsBatchQuery(workspace_id, "Nothing | count", timespan=DAY)
    answers = logs.query_batch([good, bad])
    assert [answer.status for answer in answers] == [LogsQueryStatus.SUCCESS, LogsQueryStatus.FAILURE]


def test_statistics_come_when_asked_for(cloud: Cloud, logs: LogsQueryClient) -> None:
    answer = logs.query_workspace(
        cloud.world.logs.workspace_id, "ContainerRegistryLoginEvents", timespan=DAY, include_statistics=True
    )
    assert isinstance(answer, LogsQueryResult)
    assert answer.statistics


def test_the_rows_of_one_resource_can_be_asked_for(cloud: Cloud, logs: LogsQueryClient) -> None:
    at = cloud.world.now() - timedelta(hours=1)
    for name in ("web", "api"):
        group = f"{GROUP}/providers/Microsoft.ContainerInstance/containerGroups/{name}"
        cloud.world.logs.record_container_log(cloud.world.logs.workspace_id, group, "main", "i", name, at=at)
    answer = logs.query_resource(
        f"{GROUP}/providers/Microsoft.ContainerInstance/containerGroups/web",
        "ContainerInstanceLog_CL | project Message",
        timespan=DAY,
    )
    assert isinstance(answer, LogsQueryResult)
    assert [list(row) for row in answer.tables[0].rows] == [["web"]]


def test_rights_and_workspaces_are_checked(cloud: Cloud, logs: LogsQueryClient) -> None:
    with pytest.raises(HttpResponseError, match="WorkspaceNotFoundError"):
        logs.query_workspace("00000000-0000-4000-8000-000000000000", "ContainerRegistryLoginEvents", timespan=DAY)
    for assignment in list(cloud.world.arm.assignments.values()):
        cloud.world.arm.unassign(assignment)
    with pytest.raises(HttpResponseError, match="insufficient access") as refused:
        ask(cloud, logs, "ContainerRegistryLoginEvents")
    assert refused.value.status_code == 403


NOW = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("", (None, None)),
        ("PT86400.0S", (NOW - DAY, None)),
        ("P1DT12H", (NOW - DAY * 1.5, None)),
        ("2026-05-01T00:00:00Z/2026-05-02T00:00:00Z", (datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 5, 2, tzinfo=UTC))),
        ("2026-05-01T00:00:00Z/P1D", (datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 5, 2, tzinfo=UTC))),
        ("PT24H/2026-05-02T00:00:00Z", (datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 5, 2, tzinfo=UTC))),
    ],
)
def test_a_time_span_is_read(text: str, span: tuple[datetime | None, datetime | None]) -> None:
    assert span_of(text, NOW) == span


@pytest.mark.parametrize("text", ["yesterday", "P", "1d", "a/b", "2026-05-01"])
def test_a_wrong_time_span_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        span_of(text, NOW)


def test_a_service_principals_sign_in_names_the_secret_that_was_used(cloud: Cloud, logs: LogsQueryClient) -> None:
    key_id = cloud.world.graph.passwords_of(APP_ID)[0].key_id
    cloud.credential().get_token("https://management.azure.com/.default")
    with pytest.raises(ClientAuthenticationError):
        cloud.credential("wrong").get_token("https://management.azure.com/.default")
    cloud.advance(minutes=10)
    query = "AADServicePrincipalSignInLogs | where AppId =~ '{}' | project ServicePrincipalCredentialKeyId, ResultType"
    found = ask(cloud, logs, query.format(APP_ID.upper()))
    assert [key_id, "0"] in found
    assert ["", "7000215"] in found


def test_a_workspace_that_gets_no_sign_ins_does_not_know_their_table(cloud: Cloud, logs: LogsQueryClient) -> None:
    cloud.world.logs.sign_ins_to = None
    with pytest.raises(HttpResponseError) as refused:
        ask(cloud, logs, "AADServicePrincipalSignInLogs | count")
    assert "SEM0100" in str(refused.value)
