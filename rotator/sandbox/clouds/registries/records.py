"""The emulated registries: Azure's own, Amazon's, and plain ones of other parties."""

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal

from rotator.sandbox.clouds.arm.roles import PULL, REPOSITORY_READ
from rotator.sandbox.clouds.registries.images import DOCKER_HUB, canonical_host
from rotator.sandbox.clouds.registries.passwords import REGENERATED, REPLICAS, Format, Password, Slot, draw
from rotator.sandbox.ledger import Entry
from rotator.sandbox.wire import Document, rfc3339

if TYPE_CHECKING:
    from rotator.sandbox.world import World

ZERO_GUID = "00000000-0000-0000-0000-000000000000"
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
REFRESH_TTL = timedelta(hours=3)
SYSTEM_SCOPE_MAPS = {
    "_repositories_pull": ["repositories/*/content/read"],
    "_repositories_pull_metadata_read": ["repositories/*/content/read", "repositories/*/metadata/read"],
    "_repositories_push": ["repositories/*/content/read", "repositories/*/content/write"],
    "_repositories_admin": [
        f"repositories/*/{right}"
        for right in ("content/read", "content/write", "content/delete", "metadata/read", "metadata/write")
    ],
}


@dataclass(slots=True, kw_only=True)
class ScopeMap:
    """What a token may do: actions like `repositories/team/app/content/read`, with wildcards."""

    name: str
    actions: list[str]
    created_at: datetime
    description: str = ""
    system: bool = False

    def grants(self, repository: str, right: str) -> bool:
        """Say whether it grants `right` ("content/read") on a repository."""
        return any(fnmatchcase(f"repositories/{repository}/{right}", action) for action in self.actions)


@dataclass(slots=True, kw_only=True)
class Token:
    """A repository token with its two password slots."""

    name: str
    scope_map: str
    created_at: datetime
    active_at: datetime
    status: str = "enabled"
    slots: dict[str, Slot] = field(default_factory=lambda: {"password1": Slot(), "password2": Slot()})


@dataclass(slots=True, kw_only=True)
class Registry:
    """An Azure container registry. `properties` holds what clients set and the sandbox does not interpret."""

    id: str
    name: str
    location: str
    login_server: str
    created_at: datetime
    sku: str = "Premium"
    admin_enabled: bool = False
    properties: Document = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    identity: Document | None = None
    updating_until: datetime | None = None
    repositories: dict[str, set[str]] = field(default_factory=dict)
    tokens: dict[str, Token] = field(default_factory=dict)
    scope_maps: dict[str, ScopeMap] = field(default_factory=dict)
    admin: dict[str, Slot] = field(default_factory=lambda: {"password": Slot(), "password2": Slot()})
    password_format: Format = "long"

    @property
    def abac(self) -> bool:
        """Whether repository permissions come from ABAC roles, where AcrPull counts for nothing."""
        return str(self.properties.get("roleAssignmentMode", "")).lower() == "abacrepositorypermissions"

    @property
    def anonymous(self) -> bool:
        """Whether anybody may pull."""
        return bool(self.properties.get("anonymousPullEnabled"))

    def admits(self, client_ip: str) -> bool:
        """Say whether the firewall lets an address in."""
        if str(self.properties.get("publicNetworkAccess", "Enabled")).lower() == "disabled":
            return False
        rules = self.properties.get("networkRuleSet") or {}
        if str(rules.get("defaultAction", "Allow")).lower() != "deny":
            return True
        return any(str(rule.get("value")) == client_ip for rule in rules.get("ipRules") or [])


@dataclass(slots=True, kw_only=True)
class PlainRegistry:
    """A registry of another party: users with passwords, and repositories of which some are public."""

    host: str
    kind: Literal["bearer", "basic", "ecr"]
    realm: str = ""
    service: str = ""
    users: dict[str, Slot] = field(default_factory=dict)
    repositories: dict[str, set[str]] = field(default_factory=dict)
    public: tuple[str, ...] = ()

    def is_public(self, repository: str) -> bool:
        """Say whether anybody may pull the repository."""
        return any(fnmatchcase(repository, glob) for glob in self.public)


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """What each replica says of a credential for one repository: "ok" or the reason of its refusal.

    Reasons: invalid, expired, not-yet, disabled, no-permission, firewall, unknown-registry.
    """

    verdicts: tuple[str, ...]
    identity: str = ""

    @property
    def everywhere(self) -> bool:
        """Whether every replica accepts it."""
        return all(verdict == "ok" for verdict in self.verdicts)

    @property
    def reason(self) -> str:
        """The first refusal, or "ok"."""
        return next((verdict for verdict in self.verdicts if verdict != "ok"), "ok")

    def on(self, replica: int) -> str:
        """Return what one replica says."""
        return self.verdicts[replica % len(self.verdicts)]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Grant:
    """An access or refresh token that a registry issued."""

    server: str
    identity: str
    access: tuple[tuple[str, tuple[str, ...]], ...]
    expires_at: datetime
    principal_id: str = ""


class Registries:
    """All registries. `acr` is keyed by lower-case resource id, `servers` by login server, `plain` by host."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.acr: dict[str, Registry] = {}
        self.servers: dict[str, Registry] = {}
        self.plain: dict[str, PlainRegistry] = {}
        self.grants: dict[str, Grant] = {}
        self.refresh: dict[str, Grant] = {}
        world.ledger.judge("acr-token-password", self._password_lives)
        world.ledger.judge("acr-admin-password", self._password_lives)
        world.ledger.judge("registry-refresh-token", lambda entry, now: self._refresh_lives(entry.value, now))

    # --- planting and finding ---

    def add(self, registry: Registry) -> Registry:
        """Add a registry with both admin passwords and the system scope maps."""
        self.acr[registry.id.lower()] = registry
        self.servers[registry.login_server.lower()] = registry
        for name, actions in SYSTEM_SCOPE_MAPS.items():
            registry.scope_maps[name] = ScopeMap(name=name, actions=list(actions), created_at=registry.created_at, system=True)
        if registry.admin_enabled:
            self.fill_admin(registry)
        return registry

    def fill_admin(self, registry: Registry) -> None:
        """Give the admin user both passwords where it has none yet."""
        for name, slot in registry.admin.items():
            if slot.current is None:
                self.issue_admin(registry, name)

    def add_plain(self, registry: PlainRegistry) -> PlainRegistry:
        """Add a registry of another party."""
        self.plain[canonical_host(registry.host)] = registry
        return registry

    def remove(self, registry: Registry) -> None:
        """Delete a registry with everything in it."""
        for name in registry.tokens:
            self.world.touch(f"acr-token:{registry.login_server}/{name}")
        self.world.touch(f"acr-admin:{registry.login_server}/{registry.name}")
        self.acr.pop(registry.id.lower(), None)
        self.servers.pop(registry.login_server.lower(), None)

    # --- issuing ---

    def issue_admin(self, registry: Registry, slot: str, value: str = "") -> Password:
        """Give a slot of the admin user a new password."""
        principal = f"acr-admin:{registry.login_server}/{registry.name}"
        return self._issue(registry, registry.admin[slot], principal, "acr-admin-password", slot, value, None)

    def issue_token(
        self,
        registry: Registry,
        token: Token,
        slot: str,
        *,
        value: str = "",
        expires_at: datetime | None = None,
        created_at: datetime | None = None,
    ) -> Password:
        """Give a slot of a token a new password; a planted one may have been created earlier."""
        principal = f"acr-token:{registry.login_server}/{token.name}"
        place = token.slots[slot]
        return self._issue(registry, place, principal, "acr-token-password", slot, value, expires_at, created_at)

    def _issue(
        self,
        registry: Registry,
        slot: Slot,
        principal: str,
        kind: str,
        name: str,
        value: str,
        expires_at: datetime | None,
        created_at: datetime | None = None,
    ) -> Password:
        world = self.world
        value = value or draw(world.rng, registry.password_format)
        at = created_at or world.now()
        spread = timedelta(0) if world.options.quiet else REGENERATED
        password = slot.put(value, at, expires_at, world.rng, spread)
        handle = f"{name}@{rfc3339(at)}"
        world.ledger.record(value, kind, principal, handle)
        if not world.ledger.seeding:
            world.events.append("registry.password.issued", principal=principal, handle=handle)
        world.touch(principal)
        for instant in {moment for one in slot.passwords for moment in one.instants()}:
            world.watch(principal, instant)
        return password

    # --- judging ---

    def accepts(self, server: str, username: str, password: str, repository: str, now: datetime) -> Acceptance:
        """Say what every replica of a registry thinks of a credential for pulling one repository."""
        host = canonical_host(server)
        registry = self.servers.get(host)
        if registry is not None:
            return self._acr_accepts(registry, username, password, repository, now)
        plain = self.plain.get(host)
        if plain is None:
            return Acceptance(verdicts=("unknown-registry",))
        verdict = self.plain_verdict(plain, username, password, now)
        if verdict == "ok" and repository and not self._has(plain, repository):
            verdict = "no-permission"
        return Acceptance(verdicts=(verdict,), identity=username)

    def plain_verdict(self, plain: PlainRegistry, username: str, password: str, now: datetime) -> str:
        """Judge a user name and password at a registry of another party or at ECR."""
        if plain.kind == "ecr":
            lease = self.world.aws.lease_valid(plain.host, password, now)
            return {"valid": "ok", "expired": "expired"}.get(lease, "invalid") if username == "AWS" else "invalid"
        slot = plain.users.get(username)
        return "invalid" if slot is None else slot.verdict(password, 0, now)

    def anonymous_pull(self, host: str, repository: str) -> bool:
        """Say whether the repository can be pulled without a credential."""
        registry = self.servers.get(host)
        if registry is not None:
            return registry.anonymous
        plain = self.plain.get(host)
        return plain is not None and plain.is_public(repository)

    def identity_pulls(self, host: str, principal_id: str, repository: str, at: datetime | None = None) -> str:
        """Judge a managed identity or service principal by its roles: "ok", "no-permission" or "unknown-registry"."""
        registry = self.servers.get(host)
        if registry is None:
            return "unknown-registry"
        del repository  # A condition on one repository's name is not emulated: the roles are judged registry-wide.
        action = REPOSITORY_READ if registry.abac else PULL
        held = self.world.arm.holds(principal_id, action, registry.id, data=registry.abac, at=at)
        return "ok" if held else "no-permission"

    def principal_of(self, server: str, username: str) -> str:
        """Return the id of the principal that a user name means at a registry."""
        host = canonical_host(server)
        registry = self.servers.get(host)
        if registry is None:
            plain = self.plain.get(host)
            return f"ecr:{host}/AWS" if plain is not None and plain.kind == "ecr" else f"plain:{host}/{username}"
        if username == ZERO_GUID:
            return f"acr-refresh:{host}/{ZERO_GUID}"
        if _GUID.fullmatch(username):
            return f"entra-app:entra/{username}"
        if username.lower() == registry.name.lower() and username.lower() not in registry.tokens:
            return f"acr-admin:{host}/{username}"
        return f"acr-token:{host}/{username}"

    def image_exists(self, host: str, repository: str, reference: str) -> bool:
        """Say whether a manifest is there. A digest is taken on trust: the sandbox holds no layers."""
        held: Registry | PlainRegistry | None = self.servers.get(host) or self.plain.get(host)
        if held is None:
            return False
        if isinstance(held, PlainRegistry) and held.is_public(repository):
            return True
        tags = held.repositories.get(repository)
        return tags is not None and (reference.startswith("sha256:") or reference in tags)

    def _acr_accepts(self, registry: Registry, username: str, password: str, repository: str, now: datetime) -> Acceptance:
        if username == ZERO_GUID:
            grant = self.refresh.get(password)
            if grant is None or grant.server != registry.login_server.lower():
                return Acceptance(verdicts=("invalid",), identity=username)
            if now >= grant.expires_at:
                return Acceptance(verdicts=("expired",), identity=grant.identity)
            verdict = self.identity_pulls(grant.server, grant.principal_id, repository, now)
            return Acceptance(verdicts=(verdict,), identity=grant.identity)
        if _GUID.fullmatch(username):
            return self._app_accepts(registry, username, password, repository, now)
        token = registry.tokens.get(username.lower())
        if token is not None:
            return self._token_accepts(registry, token, password, repository, now)
        if username.lower() == registry.name.lower():
            if not registry.admin_enabled:
                return Acceptance(verdicts=("disabled",), identity=username)
            return Acceptance(verdicts=self._slots(registry.admin, password, now), identity=username)
        return Acceptance(verdicts=("invalid",), identity=username)

    def _app_accepts(self, registry: Registry, app_id: str, secret: str, repository: str, now: datetime) -> Acceptance:
        graph = self.world.graph
        verdicts = []
        for replica in range(REPLICAS):
            known = graph.secret_valid(app_id, secret, now, replica=replica)
            verdicts.append("ok" if known == "valid" else known)
        principal_id = graph.principal_id_of(app_id)
        if principal_id is None:
            return Acceptance(verdicts=("invalid",), identity=app_id)
        roles = self.identity_pulls(registry.login_server.lower(), principal_id, repository, now) if repository else "ok"
        return Acceptance(verdicts=tuple(roles if verdict == "ok" else verdict for verdict in verdicts), identity=app_id)

    def _token_accepts(self, registry: Registry, token: Token, password: str, repository: str, now: datetime) -> Acceptance:
        if token.status != "enabled":
            return Acceptance(verdicts=("disabled",), identity=token.name)
        verdicts = self._slots(token.slots, password, now)
        scope_map = registry.scope_maps.get(token.scope_map.lower())
        if repository and (scope_map is None or not scope_map.grants(repository, "content/read")):
            verdicts = tuple("no-permission" if verdict == "ok" else verdict for verdict in verdicts)
        return Acceptance(verdicts=verdicts, identity=token.name)

    @staticmethod
    def _slots(slots: dict[str, Slot], password: str, now: datetime) -> tuple[str, ...]:
        slot = next((one for one in slots.values() if one.matches(password)), None)
        if slot is None:
            return ("invalid",)
        return tuple(slot.verdict(password, replica, now) for replica in range(REPLICAS))

    @staticmethod
    def _has(plain: PlainRegistry, repository: str) -> bool:
        return repository in plain.repositories or plain.is_public(repository) or plain.host == DOCKER_HUB

    # --- what the ledger asks ---

    def _password_lives(self, entry: Entry, now: datetime) -> bool:
        kind, _, rest = entry.principal.partition(":")
        server, _, name = rest.partition("/")
        registry = self.servers.get(server.lower())
        if registry is None:
            return False
        token = registry.tokens.get(name.lower())
        if kind == "acr-token" and token is None:
            return False
        slots = registry.admin if kind == "acr-admin" or token is None else token.slots
        return any(one.value == entry.value and one.live(now) for slot in slots.values() for one in slot.passwords)

    def _refresh_lives(self, value: str, now: datetime) -> bool:
        grant = self.refresh.get(value)
        return grant is not None and now < grant.expires_at
