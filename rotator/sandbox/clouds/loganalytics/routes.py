"""api.loganalytics.io: the query API, one query or a batch; and the diagnostic settings that feed the tables."""

import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from rotator.sandbox.clouds import management
from rotator.sandbox.clouds.keys import KeyHolder
from rotator.sandbox.clouds.loganalytics.kql import KqlError, Result, run
from rotator.sandbox.wire import (
    Auth,
    Document,
    Handler,
    Refused,
    Reply,
    Request,
    Route,
    Window,
    parse_instant,
    refuse,
    throttled,
)

if TYPE_CHECKING:
    from rotator.sandbox.world import World

_HOSTS = ("api.loganalytics.io", "api.loganalytics.azure.cn", "api.loganalytics.us", "api.loganalytics.azure.com")
_QUERY = "Microsoft.OperationalInsights/workspaces/query/read"
_RATE = Window(limit=200, span=timedelta(seconds=30))
"""Two hundred queries in thirty seconds and caller."""
_LARGEST_BATCH = 10
_DURATION = re.compile(
    r"P(?:(?P<weeks>[\d.]+)W)?(?:(?P<days>[\d.]+)D)?"
    r"(?:T(?:(?P<hours>[\d.]+)H)?(?:(?P<minutes>[\d.]+)M)?(?:(?P<seconds>[\d.]+)S)?)?"
)


# --- the time span ------------------------------------------------------------------------------------------------


def _duration(text: str) -> timedelta | None:
    found = _DURATION.fullmatch(text)
    if found is None or text in ("P", "PT"):
        return None
    return timedelta(**{unit: float(number) for unit, number in found.groupdict().items() if number})


def span_of(text: str, now: datetime) -> tuple[datetime | None, datetime | None]:
    """Read `PT24H`, `start/end`, `start/duration` or `duration/end`; ValueError for anything else. Empty: no limits."""
    if not text:
        return None, None
    first, _, second = text.partition("/")
    length = _duration(first)
    if not second:
        if length is None:
            raise ValueError(f"not a timespan: {text}")
        return now - length, None
    if length is not None:
        end_at = parse_instant(second)
        return end_at - length, end_at
    start_at, length = parse_instant(first), _duration(second)
    return start_at, (start_at + length if length is not None else parse_instant(second))


# --- answers and refusals -----------------------------------------------------------------------------------------


def _failure(world: "World", status: int, code: str, message: str, inner: Document | None = None) -> Refused:
    more: Document = {"correlationId": world.guid()}
    if inner is not None:
        more["innererror"] = inner
    return refuse(status, code, message, **more)


def _wrong_query(world: "World", error: KqlError) -> Refused:
    detail: Document = {"code": error.code, "message": error.message}
    if error.syntactic:
        detail |= {"line": error.line, "pos": error.pos, "token": error.token}
        inner = {"code": "SyntaxError", "message": "A recognition error occurred in the query.", "innererror": detail}
    else:
        inner = {"code": "SemanticError", "message": "A semantic error occurred.", "innererror": detail}
    return _failure(world, 400, "BadArgumentError", "The request had some invalid properties", inner)


def _document(result: Result, prefer: str) -> Document:
    columns = [{"name": name, "type": kind} for name, kind in result.columns]
    body: Document = {"tables": [{"name": "PrimaryResult", "columns": columns, "rows": result.rows}]}
    if "include-statistics=true" in prefer:
        body["statistics"] = {"query": {"executionTime": 0.015, "datasetStatistics": [{"tableRowCount": len(result.rows)}]}}
    if "include-render=true" in prefer:
        body["render"] = {"visualization": None, "title": None}
    return body


# --- queries ------------------------------------------------------------------------------------------------------


def _enter(world: "World", request: Request) -> None:
    if world.options.quiet:
        return
    wait, _ = world.limits.take(("logs", request.known_caller.object_id), _RATE, world.now())
    if wait:
        world.events.append("logs.throttled")
        raise throttled(wait, "ThrottledError", "Client specific request rate limit has been exceeded.")


def _workspace(world: "World", request: Request, workspace_id: str) -> KeyHolder:
    """Find a workspace that the caller may query."""
    holder = world.keys.workspace(workspace_id)
    if holder is None:
        raise _failure(world, 404, "WorkspaceNotFoundError", f"The workspace could not be found: {workspace_id}")
    if not world.arm.allowed(request.known_caller, _QUERY, holder.resource_id):
        raise _failure(
            world,
            403,
            "InsufficientAccessError",
            "The provided credentials have insufficient access to perform the requested operation",
        )
    return holder


def _answer(world: "World", request: Request, workspace_id: str, body: Document, prefer: str, resource_id: str = "") -> Document:
    query, others = body.get("query"), body.get("workspaces") or []
    if not isinstance(query, str) or not query.strip():
        raise _failure(world, 400, "BadArgumentError", "The request had some invalid properties: 'query' is required")
    holders = [_workspace(world, request, str(one)) for one in (workspace_id, *others)]
    try:
        start_at, end_at = span_of(str(body.get("timespan") or ""), world.now())
    except (ValueError, OverflowError):
        raise _failure(
            world, 400, "BadArgumentError", "The request had some invalid properties: 'timespan' is not valid"
        ) from None
    tables = world.logs.tables([holder.customer_id for holder in holders], start_at, end_at, resource_id)
    try:
        return _document(run(query, tables, world.now()), prefer)
    except KqlError as error:
        raise _wrong_query(world, error) from None


def query_workspace(world: "World", request: Request) -> Reply:
    """Answer one query of a workspace, asked with POST or GET."""
    _enter(world, request)
    body = request.json() if request.method == "POST" else dict(request.query)
    return Reply(200, _answer(world, request, request.params["workspace"], body, request.headers.get("prefer", "")))


def query_resource(world: "World", request: Request) -> Reply:
    """Answer one query over the rows of one resource (or of everything below a resource group)."""
    _enter(world, request)
    resource_id = f"/{request.params['resource']}"
    prefer = request.headers.get("prefer", "")
    return Reply(200, _answer(world, request, world.logs.workspace_id, request.json(), prefer, resource_id))


def query_batch(world: "World", request: Request) -> Reply:
    """Answer several queries in one request; each has its own status."""
    _enter(world, request)
    wanted = request.json().get("requests")
    if not isinstance(wanted, list) or not 1 <= len(wanted) <= _LARGEST_BATCH:
        raise _failure(world, 400, "BadArgumentError", f"A batch holds between 1 and {_LARGEST_BATCH} requests")
    return Reply(200, {"responses": [_batched(world, request, one) for one in wanted]})


def _batched(world: "World", request: Request, wanted: Document) -> Document:
    headers = {str(name).lower(): str(value) for name, value in (wanted.get("headers") or {}).items()}
    answer: Document = {"id": wanted.get("id"), "status": 200, "headers": {"Content-Type": "application/json"}}
    try:
        answer["body"] = _answer(
            world, request, str(wanted.get("workspace", "")), wanted.get("body") or {}, headers.get("prefer", "")
        )
    except Refused as refused:
        answer |= {"status": refused.reply.status, "body": refused.reply.body}
    return answer


# --- diagnostic settings ------------------------------------------------------------------------------------------


def list_diagnostic_settings(world: "World", request: Request) -> Reply:
    """Say where a registry sends its events; an empty list means that nobody can tell who still logs in."""
    registry_id = request.path.lower().partition("/providers/microsoft.insights/")[0]
    world.arm.demand(request.known_caller, "Microsoft.Insights/diagnosticSettings/read", registry_id)
    registry = next((one for one in world.registries.servers.values() if one.id.lower() == registry_id), None)
    workspace_id = world.logs.workspace_of(registry.login_server) if registry is not None else None
    holder = world.keys.workspace(workspace_id) if workspace_id else None
    if registry is None or holder is None:
        return Reply(200, {"value": []})
    categories = ("ContainerRegistryLoginEvents", "ContainerRegistryRepositoryEvents")
    setting: Document = {
        "id": f"{registry.id}/providers/microsoft.insights/diagnosticSettings/to-workspace",
        "name": "to-workspace",
        "type": "Microsoft.Insights/diagnosticSettings",
        "properties": {
            "workspaceId": holder.resource_id,
            "logs": [{"category": category, "enabled": True} for category in categories],
            "metrics": [],
        },
    }
    return Reply(200, {"value": [setting]})


def _route(
    operation: str, method: str, path: str, handler: Handler, hosts: tuple[str, ...] = _HOSTS, auth: Auth = "logs"
) -> Route:
    return Route(service="logs", operation=operation, method=method, path=path, hosts=hosts, handler=handler, auth=auth)


_REGISTRY = "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.ContainerRegistry/registries/{name}"

ROUTES: tuple[Route, ...] = (
    _route("logs.query", "POST", "/v1/workspaces/{workspace}/query", query_workspace),
    _route("logs.query", "GET", "/v1/workspaces/{workspace}/query", query_workspace),
    _route("logs.batch", "POST", "/v1/$batch", query_batch),
    _route("logs.queryResource", "POST", "/v1/{resource...}/query", query_resource),
    _route(
        "arm.diagnosticSettings.list",
        "GET",
        f"{_REGISTRY}/providers/Microsoft.Insights/diagnosticSettings",
        list_diagnostic_settings,
        management.HOSTS,
        "arm",
    ),
)
