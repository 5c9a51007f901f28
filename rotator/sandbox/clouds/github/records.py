"""The tokens of GitHub's users. No route makes or ends one: a person does that, in a browser."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from rotator.sandbox.ledger import Entry

if TYPE_CHECKING:
    from rotator.sandbox.world import World

HOST = "ghcr.io"
TOKEN_KIND = "github-token"


@dataclass(slots=True, kw_only=True, repr=False)
class Token:
    """One token. `app`: an app's, which logs in at the registry and may pull nothing private."""

    value: str
    login: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    app: bool = False
    deleted: bool = False

    def verdict(self, now: datetime) -> str:
        """Return "ok", "expired" or "invalid"."""
        if self.deleted:
            return "invalid"
        return "expired" if self.expires_at is not None and now >= self.expires_at else "ok"

    @property
    def pulls(self) -> bool:
        """Whether the registry lets it read the user's private images."""
        return not self.app and bool({"read:packages", "write:packages"} & set(self.scopes))


def fingerprint(value: str) -> str:
    """Return the name by which the product knows a token."""
    return f"sha256:{hashlib.sha256(value.encode()).hexdigest()[:16]}"


class GitHub:
    """All tokens, by value."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.tokens: dict[str, Token] = {}
        world.ledger.judge(TOKEN_KIND, self._lives)

    def make(
        self,
        login: str,
        *,
        scopes: tuple[str, ...] = ("read:packages",),
        expires_at: datetime | None = None,
        created_at: datetime | None = None,
        app: bool = False,
    ) -> Token:
        """Make a token as a person does; it works at once, beside all others of the user."""
        world = self.world
        value = f"{'ghs' if app else 'ghp'}_{world.text(36)}"
        at = created_at or world.now()
        token = Token(value=value, login=login, scopes=scopes, created_at=at, expires_at=expires_at, app=app)
        self.tokens[value] = token
        world.issued(value, TOKEN_KIND, f"plain:{HOST}/{login}", fingerprint(value), "github.token.made", expires_at)
        return token

    def delete(self, value: str) -> None:
        """Delete a token as a person does; it ends at once."""
        token = self.tokens[value]
        token.deleted = True
        principal = f"plain:{HOST}/{token.login}"
        self.world.events.append("github.token.deleted", principal=principal, handle=fingerprint(value))
        self.world.touch(principal)

    def verdict(self, login: str, value: str, repository: str, now: datetime) -> str:
        """Judge a login at the registry; with a repository, whether it may pull that."""
        token = self.tokens.get(value)
        if token is None or token.login != login:
            return "invalid"
        verdict = token.verdict(now)
        return "no-permission" if verdict == "ok" and repository and not token.pulls else verdict

    def _lives(self, entry: Entry, now: datetime) -> bool:
        token = self.tokens.get(entry.value)
        return token is not None and token.verdict(now) == "ok"
