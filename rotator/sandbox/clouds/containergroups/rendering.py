"""Container groups as GET shows them: without secrets, with what the service adds, by api-version."""

from datetime import datetime, timedelta

from rotator.sandbox.clouds.containergroups import troubles
from rotator.sandbox.clouds.containergroups.records import Group
from rotator.sandbox.clouds.containergroups.schema import visible, without_secrets
from rotator.sandbox.wire import Document, rfc3339
from rotator.sandbox.world import World

KIND = "Microsoft.ContainerInstance/containerGroups"


def render(world: World, group: Group, api_version: str, *, instance_view: bool) -> Document:
    """Return the group as an answer. A list has no instance view, neither of the group nor of its containers."""
    shown = group.shown.get(api_version)
    if shown is None:
        shown = visible(_static(world, group), api_version, group.api_version)
        group.shown[api_version] = shown
    now = world.now()
    properties = {**shown["properties"], "provisioningState": provisioning_state(group, now)}
    if instance_view:
        properties["instanceView"] = {"events": [], "state": state(group, now)}
        properties["containers"] = [
            {**one, "properties": {**one["properties"], "instanceView": _container_view(group, one, index, now)}}
            for index, one in enumerate(shown["properties"]["containers"])
        ]
    return {**shown, "properties": properties}


def provisioning_state(group: Group, now: datetime) -> str:
    """Return Pending while a deployment goes on, then Succeeded, or Failed when its operation has failed."""
    if group.transitioning(now):
        return "Pending"
    return "Failed" if group.run.outcome in ("pull-back-off", "operation-failed") else "Succeeded"


def state(group: Group, now: datetime) -> str:
    """Return the state of the group's instance view."""
    if group.stopped_at is not None:
        return "Stopped"
    if now < group.run.ready_at or group.run.outcome not in ("", "crash-loop"):
        return "Pending"
    if group.run.finished(now):
        return "Failed" if group.run.outcome else "Succeeded"
    # A crash loop is shown by the containers: the group "continues to try to run" and is called running.
    return "Running"


def _static(world: World, group: Group) -> Document:
    shown = without_secrets(group.document)
    shown |= {"id": group.id, "name": group.name, "type": KIND, "location": group.location}
    properties = shown["properties"]
    properties.setdefault("sku", "Standard")
    properties.setdefault("osType", "Linux")
    properties.setdefault("initContainers", [])
    properties.setdefault("isCreatedFromStandbyPool", False)
    # Two properties that no documentation mentions and every recent answer has.
    properties.setdefault("provisioningTimeoutInSeconds", 1800)
    properties.setdefault("isCustomProvisioningTimeout", False)
    for container in properties["containers"]:
        inner = container["properties"]
        for key in ("ports", "environmentVariables"):
            inner.setdefault(key, [])
        inner.setdefault("configMap", {"keyValuePairs": {}})
    for container in properties["initContainers"]:
        container["properties"].setdefault("environmentVariables", [])
    for entry in properties.get("imageRegistryCredentials") or []:
        entry.setdefault("isDelegatedIdentity", False)
    address = properties.get("ipAddress")
    if isinstance(address, dict):
        address["ip"] = group.ip
        if address.get("dnsNameLabel"):
            address["fqdn"] = f"{address['dnsNameLabel']}.{group.location}.azurecontainer.io"
    if isinstance(shown.get("identity"), dict):
        _identify(world, group, shown["identity"])
    return shown


def _identify(world: World, group: Group, identity: Document) -> None:
    kind = str(identity.get("type") or "None")
    if "none" in kind.lower():
        return
    identity["tenantId"] = world.entra.tenant_id
    if "systemassigned" in kind.lower():
        identity["principalId"] = group.system_principal
    named: Document = identity.get("userAssignedIdentities") or {}
    for resource_id in named:
        known = world.arm.identity(resource_id)
        if known is not None:
            named[resource_id] = {"principalId": known.principal_id, "clientId": known.client_id}


def _container_view(group: Group, container: Document, index: int, now: datetime) -> Document:
    run = group.run
    image = container["properties"]["image"]
    identifier = run.container_ids[index] if index < len(run.container_ids) else ""
    if run.outcome and not group.idle(now):
        return troubles.view(run, image, identifier, now)
    view: Document = {"restartCount": 0, "currentState": _current(group, now)}
    spread = (run.ready_at - run.pulled_at) / 4
    steps = (
        ("Pulling", f'pulling image "{image}"', timedelta(0)),
        ("Pulled", f'Successfully pulled image "{image}"', spread * 2),
        ("Created", f"Created container with id {identifier}", spread * 3),
        ("Started", f"Started container with id {identifier}", spread * 4),
    )
    times = ((name, message, run.pulled_at + after) for name, message, after in steps)
    events = [troubles.event(name, message, at, at) for name, message, at in times if at <= now]
    if group.stopped_at is not None:
        killing = f"Killing container with id {identifier}."
        events.append(troubles.event("Killing", killing, group.stopped_at, group.stopped_at))
    view["events"] = events
    return view


def _current(group: Group, now: datetime) -> Document:
    run = group.run
    if now < run.ready_at:
        return {"state": "Waiting", "detailStatus": "ContainerCreating"}
    started = rfc3339(run.ready_at)
    if group.stopped_at is not None:
        return {
            "state": "Terminated",
            "startTime": started,
            "finishTime": rfc3339(group.stopped_at),
            "exitCode": 0,
            "detailStatus": "Completed",
        }
    if run.ends_at is not None and now >= run.ends_at:
        return {
            "state": "Terminated",
            "startTime": started,
            "finishTime": rfc3339(run.ends_at),
            "exitCode": 1 if run.outcome else 0,
            "detailStatus": "Error" if run.outcome else "Completed",
        }
    return {"state": "Running", "startTime": started, "detailStatus": ""}
