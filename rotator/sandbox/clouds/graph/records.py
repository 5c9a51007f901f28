"""The directory: app registrations, service principals and the client secrets on either of them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from rotator.sandbox.ledger import Entry

if TYPE_CHECKING:
    from rotator.sandbox.world import World

SecretStatus = Literal["valid", "invalid", "expired", "not-yet"]
EntitySet = Literal["applications", "servicePrincipals"]

REPLICAS = 3
"""Sign-in is answered by one of these at random; each learns of a new secret in its own time."""

PROPAGATION = (4.0, 18.0)
"""Seconds until a new secret signs in: observed, there is no promise (microsoft-graph-docs#17966)."""

VISIBILITY = (0.0, 6.0)
"""Seconds until a new object is found by every replica; until then it "does not exist"."""

BUSY_WINDOW = timedelta(seconds=1)
BUSY_PROBABILITY = 0.3
"""A write to an object that was written this recently may be refused with Directory_ConcurrencyViolation."""

_TAIL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~-"


def principal_key(app_id: str) -> str:
    """Return the name that events, the ledger and the oracle know an app by."""
    return f"entra-app:entra/{app_id.lower()}"


@dataclass(slots=True, kw_only=True, repr=False)
class PasswordCredential:
    """One client secret. `effective_at` has one instant a replica; `secret` is shown by addPassword alone."""

    key_id: str
    display_name: str | None
    start_at: datetime
    end_at: datetime
    secret: str
    added_at: datetime
    effective_at: tuple[datetime, ...]

    @property
    def hint(self) -> str:
        """The first three characters, which Graph shows for ever."""
        return self.secret[:3]

    def status(self, replica: int, now: datetime) -> SecretStatus:
        """Say what one replica makes of the right secret at `now`."""
        if now >= self.end_at:
            return "expired"
        return "valid" if now >= max(self.start_at, self.effective_at[replica]) else "not-yet"


@dataclass(slots=True, kw_only=True)
class DirectoryObject:
    """An application or a service principal. `owners` are object ids; `visible_at` has one instant a replica."""

    object_id: str
    app_id: str
    display_name: str
    created_at: datetime
    visible_at: tuple[datetime, ...]
    owners: list[str] = field(default_factory=list)
    passwords: list[PasswordCredential] = field(default_factory=list)
    written_at: datetime | None = None

    @property
    def names(self) -> list[str]:
        """What `servicePrincipalNames` holds."""
        return [self.app_id]

    def password(self, key_id: str) -> PasswordCredential | None:
        """Return the secret with this key id."""
        return next((password for password in self.passwords if password.key_id == key_id.lower()), None)


@dataclass(slots=True, kw_only=True)
class Application(DirectoryObject):
    """An app registration."""


@dataclass(slots=True, kw_only=True)
class ServicePrincipal(DirectoryObject):
    """An app's account in the tenant, or a managed identity. `permissions` are granted Graph application permissions."""

    kind: Literal["Application", "ManagedIdentity"] = "Application"
    enabled: bool = True
    permissions: set[str] = field(default_factory=set)
    resource_id: str | None = None


class Directory:
    """All applications and service principals of the tenant, by object id and by app id."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.max_password_lifetime: timedelta | None = None
        """A tenant's app management policy may cap it; None: no policy."""
        self._applications: dict[str, Application] = {}
        self._principals: dict[str, ServicePrincipal] = {}
        self._application_of: dict[str, Application] = {}
        self._principal_of: dict[str, ServicePrincipal] = {}
        world.ledger.judge("entra-app-secret", self._judge)

    # --- finding ---------------------------------------------------------------------------------------------------

    def applications(self) -> Iterator[Application]:
        """Yield every app registration in the order of creation."""
        yield from self._applications.values()

    def service_principals(self) -> Iterator[ServicePrincipal]:
        """Yield every service principal in the order of creation."""
        yield from self._principals.values()

    def application(self, object_id: str) -> Application | None:
        """Return an app registration by object id."""
        return self._applications.get(object_id.lower())

    def service_principal(self, object_id: str) -> ServicePrincipal | None:
        """Return a service principal by object id."""
        return self._principals.get(object_id.lower())

    def application_by_app_id(self, app_id: str) -> Application | None:
        """Return the app registration of an app id."""
        return self._application_of.get(app_id.lower())

    def service_principal_by_app_id(self, app_id: str) -> ServicePrincipal | None:
        """Return the service principal of an app id, or of a managed identity's client id."""
        return self._principal_of.get(app_id.lower())

    def managed_identity(self, resource_id: str) -> ServicePrincipal | None:
        """Return the service principal of a user-assigned identity by its ARM id."""
        wanted = resource_id.lower()
        return next((one for one in self._principals.values() if (one.resource_id or "").lower() == wanted), None)

    def passwords_of(self, app_id: str) -> list[PasswordCredential]:
        """Return the client secrets of both objects: all of them sign in as the same app id."""
        application, principal = self.application_by_app_id(app_id), self.service_principal_by_app_id(app_id)
        return [*(application.passwords if application else ()), *(principal.passwords if principal else ())]

    # --- changing --------------------------------------------------------------------------------------------------

    def add_application(
        self, app_id: str, name: str, *, principal_id: str | None = None, owners: Iterable[str] = ()
    ) -> ServicePrincipal:
        """Create an app registration with its service principal, known everywhere at once (for seeds)."""
        kept = list(owners)
        self.create_application(name, app_id=app_id, owners=kept, settled=True)
        return self.create_principal(app_id, name, object_id=principal_id, owners=kept, settled=True)

    def add_secret(
        self,
        app_id: str,
        on: Literal["application", "servicePrincipal"] = "application",
        *,
        value: str | None = None,
        display_name: str | None = None,
        start_at: datetime | None = None,
        end_at: datetime,
    ) -> str:
        """Plant a client secret that every replica already knows; return its key id."""
        owner: DirectoryObject | None
        by_principal = on == "servicePrincipal"
        owner = self.service_principal_by_app_id(app_id) if by_principal else self.application_by_app_id(app_id)
        if owner is None:
            raise KeyError(f"no {on} with app id {app_id}")
        planted = self.add_password(owner, display_name, end_at=end_at, start_at=start_at, secret=value, settled=True)
        return planted.key_id

    def create_application(
        self, name: str, *, app_id: str | None = None, owners: Iterable[str] = (), settled: bool = False
    ) -> Application:
        """Create an app registration alone. `settled`: every replica finds it at once."""
        application = Application(
            object_id=self.world.guid(),
            app_id=(app_id or self.world.guid()).lower(),
            display_name=name,
            created_at=self.world.now(),
            visible_at=self._spread(VISIBILITY, settled=settled),
            owners=list(owners),
        )
        self._applications[application.object_id] = application
        self._application_of[application.app_id] = application
        return application

    def create_principal(
        self,
        app_id: str,
        name: str,
        *,
        object_id: str | None = None,
        owners: Iterable[str] = (),
        settled: bool = False,
    ) -> ServicePrincipal:
        """Create a service principal alone."""
        principal = ServicePrincipal(
            object_id=(object_id or self.world.guid()).lower(),
            app_id=app_id.lower(),
            display_name=name,
            created_at=self.world.now(),
            visible_at=self._spread(VISIBILITY, settled=settled),
            owners=list(owners),
        )
        self._principals[principal.object_id] = principal
        self._principal_of[principal.app_id] = principal
        self.world.touch(principal_key(principal.app_id))
        return principal

    def add_managed_identity(self, name: str, *, resource_id: str, principal_id: str, client_id: str) -> ServicePrincipal:
        """Create the account of a user-assigned identity."""
        principal = self.create_principal(client_id, name, object_id=principal_id, settled=True)
        principal.kind, principal.resource_id = "ManagedIdentity", resource_id
        return principal

    def grant(self, principal_id: str, *permissions: str) -> None:
        """Grant Graph application permissions ("Application.ReadWrite.OwnedBy") to an account; KeyError if unknown."""
        self._principals[principal_id.lower()].permissions.update(permissions)

    def remove(self, thing: DirectoryObject) -> None:
        """Delete an object; with an application goes its service principal, as in Entra."""
        if isinstance(thing, ServicePrincipal):
            self._principals.pop(thing.object_id, None)
            self._principal_of.pop(thing.app_id, None)
        else:
            self._applications.pop(thing.object_id, None)
            self._application_of.pop(thing.app_id, None)
            principal = self._principal_of.get(thing.app_id)
            if principal is not None:
                self.remove(principal)
        self.world.touch(principal_key(thing.app_id))
        self.world.events.append("graph.object.removed", principal=principal_key(thing.app_id), object_id=thing.object_id)

    def set_enabled(self, principal: ServicePrincipal, *, enabled: bool) -> None:
        """Switch an account on or off, at once."""
        principal.enabled = enabled
        self.world.touch(principal_key(principal.app_id))
        self.world.events.append("graph.principal.changed", principal=principal_key(principal.app_id), enabled=enabled)

    def add_password(
        self,
        owner: DirectoryObject,
        display_name: str | None,
        *,
        end_at: datetime,
        start_at: datetime | None = None,
        secret: str | None = None,
        settled: bool = False,
    ) -> PasswordCredential:
        """Add a client secret. `settled`: every replica knows it at once (for seeds). `.secret` is its value."""
        now = self.world.now()
        password = PasswordCredential(
            key_id=self.world.guid(),
            display_name=display_name,
            start_at=start_at or now,
            end_at=end_at,
            secret=secret or f"{self.world.text(3)}8Q~{self.world.text(34, _TAIL)}",
            added_at=now,
            effective_at=self._spread(PROPAGATION, settled=settled),
        )
        owner.passwords.append(password)
        self.world.issued(
            password.secret,
            "entra-app-secret",
            principal_key(owner.app_id),
            password.key_id,
            "graph.password.issued",
            *{*password.effective_at, password.start_at, end_at},
            object_id=owner.object_id,
            display_name=display_name,
        )
        return password

    def remove_password(self, owner: DirectoryObject, key_id: str) -> bool:
        """End a client secret, at every replica at once (the strict assumption); False when there is none."""
        password = owner.password(key_id)
        if password is None:
            return False
        owner.passwords.remove(password)
        principal = principal_key(owner.app_id)
        self.world.touch(principal)
        self.world.events.append("graph.password.removed", principal=principal, object_id=owner.object_id, handle=password.key_id)
        return True

    # --- judging ---------------------------------------------------------------------------------------------------

    def secret_valid(self, app_id: str, secret: str, now: datetime, replica: int | None = None) -> SecretStatus:
        """Say what a replica makes of a secret at `now`; without one, every replica must agree on "valid"."""
        principal = self.service_principal_by_app_id(app_id)
        if principal is None or not principal.enabled:
            return "invalid"
        password = next((one for one in self.passwords_of(app_id) if one.secret == secret), None)
        if password is None:
            return "invalid"
        asked = range(REPLICAS) if replica is None else (replica % REPLICAS,)
        return next((status for one in asked if (status := password.status(one, now)) != "valid"), "valid")

    def key_of(self, app_id: str, secret: str) -> str:
        """Return the key id of the app's secret with this value, whatever its state; empty when there is none."""
        return next((one.key_id for one in self.passwords_of(app_id) if one.secret == secret), "")

    def principal_id_of(self, app_id: str) -> str | None:
        """Return the object id of an app's service principal: what role assignments name."""
        principal = self.service_principal_by_app_id(app_id)
        return principal.object_id if principal else None

    def live(self, app_id: str, key_id: str, now: datetime) -> bool:
        """Say whether a client secret exists and has not expired (one that only starts later is live)."""
        return any(password.key_id == key_id and now < password.end_at for password in self.passwords_of(app_id))

    def begin_write(self, thing: DirectoryObject) -> bool:
        """Note a write to `thing`; False when it collides with one of a moment ago and must be refused."""
        world = self.world
        now, before = world.now(), thing.written_at
        if (
            before is not None
            and not world.options.quiet
            and now - before < BUSY_WINDOW
            and world.rng.random() < BUSY_PROBABILITY
        ):
            return False
        thing.written_at = now
        return True

    def _judge(self, entry: Entry, now: datetime) -> bool:
        return self.live(entry.principal.rpartition("/")[2], entry.handle, now)

    def _spread(self, seconds: tuple[float, float], *, settled: bool) -> tuple[datetime, ...]:
        world, now = self.world, self.world.now()
        if settled or world.options.quiet:
            return (now,) * REPLICAS
        return tuple(now + timedelta(seconds=world.rng.uniform(*seconds)) for _ in range(REPLICAS))
