"""What a registry thinks of a credential, replica by replica."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from rotator.sandbox.clouds.github.records import HOST as GHCR
from rotator.sandbox.clouds.gitlab.records import HOST as GITLAB
from rotator.sandbox.clouds.registries.images import DOCKER_HUB
from rotator.sandbox.clouds.registries.passwords import REPLICAS, Slot
from rotator.sandbox.clouds.registries.records import GUID, ZERO_GUID, PlainRegistry, Registry, Token

if TYPE_CHECKING:
    from rotator.sandbox.world import World


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """A user name and password that want to pull one repository; without a repository they only want in."""

    username: str
    password: str
    repository: str
    at: datetime


def by_acr(world: "World", registry: Registry, login: Login) -> Acceptance:
    """Judge at an Azure registry: a refresh token, a service principal, a repository token or the admin user."""
    username, password, now = login.username, login.password, login.at
    if username == ZERO_GUID:
        return _by_refresh_token(world, registry, login)
    if GUID.fullmatch(username):
        return _by_directory(world, registry, login)
    token = registry.tokens.get(username.lower())
    if token is not None:
        return _by_token(registry, token, login)
    if username.lower() == registry.name.lower():
        if not registry.admin_enabled:
            return Acceptance(verdicts=("disabled",), identity=username)
        return Acceptance(verdicts=_by_slots(registry.admin, password, now), identity=username)
    return Acceptance(verdicts=("invalid",), identity=username)


def by_other(world: "World", plain: PlainRegistry, login: Login) -> Acceptance:
    """Judge at a registry of another party, or at ECR."""
    verdict = plain_verdict(world, plain, login)
    if plain.host == GHCR and not plain.is_public(login.repository):
        verdict = world.github.verdict(login.username, login.password, login.repository, login.at)
    known = login.repository in plain.repositories or plain.is_public(login.repository) or plain.host == DOCKER_HUB
    if verdict == "ok" and login.repository and not known:
        verdict = "no-permission"
    return Acceptance(verdicts=(verdict,), identity=login.username)


def plain_verdict(world: "World", plain: PlainRegistry, login: Login) -> str:
    """Judge the user name and password alone."""
    if plain.kind == "ecr":
        lease = world.aws.lease_valid(plain.host, login.password, login.at)
        return {"valid": "ok", "expired": "expired"}.get(lease, "invalid") if login.username == "AWS" else "invalid"
    if plain.host == DOCKER_HUB and login.username.lower() in world.hub.accounts:
        return world.hub.verdict(login.username, login.password, login.repository, login.at)
    if plain.host == "quay.io" and login.username in world.quay.robots:
        return world.quay.verdict(login.username, login.password)
    if plain.host == GITLAB and login.username not in plain.users:
        return world.gitlab.verdict(login.username, login.password, login.at)
    if plain.host == GHCR:
        return world.github.verdict(login.username, login.password, "", login.at)
    slot = plain.users.get(login.username)
    return "invalid" if slot is None else slot.verdict(login.password, 0, login.at)


def _by_refresh_token(world: "World", registry: Registry, login: Login) -> Acceptance:
    grant = world.registries.refresh.get(login.password)
    if grant is None or grant.server != registry.login_server.lower():
        return Acceptance(verdicts=("invalid",), identity=login.username)
    if login.at >= grant.expires_at:
        return Acceptance(verdicts=("expired",), identity=grant.identity)
    verdict = world.registries.identity_pulls(grant.server, grant.principal_id, login.repository, login.at)
    return Acceptance(verdicts=(verdict,), identity=grant.identity)


def _by_directory(world: "World", registry: Registry, login: Login) -> Acceptance:
    app_id, verdicts = login.username, []
    for replica in range(REPLICAS):
        known = world.graph.secret_valid(app_id, login.password, login.at, replica=replica)
        verdicts.append("ok" if known == "valid" else known)
    principal_id = world.graph.principal_id_of(app_id)
    if principal_id is None:
        return Acceptance(verdicts=("invalid",), identity=app_id)
    roles, host = "ok", registry.login_server.lower()
    if login.repository:
        roles = world.registries.identity_pulls(host, principal_id, login.repository, login.at)
    return Acceptance(verdicts=tuple(roles if verdict == "ok" else verdict for verdict in verdicts), identity=app_id)


def _by_token(registry: Registry, token: Token, login: Login) -> Acceptance:
    if token.status != "enabled":
        return Acceptance(verdicts=("disabled",), identity=token.name)
    verdicts = _by_slots(token.slots, login.password, login.at)
    scope_map = registry.scope_maps.get(token.scope_map.lower())
    if login.repository and (scope_map is None or not scope_map.grants(login.repository, "content/read")):
        verdicts = tuple("no-permission" if verdict == "ok" else verdict for verdict in verdicts)
    return Acceptance(verdicts=verdicts, identity=token.name)


def _by_slots(slots: dict[str, Slot], password: str, now: datetime) -> tuple[str, ...]:
    slot = next((one for one in slots.values() if one.matches(password)), None)
    if slot is None:
        return ("invalid",)
    return tuple(slot.verdict(password, replica, now) for replica in range(REPLICAS))
