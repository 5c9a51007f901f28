"""The protocols that the core speaks. Adapters in `drivers`, `azure` and `clients` keep them; tests hold them to it."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, runtime_checkable

from rotator.model.arm import ArmId
from rotator.model.credential import Credential, Handle, Principal, PrincipalKind, Traits
from rotator.model.estate import PrincipalRecord, Registry, StoredSecret
from rotator.model.group import ContainerGroup, Source, WriteOnlyField
from rotator.model.image import ImageReference
from rotator.model.network import PrivateEndpoint, PrivateZone, Subnet
from rotator.model.rotation import RotationEvent
from rotator.model.secret import Secret
from rotator.model.usage import Uses

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


class Clock(Protocol):
    """The only source of time. Instants are aware UTC."""

    def now(self) -> datetime:
        """Return the present instant."""
        ...

    def sleep(self, duration: timedelta) -> None:
        """Return once `duration` has passed on this clock."""
        ...


class PrincipalReader(Protocol):
    """Lists the secrets of one principal, for kinds whose service has no list of everybody."""

    traits: Traits

    def inspect(self, principal: Principal) -> tuple[Credential, ...]:
        """Return what the service lists for the principal. NotFound when it has none; ConfigError when nobody may ask it."""
        ...


class RegistryDriver(Protocol):
    """One kind of credential: how to look at, make, try and end its secrets. Calls name the handle, never the configuration."""

    kind: PrincipalKind
    traits: Traits

    def inspect(self, principal: Principal) -> tuple[Credential, ...]:
        """Return every live or expired secret that the service lists for the principal.

        A service that lists none (ECR) gives none. Raises NotFound when it has no such principal.
        """
        ...

    def issue(
        self, principal: Principal, marker: str, ttl: timedelta | None, slot: str, *, before: datetime | None = None
    ) -> tuple[Credential, Secret]:
        """Make a new secret and return it; the only place where a value enters the program.

        `slot` names the slot to fill where the kind has slots. Where filling it ends another secret, nothing is sent after the
        instant `before`: Held then. Raises Indeterminate when no answer came: there may be a secret
        that nobody knows. ConfigError, before anything is sent, when this kind is not configured.
        """
        ...

    def verify(self, credential: Credential, secret: Secret, images: Sequence[ImageReference]) -> None:
        """Pull for real: authenticate and ask for each image's manifest over a fresh connection.

        Raises, each naming the image: VerificationFailed when the secret is not accepted or may not read it; NotFound when the
        registry has no such image for this principal, which says nothing against the secret; Throttled or Unavailable when the
        registry cannot tell.
        """
        ...

    def retire(self, handle: Handle) -> None:
        """End the secret. Already gone is success; never touches another secret of the principal.

        Raises Indeterminate when no answer came and looking did not tell either.
        """
        ...


@runtime_checkable
class SecretExaminer(Protocol):
    """A driver whose service tells something about a secret to whoever presents it."""

    def examine(self, principal: Principal, secret: Secret) -> Credential:
        """Return what the service says of a secret in hand; its handle names it. VerificationFailed for a bad one."""
        ...


class SecretStore(Protocol):
    """The vault: the truth about which secret is current."""

    @property
    def address(self) -> str:
        """The vault's URL."""
        ...

    def inventory(self) -> Iterator[StoredSecret]:
        """Yield what the vault's list says of every secret: the newest version's tags, no value, and no version id."""
        ...

    def look(self, name: str) -> StoredSecret | None:
        """Return the newest version of one secret, enabled or not; None when there is none."""
        ...

    def read(self, name: str, version: str = "") -> Secret:
        """Return the value of a version (the newest enabled by default). NotFound, or Rejected when it is disabled."""
        ...

    def previous(self, name: str, before: str) -> StoredSecret | None:
        """Return the newest enabled version older than version `before`, or None."""
        ...

    def write(
        self, name: str, secret: Secret, *, tags: Mapping[str, str], expires_at: datetime | None, enabled: bool = True
    ) -> StoredSecret:
        """Add a version. Raises Conflict when the name is soft-deleted, Indeterminate when no answer came."""
        ...

    def annotate(self, name: str, version: str, *, tags: Mapping[str, str], enabled: bool | None = None) -> StoredSecret:
        """Replace the tags of a version, and its enabled switch when given; the value stays."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What a group's state says after an update. `settled` is False while it may still change by itself."""

    healthy: bool
    settled: bool
    detail: str


class GroupPlatform(Protocol):
    """Container groups: reading, redeploying, restarting, watching."""

    def groups(self, subscription: str) -> Iterator[ContainerGroup]:
        """Yield every group of a subscription with its instance view. Raises Denied, NotFound, Unavailable."""
        ...

    def read(self, group: ArmId) -> ContainerGroup:
        """Return one group with its state. NotFound when it is gone."""
        ...

    def redeploy(
        self,
        group: ContainerGroup,
        *,
        values: Mapping[WriteOnlyField, Secret],
        tags: Mapping[str, str],
        usernames: Mapping[str, str],
        entries: Mapping[str, Source] | None = None,
    ) -> None:
        """Put the group again, every write-only field filled from `values`, `tags` added; returns when Azure says it is done.

        `usernames` replaces the user name of registry entries (by host) where it changes. `entries` replaces how the group
        authenticates at a host: the identity that an entry names is attached to the group, and the password of an `Inline` entry
        comes from `values`. What was changed in the group since it was read stays changed. Raises:

        - Held, naming the fields, when `values` leaves one of the group's write-only fields out: nothing was sent.
        - Conflict for a group that stays in transition, NotFound for one that is gone, Denied: nothing changed.
        - Rejected with Azure's code (`InaccessibleImage`, `InvalidContainerGroupUpdate`, ...): Azure refused, nothing changed.
        - Throttled or Unavailable: nothing changed, also after trying again.
        - Indeterminate: Azure accepted the update and then failed to carry it out, or its end could not be learnt. The group
          stores the new document, or may; whoever calls has something to put back.
        """
        ...

    def deploy(
        self,
        group: ArmId,
        document: Mapping[str, Json],
        *,
        values: Mapping[tuple[str | int, ...], Secret],
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """Put a whole document as the group, which may not exist yet; returns when Azure says it is done.

        `values` goes where its paths lead, in the request alone. What is left out is reset. `check` is called each time before
        the document is sent, also again after a wait; what it raises ends the deployment. Raises as `redeploy` does. The
        document's tags tell whether a PUT without an answer took effect: one of them must be new each time.
        """
        ...

    def restart(self, group: ArmId) -> None:
        """Restart every container of the group; returns when Azure says it is done. The images are pulled again.

        Raises Conflict for a group that stays in transition, Rejected with Azure's code when it refused or the restart failed,
        Indeterminate without an answer.
        """
        ...

    def tag(self, group: ContainerGroup, tags: Mapping[str, str]) -> None:
        """Add tags without a restart; those that the group has by now stay."""
        ...

    def health(self, group: ArmId, since: datetime) -> Health:
        """Say whether the containers run (or have run to their end) on images pulled after `since`."""
        ...


class RegistryCatalog(Protocol):
    """Azure container registries as resources."""

    def registries(self, subscription: str) -> Iterator[Registry]:
        """Yield the registries of a subscription."""
        ...

    def tokens(self, registry: Registry) -> Iterator[PrincipalRecord]:
        """Yield the repository tokens of a registry with their passwords' facts."""
        ...


class NetworkCatalog(Protocol):
    """Private networks as resources."""

    def subnet(self, subnet: ArmId) -> Subnet:
        """Return one subnet."""
        ...

    def endpoint(self, endpoint: ArmId) -> PrivateEndpoint:
        """Return one private endpoint."""
        ...

    def zones(self, subscription: str) -> Iterator[PrivateZone]:
        """Yield the private DNS zones of a subscription in which registries are looked up."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateDeployment:
    """A deployment of a template that succeeded. `at` is when, as the service writes it."""

    name: str
    at: str


class DeploymentHistory(Protocol):
    """What templates (Bicep, ARM) have put into a resource group."""

    def deployed(self, subscription: str, resource_group: str) -> Mapping[ArmId, TemplateDeployment]:
        """Return for each resource that a succeeded deployment put the newest such deployment. Raises Denied, NotFound,
        Unavailable: half a history is none."""
        ...


class PullRights(Protocol):
    """Who may pull what from an Azure registry, as its management says."""

    def actions(self, registry: Registry, scope_map: str) -> tuple[str, ...]:
        """Return what a scope map allows: `repositories/team/app/content/read`, with wildcards."""
        ...

    def may_pull(self, registry: Registry, principal_id: str) -> bool | None:
        """Say whether a role of the principal lets it pull; None when only roles that are not known were found."""
        ...

    def identity_exists(self, identity: ArmId) -> bool:
        """Say whether a user-assigned identity is there. Raises Denied, Unavailable."""
        ...


class PullTrial(Protocol):
    """Pulling for real."""

    def probe(self, image: ImageReference, username: str, secret: Secret | None) -> None:
        """Return when the registry lets the credential, or without one anybody, pull. Raises as `RegistryDriver.verify` does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserIdentity:
    """A user-assigned managed identity. `principal_id` is what roles are given to."""

    id: ArmId
    principal_id: str
    tenant_id: str


class AccessControl(Protocol):
    """Identities and their roles, and the admin user's switch. Every write is harmless twice."""

    def identity(self, identity: ArmId) -> UserIdentity:
        """Return a user-assigned identity. NotFound when there is none."""
        ...

    def create_identity(self, identity: ArmId, location: str) -> UserIdentity:
        """Create a user-assigned identity, or return the one that is there."""
        ...

    def granted_at(self, principal_id: str, role: str, scope: str) -> datetime | None:
        """Return since when a role is assigned at a scope or above it; None when it is not."""
        ...

    def grant(self, principal_id: str, role: str, scope: str) -> None:
        """Assign a role; one that is there already is success."""
        ...

    def switch_admin_user_off(self, registry: ArmId) -> None:
        """Switch a registry's admin user off; both its passwords stop working."""
        ...


class Directory(Protocol):
    """The directory's applications and service principals."""

    def application(self, app_id: str) -> PrincipalRecord | None:
        """Return the principal with the passwords of BOTH its objects, application and service principal; None when unknown."""
        ...


class ValueSource(Protocol):
    """Where the values of write-only fields can be found again."""

    def refresh(self, secrets: Iterable[StoredSecret] | None = None) -> None:
        """Forget what was learnt. `secrets` is a listing of the vault that the caller has; without it the vault is asked."""
        ...

    def locate(self, group: ContainerGroup, field: WriteOnlyField) -> str | None:
        """Name the place that holds the field's value (`vault:<name>`, `storage-keys:<account>`), or None. Reads no value."""
        ...

    def fetch(self, group: ContainerGroup, field: WriteOnlyField) -> Secret:
        """Return the field's value; Held when no place holds it."""
        ...


class UsageLog(Protocol):
    """The registries' login events and the directory's sign-in log."""

    def uses(self, principal: Principal, registries: Sequence[str], since: datetime) -> Uses:
        """Return who presented a secret of the principal since an instant. Never raises: what cannot be read is `unreadable`."""
        ...

    def last_uses(self, principals: Iterable[Principal], since: datetime) -> Mapping[Principal, datetime]:
        """Return when a secret of each principal was last used; those of which nothing is known are left out. Never raises."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """A part of a rotation that any replica may do.

    `key` names it within its step. `place` is where it writes, a subscription and a location: errands of one place share Azure's
    limits. `argument` is JSON and holds no secret: whoever does it reads the value from the vault.
    """

    key: str
    place: str
    argument: Json


class Steps(Protocol):
    """The durable side of a workflow: what a body may ask of its engine. Results are JSON and never hold a secret."""

    def run(self, name: str, work: Callable[[], Json]) -> Json:
        """Return the step's recorded result, or do the work and record it. At least once: the work looks before it acts.

        An error of ours that leaves the work is recorded too and raised again on replay.
        """
        ...

    def each(self, name: str, errands: Sequence[Errand], work: Callable[[Json], Json]) -> tuple[Json, ...]:
        """Return the results of all errands, in their order; each is recorded by itself and done at least once.

        `work` takes an errand's argument. It may be called here, or its like in another process that has joined: so it may know
        nothing but its argument and the ports.
        """
        ...


class Observer(Protocol):
    """Whoever wants to know what a rotation does: progress, log, metrics, history."""

    def notice(self, event: RotationEvent) -> None:
        """Take note; must not raise and must not block."""
        ...


class Trail(Protocol):
    """What the services called the requests that this thread made: the ids under which their own logs have them."""

    def taken(self) -> tuple[str, ...]:
        """Return, and forget, the ids of this thread's requests that changed something, or failed, since the last call."""
        ...


class Written(Protocol):
    """What is known of the writes in one region of a subscription, owned for as long as it is open."""

    @property
    def now(self) -> datetime:
        """The instant by the clock that all the others are measured by."""
        ...

    @property
    def ended(self) -> Sequence[datetime]:
        """When the writes of the last hour and more were over, the oldest first."""
        ...

    @property
    def under_way(self) -> int:
        """How many are not over yet."""
        ...

    @property
    def not_before(self) -> datetime | None:
        """Until when nothing may be written, because Azure said so."""
        ...

    def begin(self) -> None:
        """Note that a write begins."""
        ...

    def end(self) -> None:
        """Note that a write which this process began is over."""
        ...

    def pause(self, until: datetime) -> None:
        """Note that nothing may be written until then."""
        ...


class WriteLedger(Protocol):
    """Remembers the writes of container groups, for all who share Azure's limits on them."""

    def opened(self, region: str) -> AbstractContextManager[Written]:
        """Own what is known of a region until the block ends; what was noted is kept then."""
        ...


class GroupClaims(Protocol):
    """Keeps two rotations from putting one group at the same time: a redeploy is read-modify-write of the whole group."""

    def claim(self, group: ArmId) -> AbstractContextManager[None]:
        """Own the group until the context ends."""
        ...


DriverTable = Mapping[PrincipalKind, RegistryDriver]
