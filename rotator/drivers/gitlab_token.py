"""GitLab access tokens: personal, project or group. One lives at a time, and rotating it ends it at once."""

from collections.abc import Callable
from datetime import datetime, timedelta

from rotator.clients.deadline import not_after
from rotator.clients.gitlab import API, PERSONAL, GitLab, ListedToken
from rotator.clients.pulls import PullProbe
from rotator.drivers.gitlab_deploy_token import LONGEST, owner_of
from rotator.drivers.pulling import Pulling
from rotator.model.credential import Credential, Handle, Overlap, Principal, PrincipalKind, RetireMode, Traits
from rotator.model.errors import Held, NotFound
from rotator.model.secret import Secret
from rotator.ports import Clock

_PULLING = {"read_registry", "write_registry", "api"}


class GitLabToken(Pulling):
    """Keeps `rotator.ports.RegistryDriver` for access tokens. Which one it is, its name says: by default the user name.

    A token that is rotated a second time counts as stolen, and GitLab ends its whole family, the newest one included
    (gitlab-org/gitlab#524639). So nothing here ever sends a rotation twice: after a lost answer whoever comes next lists the
    tokens and rotates the one that is alive by then, by its own id.
    """

    kind = PrincipalKind.GITLAB
    traits = Traits(
        overlap=Overlap.SINGLE,
        retire=RetireMode.EXPLICIT,
        propagation=timedelta(seconds=2),
        propagation_limit=timedelta(minutes=2),
    )

    def __init__(self, site_of: Callable[[str], GitLab], pulls: PullProbe, clock: Clock) -> None:
        super().__init__(pulls, clock)
        self._site_of = site_of

    def inspect(self, principal: Principal) -> tuple[Credential, ...]:
        """Return the tokens of the principal's name that were not revoked. NotFound for none."""
        return tuple(_credential(principal, one) for one in _found(self._site_of(principal.registry), principal))

    def issue(
        self,
        principal: Principal,
        marker: str,  # noqa: ARG002 - a rotated token keeps its name
        ttl: timedelta | None,
        slot: str,  # noqa: ARG002 - no slots here
        *,
        before: datetime | None = None,
    ) -> tuple[Credential, Secret]:
        """Rotate the one living token. Held when several live: nothing tells which one the groups use."""
        gitlab, now = self._site_of(principal.registry), self._clock.now()
        living = [one for one in _found(gitlab, principal) if not (one.expires_at and one.expires_at <= now)]
        if len(living) != 1:
            raise Held(
                f"{principal.id}: {len(living)} living access tokens are named {_name(gitlab, principal)}; one is needed",
                advice="Revoke those that nobody uses, or make a new one by hand and put it into the groups.",
            )
        ends = now + min(ttl or LONGEST, LONGEST)
        with not_after(before):
            made, secret = gitlab.rotate(living[0].owner, living[0].id, ends)
        return _credential(principal, made), secret

    def retire(self, handle: Handle) -> None:
        """Revoke the token that the handle names, unless it is gone."""
        owner, number = owner_of(handle)
        gitlab = self._site_of(handle.principal.registry)
        if any(f"{one.owner}/{one.id}" == handle.id for one in _tokens(gitlab, handle.principal)):
            gitlab.revoke(owner, number)


def _found(gitlab: GitLab, principal: Principal) -> tuple[ListedToken, ...]:
    tokens = _tokens(gitlab, principal)
    if not tokens:
        raise NotFound(
            f"GitLab lists no access token named {_name(gitlab, principal)} for {principal.name}",
            api=API,
            operation="list-access-tokens",
        )
    return tokens


def _tokens(gitlab: GitLab, principal: Principal) -> tuple[ListedToken, ...]:
    name = _name(gitlab, principal)
    listed = (one for owner in (*gitlab.site.owners, PERSONAL) for one in gitlab.access_tokens(owner))
    return tuple(one for one in listed if one.name == name and not one.revoked and _PULLING & set(one.scopes))


def _name(gitlab: GitLab, principal: Principal) -> str:
    return gitlab.site.tokens.get(principal.name, principal.name)


def _credential(principal: Principal, token: ListedToken) -> Credential:
    return Credential(
        handle=Handle(principal=principal, id=f"{token.owner}/{token.id}"),
        username=principal.name,
        issued_at=token.created_at,
        expires_at=token.expires_at,
    )
