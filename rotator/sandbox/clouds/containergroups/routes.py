"""HTTP of container groups."""

import copy
from functools import partial

from rotator.sandbox.clouds import management
from rotator.sandbox.clouds.containergroups.deployment import (
    check_links,
    check_quota,
    count_write,
    note_losses,
    pull,
    resolve,
    settle,
)
from rotator.sandbox.clouds.containergroups.logs import written
from rotator.sandbox.clouds.containergroups.records import Group, Run
from rotator.sandbox.clouds.containergroups.rendering import KIND, render
from rotator.sandbox.clouds.containergroups.schema import stored
from rotator.sandbox.clouds.containergroups.validation import check_shape, check_update
from rotator.sandbox.faults import Fault
from rotator.sandbox.wire import Document, Operation, Refused, Reply, Request, Route, paging, refuse, rfc3339_fine
from rotator.sandbox.world import World

_PAGE = 20
_DEPLOY_SECONDS = (15.0, 45.0)
_RESTART_SECONDS = (5.0, 20.0)
_STATUS_VERSION = "2018-06-01"
"""Operations are polled with this version, whatever version the PUT used."""


def _scope(world: World, request: Request) -> str:
    group = world.arm.resource_group(request.params["subscription"], request.params["group"])
    return f"{group.id}/providers/{KIND}/{request.params['name']}"


def _group(world: World, request: Request, action: str) -> Group:
    """Return the group of the path, after the question whether the caller may do this to it."""
    scope = _scope(world, request)
    world.arm.demand(request.known_caller, f"{KIND}/{action}", scope)
    found = world.groups.by_id.get(scope.lower())
    if found is None:
        raise refuse(
            404,
            "ResourceNotFound",
            f"The Resource '{KIND}/{request.params['name']}' under resource group '{request.params['group']}' was not "
            "found. For more details please go to https://aka.ms/ARMResourceNotFoundFix",
        )
    return found


def put_group(world: World, request: Request) -> Reply:
    """Create a group, or replace it whole: what the body leaves out is gone, and every container restarts."""
    scope, body = _scope(world, request), request.json()
    world.arm.demand(request.known_caller, f"{KIND}/write", scope)
    existing, name = world.groups.by_id.get(scope.lower()), request.params["name"]
    try:
        group, headers = _deploy(world, request, scope, existing, body)
    except Refused as refused:
        world.events.append("group.put.refused", group=scope.lower(), code=refused.code)
        raise
    operation = settle(world, group, _DEPLOY_SECONDS, request.fault)
    headers["Azure-AsyncOperation"] = _operation_url(request, group, operation, "operations")
    world.events.append("group.put", group=group.id.lower(), name=name, created=existing is None)
    document = render(world, group, request.api_version, instance_view=True)
    return Reply(200 if existing else 201, document, headers)


def _deploy(world: World, request: Request, scope: str, existing: Group | None, body: Document) -> tuple[Group, dict[str, str]]:
    """Check everything that Azure checks, in its order, and only then change the group."""
    name, now = request.params["name"], world.now()
    location = _location(existing, name, body)
    headers = count_write(world, request.params["subscription"], location)
    check_shape(name, body, request.api_version)
    if existing is not None and existing.transitioning(now):
        raise refuse(
            409, "ContainerGroupTransitioning", f"The container group '{name}' is still transitioning, please retry later."
        )
    document = stored(body)
    document.pop("location", None)
    if existing is not None and not existing.run.finished(now):
        check_update(existing, document)
    check_links(world, request.known_caller, scope, document)
    check_quota(world, request.params["subscription"], location, document, existing)
    values = resolve(world, name, document)
    pull(world, name, document, values)
    if existing is None:
        group = _new(world, request, scope, location, document)
    else:
        group = existing
        note_losses(world, group.id.lower(), group.document, document)
        if group.idle(now):
            world.groups.woken.append({"group": group.id.lower(), "was": "stopped" if group.stopped_at else "finished"})
    group.document, group.values, group.api_version = document, values, request.api_version
    group.deploys += 1
    if "systemassigned" in str((document.get("identity") or {}).get("type", "")).lower():
        group.system_principal = group.system_principal or world.guid()
    return group, headers


def _location(existing: Group | None, name: str, body: Document) -> str:
    location = str(body.get("location") or "").replace(" ", "").lower()
    if not location:
        raise refuse(400, "LocationRequired", "The location property is required for this definition.")
    if existing is not None and existing.location != location:
        raise refuse(
            409,
            "InvalidResourceLocation",
            f"The resource '{name}' already exists in location '{existing.location}' in resource group "
            f"'{existing.resource_group}'. A resource with the same name cannot be created in location '{location}'. "
            "Please select a new resource name.",
        )
    return location


def _new(world: World, request: Request, scope: str, location: str, document: Document) -> Group:
    before = world.groups.deleted.pop(scope.lower(), None)
    if before is not None:
        note_losses(world, scope.lower(), before, document)
    now = world.now()
    return world.groups.add(
        Group(
            id=scope,
            name=request.params["name"],
            subscription=request.params["subscription"],
            resource_group=request.params["group"],
            location=location,
            document=document,
            api_version=request.api_version,
            run=Run(pulled_at=now, ready_at=now),
            ip=f"20.{world.rng.randrange(30, 120)}.{world.rng.randrange(255)}.{world.rng.randrange(1, 255)}",
        )
    )


def _operation_url(request: Request, group: Group, operation: Operation, kind: str) -> str:
    path = f"/subscriptions/{group.subscription}/providers/Microsoft.ContainerInstance/locations/{group.location}"
    return f"https://{request.host}{path}/{kind}/{operation.id}?api-version={_STATUS_VERSION}"


def get_group(world: World, request: Request) -> Reply:
    """Return a group with its instance view."""
    return Reply(200, render(world, _group(world, request, "read"), request.api_version, instance_view=True))


def list_groups(world: World, request: Request) -> Reply:
    """List the groups of a subscription or a resource group in pages, without instance views."""
    if "group" in request.params:
        scope = world.arm.resource_group(request.params["subscription"], request.params["group"]).id
    else:
        scope = f"/subscriptions/{request.params['subscription']}"
    world.arm.demand(request.known_caller, f"{KIND}/read", scope)
    root = f"{scope.lower()}/"
    found = [group for key, group in world.groups.by_id.items() if key.startswith(root)]
    page = paging(found, request, _PAGE)
    page["value"] = [render(world, group, request.api_version, instance_view=False) for group in page["value"]]
    return Reply(200, page)


def patch_group(world: World, request: Request) -> Reply:
    """Change the tags, nothing else, without a restart."""
    group, body = _group(world, request, "write"), request.json()
    before = copy.copy(group.document)
    if body.get("tags") is not None:
        group.document = {**group.document, "tags": dict(body["tags"])}
    group.shown.clear()
    note_losses(world, group.id.lower(), before, group.document)
    world.events.append("group.patch", group=group.id.lower())
    return Reply(200, render(world, group, request.api_version, instance_view=True))


def delete_group(world: World, request: Request) -> Reply:
    """Delete a group: its last representation, or 204 when there is none."""
    scope = _scope(world, request)
    world.arm.demand(request.known_caller, f"{KIND}/delete", scope)
    group = world.groups.by_id.get(scope.lower())
    if group is None:
        return Reply(204)
    count_write(world, group.subscription, f"{group.location} deletes")
    document = render(world, group, request.api_version, instance_view=True)
    world.groups.deleted[scope.lower()] = group.document
    del world.groups.by_id[scope.lower()]
    world.touch(f"group:{group.id}")
    world.events.append("group.delete", group=scope.lower())
    return Reply(200, document)


def stop_group(world: World, request: Request) -> Reply:
    """Stop a group; one that has run to its end stays as it is."""
    group, now = _group(world, request, "stop/action"), world.now()
    if not group.idle(now):
        group.stopped_at = now
        world.touch(f"group:{group.id}")
        world.events.append("group.stop", group=group.id.lower())
    return Reply(204)


def start_group(world: World, request: Request) -> Reply:
    """Start a group with what is stored: an ended credential shows now."""
    group = _group(world, request, "start/action")
    if not group.idle(world.now()):
        return Reply(204)
    operation = _again(world, group, "start", request.fault)
    return Reply(202, None, {"Location": _operation_url(request, group, operation, "operationResults")})


def restart_group(world: World, request: Request) -> Reply:
    """Restart all containers in place, pulling with what is stored."""
    group = _group(world, request, "restart/action")
    operation = _again(world, group, "restart", request.fault)
    return Reply(204, None, {"Location": _operation_url(request, group, operation, "operationResults")})


def _again(world: World, group: Group, verb: str, fault: Fault | None) -> Operation:
    if group.transitioning(world.now()):
        raise refuse(
            409,
            "ContainerGroupTransitioning",
            f"The container group '{group.name}' is still transitioning, please retry later.",
        )
    try:
        group.values = resolve(world, group.name, group.document)
        pull(world, group.name, group.document, group.values)
    except Refused as refused:
        world.events.append(f"group.{verb}.refused", group=group.id.lower(), code=refused.code)
        kind = "BadRequest" if refused.reply.status == 400 else "Conflict"
        raise refuse(
            refused.reply.status,
            refused.code,
            f"Failed to {verb} the container group '{group.name}'. Error: Multiple error occurred: '{kind}':"
            f"'{refused.code}':{refused.message}",
        ) from None
    if group.idle(world.now()) and verb == "restart":
        world.groups.woken.append({"group": group.id.lower(), "was": "stopped" if group.stopped_at else "finished"})
    world.events.append(f"group.{verb}", group=group.id.lower())
    return settle(world, group, _RESTART_SECONDS, fault)


def container_logs(world: World, request: Request) -> Reply:
    """Return what a container of the group has written since it was started."""
    group, query = _group(world, request, "containers/logs/read"), request.query
    timestamps = query.get("timestamps", "").lower() == "true"
    content = written(group, request.params["container"], world.now(), tail=query.get("tail", ""), timestamps=timestamps)
    return Reply(200, {"content": content})


def operation_status(world: World, request: Request) -> Reply:
    """Return the status of a deployment."""
    operation, now = world.operations.get(request.params["operation"]), world.now()
    document = operation.document(now, running="Pending")
    document["properties"] = {"events": [{"name": "Pulling", "timestamp": rfc3339_fine(operation.started_at)}]}
    return Reply(200, document)


def operation_result(world: World, request: Request) -> Reply:
    """Return 202 while an action goes on, 200 when it is done, and its error when it failed."""
    operation = world.operations.get(request.params["operation"])
    if operation.failure and operation.done(world.now()):
        raise refuse(400, str(operation.failure["code"]), str(operation.failure["message"]))
    location = {"Location": f"{request.url}?api-version={_STATUS_VERSION}"}
    return Reply(200, {}) if operation.done(world.now()) else Reply(202, None, location)


def usages(world: World, request: Request) -> Reply:
    """Return the use of the region's quotas."""
    scope = f"/subscriptions/{request.params['subscription']}"
    world.arm.demand(request.known_caller, "Microsoft.ContainerInstance/locations/usages/read", scope)
    location = request.params["location"].lower()
    groups = world.groups.in_region(request.params["subscription"], location)
    rows = (("ContainerGroups", len(groups)), ("StandardCores", sum(group.cores for group in groups)))
    value = [
        {"unit": "Count", "currentValue": used, "limit": 100, "name": {"value": name, "localizedValue": name}}
        for name, used in rows
    ]
    return Reply(200, {"value": value})


_PROVIDER = "/providers/Microsoft.ContainerInstance"
_IN_SUBSCRIPTION = "/subscriptions/{subscription}" + _PROVIDER
_IN_GROUP = "/subscriptions/{subscription}/resourceGroups/{group}" + _PROVIDER + "/containerGroups"
_ONE = _IN_GROUP + "/{name}"
_LOCATION = _IN_SUBSCRIPTION + "/locations/{location}"


_route = partial(management.route, "aci")

ROUTES: tuple[Route, ...] = (
    _route("groups.list", "GET", _IN_SUBSCRIPTION + "/containerGroups", list_groups),
    _route("groups.list", "GET", _IN_GROUP, list_groups),
    _route("groups.put", "PUT", _ONE, put_group),
    _route("groups.get", "GET", _ONE, get_group),
    _route("groups.patch", "PATCH", _ONE, patch_group),
    _route("groups.delete", "DELETE", _ONE, delete_group),
    _route("groups.stop", "POST", _ONE + "/stop", stop_group),
    _route("groups.start", "POST", _ONE + "/start", start_group),
    _route("groups.restart", "POST", _ONE + "/restart", restart_group),
    _route("containers.logs", "GET", _ONE + "/containers/{container}/logs", container_logs),
    _route("operations.get", "GET", _LOCATION + "/operations/{operation}", operation_status),
    _route("operations.result", "GET", _LOCATION + "/operationResults/{operation}", operation_result),
    _route("usages", "GET", _LOCATION + "/usages", usages),
)
