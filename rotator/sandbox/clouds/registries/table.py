"""All registries: planting, issuing, and who means what there."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from rotator.sandbox.clouds.arm.roles import PULL, REPOSITORY_READ
from rotator.sandbox.clouds.registries import acceptance
from rotator.sandbox.clouds.registries.acceptance import Acceptance, Login
from rotator.sandbox.clouds.registries.images import canonical_host
from rotator.sandbox.clouds.registries.passwords import REGENERATED, Password, Slot, draw
from rotator.sandbox.clouds.registries.records import (
    GUID,
    SYSTEM_SCOPE_MAPS,
    ZERO_GUID,
    Grant,
    PlainRegistry,
    Registry,
    ScopeMap,
    Token,
)
from rotator.sandbox.ledger import Entry
from rotator.sandbox.wire import rfc3339

if TYPE_CHECKING:
    from rotator.sandbox.world import World

_MOST_GRANTS = 5000


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
        world.ledger.judge("third-party-password", self._plain_lives)
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
        self.world.touch(f"registry:{registry.login_server}")
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
        changes_at = {moment for one in slot.passwords for moment in one.instants()}
        world.issued(value, kind, principal, f"{name}@{rfc3339(at)}", "registry.password.issued", *changes_at)
        return password

    def add_password(self, host: str, username: str, *, expires_at: datetime | None = None) -> Password:
        """Give a user of another party's registry one more password, as a person does; KeyError for nobody."""
        world, plain = self.world, self.plain[canonical_host(host)]
        password = plain.users[username].add(world.text(32), world.now(), expires_at)
        principal = f"plain:{plain.host}/{username}"
        handle = f"password@{rfc3339(world.now())}"
        world.ledger.record(password.value, "third-party-password", principal, handle)
        world.events.append("registry.password.issued", principal=principal, handle=handle)
        world.touch(principal)
        if expires_at is not None:
            world.watch(principal, expires_at)
        return password

    def remember(self, token: str, grant: Grant) -> None:
        """Keep an access token until it has ended; now and then the ended ones are forgotten."""
        if len(self.grants) >= _MOST_GRANTS:
            now = self.world.now()
            self.grants = {known: held for known, held in self.grants.items() if held.expires_at > now}
        self.grants[token] = grant

    # --- judging ---

    def accepts(self, server: str, username: str, password: str, repository: str, now: datetime) -> Acceptance:
        """Say what every replica of a registry thinks of a credential for pulling one repository."""
        host, login = canonical_host(server), Login(username=username, password=password, repository=repository, at=now)
        registry = self.servers.get(host)
        if registry is not None:
            return acceptance.by_acr(self.world, registry, login)
        plain = self.plain.get(host)
        if plain is None:
            return Acceptance(verdicts=("unknown-registry",))
        return acceptance.by_other(self.world, plain, login)

    def plain_verdict(self, plain: PlainRegistry, username: str, password: str, now: datetime) -> str:
        """Judge a user name and password at a registry of another party or at ECR."""
        login = Login(username=username, password=password, repository="", at=now)
        return acceptance.plain_verdict(self.world, plain, login)

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
        if GUID.fullmatch(username):
            return f"entra-app:entra/{username}"
        if username.lower() == registry.name.lower() and username.lower() not in registry.tokens:
            return f"acr-admin:{host}/{username}"
        return f"acr-token:{host}/{username}"

    def reachable_by_platform(self, host: str, *, identity: bool, subnets: Sequence[str] = ()) -> bool:
        """Say whether container groups reach a registry: behind a firewall only with an identity, as a trusted service.

        A group in a network of its own must find the registry's private endpoint as well, if it has one. Azure documents both
        as needs of the private endpoint scenario; what happens to a group in a network without the link is taken to be a
        refusal, because its look-up ends at the public address.
        """
        registry = self.servers.get(host)
        if registry is None or registry.open_to_all:
            return True
        if not identity or str(registry.properties.get("networkRuleBypassOptions", "AzureServices")) != "AzureServices":
            return False
        behind = registry.properties.get("privateEndpointConnections")
        return not (subnets and behind) or self.world.networks.finds(list(subnets), registry)

    def image_exists(self, host: str, repository: str, reference: str) -> bool:
        """Say whether a manifest is there. A digest is taken on trust: the sandbox holds no layers."""
        held: Registry | PlainRegistry | None = self.servers.get(host) or self.plain.get(host)
        if held is None:
            return False
        if isinstance(held, PlainRegistry) and held.is_public(repository):
            return True
        tags = held.repositories.get(repository)
        return tags is not None and (reference.startswith("sha256:") or reference in tags)

    # --- what the logs are told ---

    def log_login(
        self,
        registry: Registry,
        login: tuple[str, str],
        client_ip: str,
        *,
        identity: str = "",
        ok: bool = True,
        user_agent: str = "",
    ) -> None:
        """Record a login with a user name and a password; a service principal's is a sign-in at Entra too."""
        username, password = login
        logs = self.world.logs
        logs.record_login(registry.login_server, identity or username, client_ip, ok=ok, user_agent=user_agent)
        # A managed identity has no password, and the all-zero name stands for a token: neither is a sign-in with a secret.
        if GUID.fullmatch(username) and username != ZERO_GUID and password:
            key_id = self.world.graph.key_of(username, password) if ok else ""
            logs.record_sign_in(username, key_id, client_ip, error=0 if ok else 7000215)

    def login_from_outside(self, server: str, username: str, password: str, client_ip: str, user_agent: str) -> bool:
        """Log in as somebody would who is no container group, such as a build server; say whether every replica accepts it.

        Raises KeyError for a server that is no Azure registry.
        """
        registry = self.servers[canonical_host(server)]
        accepted = self.accepts(registry.login_server, username, password, "", self.world.now())
        ok = accepted.reason in ("ok", "no-permission")
        self.log_login(registry, (username, password), client_ip, identity=accepted.identity, ok=ok, user_agent=user_agent)
        return ok

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

    def _plain_lives(self, entry: Entry, now: datetime) -> bool:
        host, _, name = entry.principal.removeprefix("plain:").partition("/")
        plain = self.plain.get(canonical_host(host))
        slot = plain.users.get(name) if plain is not None else None
        return slot is not None and slot.verdict(entry.value, 0, now) == "ok"

    def _refresh_lives(self, value: str, now: datetime) -> bool:
        grant = self.refresh.get(value)
        return grant is not None and now < grant.expires_at
