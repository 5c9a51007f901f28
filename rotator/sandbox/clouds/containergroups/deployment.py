"""What happens at a PUT, a start and a restart: quotas, vault references, and the pull with the stored credential."""

from datetime import timedelta

from rotator.sandbox.clouds.containergroups.comparison import lost
from rotator.sandbox.clouds.containergroups.records import Group, PullJudgement, requested_cores
from rotator.sandbox.clouds.containergroups.troubles import Trouble, foresee
from rotator.sandbox.clouds.registries.images import parse_image
from rotator.sandbox.clouds.registries.passwords import REPLICAS
from rotator.sandbox.faults import Fault
from rotator.sandbox.wire import Caller, Document, Operation, Refused, Window, refuse, throttled
from rotator.sandbox.world import World

_WRITES = (
    ("pt5m", Window(limit=100, span=timedelta(minutes=5))),
    ("pt1h", Window(limit=300, span=timedelta(hours=1))),
)
_GROUP_QUOTA = 100
_CORE_QUOTA = 100.0
_AGENT = "docker/20.10.27 go/go1.20.13 kernel/5.15 os/linux arch/amd64 UpstreamClient(aci)"
_SECRET_PATHS = ("/secureValue", "/secret/", "/workspaceKey", "/storageAccountKey", "/password", "protectedSettings")


def count_write(world: World, subscription: str, location: str) -> dict[str, str]:
    """Count a write against the two windows of the region: the headers to send, or Refused 429."""
    if world.options.quiet:
        return {}
    headers, now = {}, world.now()
    for name, window in _WRITES:
        wait, left = world.limits.take(("aci", subscription.lower(), location, name), window, now)
        if wait:
            world.groups.violations += 1
            world.events.append("group.write.throttled", subscription=subscription, location=location, window=name)
            raise throttled(wait, "TooManyRequests", "Too many requests for container groups in this region.")
        headers[f"x-ms-ratelimit-remaining-subscription-resource-requests-{name}"] = str(left)
    return headers


def check_quota(world: World, subscription: str, location: str, document: Document, replaced: Group | None) -> None:
    """Refuse what exceeds the region's quota of groups or cores."""
    others = [one for one in world.groups.in_region(subscription, location) if one is not replaced]
    cores, asked = sum(one.cores for one in others), requested_cores(document)
    for quota, limit, usage, requested in (
        ("ContainerGroups", float(_GROUP_QUOTA), float(len(others)), 1.0),
        ("StandardCores", _CORE_QUOTA, cores, asked),
    ):
        if usage + requested > limit:
            raise refuse(
                400,
                "ContainerGroupQuotaReached",
                f"Resource type 'Microsoft.ContainerInstance/containerGroups' container group quota '{quota}' exceeded "
                f"in region '{location}'. Limit: '{limit:g}', Usage: '{usage:g}' Requested: '{requested:g}'.",
            )


def check_links(world: World, caller: Caller, scope: str, document: Document) -> None:
    """Refuse linked resources that are not there or that the caller may not use."""
    properties = document["properties"]
    profile = str((properties.get("networkProfile") or {}).get("id") or "")
    if profile.startswith("/subscriptions/") and profile.lower() not in world.arm.resources:
        name = scope.rpartition("/")[2]
        raise refuse(400, "NetworkProfileNotFound", f"Network profile '{profile}' is not found for container group '{name}'.")
    linked = []
    for resource_id in (document.get("identity") or {}).get("userAssignedIdentities") or {}:
        if world.arm.identity(resource_id) is None:
            raise refuse(
                400,
                "FailedIdentityOperation",
                f"Identity operation for resource '{scope}' failed with error 'Failed to perform resource identity "
                f"operation. Status: 'NotFound'. The identity '{resource_id}' was not found.'.",
            )
        linked.append((resource_id, "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action"))
    join = "Microsoft.Network/virtualNetworks/subnets/join/action"
    linked += [(str(subnet.get("id")), join) for subnet in properties.get("subnetIds") or []]
    for resource_id, action in linked:
        if not world.arm.allowed(caller, action, resource_id):
            raise refuse(
                403,
                "LinkedAuthorizationFailed",
                f"The client '{caller.app_id}' with object id '{caller.object_id}' has permission to perform action "
                f"'Microsoft.ContainerInstance/containerGroups/write' on scope '{scope}'; however, it does not have "
                f"permission to perform action(s) '{action}' on the linked scope(s) '{resource_id}' (respectively) or "
                "the linked scope(s) are invalid.",
            )


def resolve(world: World, name: str, document: Document) -> dict[str, str]:
    """Return the values of the group's vault references, read by the identity that each names.

    When the real platform reads them again is not documented: the sandbox reads at PUT, start and restart.
    """
    values = {}
    for entry in document["properties"].get("secretReferences") or []:
        identity = world.arm.identity(str(entry.get("identity", "")))
        uri = str(entry.get("secretReferenceUri", ""))
        try:
            if identity is None:
                raise refuse(400, "IdentityNotFound", "the identity was not found")
            values[str(entry.get("name"))] = world.vaults.read_as(identity.principal_id, uri)
        except Refused as refused:
            # The real code is not documented either.
            raise refuse(
                400,
                "SecretReferenceNotAccessible",
                f"The secret reference '{entry.get('name')}' of container group '{name}' could not be read: {refused.code}.",
            ) from None
    return values


def pull(world: World, name: str, document: Document, values: dict[str, str]) -> None:
    """Pull every image with the stored credential, as the platform does, and refuse as Azure does when one fails."""
    judged = world.groups.judge(document, values, world.now(), replica=world.rng.randrange(REPLICAS), manifests=True)
    _log(world, document, values, judged)
    if judged.ok:
        return
    world.events.append("group.pull.failed", group=name, host=judged.host, reason=judged.reason)
    if judged.host == "docker.io" and judged.reason == "throttled":
        raise refuse(
            409,
            "RegistryErrorResponse",
            "An error response is received from the docker registry 'index.docker.io'. Please retry later.",
        )
    raise refuse(
        400,
        "InaccessibleImage",
        f"The image '{judged.image}' in container group '{name}' is not accessible. Please check the image and "
        "registry credential.",
    )


def _log(world: World, document: Document, values: dict[str, str], judged: PullJudgement) -> None:
    """Write the login and pull events that the registries would have."""
    seen = set()
    held = world.groups.credentials(document, values)
    for name in world.groups.images(document):
        image = parse_image(name)
        credential, registry = held.get(image.host), world.registries.servers.get(image.host)
        if registry is None or credential is None:
            continue
        identity = world.arm.identity(credential.identity) if credential.identity else None
        login = identity.client_id if identity else credential.username
        failed = not judged.ok and judged.host == image.host
        address = f"20.50.{len(name) % 250}.{len(login) % 250}"
        if image.host not in seen:
            seen.add(image.host)
            stored = (login, credential.password)
            world.registries.log_login(registry, stored, address, ok=not failed, user_agent=_AGENT)
        if failed:
            break
        world.logs.record_pull(
            login_server=registry.login_server,
            identity=login,
            client_ip=address,
            repository=image.repository,
            tag=image.reference,
            ok=True,
            user_agent=_AGENT,
        )


def settle(world: World, group: Group, seconds: tuple[float, float], fault: Fault | None = None) -> Operation:
    """Let the group be busy for a while: the operation that says so. A fault may let it go wrong."""
    now = world.now()
    delay = timedelta(seconds=0 if world.options.quiet else world.rng.uniform(*seconds))
    group.run = world.groups.new_run(group.document, now, delay)
    trouble = Trouble(ends_after=delay)
    if fault is not None and fault.outcome:
        trouble = foresee(group.run, group.document, fault, delay)
        world.events.append("group.troubled", group=group.id.lower(), outcome=fault.outcome)
    group.busy_until = now + trouble.ends_after
    group.stopped_at = None
    group.shown.clear()
    world.touch(f"group:{group.id}")
    if group.run.ends_at is not None:
        world.watch(f"group:{group.id}", group.run.ends_at)
    return world.operations.start(
        Operation(
            id=world.guid(),
            kind="group",
            resource_id=group.id,
            started_at=now,
            ends_at=group.busy_until,
            failure=trouble.failure,
        )
    )


def note_losses(world: World, group_id: str, before: Document, after: Document) -> None:
    """Remember what a change removed or altered, for the oracle. Values of secret fields are not repeated."""
    for path, value in lost(before, after):
        hidden = any(mark in path for mark in _SECRET_PATHS)
        world.groups.losses.append({"group": group_id, "path": path, "before": "(a secret value)" if hidden else value})
