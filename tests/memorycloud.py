"""A cloud in a few dictionaries, behind the ports: for tests of the rotation that need thousands of schedules.

It keeps the two rules that matter: a credential works from a while after it was made until it is ended, and a group pulls
with the very value that it stores. `watch()` is called at every effect and remembers groups that could not have pulled.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from rotator.model.arm import ArmId
from rotator.model.credential import (
    Credential,
    Handle,
    Overlap,
    Principal,
    PrincipalKind,
    RetireMode,
    Traits,
)
from rotator.model.errors import Held, NotFound, Rejected, VerificationFailed
from rotator.model.estate import Estate, PrincipalRecord, Registry, StoredSecret
from rotator.model.group import Binding, ContainerGroup, GroupState, Inline, WriteOnlyField
from rotator.model.image import ImageReference
from rotator.model.rotation import RotationEvent
from rotator.model.secret import Secret
from rotator.ports import Drain, Health, Usage
from rotator.rotation.context import Context
from rotator.rotation.rules import Rules

START = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
SERVER = "demo.azurecr.io"
PROPAGATION = timedelta(seconds=60)


class Crash(BaseException):  # noqa: N818 - the end of a process, not an error
    """The process died."""


class MemoryClock:
    def __init__(self, now: datetime = START) -> None:
        self._now = now

    def now(self) -> datetime:
        return self._now

    def sleep(self, duration: timedelta) -> None:
        self._now += max(duration, timedelta(0))


@dataclass
class Issued:
    value: str
    handle: Handle
    works_from: datetime
    made_at: datetime
    expires_at: datetime | None
    ended: bool = False


@dataclass
class StoredVersion:
    secret: StoredSecret
    value: str


@dataclass
class MemoryCloud:
    """Everything remote. `effects` counts what was done; `crash_at` makes the process die right after that effect."""

    overlap: Overlap = Overlap.TWO_SLOTS
    clock: MemoryClock = field(default_factory=MemoryClock)
    issued: list[Issued] = field(default_factory=list)
    vault: dict[str, list[StoredVersion]] = field(default_factory=dict)
    groups: dict[str, ContainerGroup] = field(default_factory=dict)
    passwords: dict[str, str] = field(default_factory=dict)
    sick: set[str] = field(default_factory=set)
    missing_images: set[str] = field(default_factory=set)
    outages: list[tuple[str, str]] = field(default_factory=list)
    redeploys: list[str] = field(default_factory=list)
    events: list[RotationEvent] = field(default_factory=list)
    effects: int = 0
    crash_at: int | None = None
    serial: int = 0

    principal = Principal(kind=PrincipalKind.ACR_TOKEN, registry=SERVER, name="pull", resource_id="/registries/demo")

    @property
    def traits(self) -> Traits:
        return Traits(
            overlap=self.overlap,
            retire=RetireMode.EXPLICIT,
            propagation=PROPAGATION,
            propagation_limit=timedelta(minutes=3),
        )

    def effect(self, what: str) -> None:
        self.effects += 1
        self.watch(what)
        if self.crash_at == self.effects:
            raise Crash(what)

    def accepts(self, value: str) -> bool:
        now = self.clock.now()
        return any(
            one.value == value and not one.ended and one.works_from <= now and (one.expires_at is None or one.expires_at > now)
            for one in self.issued
        )

    def watch(self, what: str) -> None:
        for name, value in self.passwords.items():
            if not self.accepts(value):
                self.outages.append((name, what))

    def live(self) -> list[Issued]:
        return [one for one in self.issued if not one.ended and (one.expires_at is None or one.expires_at > self.clock.now())]

    # --- building -------------------------------------------------------------------------------------------------

    def plant(self, slot: str, *, age: timedelta, ttl: timedelta | None) -> Issued:
        made_at = self.clock.now() - age
        self.serial += 1
        handle = Handle(principal=self.principal, id=f"{slot}@{made_at:%Y-%m-%dT%H:%M:%SZ}", slot=slot)
        one = Issued(f"planted-{self.serial}", handle, made_at, made_at, made_at + ttl if ttl else None)
        self.issued.append(one)
        return one

    def add_group(self, name: str, password: Issued, state: GroupState = GroupState.RUNNING) -> ArmId:
        image = ImageReference(server=SERVER, repository=f"app/{name}", reference="1")
        identity = ArmId(f"/subscriptions/s/resourceGroups/g/providers/Microsoft.ContainerInstance/containerGroups/{name}")
        self.groups[identity.key] = ContainerGroup(
            id=identity,
            location="westeurope",
            tags={},
            state=state,
            provisioning_state="Succeeded",
            restart_policy="Always",
            os_type="Linux",
            bindings=(
                Binding(group=identity, registry=SERVER, source=Inline("pull"), images=(image,), principal=self.principal),
            ),
            write_only=(WriteOnlyField(f"imageRegistryCredentials/{SERVER}/password"),),
            identities=(),
            system_assigned=False,
            suspects=(),
            private_network=False,
            observed_at=self.clock.now(),
            body={},
        )
        self.passwords[identity.key] = password.value
        return identity

    def hold_in_vault(self, name: str, password: Issued) -> None:
        tags = {
            "rotator-principal": self.principal.id,
            "rotator-handle": password.handle.id,
            "rotator-issued": password.made_at.isoformat(),
        }
        MemoryVault(self).put(name, password.value, tags, password.expires_at, enabled=True)

    def estate(self) -> Estate:
        return Estate(
            observed_at=self.clock.now(),
            subscriptions=("s",),
            groups=tuple(self.groups.values()),
            registries=(
                Registry(
                    id=ArmId("/registries/demo"),
                    name="demo",
                    login_server=SERVER,
                    location="westeurope",
                    sku="Premium",
                    admin_enabled=False,
                    anonymous_pull=False,
                    abac=False,
                    public_access=True,
                ),
            ),
            records={
                self.principal: PrincipalRecord(principal=self.principal, credentials=MemoryDriver(self).inspect(self.principal))
            },
            secrets=tuple(versions[-1].secret for versions in self.vault.values()),
            unsourced={},
            unread=(),
        )

    def context(self, rules: Rules | None = None) -> Context:
        return Context(
            clock=self.clock,
            drivers={PrincipalKind.ACR_TOKEN: MemoryDriver(self)},
            vault=MemoryVault(self),
            platform=MemoryPlatform(self),
            values=NoValues(),
            usage=QuietLog(),
            claims=NoClaims(),
            observer=self,
            rules=rules or Rules(max_parallel=1, verify_pulls=2),
        )

    def notice(self, event: RotationEvent) -> None:
        self.events.append(event)


class MemoryDriver:
    kind = PrincipalKind.ACR_TOKEN

    def __init__(self, cloud: MemoryCloud) -> None:
        self._cloud = cloud
        self.traits = cloud.traits

    def inspect(self, principal: Principal) -> tuple[Credential, ...]:
        return tuple(
            Credential(handle=one.handle, username="pull", issued_at=one.made_at, expires_at=one.expires_at)
            for one in self._cloud.issued
            if not one.ended
        )

    def issue(self, principal: Principal, marker: str, ttl: timedelta | None, slot: str) -> tuple[Credential, Secret]:
        cloud = self._cloud
        cloud.clock.sleep(timedelta(seconds=1))
        cloud.serial += 1
        now = cloud.clock.now()
        if cloud.overlap is Overlap.TWO_SLOTS:
            assert slot in {"password1", "password2"}
            for one in cloud.issued:
                if one.handle.slot == slot:
                    one.ended = True
            handle = Handle(principal=principal, id=f"{slot}@{now:%Y-%m-%dT%H:%M:%SZ}", slot=slot)
        else:
            handle = Handle(principal=principal, id=f"key-{cloud.serial}", marker=marker)
        made = Issued(f"issued-{cloud.serial}", handle, now + PROPAGATION, now, now + ttl if ttl else None)
        cloud.issued.append(made)
        cloud.effect(f"issue {handle.id}")
        return Credential(handle=handle, username="pull", issued_at=now, expires_at=made.expires_at), Secret(made.value)

    def verify(self, credential: Credential, secret: Secret, images: Sequence[ImageReference]) -> None:
        if not self._cloud.accepts(secret.reveal()):
            raise VerificationFailed(f"{SERVER} does not accept {credential.handle.id}")
        for image in images:
            if image.repository in self._cloud.missing_images:
                raise NotFound(f"{image} does not exist", api="registry", operation="manifest")

    def retire(self, handle: Handle) -> None:
        for one in self._cloud.issued:
            if one.handle.id == handle.id and not one.ended:
                one.ended = True
                self._cloud.effect(f"retire {handle.id}")


class MemoryVault:
    address = "https://kv.vault.azure.net"

    def __init__(self, cloud: MemoryCloud) -> None:
        self._cloud = cloud

    def put(self, name: str, value: str, tags: Mapping[str, str], expires_at: datetime | None, *, enabled: bool) -> StoredSecret:
        versions = self._cloud.vault.setdefault(name, [])
        stored = StoredSecret(
            name=name,
            version=f"v{len(versions) + 1}",
            enabled=enabled,
            tags=dict(tags),
            created_at=self._cloud.clock.now(),
            expires_at=expires_at,
        )
        versions.append(StoredVersion(stored, value))
        return stored

    def inventory(self) -> Iterator[StoredSecret]:
        yield from (versions[-1].secret for versions in self._cloud.vault.values())

    def look(self, name: str) -> StoredSecret | None:
        versions = self._cloud.vault.get(name)
        return versions[-1].secret if versions else None

    def read(self, name: str, version: str = "") -> Secret:
        for one in reversed(self._cloud.vault.get(name, [])):
            if one.secret.version == version or (not version and one.secret.enabled):
                if not one.secret.enabled:
                    raise Rejected(f"{name} is disabled", api="vault", operation="read", reason="SecretDisabled")
                return Secret(one.value)
        raise NotFound(f"{name} is not in the vault", api="vault", operation="read")

    def previous(self, name: str, before: str) -> StoredSecret | None:
        older = [one.secret for one in self._cloud.vault.get(name, []) if int(one.secret.version[1:]) < int(before[1:])]
        return next((one for one in reversed(older) if one.enabled), None)

    def write(
        self, name: str, secret: Secret, *, tags: Mapping[str, str], expires_at: datetime | None, enabled: bool = True
    ) -> StoredSecret:
        stored = self.put(name, secret.reveal(), tags, expires_at, enabled=enabled)
        self._cloud.effect(f"write {name}")
        return stored

    def annotate(self, name: str, version: str, *, tags: Mapping[str, str], enabled: bool | None = None) -> StoredSecret:
        for one in self._cloud.vault[name]:
            if one.secret.version == version:
                one.secret = replace(one.secret, tags=dict(tags), enabled=one.secret.enabled if enabled is None else enabled)
                self._cloud.effect(f"annotate {name}")
                return one.secret
        raise NotFound(f"{name}/{version} is not in the vault", api="vault", operation="annotate")


class MemoryPlatform:
    def __init__(self, cloud: MemoryCloud) -> None:
        self._cloud = cloud

    def groups(self, subscription: str) -> Iterator[ContainerGroup]:
        yield from self._cloud.groups.values()

    def read(self, group: ArmId) -> ContainerGroup:
        found = self._cloud.groups.get(group.key)
        if found is None:
            raise NotFound(f"{group.name} does not exist", api="container-instances", operation="read")
        return found

    def redeploy(
        self,
        group: ContainerGroup,
        *,
        values: Mapping[WriteOnlyField, Secret],
        tags: Mapping[str, str],
        usernames: Mapping[str, str],
    ) -> None:
        password = values[group.write_only[0]].reveal()
        if not self._cloud.accepts(password):
            raise Rejected("InaccessibleImage", api="container-instances", operation="redeploy", reason="InaccessibleImage")
        self._cloud.groups[group.id.key] = replace(group, tags={**group.tags, **tags})
        self._cloud.passwords[group.id.key] = password
        self._cloud.redeploys.append(group.name)
        self._cloud.effect(f"redeploy {group.name}")

    def restart(self, group: ArmId) -> None:
        raise AssertionError("no group here reads from the vault")

    def tag(self, group: ContainerGroup, tags: Mapping[str, str]) -> None:
        raise AssertionError("no group here reads from the vault")

    def health(self, group: ArmId, since: datetime) -> Health:
        sick = group.name in self._cloud.sick
        return Health(healthy=not sick, settled=True, detail="the container exits at once" if sick else "running")


class NoValues:
    def locate(self, group: ContainerGroup, field: WriteOnlyField) -> str | None:
        return None

    def fetch(self, group: ContainerGroup, field: WriteOnlyField) -> Secret:
        raise Held(f"{field.path} has no source", missing=(field.path,))


class QuietLog:
    def usage(self, principal: Principal, registries: Sequence[str], since: datetime) -> Usage:
        return Usage(drain=Drain.ASSUMED)


class NoClaims:
    @contextmanager
    def claim(self, group: ArmId) -> Iterator[None]:
        yield
