"""The reading ports in memory. Anything may be an error of ours in place of an answer: then asking for it raises."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from rotator.inventory.gather import Readers
from rotator.model.arm import ArmId
from rotator.model.errors import NotFound, Rejected, RotatorError
from rotator.model.estate import PrincipalRecord, Registry, StoredSecret
from rotator.model.group import ContainerGroup, WriteOnlyField
from rotator.model.secret import Secret
from rotator.ports import Health
from tests.builders import NOW


class FakeClock:
    """Time that moves when somebody sleeps, or when a test says so."""

    def __init__(self, now: datetime = NOW) -> None:
        self._now = now

    def now(self) -> datetime:
        return self._now

    def sleep(self, duration: timedelta) -> None:
        self._now += max(duration, timedelta(0))


@dataclass
class FakeGroups:
    """Groups by subscription. An error in a list is raised when it is reached, after what stands before it."""

    listed: dict[str, list[ContainerGroup | RotatorError]] = field(default_factory=dict)

    def groups(self, subscription: str) -> Iterator[ContainerGroup]:
        for one in self.listed.get(subscription, []):
            if isinstance(one, RotatorError):
                raise one
            yield one

    def read(self, group: ArmId) -> ContainerGroup:
        for listed in self.listed.values():
            for one in listed:
                if isinstance(one, ContainerGroup) and one.id == group:
                    return one
        raise NotFound(f"{group.name} is gone", api="container-instances", operation="read")

    def deploy(self, group: ArmId, document: object, **_: object) -> None:
        raise NotImplementedError

    def redeploy(self, group: ContainerGroup, **_: object) -> None:
        raise NotImplementedError("these groups are for reading")

    def restart(self, group: ArmId) -> None:
        raise NotImplementedError("these groups are for reading")

    def tag(self, group: ContainerGroup, tags: Mapping[str, str]) -> None:
        raise NotImplementedError("these groups are for reading")

    def health(self, group: ArmId, since: datetime) -> Health:
        raise NotImplementedError("these groups are for reading")


@dataclass
class FakeCatalog:
    """Registries by subscription, tokens by the registry's name."""

    listed: dict[str, list[Registry | RotatorError]] = field(default_factory=dict)
    token_lists: dict[str, list[PrincipalRecord | RotatorError]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def registries(self, subscription: str) -> Iterator[Registry]:
        for one in self.listed.get(subscription, []):
            if isinstance(one, RotatorError):
                raise one
            yield one

    def tokens(self, registry: Registry) -> Iterator[PrincipalRecord]:
        self.asked.append(registry.name)
        for one in self.token_lists.get(registry.name, []):
            if isinstance(one, RotatorError):
                raise one
            yield one


@dataclass
class FakeDirectory:
    """Applications by id."""

    known: dict[str, PrincipalRecord | RotatorError] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def application(self, app_id: str) -> PrincipalRecord | None:
        self.asked.append(app_id)
        found = self.known.get(app_id)
        if isinstance(found, RotatorError):
            raise found
        return found


@dataclass
class FakeVault:
    """The vault's secrets; `error` makes the inventory fail after them."""

    stored: list[StoredSecret] = field(default_factory=list)
    values: dict[str, str] = field(default_factory=dict)
    error: RotatorError | None = None
    inventories: int = 0

    address = "https://demo.vault.azure.net"

    def inventory(self) -> Iterator[StoredSecret]:
        self.inventories += 1
        yield from self.stored
        if self.error:
            raise self.error

    def look(self, name: str) -> StoredSecret | None:
        return next((one for one in self.stored if one.name == name), None)

    def read(self, name: str, version: str = "") -> Secret:
        if name not in self.values:
            raise NotFound(f"the vault has no secret {name}", api="key-vault", operation="read")
        return Secret(self.values[name])

    def previous(self, name: str, before: str) -> StoredSecret | None:
        return None

    def write(
        self, name: str, secret: Secret, *, tags: Mapping[str, str], expires_at: datetime | None, enabled: bool = True
    ) -> StoredSecret:
        raise Rejected("this vault is for reading", api="key-vault", operation="write")

    def annotate(self, name: str, version: str, *, tags: Mapping[str, str], enabled: bool | None = None) -> StoredSecret:
        raise Rejected("this vault is for reading", api="key-vault", operation="annotate")


@dataclass
class FakeValues:
    """Places of write-only values, by the field's path."""

    places: dict[str, str | RotatorError] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def refresh(self, secrets: Iterable[StoredSecret] | None = None) -> None:
        """Nothing was learnt."""

    def locate(self, group: ContainerGroup, field: WriteOnlyField) -> str | None:
        self.asked.append(field.path)
        found = self.places.get(field.path)
        if isinstance(found, RotatorError):
            raise found
        return found

    def fetch(self, group: ContainerGroup, field: WriteOnlyField) -> Secret:
        raise NotImplementedError("these values are only located")


@dataclass
class FakeCloud:
    """All of them together, as `gather` takes them."""

    clock: FakeClock = field(default_factory=FakeClock)
    groups: FakeGroups = field(default_factory=FakeGroups)
    catalog: FakeCatalog = field(default_factory=FakeCatalog)
    directory: FakeDirectory = field(default_factory=FakeDirectory)
    vault: FakeVault = field(default_factory=FakeVault)
    values: FakeValues = field(default_factory=FakeValues)

    @property
    def readers(self) -> Readers:
        return Readers(
            clock=self.clock,
            groups=self.groups,
            registries=self.catalog,
            directory=self.directory,
            vault=self.vault,
            values=self.values,
        )
