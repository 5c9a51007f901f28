"""Builders of the vocabulary's values: a test says what matters to it, everything else is plausible. All names are made up."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from rotator.model.arm import ArmId
from rotator.model.credential import Credential, Handle, Principal, PrincipalKind
from rotator.model.estate import (
    TAG_HANDLE,
    TAG_ISSUED,
    TAG_PRINCIPAL,
    TAG_ROTATION,
    Estate,
    PrincipalRecord,
    Registry,
    StoredSecret,
    Unread,
)
from rotator.model.group import Binding, ContainerGroup, GroupState, Inline, Source, WriteOnlyField
from rotator.model.image import ImageReference

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
SUBSCRIPTION = "5f0c7a1e-0000-4000-8000-000000000001"
SERVER = "demo.azurecr.io"
APP_ID = "b7c0d3a2-1111-4222-8333-444455556666"
ECR_SERVER = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"


def group_id(name: str = "web", *, resource_group: str = "shop", subscription: str = SUBSCRIPTION) -> ArmId:
    folder = f"/subscriptions/{subscription}/resourceGroups/{resource_group}"
    return ArmId(f"{folder}/providers/Microsoft.ContainerInstance/containerGroups/{name}")


def registry_id(name: str = "demo", *, resource_group: str = "registries", subscription: str = SUBSCRIPTION) -> ArmId:
    folder = f"/subscriptions/{subscription}/resourceGroups/{resource_group}"
    return ArmId(f"{folder}/providers/Microsoft.ContainerRegistry/registries/{name}")


def token(name: str = "pull", server: str = SERVER) -> Principal:
    return Principal(kind=PrincipalKind.ACR_TOKEN, registry=server, name=name, resource_id=registry_id().text)


def admin(name: str = "demo", server: str = SERVER) -> Principal:
    return Principal(kind=PrincipalKind.ACR_ADMIN, registry=server, name=name, resource_id=registry_id().text)


def application(app_id: str = APP_ID) -> Principal:
    return Principal(kind=PrincipalKind.ENTRA_APP, registry="entra", name=app_id)


def ecr(server: str = ECR_SERVER) -> Principal:
    return Principal(kind=PrincipalKind.ECR, registry=server, name="AWS")


def docker_hub(name: str = "builds") -> Principal:
    return Principal(kind=PrincipalKind.DOCKER_HUB, registry="index.docker.io", name=name)


def binding(
    source: Source | None = None,
    *,
    group: ArmId | None = None,
    registry: str = SERVER,
    images: Iterable[str] = ("web:1",),
    principal: Principal | None = None,
) -> Binding:
    """One registry entry; by default the user name `pull` and its password, not yet classified."""
    return Binding(
        group=group or group_id(),
        registry=registry,
        source=source if source is not None else Inline("pull"),
        images=tuple(ImageReference.parse(f"{registry}/{image}") for image in images),
        principal=principal,
    )


def bound(principal: Principal, registry: str = "") -> Binding:
    """An entry with a password that authenticates as `principal`."""
    host = registry or (SERVER if principal.registry == "entra" else principal.registry)
    return binding(Inline(principal.name), registry=host, principal=principal)


def group(
    name: str = "web", *bindings: Binding, id_: ArmId | None = None, body: Mapping[str, Any] | None = None, **changes: object
) -> ContainerGroup:
    """A running group; `bindings` are made its own, other fields are given by name."""
    own_id = id_ or group_id(name)
    given: dict[str, Any] = {
        "id": own_id,
        "location": "westeurope",
        "tags": {},
        "state": GroupState.RUNNING,
        "provisioning_state": "Succeeded",
        "restart_policy": "Always",
        "os_type": "Linux",
        "write_only": (),
        "identities": (),
        "system_assigned": False,
        "suspects": (),
        "private_network": False,
        "observed_at": NOW,
    }
    own = tuple(
        Binding(group=own_id, registry=one.registry, source=one.source, images=one.images, principal=one.principal)
        for one in bindings
    )
    return ContainerGroup(
        **(given | changes), bindings=own, body=body if body is not None else {"id": own_id.text, "properties": {}}
    )


def container_body(
    *, environment: Mapping[str, str] | None = None, command: Iterable[str] = (), started_at: str = "", **properties: object
) -> dict[str, Any]:
    """A group's raw JSON with one container called `web`; other properties of the group by name."""
    inside: dict[str, Any] = {
        "image": f"{SERVER}/web:1",
        "command": list(command),
        "environmentVariables": [{"name": name, "value": value} for name, value in (environment or {}).items()],
    }
    if started_at:
        inside["instanceView"] = {"currentState": {"state": "Running", "startTime": started_at}}
    return {"id": group_id().text, "properties": {"containers": [{"name": "web", "properties": inside}], **properties}}


def registry(name: str = "demo", **changes: object) -> Registry:
    """A Standard registry without admin user and anonymous pull."""
    given: dict[str, Any] = {
        "id": registry_id(name),
        "name": name,
        "login_server": f"{name}.azurecr.io",
        "location": "westeurope",
        "sku": "Standard",
        "admin_enabled": False,
        "anonymous_pull": False,
        "abac": False,
        "public_access": True,
        "rules_deny": False,
        "trusted_services": True,
        "endpoints": (),
    }
    given.update(changes)
    return Registry(**given)


def credential(
    principal: Principal | None = None,
    *,
    slot: str = "password1",
    age: timedelta | None = timedelta(days=10),
    ends_in: timedelta | None = timedelta(days=80),
    now: datetime = NOW,
) -> Credential:
    """A live secret of a token, made ten days ago; None for an age or an end that the service does not tell or has not."""
    owner = principal or token()
    issued_at = None if age is None else now - age
    name = f"{slot}@{issued_at:%Y-%m-%dT%H:%M:%SZ}" if issued_at else slot
    return Credential(
        handle=Handle(principal=owner, id=name, slot=slot),
        username=owner.name,
        issued_at=issued_at,
        expires_at=None if ends_in is None else now + ends_in,
    )


def record(principal: Principal | None = None, *credentials: Credential, enabled: bool | None = True) -> PrincipalRecord:
    """What the service says of a principal; without credentials it has none."""
    return PrincipalRecord(principal=principal or token(), credentials=credentials, enabled=enabled)


def secret(
    principal: Principal | None = None,
    held: Credential | None = None,
    *,
    name: str = "",
    rotation: str = "",
    enabled: bool = True,
    expires_at: datetime | None = None,
    created_at: datetime | None = NOW - timedelta(days=10),
    tags: Mapping[str, str] | None = None,
) -> StoredSecret:
    """The vault's secret of a principal; `held` is the credential whose value it stores."""
    owner = held.handle.principal if held else principal or token()
    written = {TAG_PRINCIPAL: owner.id}
    if held:
        written[TAG_HANDLE] = held.handle.id
        if held.issued_at:
            written[TAG_ISSUED] = held.issued_at.isoformat()
    if rotation:
        written[TAG_ROTATION] = rotation
    return StoredSecret(
        name=name or f"{owner.kind}-{owner.name}",
        version="0" * 32,
        enabled=enabled,
        tags=written | dict(tags or {}),
        created_at=created_at,
        expires_at=expires_at or (held.expires_at if held else None),
    )


def unread(what: str, scope: str = SUBSCRIPTION, *, reason: str = "access was denied", code: str = "denied") -> Unread:
    return Unread(scope=scope, what=what, code=code, reason=reason, advice="Grant the permission.")


def estate(
    *groups: ContainerGroup,
    registries: Iterable[Registry] | None = None,
    records: Iterable[PrincipalRecord] = (),
    secrets: Iterable[StoredSecret] = (),
    unsourced: Mapping[ArmId, tuple[WriteOnlyField, ...]] | None = None,
    unread: Iterable[Unread] = (),
    observed_at: datetime = NOW,
) -> Estate:
    """An estate of one subscription with the registry `demo`, unless `registries` says otherwise."""
    return Estate(
        observed_at=observed_at,
        subscriptions=(SUBSCRIPTION,),
        groups=groups,
        registries=tuple(registries) if registries is not None else (registry(),),
        records={one.principal: one for one in records},
        secrets=tuple(secrets),
        unsourced=unsourced or {},
        unread=tuple(unread),
    )
