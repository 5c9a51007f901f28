"""Azure's JSON of a container group, read into the vocabulary. Pure."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from rotator.azure.writeonly import Object, objects, part, places
from rotator.model.arm import ArmId
from rotator.model.group import (
    Absent,
    Binding,
    ContainerGroup,
    GroupState,
    Inline,
    ManagedIdentity,
    Source,
    VaultReference,
)
from rotator.model.image import ImageReference, normal_server
from rotator.model.usage import Pull

# Registries that serve everybody without a login, by their owners' own words; an image from there needs no registry entry.
# mcr.microsoft.com: learn.microsoft.com/azure/container-registry "Microsoft Artifact Registry ... anonymous";
# public.ecr.aws: docs.aws.amazon.com/AmazonECR/latest/public "pull without authentication"; registry.k8s.io: kubernetes.io.
PUBLIC_REGISTRIES = frozenset({"mcr.microsoft.com", "public.ecr.aws", "registry.k8s.io"})

# learn.microsoft.com/azure/container-instances/container-state: only Succeeded and Failed are safe to depend on.
_TRANSITIONING = frozenset({"accepted", "pending", "updating", "creating", "repairing", "deleting", "preprovisioned"})
_STATES = {"running": GroupState.RUNNING, "stopped": GroupState.STOPPED}


def read_group(body: Mapping[str, Any], observed_at: datetime) -> ContainerGroup:
    """Return the group that `body`, the answer of a GET, a PUT or one element of a list, describes.

    Principals stay None and suspects empty: the inventory finds those. Without an instance view, as in a list, the state is
    UNKNOWN. Properties that real answers leave out when unset (tags, restartPolicy, registry entries) take Azure's defaults.
    """
    id_ = ArmId(str(body.get("id", "")))
    properties = part(body, "properties")
    identity = part(body, "identity")
    identities = tuple(part(identity, "userAssignedIdentities"))
    return ContainerGroup(
        id=id_,
        location=str(body.get("location", "")),
        tags={key: str(value) for key, value in part(body, "tags").items()},
        state=state_of(body),
        provisioning_state=str(properties.get("provisioningState", "")),
        restart_policy=restart_policy(body),
        os_type=str(properties.get("osType", "")),
        bindings=tuple(_bindings(id_, properties, identities)),
        write_only=tuple(dict.fromkeys(place.field for place in places(body))),
        identities=identities,
        system_assigned="systemassigned" in str(identity.get("type", "")).lower(),
        suspects=(),
        private_network=_private(properties),
        observed_at=observed_at,
        body=body,
        pulls=tuple(_pulls(id_, properties)),
    )


def restart_policy(body: Mapping[str, Any]) -> str:
    """Return the group's restart policy; Azure's default is Always."""
    return str(part(body, "properties").get("restartPolicy") or "Always")


def in_transition(body: Mapping[str, Any]) -> bool:
    """Say whether Azure is still working on the group, so that it would refuse a change."""
    return str(part(body, "properties").get("provisioningState", "")).lower() in _TRANSITIONING


def containers(body: Mapping[str, Any]) -> Iterator[Object]:
    """Yield the group's containers, those that run before the others first."""
    properties = part(body, "properties")
    yield from objects(properties.get("initContainers"))
    yield from objects(properties.get("containers"))


def state_of(body: Mapping[str, Any]) -> GroupState:
    """Return whether the containers are meant to be running.

    FINISHED is a group with restart policy Never or OnFailure whose containers ran and ended, well or not: putting it again
    would do its work a second time. One that never got to run (no image) is FAILED.
    """
    properties = part(body, "properties")
    if in_transition(body):
        return GroupState.TRANSITIONING
    view = str(part(properties, "instanceView").get("state", "")).lower()
    if view in _STATES:
        return _STATES[view]
    provisioning = str(properties.get("provisioningState", "")).lower()
    if view not in {"succeeded", "failed"}:
        # A deployment that gave up on its image stays "Pending" inside: it is settled, and only a redeploy mends it.
        if provisioning in {"failed", "canceled"}:
            return GroupState.FAILED
        return GroupState.TRANSITIONING if view == "pending" else GroupState.UNKNOWN
    ends_by_itself = restart_policy(body).lower() in {"never", "onfailure"}
    if ends_by_itself and (view == "succeeded" or _has_run(properties)):
        return GroupState.FINISHED
    return GroupState.FAILED


def _has_run(properties: Object) -> bool:
    states = [
        part(part(part(container, "properties"), "instanceView"), "currentState")
        for container in objects(properties.get("containers"))
    ]
    return any(str(state.get("state", "")).lower() == "terminated" and state.get("startTime") for state in states)


def _pulls(group: ArmId, properties: Object) -> Iterator[Pull]:
    for container in containers({"properties": properties}):
        inside = part(container, "properties")
        image = inside.get("image")
        if not isinstance(image, str) or not image:
            continue
        for event in objects(part(inside, "instanceView").get("events")):
            name, last_at = str(event.get("name", "")).lower(), instant_of(event.get("lastTimestamp"))
            if name not in {"pulling", "pulled"} or last_at is None:
                continue
            count = event.get("count")
            yield Pull(
                group=group,
                registry=ImageReference.parse(image).server,
                first_at=min(instant_of(event.get("firstTimestamp")) or last_at, last_at),
                last_at=last_at,
                # One pull has an event of each name: only one of them counts.
                count=count if name == "pulling" and isinstance(count, int) else 1,
            )


def instant_of(text: object) -> datetime | None:
    """Read an instant of an instance view; None for anything else. Without a zone it is UTC."""
    try:
        at = datetime.fromisoformat(str(text)) if text else None
    except ValueError:
        return None
    return at.replace(tzinfo=UTC) if at is not None and at.tzinfo is None else at


def _private(properties: Object) -> bool:
    address = str(part(properties, "ipAddress").get("type", "")).lower()
    return address == "private" or bool(properties.get("subnetIds")) or bool(properties.get("networkProfile"))


def _bindings(group: ArmId, properties: Object, identities: tuple[str, ...]) -> Iterator[Binding]:
    images: dict[str, dict[ImageReference, None]] = {}
    for container in containers({"properties": properties}):
        text = part(container, "properties").get("image")
        if isinstance(text, str) and text:
            image = ImageReference.parse(text)
            images.setdefault(image.server, {})[image] = None
    entered: set[str] = set()
    for entry in objects(properties.get("imageRegistryCredentials")):
        host = normal_server(str(entry.get("server", "")))
        entered.add(host)
        yield Binding(
            group=group,
            registry=host,
            source=_source(entry, properties, identities),
            images=tuple(images.get(host, ())),
        )
    for host in sorted(set(images) - entered - PUBLIC_REGISTRIES):
        yield Binding(group=group, registry=host, source=Absent(), images=tuple(images[host]))


def _source(entry: Object, properties: Object, identities: tuple[str, ...]) -> Source:
    identity = entry.get("identity")
    if isinstance(identity, str) and identity:
        # Real ids say `resourcegroups` in one place and `resourceGroups` in the other.
        return ManagedIdentity(identity, attached=ArmId(identity) in {ArmId(one) for one in identities})
    username = str(entry.get("username", ""))
    reference = entry.get("passwordReference")
    if not reference:
        return Inline(username)
    for secret in objects(properties.get("secretReferences")):
        if secret.get("name") == reference:
            return VaultReference(username, str(secret.get("secretReferenceUri", "")), str(secret.get("identity", "")))
    return VaultReference(username, secret_url="", identity="")
