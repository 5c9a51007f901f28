"""What the phases reach the world through."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TypeVar

from rotator.model.arm import ArmId
from rotator.model.credential import Principal
from rotator.model.errors import Conflict, Held, Indeterminate, RotatorError
from rotator.model.estate import TAG_HANDLE, StoredSecret
from rotator.model.rotation import RotationEvent
from rotator.ports import (
    Clock,
    DriverTable,
    GroupClaims,
    GroupPlatform,
    Observer,
    RegistryDriver,
    SecretStore,
    Trail,
    UsageLog,
    ValueSource,
)
from rotator.rotation.record import RotationRecord, read_record
from rotator.rotation.rules import Rules

T = TypeVar("T")
_LOOKS = 3
_LOOK_PAUSE = timedelta(seconds=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """Which live secret a step was about, and the vault's secret and version that it wrote or read, as far as it knows."""

    handle: str = ""
    secret: str = ""
    version: str = ""


class Untraced:
    """A trail of nothing: the default where nobody follows the requests."""

    def taken(self) -> tuple[str, ...]:
        """Return nothing."""
        return ()


NOWHERE = Where()
UNTRACED = Untraced()


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The ports and the operator's numbers, handed to every phase.

    `writer` names this installation in the vault's tags, empty where there can be no other; `signatures` is when each rotation
    was last signed with it.
    """

    clock: Clock
    drivers: DriverTable
    vault: SecretStore
    platform: GroupPlatform
    values: ValueSource
    usage: UsageLog
    claims: GroupClaims
    observer: Observer
    rules: Rules
    writer: str = ""
    signatures: dict[str, datetime] = field(default_factory=dict)
    trail: Trail = UNTRACED

    def driver(self, principal: Principal) -> RegistryDriver:
        """Return the principal's driver; Held when this version has none."""
        driver = self.drivers.get(principal.kind)
        if driver is None:
            raise Held(f"{principal.id}: this version cannot rotate {principal.kind.value} credentials")
        return driver

    def record(self, staged_name: str) -> RotationRecord | None:
        """Read where a rotation stands from its staged secret's tags."""
        stored = self.vault.look(staged_name)
        return None if stored is None else read_record(stored)

    def version_of(self, name: str, handles: Collection[str]) -> StoredSecret | None:
        """Return the newest enabled version of a secret that holds one of the handles, or None.

        Not simply the newest or the one before it: a lost answer can leave the same value there twice, and a person can have
        written another on top.
        """
        seen: set[str] = set()
        found = self.vault.look(name)
        # Versions of one second have no order that can be relied on, so that two may each call the other the one before.
        while found is not None and found.version not in seen:
            if found.enabled and found.tags.get(TAG_HANDLE, "") in handles:
                return found
            seen.add(found.version)
            found = self.vault.previous(name, found.version)
        return None

    def save(self, record: RotationRecord, *, enabled: bool | None = None) -> RotationRecord:
        """Write a record's tags, signed, on the version that carries it; returns the record as it is there."""
        written = self.signed(record)
        annotate(self, written.staged_name, written.version, written.tags(), enabled=enabled)
        return written

    def signed(self, record: RotationRecord) -> RotationRecord:
        """Return the record with this installation's name and the present instant, as it is to be written."""
        now = self.clock.now()
        self.signatures[record.rotation] = now
        return replace(record, writer=self.writer, touched_at=now)

    def tell(
        self,
        rotation: str,
        principal: Principal,
        step: str,
        detail: str = "",
        *,
        group: ArmId | None = None,
        error: RotatorError | None = None,
        where: Where = NOWHERE,
    ) -> None:
        """Let the observer know that a step ended, well or badly."""
        self.observer.notice(
            RotationEvent(
                rotation=rotation,
                principal=principal,
                step=step,
                at=self.clock.now(),
                ok=error is None,
                group=group,
                detail=error.message if error else detail,
                code=error.code if error else "",
                handle=where.handle,
                secret=where.secret,
                version=where.version,
                requests=self.trail.taken(),
            )
        )


def annotate(context: Context, name: str, version: str, tags: dict[str, str], *, enabled: bool | None = None) -> StoredSecret:
    """Replace a version's tags; a lost answer is repeated, because the same tags twice are the same tags."""
    return looking(context, lambda: context.vault.annotate(name, version, tags=tags, enabled=enabled))


def switch_off(context: Context, name: str, handles: Collection[str]) -> Iterator[StoredSecret]:
    """Disable the versions of a secret that hold one of the handles, so that nobody deploys what has ended; yields each."""
    # Bounded, in case a switch that was turned off is still shown as on.
    for _ in range(2 * len(handles)):
        stored = context.version_of(name, handles)
        if stored is None:
            return
        yield annotate(context, name, stored.version, dict(stored.tags), enabled=False)


def looking(context: Context, work: Callable[[], T]) -> T:
    """Do work that looks before it acts, again when an answer was lost or a concurrent write got in the way.

    Only for work that is harmless twice. The last error is raised when it never comes through.
    """
    for _ in range(_LOOKS - 1):
        try:
            return work()
        except (Indeterminate, Conflict):
            context.clock.sleep(_LOOK_PAUSE)
    return work()
