"""GitLab's tokens: who owns them, how long they live, and the families of access tokens that were rotated."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from rotator.sandbox.ledger import Entry

if TYPE_CHECKING:
    from rotator.sandbox.world import World

HOST = "registry.gitlab.com"
_REGISTRY_SCOPES = frozenset({"read_registry", "write_registry", "api"})


@dataclass(slots=True, kw_only=True, repr=False)
class GitLabToken:
    """A deploy token or an access token. `owner` is `projects/<id>`, `groups/<id>` or `personal`.

    `family` is the id of the first access token of a chain of rotations; `rotated` says that a successor was made from it.
    """

    id: int
    kind: str
    owner: str
    name: str
    username: str
    value: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    family: int
    revoked: bool = False
    rotated: bool = False

    def live(self, now: datetime) -> bool:
        """Whether it works."""
        return not self.revoked and (self.expires_at is None or now < self.expires_at)


class GitLab:
    """All tokens by id. The registry looks a token up by its value and compares the user name afterwards."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.tokens: dict[int, GitLabToken] = {}
        self.owners: set[str] = set()
        self.serial = 4700
        for kind in ("gitlab-deploy-token", "gitlab-access-token"):
            world.ledger.judge(kind, self._judge)

    def add(
        self,
        kind: str,
        owner: str,
        name: str,
        *,
        scopes: tuple[str, ...],
        username: str = "",
        created_at: datetime | None = None,
        expires_at: datetime | None = None,
        family: int = 0,
    ) -> GitLabToken:
        """Make a token; its value is drawn. Deploy tokens may share a user name."""
        self.serial += 1
        deploy = kind == "gitlab-deploy-token"
        if expires_at is not None and not deploy:
            # An access token ends on a date, at midnight.
            expires_at = expires_at.replace(hour=0, minute=0, second=0, microsecond=0)
        token = GitLabToken(
            id=self.serial,
            kind=kind,
            owner=owner,
            name=name,
            username=username or f"gitlab+deploy-token-{self.serial}",
            value=f"{'gldt' if deploy else 'glpat'}-{self.world.text(20)}",
            scopes=scopes,
            created_at=created_at or self.world.now(),
            expires_at=expires_at,
            family=family or self.serial,
        )
        self.tokens[token.id] = token
        self.owners.add(owner)
        pulls = bool(_REGISTRY_SCOPES & set(scopes)) and "api" not in scopes
        # A managing token is nobody's pull credential: it is watched for leaks alone.
        known_as = kind if pulls else "gitlab-api-token"
        self.world.issued(token.value, known_as, self.principal(token), str(token.id), "gitlab.token.issued", expires_at)
        return token

    def end(self, token: GitLabToken) -> None:
        """Revoke a token, at once."""
        token.revoked = True
        self.world.touch(self.principal(token))
        self.world.events.append("gitlab.token.revoked", principal=self.principal(token), handle=str(token.id))

    def rotate(self, token: GitLabToken, expires_at: datetime) -> GitLabToken | None:
        """Replace an access token; the old one ends at once.

        None for one that was rotated before: that counts as stolen, and its whole family ends, the newest included.
        """
        if token.rotated:
            for one in self.tokens.values():
                if one.family == token.family and not one.revoked:
                    self.end(one)
            return None
        token.rotated = True
        self.end(token)
        return self.add(
            token.kind,
            token.owner,
            token.name,
            scopes=token.scopes,
            username=token.username,
            expires_at=expires_at,
            family=token.family,
        )

    def verdict(self, username: str, password: str, now: datetime) -> str:
        """Judge a login at the registry."""
        token = next((one for one in self.tokens.values() if one.value == password), None)
        if token is None or token.revoked or token.username != username or not _REGISTRY_SCOPES & set(token.scopes):
            return "invalid"
        return "ok" if token.live(now) else "expired"

    @staticmethod
    def principal(token: GitLabToken) -> str:
        """Return the name by which the oracle knows whom a token authenticates."""
        return f"plain:{HOST}/{token.username}"

    def _judge(self, entry: Entry, now: datetime) -> bool:
        token = self.tokens.get(int(entry.handle))
        return token is not None and token.live(now)
