"""graph.microsoft.com/v1.0: applications and service principals, their owners and their client secrets."""

import re
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from rotator.sandbox.clouds.graph.documents import directory_document, password_document
from rotator.sandbox.clouds.graph.query import listing, select
from rotator.sandbox.clouds.graph.records import (
    REPLICAS,
    Application,
    DirectoryObject,
    EntitySet,
    ServicePrincipal,
    principal_key,
)
from rotator.sandbox.wire import Document, Refused, Reply, Request, Route, parse_instant, refuse, rfc3339

if TYPE_CHECKING:
    from rotator.sandbox.world import World

_HOSTS = ("graph.microsoft.com", "graph.microsoft.us", "microsoftgraph.chinacloudapi.cn")

_READERS = frozenset(
    {
        "Application.Read.All",
        "Application.ReadWrite.All",
        "Application.ReadWrite.OwnedBy",
        "Directory.Read.All",
        "Directory.ReadWrite.All",
    }
)
_BY_APP_ID = re.compile(
    r"(?:appId\s+eq\s+|servicePrincipalNames/any\(\s*(?P<name>\w+)\s*:\s*(?P=name)\s+eq\s+)'(?P<app_id>[0-9a-fA-F-]{36})'\s*\)?"
)
_DEFAULT_LIFETIME = timedelta(days=730)
_FILTERABLE: dict[EntitySet, tuple[str, ...]] = {
    "applications": ("id", "appId", "displayName", "identifierUris", "signInAudience"),
    "servicePrincipals": (
        "id",
        "appId",
        "displayName",
        "servicePrincipalNames",
        "servicePrincipalType",
        "accountEnabled",
        "alternativeNames",
    ),
}


def _candidates(world: "World", request: Request, kind: EntitySet) -> Iterable[DirectoryObject]:
    """Return the objects that a list request may mean: all, or the one that its filter names by app id.

    The filter is applied to them all the same; the short way keeps a directory of thousands quick.
    """
    named = _BY_APP_ID.fullmatch(request.query.get("$filter", "").strip())
    found: DirectoryObject | None
    if kind == "applications":
        if named is None:
            return world.graph.applications()
        found = world.graph.application_by_app_id(named["app_id"])
    else:
        if named is None:
            return world.graph.service_principals()
        found = world.graph.service_principal_by_app_id(named["app_id"])
    return () if found is None else (found,)


# --- who may do what ----------------------------------------------------------------------------------------------


def _failure(world: "World", status: int, code: str, message: str) -> Refused:
    details = {"date": rfc3339(world.now())[:-1], "request-id": world.guid(), "client-request-id": world.guid()}
    return refuse(status, code, message, innerError=details)


def _permissions(world: "World", request: Request) -> set[str]:
    principal = world.graph.service_principal(request.known_caller.object_id)
    return principal.permissions if principal else set()


def _denied(world: "World") -> Refused:
    return _failure(world, 403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")


def _may_read(world: "World", request: Request) -> None:
    if not _permissions(world, request) & _READERS:
        raise _denied(world)


def _may_write(world: "World", request: Request, thing: DirectoryObject | None) -> None:
    """Demand the right to change `thing`, or to create when it is None."""
    granted = _permissions(world, request)
    if "Application.ReadWrite.All" in granted:
        return
    owned = thing is None or request.known_caller.object_id in thing.owners
    if "Application.ReadWrite.OwnedBy" not in granted or not owned:
        raise _denied(world)


def _find(world: "World", request: Request, kind: EntitySet, *, lagging: bool) -> DirectoryObject:
    """Find the object of the path. `lagging`: one replica answers, which may not know a new object yet."""
    directory, wanted = world.graph, request.params.get("id") or request.params["app_id"]
    by_app = "app_id" in request.params
    found: DirectoryObject | None
    if kind == "applications":
        found = directory.application_by_app_id(wanted) if by_app else directory.application(wanted)
    else:
        found = directory.service_principal_by_app_id(wanted) if by_app else directory.service_principal(wanted)
    if found is None or (lagging and world.now() < found.visible_at[world.rng.randrange(REPLICAS)]):
        raise _failure(
            world,
            404,
            "Request_ResourceNotFound",
            f"Resource '{wanted}' does not exist or one of its queried reference-property objects are not present.",
        )
    return found


def _begin_write(world: "World", request: Request, kind: EntitySet) -> DirectoryObject:
    thing = _find(world, request, kind, lagging=False)
    _may_write(world, request, thing)
    if not world.graph.begin_write(thing):
        # Both statuses are on record: azure-cli#23081 has the 409, nais/azurerator#448 the 503.
        raise _failure(
            world,
            world.rng.choice((409, 503)),
            "Directory_ConcurrencyViolation",
            "Error due to concurrent requests being made to the tenant. Please wait briefly and retry.",
        )
    return thing


# --- handlers -----------------------------------------------------------------------------------------------------


def _list(world: "World", request: Request, kind: EntitySet) -> Reply:
    _may_read(world, request)
    replica, now = world.rng.randrange(REPLICAS), world.now()
    visible = [
        directory_document(world, thing) for thing in _candidates(world, request, kind) if now >= thing.visible_at[replica]
    ]
    return Reply(200, listing(visible, request, _FILTERABLE[kind], kind))


def _get(world: "World", request: Request, kind: EntitySet) -> Reply:
    _may_read(world, request)
    document = select(directory_document(world, _find(world, request, kind, lagging=True)), request)
    return Reply(200, {"@odata.context": f"https://{request.host}/v1.0/$metadata#{kind}/$entity", **document})


def _create(world: "World", request: Request, kind: EntitySet) -> Reply:
    _may_write(world, request, None)
    body = request.json()
    # A caller that may only write what it owns becomes the owner of what it creates.
    everything = "Application.ReadWrite.All" in _permissions(world, request)
    owners = [] if everything else [request.known_caller.object_id]
    thing: DirectoryObject
    if kind == "applications":
        if not body.get("displayName"):
            raise _failure(world, 400, "Request_BadRequest", "Invalid value specified for property 'displayName'.")
        thing = world.graph.create_application(str(body["displayName"]), owners=owners)
    else:
        thing = _create_principal(world, body, owners)
    world.events.append("graph.object.created", principal=principal_key(thing.app_id), object_id=thing.object_id)
    context = f"https://{request.host}/v1.0/$metadata#{kind}/$entity"
    return Reply(201, {"@odata.context": context, **directory_document(world, thing)})


def _create_principal(world: "World", body: Document, owners: list[str]) -> ServicePrincipal:
    app_id = str(body.get("appId", ""))
    application = world.graph.application_by_app_id(app_id)
    if application is None or world.now() < application.visible_at[world.rng.randrange(REPLICAS)]:
        # The text matters: az retries on " does not reference ".
        raise _failure(
            world,
            400,
            "NoBackingApplicationObject",
            f"The appId '{app_id}' of the service principal does not reference a valid application object.",
        )
    if world.graph.service_principal_by_app_id(app_id) is not None:
        raise _failure(
            world,
            409,
            "Request_MultipleObjectsWithSameKeyValue",
            f"The service principal cannot be created, updated, or restored because the service principal name "
            f"{app_id} is already in use.",
        )
    return world.graph.create_principal(app_id, application.display_name, owners=owners)


def _delete(world: "World", request: Request, kind: EntitySet) -> Reply:
    world.graph.remove(_begin_write(world, request, kind))
    return Reply(204)


def _instant(world: "World", wanted: Document, name: str, otherwise: datetime) -> datetime:
    if wanted.get(name) is None:
        return otherwise
    try:
        return parse_instant(str(wanted[name]))
    except ValueError:
        raise _failure(
            world, 400, "Request_BadRequest", f"Invalid value specified for property '{name}' of resource 'PasswordCredential'."
        ) from None


def _add_password(world: "World", request: Request, kind: EntitySet) -> Reply:
    thing = _begin_write(world, request, kind)
    if isinstance(thing, ServicePrincipal) and thing.kind == "ManagedIdentity":
        raise _failure(world, 400, "Request_BadRequest", "Updates to managed identities are not allowed.")
    wanted = request.json().get("passwordCredential") or {}
    now = world.now()
    start_at = _instant(world, wanted, "startDateTime", now)
    end_at = _instant(world, wanted, "endDateTime", start_at + _DEFAULT_LIFETIME)
    if end_at <= max(start_at, now):
        raise _failure(world, 400, "Request_BadRequest", "The end date of the password credential is invalid.")
    longest = world.graph.max_password_lifetime
    if longest is not None and end_at - start_at > longest:
        # The code is Microsoft's, the status from memory: callers should not depend on 403 against 400.
        raise _failure(
            world,
            403,
            "CredentialInvalidLifetimeAsPerAppPolicy",
            "Credential lifetime exceeds the max value allowed as per assigned policy.",
        )
    password = world.graph.add_password(thing, wanted.get("displayName"), start_at=start_at, end_at=end_at)
    context = f"https://{request.host}/v1.0/$metadata#microsoft.graph.passwordCredential"
    return Reply(200, {"@odata.context": context, **password_document(password, reveal=True)})


def _remove_password(world: "World", request: Request, kind: EntitySet) -> Reply:
    thing = _begin_write(world, request, kind)
    key_id = str(request.json().get("keyId", ""))
    if not world.graph.remove_password(thing, key_id):
        raise _failure(world, 400, "Request_BadRequest", f"No password credential found with keyId '{key_id}'.")
    return Reply(204)


def _owners(world: "World", request: Request, kind: EntitySet) -> Reply:
    _may_read(world, request)
    thing = _find(world, request, kind, lagging=True)
    principals = [world.graph.service_principal(object_id) for object_id in thing.owners]
    value = [_member(world, principal) for principal in principals if principal is not None]
    return Reply(200, {"@odata.context": f"https://{request.host}/v1.0/$metadata#directoryObjects", "value": value})


def _add_owner(world: "World", request: Request, kind: EntitySet) -> Reply:
    thing = _begin_write(world, request, kind)
    object_id = str(request.json().get("@odata.id", "")).rstrip("/").rpartition("/")[2].lower()
    if world.graph.service_principal(object_id) is None:
        raise _failure(
            world,
            404,
            "Request_ResourceNotFound",
            f"Resource '{object_id}' does not exist or one of its queried reference-property objects are not present.",
        )
    if object_id in thing.owners:
        raise _failure(
            world,
            400,
            "Request_BadRequest",
            "One or more added object references already exist for the following modified properties: 'owners'.",
        )
    thing.owners.append(object_id)
    return Reply(204)


def _member(world: "World", thing: DirectoryObject) -> Document:
    kind = "application" if isinstance(thing, Application) else "servicePrincipal"
    return {"@odata.type": f"#microsoft.graph.{kind}", **directory_document(world, thing)}


def _get_by_ids(world: "World", request: Request) -> Reply:
    _may_read(world, request)
    ids = request.json().get("ids")
    if not isinstance(ids, list) or not ids:
        raise _failure(world, 400, "Request_BadRequest", "Invalid value specified for parameter 'ids'.")
    found = [world.graph.service_principal(str(one)) or world.graph.application(str(one)) for one in ids]
    value = [_member(world, thing) for thing in found if thing is not None]
    return Reply(200, {"@odata.context": f"https://{request.host}/v1.0/$metadata#directoryObjects", "value": value})


# --- routes -------------------------------------------------------------------------------------------------------

KindHandler = Callable[["World", Request, EntitySet], Reply]


def _bound(handler: KindHandler, kind: EntitySet) -> Callable[["World", Request], Reply]:
    return lambda world, request: handler(world, request, kind)


def _route(operation: str, method: str, path: str, handler: Callable[["World", Request], Reply]) -> Route:
    return Route(
        service="graph",
        operation=f"graph.{operation}",
        method=method,
        path=f"/v1.0/{path}",
        hosts=_HOSTS,
        handler=handler,
        auth="graph",
    )


def _routes_of(kind: EntitySet) -> Iterable[Route]:
    yield _route(f"{kind}.list", "GET", kind, _bound(_list, kind))
    yield _route(f"{kind}.create", "POST", kind, _bound(_create, kind))
    for one in (f"{kind}/{{id}}", f"{kind}(appId='{{app_id}}')"):
        yield _route(f"{kind}.get", "GET", one, _bound(_get, kind))
        yield _route(f"{kind}.delete", "DELETE", one, _bound(_delete, kind))
        yield _route(f"{kind}.owners", "GET", f"{one}/owners", _bound(_owners, kind))
        yield _route(f"{kind}.addOwner", "POST", f"{one}/owners/$ref", _bound(_add_owner, kind))
        yield _route("addPassword", "POST", f"{one}/addPassword", _bound(_add_password, kind))
        yield _route("removePassword", "POST", f"{one}/removePassword", _bound(_remove_password, kind))


ROUTES: tuple[Route, ...] = (
    *_routes_of("applications"),
    *_routes_of("servicePrincipals"),
    _route("getByIds", "POST", "directoryObjects/getByIds", _get_by_ids),
)
