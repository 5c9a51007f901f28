"""GitLab deploy tokens: as many at once as one likes, so that nobody is out while one replaces another."""

from collections.abc import Callable
from datetime import datetime, timedelta

from rotator.clients.gitlab import API, GitLab, ListedToken
from rotator.clients.pulls import PullProbe
from rotator.drivers.handles import unknown
from rotator.drivers.pulling import Pulling
from rotator.model.credential import Credential, Handle, Overlap, Principal, PrincipalKind, RetireMode, Traits
from rotator.model.errors import NotFound
from rotator.model.secret import Secret
from rotator.ports import Clock

_OURS = "rotator "
# docs.gitlab.com/user/profile/personal_access_tokens: the longest life of an access token where no administrator chose another.
# A deploy token might live for ever; it is held to the same.
LONGEST = timedelta(days=365)


class GitLabDeployToken(Pulling):
    """Keeps `rotator.ports.RegistryDriver` for deploy tokens. The principal is the user name, which successive tokens share.

    GitLab checks a user name's length and letters only, finds a token by its value and compares the name afterwards
    (gitlabhq/gitlabhq: app/models/deploy_token.rb; lib/gitlab/auth.rb, deploy_token_check): so two tokens may have one name.
    """

    kind = PrincipalKind.GITLAB_DEPLOY_TOKEN
    traits = Traits(
        overlap=Overlap.MANY,
        retire=RetireMode.EXPLICIT,
        # Both services read one database; the margin is for its replicas, nothing is promised.
        propagation=timedelta(seconds=2),
        propagation_limit=timedelta(minutes=2),
    )

    def __init__(self, site_of: Callable[[str], GitLab], pulls: PullProbe, clock: Clock) -> None:
        super().__init__(pulls, clock)
        self._site_of = site_of

    def inspect(self, principal: Principal) -> tuple[Credential, ...]:
        """Return the deploy tokens of this user name, in every project and group that is configured. NotFound for none."""
        return tuple(_credential(principal, one) for one in _tokens(self._site_of(principal.registry), principal))

    def issue(
        self,
        principal: Principal,
        marker: str,
        ttl: timedelta | None,
        slot: str,  # noqa: ARG002 - no slots here
        *,
        before: datetime | None = None,  # noqa: ARG002 - nothing is ended by it
    ) -> tuple[Credential, Secret]:
        """Make a token beside the newest one, with its user name and scopes. Raises Indeterminate when no answer came."""
        gitlab = self._site_of(principal.registry)
        newest = max(_tokens(gitlab, principal), key=lambda one: one.id)
        ends = self._clock.now() + min(ttl or LONGEST, LONGEST)
        made, secret = gitlab.create_deploy_token(newest.owner, _OURS + marker, principal.name, newest.scopes, ends)
        return _credential(principal, made), secret

    def retire(self, handle: Handle) -> None:
        """Delete the token that the handle names; deleting twice does what once does."""
        owner, number = owner_of(handle)
        self._site_of(handle.principal.registry).delete_deploy_token(owner, number)


def _tokens(gitlab: GitLab, principal: Principal) -> tuple[ListedToken, ...]:
    listed = (one for owner in gitlab.site.owners for one in gitlab.deploy_tokens(owner))
    found = tuple(one for one in listed if one.username == principal.name and not one.revoked)
    if not found:
        raise NotFound(
            f"no project or group of registries.gitlab has a deploy token with the user name {principal.name}",
            api=API,
            operation="list-deploy-tokens",
        )
    return found


def _credential(principal: Principal, token: ListedToken) -> Credential:
    marker = token.name.removeprefix(_OURS) if token.name.startswith(_OURS) else ""
    return Credential(
        handle=Handle(principal=principal, id=f"{token.owner}/{token.id}", marker=marker),
        username=token.username,
        issued_at=token.created_at,
        expires_at=token.expires_at,
    )


def owner_of(handle: Handle) -> tuple[str, str]:
    """Return whose token a handle names, and its number. Rejected for what names none."""
    owner, _, number = handle.id.rpartition("/")
    if not number.isdigit() or owner.partition("/")[0] not in {"projects", "groups", "personal"}:
        raise unknown(handle, "token", api=API, operation="find-token")
    return owner, number
