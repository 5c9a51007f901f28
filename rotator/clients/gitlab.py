"""GitLab's REST API v4, as far as tokens go: deploy tokens, and the access tokens of people, projects and groups."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from rotator.clients.rest import Reach, Rest
from rotator.model.errors import ConfigError, NotFound, Rejected
from rotator.model.secret import Secret

API = "gitlab"
PERSONAL = "personal"
_NEEDS = "a token with the scope api of a Maintainer of the project, or an Owner of the group (registries.gitlab: secret)"


@dataclass(frozen=True, slots=True, kw_only=True)
class GitLabSite:
    """One GitLab: its registry's host, its API's address, the vault secret of the managing token, and whose tokens are looked at.

    `owners` are `projects/<id or path>` and `groups/<id or path>`; `tokens` names the access token behind a user name, where the
    two differ.
    """

    host: str
    api: str
    secret: str
    owners: tuple[str, ...]
    tokens: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedToken:
    """A token as GitLab lists it, without its value. `owner` as in GitLabSite, or `personal`."""

    id: int
    owner: str
    name: str
    username: str
    scopes: tuple[str, ...]
    revoked: bool
    created_at: datetime | None
    expires_at: datetime | None


class GitLab:
    """The client of one site. Raises the errors of `rotator.clients.failures`."""

    def __init__(self, site: GitLabSite, rest: Rest, secret_of: Callable[[str], Secret]) -> None:
        self.site = site
        self._rest = rest
        self._secret_of = secret_of

    def deploy_tokens(self, owner: str) -> Iterator[ListedToken]:
        """Yield the deploy tokens of a project or group, ended ones too."""
        yield from self._pages(f"{_path(owner)}/deploy_tokens", owner, "list-deploy-tokens")

    def access_tokens(self, owner: str) -> Iterator[ListedToken]:
        """Yield the access tokens of a project or group, or the personal ones that the managing token may see."""
        yield from self._pages(_access(owner), owner, "list-access-tokens")

    def create_deploy_token(
        self, owner: str, name: str, username: str, scopes: tuple[str, ...], ends: datetime
    ) -> tuple[ListedToken, Secret]:
        """Make a deploy token. Indeterminate when no answer came."""
        body: dict[str, object] = {"name": name, "username": username, "scopes": list(scopes), "expires_at": _instant(ends)}
        answer = self._rest.send(
            "POST",
            f"{_path(owner)}/deploy_tokens",
            operation="create-deploy-token",
            auth=self._auth(),
            body=body,
            needs=_NEEDS,
            thing=owner,
            effect=True,
        )
        return _made(answer.body, owner)

    def delete_deploy_token(self, owner: str, number: str) -> None:
        """End a deploy token; already gone is success, so that it may be sent again."""
        self._gone("DELETE", f"{_path(owner)}/deploy_tokens/{quote(number, safe='')}", owner, "delete-deploy-token")

    def rotate(self, owner: str, number: int, ends: datetime) -> tuple[ListedToken, Secret]:
        """Replace an access token. Sent once and never again: a token that is rotated twice takes its successors along."""
        answer = self._rest.send(
            "POST",
            f"{_access(owner)}/{number}/rotate",
            operation="rotate-token",
            auth=self._auth(),
            body={"expires_at": ends.astimezone(UTC).date().isoformat()},
            needs=_NEEDS,
            thing=f"{owner}/{number}",
            effect=True,
            attempts=1,
        )
        return _made(answer.body, owner)

    def revoke(self, owner: str, number: str) -> None:
        """End an access token; already gone is success."""
        self._gone("DELETE", f"{_access(owner)}/{quote(number, safe='')}", owner, "revoke-token")

    def _gone(self, method: str, path: str, owner: str, operation: str) -> None:
        try:
            self._rest.send(method, path, operation=operation, auth=self._auth(), needs=_NEEDS, thing=owner)
        except NotFound:
            return

    def _pages(self, path: str, owner: str, operation: str) -> Iterator[ListedToken]:
        page = "1"
        while page:
            answer = self._rest.send(
                "GET",
                path,
                operation=operation,
                auth=self._auth(),
                query={"per_page": "100", "page": page},
                needs=_NEEDS,
                thing=owner,
            )
            yield from (_token(one, owner) for one in answer.body or ())
            page = answer.headers.get("x-next-page", "")

    def _auth(self) -> dict[str, Secret]:
        return {"PRIVATE-TOKEN": self._secret_of(self.site.secret)}


def gitlab_of(sites: tuple[GitLabSite, ...], host: str, reach: Reach, secret_of: Callable[[str], Secret]) -> GitLab:
    """Return the client for a registry's host; ConfigError, saying what to write, when none is configured."""
    for site in sites:
        if site.host.lower() == host.lower():
            return GitLab(site, reach(site.api, API), secret_of)
    raise ConfigError(
        f"nothing says how the tokens of {host} are managed",
        advice=f"Add registries.gitlab: [{{host: {host}, api: https://..., secret: <vault secret>, projects: [...]}}]",
    )


def _made(body: object, owner: str) -> tuple[ListedToken, Secret]:
    if not isinstance(body, dict) or not isinstance(body.get("token"), str):
        raise Rejected("GitLab's answer holds no token", api=API, operation="create", reason="unexpected-answer")
    return _token(body, owner), Secret(body["token"])


def _token(body: dict[str, Any], owner: str) -> ListedToken:
    return ListedToken(
        id=int(body["id"]),
        owner=owner,
        name=str(body.get("name") or ""),
        username=str(body.get("username") or ""),
        scopes=tuple(body.get("scopes") or ()),
        revoked=bool(body.get("revoked")),
        created_at=_read(body.get("created_at")),
        expires_at=_read(body.get("expires_at")),
    )


def _read(text: str | None) -> datetime | None:
    """Read an instant, or a date, on which an access token ends at midnight UTC."""
    if not text:
        return None
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).replace(microsecond=0).isoformat().replace("+00:00", "Z")


def ends_by(now: datetime, ttl: timedelta, longest: timedelta) -> datetime:
    """Return when a new token is to end: never left out, because GitLab would then choose a week."""
    return now + min(ttl, longest)


def _path(owner: str) -> str:
    kind, _, which = owner.partition("/")
    return f"/api/v4/{kind}/{quote(which, safe='')}"


def _access(owner: str) -> str:
    return "/api/v4/personal_access_tokens" if owner == PERSONAL else f"{_path(owner)}/access_tokens"
