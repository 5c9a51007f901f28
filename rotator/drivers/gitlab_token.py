"""GitLab access tokens: personal, project or group. One lives at a time, and rotating it ends it at once."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from rotator.clients.gitlab import PERSONAL, GitLab, ListedToken, ends_by
from rotator.clients.pulls import PullProbe
from rotator.drivers.gitlab_deploy_token import LONGEST, owner_of
from rotator.drivers.pulling import pull_all
from rotator.model.credential import Credential, Handle, Overlap, Principal, PrincipalKind, RetireMode, Traits
from rotator.model.errors import Held, NotFound
from rotator.model.image import ImageReference
from rotator.model.secret import Secret
from rotator.ports import Clock


class GitLabToken:
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
        max_ttl=LONGEST,
    )

    def __init__(self, site_of: Callable[[str], GitLab], pulls: PullProbe, clock: Clock) -> None:
        self._site_of = site_of
        self._pulls = pulls
        self._clock = clock

    def inspect(self, principal: Principal) -> tuple[Credential, ...]:
        """Return the tokens of the principal's name that were not revoked. NotFound for none."""
        tokens = self._tokens(principal)
        if not tokens:
            raise NotFound(
                f"GitLab lists no access token named {self._name(principal)} for {principal.name}",
                api="gitlab",
                operation="list-access-tokens",
            )
        return tuple(_credential(principal, one) for one in tokens)

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
        self.inspect(principal)
        now = self._clock.now()
        living = [one for one in self._tokens(principal) if not (one.expires_at and one.expires_at <= now)]
        if len(living) != 1:
            raise Held(
                f"{principal.id}: {len(living)} living access tokens are named {self._name(principal)}; one is needed",
                advice="Revoke those that nobody uses, or make a new one by hand and put it into the groups.",
            )
        if before is not None and now > before:
            raise Held(f"{principal.id}: it is too late to rotate its token: somebody else may have begun")
        ends = ends_by(now, ttl or LONGEST, LONGEST)
        made, secret = self._site_of(principal.registry).rotate(living[0].owner, living[0].id, ends)
        return _credential(principal, made), secret

    def verify(self, credential: Credential, secret: Secret, images: Sequence[ImageReference]) -> None:
        """Pull for real, once for each image."""
        pull_all(self._pulls, self._clock, credential, secret, images)

    def retire(self, handle: Handle) -> None:
        """Revoke the token that the handle names, unless it is gone."""
        owner, number = owner_of(handle)
        if any(f"{one.owner}/{one.id}" == handle.id for one in self._tokens(handle.principal)):
            self._site_of(handle.principal.registry).revoke(owner, number)

    def _tokens(self, principal: Principal) -> tuple[ListedToken, ...]:
        gitlab, name = self._site_of(principal.registry), self._name(principal)
        owners = (*gitlab.site.owners, PERSONAL)
        return tuple(
            one
            for owner in owners
            for one in gitlab.access_tokens(owner)
            if one.name == name and not one.revoked and {"read_registry", "write_registry", "api"} & set(one.scopes)
        )

    def _name(self, principal: Principal) -> str:
        return self._site_of(principal.registry).site.tokens.get(principal.name, principal.name)


def _credential(principal: Principal, token: ListedToken) -> Credential:
    return Credential(
        handle=Handle(principal=principal, id=f"{token.owner}/{token.id}"),
        username=principal.name,
        issued_at=token.created_at,
        expires_at=token.expires_at,
    )
