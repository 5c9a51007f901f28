"""Docker Hub: personal access tokens of a Docker ID, and access tokens of an organisation. Many may live at once."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from rotator.clients.dockerhub import API, ROOT, HubToken, HubTokens, log_in
from rotator.clients.pulls import PullProbe
from rotator.clients.rest import Reach
from rotator.drivers.handles import unknown
from rotator.drivers.managing import managing_secret
from rotator.drivers.pulling import Pulling
from rotator.model.credential import Credential, Handle, Overlap, Principal, PrincipalKind, RetireMode, Traits
from rotator.model.errors import ConfigError, Conflict, Denied, Held, Rejected
from rotator.model.secret import Secret
from rotator.ports import Clock

DEFAULT_TTL = timedelta(days=90)
MANAGEMENT_LABEL = "rotator-management"
"""The label of the token that rotator itself logs in with, where it is a token: it is nobody's pull credential."""

_CAPS = (10, 100)
_OURS = re.compile(r"rot-[0-9a-f]+")
_OLDEST = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class HubAccount:
    """How one Docker ID's or organisation's tokens are managed.

    `identifier` logs in with the vault secret `secret_name`; for an organisation it is one of its owners. `repositories` are
    what an organisation's new token may pull, globs allowed; without any, a new token reaches what the last one did.
    """

    identifier: str
    secret_name: str
    repositories: tuple[str, ...] = ()


class DockerHubTokens(Pulling):
    """Keeps `rotator.ports.RegistryDriver` for one of the two sorts of tokens.

    The label of a token is the rotation that made it. A token that was switched off is not listed: it pulls nothing.
    """

    # docs.docker.com/security/access-tokens: any number of personal tokens, 10 or 100 of an organisation.
    # That a new token works at once is what was seen, no promise.
    traits = Traits(
        overlap=Overlap.MANY,
        retire=RetireMode.EXPLICIT,
        propagation=timedelta(seconds=2),
        propagation_limit=timedelta(minutes=2),
    )

    def __init__(
        self,
        kind: PrincipalKind,
        accounts: Mapping[str, HubAccount],
        secret_of: Callable[[str], Secret],
        reach: Reach,
        pulls: PullProbe,
        clock: Clock,
    ) -> None:
        super().__init__(pulls, clock)
        self.kind = kind
        self._accounts = accounts
        self._secret_of = secret_of
        self._reach = reach

    def inspect(self, principal: Principal) -> tuple[Credential, ...]:
        """Return the tokens, but for the one that manages them. NotFound when there is no such organisation."""
        now, listed = self._clock.now(), self._tokens(principal).listed()
        return tuple(
            _credential(principal, one) for one in listed if (one.active or one.expired(now)) and one.label != MANAGEMENT_LABEL
        )

    def issue(
        self,
        principal: Principal,
        marker: str,
        ttl: timedelta | None,
        slot: str,  # noqa: ARG002 - no slots here
        *,
        before: datetime | None = None,  # noqa: ARG002 - nothing that works is ended by it
    ) -> tuple[Credential, Secret]:
        """Make a token that can pull and nothing else. Its end cannot be changed later, so one is always asked for."""
        tokens, organization = self._tokens(principal), self._organization(principal)
        left = self._cleared(tokens) if organization else ()
        reach = self._reach_of_new(principal, tokens, left)
        expires_at = self._clock.now() + (ttl or DEFAULT_TTL)
        try:
            made, secret = tokens.create(marker, expires_at, reach)
        except (Denied, Rejected, Conflict):
            if organization and len(left) >= _CAPS[0]:
                raise Held(
                    f"Docker Hub made no token: {organization} has {len(left)} tokens, and its plan allows "
                    f"{_CAPS[0]} (Team) or {_CAPS[1]} (Business)",
                    advice=f"Delete tokens of {organization} that nobody needs; rotator deletes no live token of somebody else.",
                ) from None
            raise
        return _credential(principal, made, expires_at), secret

    def retire(self, handle: Handle) -> None:
        """Delete the token: one that was merely switched off would still count against the organisation's limit."""
        _, _, token_id = handle.id.partition("/")
        if not token_id:
            raise unknown(handle, "token", api=API, operation="delete-token")
        self._tokens(handle.principal).delete(token_id)

    def _cleared(self, tokens: HubTokens) -> tuple[HubToken, ...]:
        """Delete what works for nobody any more, because it counts against the limit; return what is left.

        That is what has expired, and what rotator made and somebody switched off. A person may switch his own on again.
        """
        now, listed = self._clock.now(), tokens.listed()
        dead = [one for one in listed if one.expired(now) or (not one.active and _OURS.fullmatch(one.label))]
        for one in dead:
            tokens.delete(one.id)
        return tuple(one for one in listed if one not in dead)

    def _reach_of_new(self, principal: Principal, tokens: HubTokens, left: Sequence[HubToken]) -> Mapping[str, object]:
        organization = self._organization(principal)
        if not organization:
            # A personal token cannot be limited to a repository; this is the least that reads private ones.
            return {"scopes": ["repo:read"]}
        paths = self._account(principal).repositories or _paths_before(tokens, left)
        if not paths:
            raise ConfigError(
                f"nothing tells which repositories a new token of {organization} may pull",
                advice=f"List them: registries.docker_hub.{organization}.repositories: ['{organization}/*'].",
            )
        return {"resources": [{"type": "TYPE_REPO", "path": path, "scopes": ["scope-image-pull"]} for path in paths]}

    def _tokens(self, principal: Principal) -> HubTokens:
        account, rest = self._account(principal), self._reach(ROOT, API)
        setting = f"registries.docker_hub.{principal.name}.secret"
        session = log_in(rest, account.identifier, managing_secret(self._secret_of, account.secret_name, setting))
        return HubTokens(rest, session, self._organization(principal))

    def _account(self, principal: Principal) -> HubAccount:
        found = self._accounts.get(principal.name.lower())
        if found is None:
            raise ConfigError(
                f"nothing tells how the tokens of {principal.name} at Docker Hub are managed",
                advice=f"Add registries.docker_hub.{principal.name}, as docs/registries/docker-hub.md shows.",
            )
        return found

    def _organization(self, principal: Principal) -> str:
        return principal.name.lower() if self.kind is PrincipalKind.DOCKER_HUB_ORG else ""


def _credential(principal: Principal, token: HubToken, expires_at: datetime | None = None) -> Credential:
    return Credential(
        handle=Handle(principal=principal, id=f"token/{token.id}", marker=token.label),
        username=principal.name,
        issued_at=token.created_at,
        expires_at=token.expires_at or expires_at,
    )


def _paths_before(tokens: HubTokens, listed: Sequence[HubToken]) -> tuple[str, ...]:
    """Return the repositories of the newest token that rotator made, or of the only one that works."""
    live = [one for one in listed if one.active]
    ours = sorted((one for one in live if _OURS.fullmatch(one.label)), key=lambda one: one.created_at or _OLDEST)
    chosen = ours[-1] if ours else live[0] if len(live) == 1 else None
    if chosen is None:
        return ()
    resources = tokens.one(chosen.id).resources
    return tuple(str(one["path"]) for one in resources if one.get("type") == "TYPE_REPO" and one.get("path"))
