"""The ports to a cloud in memory. Lost answers and refusals come from the cloud's faults."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta

from rotator.model.arm import ArmId
from rotator.model.credential import Credential, Handle, Principal, PrincipalKind
from rotator.model.errors import Held, NotFound, Rejected, VerificationFailed
from rotator.model.estate import Estate, PrincipalRecord, StoredSecret, Unread
from rotator.model.group import Binding, ContainerGroup, Inline, Source, WriteOnlyField
from rotator.model.image import ImageReference
from rotator.model.secret import Secret
from rotator.model.usage import Uses
from rotator.ports import Health
from rotator.rotation.context import Context
from rotator.rotation.rules import Rules
from tests.builders import registry
from tests.memorycloud import AWS, BOT, LEASE, PROPAGATION, SECRETS, TOKEN, TRAITS, VAULT, Issued, MemoryCloud, StoredVersion


def hold_in_vault(cloud: MemoryCloud, password: Issued, name: str = "") -> None:
    """Keep a planted secret in the vault, tagged as its principal's."""
    principal = password.handle.principal
    tags = {
        "rotator-principal": principal.id,
        "rotator-handle": password.handle.id,
        "rotator-issued": password.made_at.isoformat(),
    }
    MemoryVault(cloud).put(name or SECRETS[principal], password.value, tags, password.expires_at, enabled=True)


def estate_of(cloud: MemoryCloud, *unread: str) -> Estate:
    """Read the cloud as the inventory would; `unread` names what could not be read and is missing."""
    seen = {one.handle.principal for one in cloud.issued} - {AWS}
    return Estate(
        observed_at=cloud.clock.now(),
        subscriptions=("s",),
        groups=() if "container-groups" in unread else tuple(cloud.groups.values()),
        registries=(registry(id=ArmId("/registries/demo"), login_server=TOKEN.registry, sku="Premium"),),
        records={one: PrincipalRecord(principal=one, credentials=MemoryDriver(cloud, one.kind).listed(one)) for one in seen},
        secrets=() if "vault" in unread else tuple(MemoryVault(cloud).inventory()),
        unsourced={},
        unread=tuple(Unread(scope="s", what=what, code="unavailable", reason="it did not answer") for what in unread),
    )


def context_of(cloud: MemoryCloud, rules: Rules | None = None, writer: str = "here") -> Context:
    return Context(
        clock=cloud.clock,
        drivers={kind: MemoryDriver(cloud, kind) for kind in TRAITS},
        vault=MemoryVault(cloud),
        platform=MemoryPlatform(cloud),
        values=MemoryValues(cloud),
        usage=MemoryLog(cloud),
        claims=NoClaims(),
        observer=cloud,
        rules=rules or Rules(max_parallel=1, verify_pulls=2),
        writer=writer,
    )


class MemoryDriver:
    def __init__(self, cloud: MemoryCloud, kind: PrincipalKind) -> None:
        self._cloud = cloud
        self.kind = kind
        self.traits = TRAITS[kind]

    def inspect(self, principal: Principal) -> tuple[Credential, ...]:
        self._cloud.read("inspect")
        return self.listed(principal)

    def listed(self, principal: Principal) -> tuple[Credential, ...]:
        return tuple(
            Credential(handle=one.handle, username=principal.name, issued_at=one.made_at, expires_at=one.expires_at)
            for one in self._cloud.issued
            if one.handle.principal == principal
            and not one.ended
            and principal != AWS
            and one.handle.id not in self._cloud.lagging
        )

    def issue(
        self, principal: Principal, marker: str, ttl: timedelta | None, slot: str, *, before: datetime | None = None
    ) -> tuple[Credential, Secret]:
        cloud = self._cloud
        cloud.clock.sleep(timedelta(seconds=1))
        with cloud.effect(f"issue for {principal.kind} {slot}"):
            now = cloud.clock.now()
            if before is not None and now > before:
                raise Held("it is too late to send this")
            cloud.serial += 1
            ends_at = now + LEASE if principal == AWS else now + ttl if ttl else None
            if principal == TOKEN:
                assert slot in {"password1", "password2"}
                for one in cloud.live(principal):
                    one.ended |= one.handle.slot == slot
                handle = Handle(principal=principal, id=f"{slot}@{now:%Y-%m-%dT%H:%M:%SZ}", slot=slot)
            elif principal == AWS:
                handle = Handle(principal=principal, id=f"lease@{ends_at:%Y-%m-%dT%H:%M:%SZ}", marker=marker)
            elif principal == BOT:
                for one in cloud.live(principal):
                    one.ended = True
                    cloud.replaced.add(one.value)
                handle = Handle(principal=principal, id=f"token/{cloud.serial}")
            else:
                handle = Handle(principal=principal, id=f"application/key-{cloud.serial}", marker=marker)
            works_from = now + (timedelta(0) if principal == AWS else PROPAGATION)
            made = Issued(f"issued-{cloud.serial}", handle, works_from, now, ends_at)
            cloud.issued.append(made)
        credential = Credential(handle=handle, username=principal.name, issued_at=now, expires_at=ends_at)
        return credential, Secret(made.value)

    def verify(self, credential: Credential, secret: Secret, images: Sequence[ImageReference]) -> None:
        self._cloud.read("verify")
        owners = {one.handle.principal for one in self._cloud.issued if one.handle.principal.name == credential.username}
        if not any(self._cloud.accepts(owner, secret.reveal()) for owner in owners):
            raise VerificationFailed(f"the registry does not accept {credential.username}")
        for image in images:
            if image.repository in self._cloud.missing_images:
                raise NotFound(f"{image} does not exist", api="registry", operation="manifest")

    def retire(self, handle: Handle) -> None:
        for one in self._cloud.issued:
            if (one.handle.principal, one.handle.id) == (handle.principal, handle.id) and not one.ended:
                with self._cloud.effect(f"retire {handle.id}"):
                    one.ended = True


class MemoryVault:
    address = VAULT

    def __init__(self, cloud: MemoryCloud) -> None:
        self._cloud = cloud

    def put(self, name: str, value: str, tags: Mapping[str, str], expires_at: datetime | None, *, enabled: bool) -> StoredSecret:
        assert len(tags) <= 15
        assert all(0 < len(text) <= 512 for text in tags.values())
        versions = self._cloud.vault.setdefault(name, [])
        stored = StoredSecret(
            name=name,
            version=f"v{len(versions) + 1}",
            enabled=enabled,
            tags=dict(tags),
            created_at=self._cloud.clock.now().replace(microsecond=0),
            expires_at=expires_at,
        )
        versions.append(StoredVersion(stored, value))
        return stored

    def inventory(self) -> Iterator[StoredSecret]:
        yield from (replace(versions[-1].secret, version="") for _, versions in sorted(self._cloud.vault.items()))

    def look(self, name: str) -> StoredSecret | None:
        self._cloud.read(f"look {name}")
        versions = self._cloud.vault.get(name)
        return versions[-1].secret if versions else None

    def read(self, name: str, version: str = "") -> Secret:
        self._cloud.read(f"read {name}")
        for one in reversed(self._cloud.vault.get(name, [])):
            if one.secret.version == version or (not version and one.secret.enabled):
                if not one.secret.enabled:
                    raise Rejected(f"{name} is disabled", api="vault", operation="read", reason="SecretDisabled")
                return Secret(one.value)
        raise NotFound(f"{name} is not in the vault", api="vault", operation="read")

    def previous(self, name: str, before: str) -> StoredSecret | None:
        self._cloud.read(f"previous {name}")
        older = [one.secret for one in self._cloud.vault.get(name, []) if int(one.secret.version[1:]) < int(before[1:])]
        return next((one for one in reversed(older) if one.enabled), None)

    def write(
        self, name: str, secret: Secret, *, tags: Mapping[str, str], expires_at: datetime | None, enabled: bool = True
    ) -> StoredSecret:
        with self._cloud.effect(f"write {name}"):
            return self.put(name, secret.reveal(), tags, expires_at, enabled=enabled)

    def annotate(self, name: str, version: str, *, tags: Mapping[str, str], enabled: bool | None = None) -> StoredSecret:
        assert all(0 < len(text) <= 512 for text in tags.values())
        for one in self._cloud.vault[name]:
            if one.secret.version == version:
                with self._cloud.effect(f"annotate {name}"):
                    on = one.secret.enabled if enabled is None else enabled
                    one.secret = replace(one.secret, tags=dict(tags), enabled=on)
                    return one.secret
        raise NotFound(f"{name}/{version} is not in the vault", api="vault", operation="annotate")


class MemoryPlatform:
    def __init__(self, cloud: MemoryCloud) -> None:
        self._cloud = cloud

    def groups(self, subscription: str) -> Iterator[ContainerGroup]:
        yield from self._cloud.groups.values()

    def read(self, group: ArmId) -> ContainerGroup:
        """Return the group as the platform's adapter does: without the principals, which only the inventory knows."""
        self._cloud.read(f"read {group.name}")
        found = self._cloud.groups.get(group.key)
        if found is None:
            raise NotFound(f"{group.name} does not exist", api="container-instances", operation="read")
        return replace(found, bindings=tuple(replace(one, principal=None) for one in found.bindings))

    def deploy(self, group: ArmId, document: object, **_: object) -> None:
        raise NotImplementedError

    def redeploy(
        self,
        group: ContainerGroup,
        *,
        values: Mapping[WriteOnlyField, Secret],
        tags: Mapping[str, str],
        usernames: Mapping[str, str],
        entries: Mapping[str, Source] | None = None,
    ) -> None:
        assert not entries, "no rotation replaces the way in which a group authenticates"
        cloud, current = self._cloud, self._cloud.groups[group.id.key]
        given = {field.path: value.reveal() for field, value in values.items()}
        missing = tuple(field.path for field in current.write_only if field.path not in given)
        if missing:
            raise Held("write-only values are missing", missing=missing)
        bindings = tuple(_named(one, usernames) for one in current.bindings)
        before = {key: value for key, value in cloud.passwords.items() if key[0] == group.id.key}
        with cloud.effect(f"redeploy {group.name}"):
            for one in bindings:
                if isinstance(one.source, Inline):
                    cloud.passwords[group.id.key, one.registry] = given[f"imageRegistryCredentials/{one.registry}/password"]
            if group.name in cloud.refused or cloud.cannot_pull(replace(current, bindings=bindings)):
                cloud.passwords.update(before)
                raise Rejected("refused", api="container-instances", operation="redeploy", reason="InaccessibleImage")
            cloud.groups[group.id.key] = replace(current, tags={**current.tags, **tags}, bindings=bindings)
            cloud.pulled_at[group.id.key] = cloud.clock.now()
            cloud.redeploys.append(group.name)

    def restart(self, group: ArmId) -> None:
        with self._cloud.effect(f"restart {group.name}"):
            self._cloud.pulled_at[group.key] = self._cloud.clock.now()
            self._cloud.restarts.append(group.name)

    def tag(self, group: ContainerGroup, tags: Mapping[str, str]) -> None:
        with self._cloud.effect(f"tag {group.name}"):
            current = self._cloud.groups[group.id.key]
            self._cloud.groups[group.id.key] = replace(current, tags={**current.tags, **tags})

    def health(self, group: ArmId, since: datetime) -> Health:
        self._cloud.read(f"health {group.name}")
        if group.name in self._cloud.sick:
            return Health(healthy=False, settled=True, detail="the container exits at once")
        fresh = self._cloud.pulled_at[group.key] >= since
        return Health(healthy=fresh, settled=fresh, detail="running" if fresh else "has pulled nothing since")


def _named(binding: Binding, usernames: Mapping[str, str]) -> Binding:
    """A redeploy that names a user for a registry changes whose entry it is."""
    if not isinstance(binding.source, Inline) or binding.registry not in usernames:
        return binding
    return replace(binding, source=Inline(usernames[binding.registry]))


class MemoryValues:
    """Finds registry passwords of principals that the vault holds, as the real source does."""

    def __init__(self, cloud: MemoryCloud) -> None:
        self._cloud = cloud

    def refresh(self, secrets: Iterable[StoredSecret] | None = None) -> None:
        pass

    def locate(self, group: ContainerGroup, field: WriteOnlyField) -> str | None:
        users = {one.registry: one.source.username for one in group.bindings if isinstance(one.source, Inline)}
        host = field.path.removeprefix("imageRegistryCredentials/").removesuffix("/password")
        for stored in MemoryVault(self._cloud).inventory():
            principal = stored.tags.get("rotator-principal", "")
            if not stored.name.endswith("--staged") and principal.endswith(f"/{users.get(host)}"):
                return stored.name
        return None

    def fetch(self, group: ContainerGroup, field: WriteOnlyField) -> Secret:
        name = self.locate(group, field)
        if name is None:
            raise Held(f"{field.path} has no source", missing=(field.path,))
        return MemoryVault(self._cloud).read(name)


class MemoryLog:
    """Logins that the cloud was told of, with the key of the secret where the log names it; later than the ingestion delay."""

    def __init__(self, cloud: MemoryCloud) -> None:
        self._cloud = cloud

    def uses(self, principal: Principal, registries: Sequence[str], since: datetime) -> Uses:
        until = self._cloud.clock.now() - timedelta(minutes=15)
        if self._cloud.log_broken:
            return Uses(complete_until=until, unreadable="the log is down")
        entries = tuple(one for name, one in self._cloud.logins if name == principal.name and since <= one.at <= until)
        unproven = "" if self._cloud.logins else "nothing was logged at all"
        return Uses(complete_until=until, entries=entries, names_keys=any(one.key for one in entries), unproven=unproven)

    def last_uses(self, principals: Iterable[Principal], since: datetime) -> Mapping[Principal, datetime]:
        return {}


class NoClaims:
    @contextmanager
    def claim(self, group: ArmId) -> Iterator[None]:
        yield
