"""A cloud in a few dictionaries: for tests of the rotation that need thousands of schedules. Its ports are in `memoryports`.

It keeps the rules that matter: a credential works from a while after it was made until it is ended; a group pulls with the very
value that it stores, or with what the vault holds where it only refers to it; a lost answer may hide an effect. After every
effect `watch` remembers groups that could not have pulled.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum

from rotator.model.arm import ArmId
from rotator.model.credential import Handle, Overlap, Principal, PrincipalKind, RetireMode, Traits
from rotator.model.errors import Conflict, Denied, Indeterminate, RotatorError, Throttled, Unavailable
from rotator.model.estate import StoredSecret
from rotator.model.group import Binding, ContainerGroup, GroupState, Inline, VaultReference, WriteOnlyField
from rotator.model.image import ImageReference
from rotator.model.rotation import RotationEvent
from rotator.model.usage import Use
from tests.fakes import FakeClock

START = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
VAULT = "https://kv.vault.azure.net"
PROPAGATION = timedelta(seconds=60)
LEASE = timedelta(hours=12)

TOKEN = Principal(kind=PrincipalKind.ACR_TOKEN, registry="demo.azurecr.io", name="pull", resource_id="/registries/demo")
APP = Principal(kind=PrincipalKind.ENTRA_APP, registry="entra", name="5f0d9a3e-1111-4222-8333-444455556666")
AWS = Principal(kind=PrincipalKind.ECR, registry="123456789012.dkr.ecr.eu-west-1.amazonaws.com", name="AWS")
BOT = Principal(kind=PrincipalKind.GITLAB, registry="registry.gitlab.com", name="bot")
PRINCIPALS = {Overlap.TWO_SLOTS: TOKEN, Overlap.MANY: APP, Overlap.LEASES: AWS, Overlap.SINGLE: BOT}
SECRETS = {TOKEN: "pull-demo", APP: "pull-shared", AWS: "pull-aws", BOT: "pull-bot"}
HOSTS = {TOKEN: TOKEN.registry, APP: "shared.azurecr.io", AWS: AWS.registry, BOT: BOT.registry}
TRAITS = {
    TOKEN.kind: Traits(
        overlap=Overlap.TWO_SLOTS,
        retire=RetireMode.EXPLICIT,
        propagation=PROPAGATION,
        propagation_limit=timedelta(minutes=3),
    ),
    APP.kind: Traits(
        overlap=Overlap.MANY, retire=RetireMode.EXPLICIT, propagation=PROPAGATION, propagation_limit=timedelta(minutes=3)
    ),
    AWS.kind: Traits(
        overlap=Overlap.LEASES,
        retire=RetireMode.BY_ITSELF,
        propagation=timedelta(0),
        propagation_limit=timedelta(seconds=30),
        lease_ttl=LEASE,
        listed=False,
    ),
    BOT.kind: Traits(
        overlap=Overlap.SINGLE, retire=RetireMode.EXPLICIT, propagation=PROPAGATION, propagation_limit=timedelta(minutes=3)
    ),
}


class Crash(BaseException):
    """The process died."""


class Fault(Enum):
    """What goes wrong with one call that changes something."""

    CRASH_BEFORE = "the process dies before the effect"
    CRASH_AFTER = "the process dies after the effect"
    LOST_BEFORE = "no answer, no effect"
    LOST_AFTER = "no answer, but the effect"
    THROTTLED = "throttled"
    UNAVAILABLE = "unavailable"
    DENIED = "denied"
    CONFLICT = "conflict"


def failure(fault: Fault, what: str) -> RotatorError | Crash:
    match fault:
        case Fault.CRASH_BEFORE | Fault.CRASH_AFTER:
            return Crash(what)
        case Fault.LOST_BEFORE | Fault.LOST_AFTER:
            return Indeterminate(f"no answer to {what}", api="memory", operation="effect")
        case Fault.THROTTLED:
            return Throttled(f"{what} was throttled", api="memory", operation="effect")
        case Fault.UNAVAILABLE:
            return Unavailable(f"{what} could not be asked", api="memory", operation="effect")
        case Fault.DENIED:
            return Denied(f"{what} is not allowed", api="memory", operation="effect", needs="a role")
        case Fault.CONFLICT:
            return Conflict(f"{what} is busy", api="memory", operation="effect")


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
    """Everything remote. `faults` strike at the numbers of calls that change something, `blind` at those of calls that read.

    `lagging` holds ids of handles that the registry does not list although they are there. `principal` is the one that most
    tests are about; the other kinds are there too.
    """

    overlap: Overlap = Overlap.TWO_SLOTS
    clock: FakeClock = field(default_factory=lambda: FakeClock(START))
    issued: list[Issued] = field(default_factory=list)
    vault: dict[str, list[StoredVersion]] = field(default_factory=dict)
    groups: dict[str, ContainerGroup] = field(default_factory=dict)
    passwords: dict[tuple[str, str], str] = field(default_factory=dict)
    pulled_at: dict[str, datetime] = field(default_factory=dict)
    sick: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    missing_images: set[str] = field(default_factory=set)
    lagging: set[str] = field(default_factory=set)
    logins: list[tuple[str, Use]] = field(default_factory=list)
    log_broken: bool = False
    leaked: set[str] = field(default_factory=set)
    replaced: set[str] = field(default_factory=set)
    announced: list[tuple[str, str]] = field(default_factory=list)
    outages: list[tuple[str, str]] = field(default_factory=list)
    ran_out: list[tuple[str, str]] = field(default_factory=list)
    redeploys: list[str] = field(default_factory=list)
    restarts: list[str] = field(default_factory=list)
    dead_current: list[str] = field(default_factory=list)
    last_used: dict[str, datetime] = field(default_factory=dict)
    ended_at: dict[str, datetime] = field(default_factory=dict)
    events: list[RotationEvent] = field(default_factory=list)
    faults: dict[int, Fault] = field(default_factory=dict)
    blind: set[int] = field(default_factory=set)
    effects: int = 0
    reads: int = 0
    serial: int = 0

    @property
    def principal(self) -> Principal:
        return PRINCIPALS[self.overlap]

    @property
    def secret_name(self) -> str:
        return SECRETS[self.principal]

    @contextmanager
    def effect(self, what: str) -> Iterator[None]:
        """Around each change: something may go wrong before it or after it, and the watch looks at what it did."""
        self.effects += 1
        fault = self.faults.pop(self.effects, None)
        late = fault in {Fault.CRASH_AFTER, Fault.LOST_AFTER}
        if fault is not None and not late:
            raise failure(fault, what)
        yield
        self.watch(what)
        if fault is not None:
            raise failure(fault, what)

    def read(self, what: str) -> None:
        """Before each look."""
        self.reads += 1
        if self.reads in self.blind:
            raise failure(Fault.UNAVAILABLE, what)

    # --- judging ---------------------------------------------------------------------------------------------------

    def accepts(self, principal: Principal, value: str) -> bool:
        now = self.clock.now()
        return any(
            one.value == value
            and one.handle.principal == principal
            and not one.ended
            and one.works_from <= now
            and (one.expires_at is None or one.expires_at > now)
            for one in self.issued
        )

    def stored(self, binding: Binding) -> str:
        """The value that a group would present: its own, or the vault's."""
        if not isinstance(binding.source, VaultReference):
            return self.passwords[binding.group.key, binding.registry]
        name, _, version = binding.source.secret_url.removeprefix(f"{VAULT}/secrets/").partition("/")
        enabled = [one for one in self.vault.get(name, []) if one.secret.enabled]
        found = [one for one in enabled if not version or one.secret.version == version]
        return found[-1].value if found else "nothing"

    def refuses(self, binding: Binding) -> bool:
        """Whether a registry would not take what the group presents to it."""
        return bool(binding.principal and binding.images and not self.accepts(binding.principal, self.stored(binding)))

    def cannot_pull(self, group: ContainerGroup) -> bool:
        return any(self.refuses(one) for one in group.bindings)

    def watch(self, what: str) -> None:
        """A stopped group needs its credential at its next start only, but none that is there may be taken from it.

        What ran out by itself, because nobody renewed it in time, is listed apart from what was ended or put in wrongly. Whoever
        stores a `leaked` value is out because somebody wanted it ended, and is not listed. Whose value was `replaced`, because a
        kind has one secret at a time, is listed as announced; so is one that was made then and is not known everywhere yet.
        """
        over = {one.value for one in self.issued if not one.ended and one.expires_at and one.expires_at <= self.clock.now()}
        for group in self.groups.values():
            for binding in group.bindings:
                if self.refuses(binding) and self.stored(binding) not in self.leaked:
                    listed = self.ran_out if self.stored(binding) in over else self.outages
                    if binding.principal == BOT and self.stored(binding) in self.replaced:
                        listed = self.announced
                    listed.append((group.name, f"{binding.registry} after {what}"))
                self.last_used[self.stored(binding)] = self.clock.now()
        for one in self.issued:
            if one.ended:
                self.ended_at.setdefault(one.value, self.clock.now())
        for principal, name in SECRETS.items():
            current = next((one for one in reversed(self.vault.get(name, [])) if one.secret.enabled), None)
            known = self.leaked | self.replaced | over if principal == BOT else over
            if current is not None and current.value not in known and not self.accepts(principal, current.value):
                self.dead_current.append(f"{name} after {what}")

    def live(self, principal: Principal | None = None) -> list[Issued]:
        wanted, now = principal or self.principal, self.clock.now()
        return [
            one
            for one in self.issued
            if one.handle.principal == wanted and not one.ended and (one.expires_at is None or one.expires_at > now)
        ]

    def notice(self, event: RotationEvent) -> None:
        self.events.append(event)

    # --- building ---------------------------------------------------------------------------------------------------

    def plant(
        self, slot: str = "", *, age: timedelta, ttl: timedelta | None, principal: Principal | None = None, marker: str = ""
    ) -> Issued:
        """Make a secret as if it had been there before the test began."""
        principal = principal or self.principal
        made_at = self.clock.now() - age
        self.serial += 1
        ends_at = made_at + ttl if ttl else None
        if principal == TOKEN:
            handle = Handle(principal=principal, id=f"{slot}@{made_at:%Y-%m-%dT%H:%M:%SZ}", slot=slot)
        elif principal == AWS:
            handle = Handle(principal=principal, id=f"lease@{ends_at:%Y-%m-%dT%H:%M:%SZ}")
        elif principal == BOT:
            handle = Handle(principal=principal, id=f"token/{self.serial}")
        else:
            handle = Handle(principal=principal, id=f"application/key-{self.serial}", marker=marker)
        one = Issued(f"planted-{self.serial}", handle, made_at, made_at, ends_at)
        self.issued.append(one)
        return one

    def add_group(
        self, name: str, *passwords: Issued, state: GroupState = GroupState.RUNNING, reads: str = "", version: str = ""
    ) -> ArmId:
        """Add a group that stores the passwords; with `reads`, it refers to that secret of the vault for the first of them."""
        identity = ArmId(f"/subscriptions/s/resourceGroups/g/providers/Microsoft.ContainerInstance/containerGroups/{name}")
        bindings = []
        for number, password in enumerate(passwords):
            principal = password.handle.principal
            host = HOSTS[principal]
            url = f"{VAULT}/secrets/{reads}" + (f"/{version}" if version else "")
            bindings.append(
                Binding(
                    group=identity,
                    registry=host,
                    source=VaultReference(principal.name, url, "id") if reads and not number else Inline(principal.name),
                    images=(ImageReference(server=host, repository=f"app/{name}", reference="1"),),
                    principal=principal,
                )
            )
            self.passwords[identity.key, host] = password.value
        inline = [one.registry for one in bindings if isinstance(one.source, Inline)]
        self.groups[identity.key] = ContainerGroup(
            id=identity,
            location="westeurope",
            tags={},
            state=state,
            provisioning_state="Succeeded",
            restart_policy="Always",
            os_type="Linux",
            bindings=tuple(bindings),
            write_only=tuple(WriteOnlyField(f"imageRegistryCredentials/{host}/password") for host in inline),
            identities=(),
            system_assigned=False,
            suspects=(),
            private_network=False,
            observed_at=self.clock.now(),
            body={},
        )
        self.pulled_at[identity.key] = self.clock.now()
        return identity
