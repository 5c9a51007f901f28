"""GitLab's REST API v4, as far as tokens go: deploy tokens, and the access tokens of people, projects and groups."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from rotator.clients.instants import instant_of, text_of
from rotator.clients.rest import Rest, RestAnswer
from rotator.model.errors import Indeterminate, NotFound
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
    """The tokens of one site, as a managing token sees them. Raises the errors of `rotator.clients.failures`."""

    def __init__(self, site: GitLabSite, rest: Rest, token: Secret) -> None:
        self.site = site
        self._rest = rest
        self._token = token

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
        body = {"name": name, "username": username, "scopes": list(scopes), "expires_at": text_of(ends)}
        answer = self._ask("POST", f"{_path(owner)}/deploy_tokens", "create-deploy-token", owner, body=body, effect=True)
        return _made(answer.body, owner, "create-deploy-token")

    def delete_deploy_token(self, owner: str, number: str) -> None:
        """End a deploy token; already gone is success, so that it may be sent again."""
        with contextlib.suppress(NotFound):
            self._ask("DELETE", f"{_path(owner)}/deploy_tokens/{quote(number, safe='')}", "delete-deploy-token", owner)

    def rotate(self, owner: str, number: int, ends: datetime) -> tuple[ListedToken, Secret]:
        """Replace an access token. Sent once and never again: a token that is rotated twice takes its successors along."""
        # Without an end GitLab chooses a week (docs.gitlab.com/api/personal_access_tokens).
        body = {"expires_at": ends.astimezone(UTC).date().isoformat()}
        path, thing = f"{_access(owner)}/{number}/rotate", f"{owner}/{number}"
        answer = self._ask("POST", path, "rotate-token", thing, body=body, effect=True, attempts=1)
        return _made(answer.body, owner, "rotate-token")

    def revoke(self, owner: str, number: str) -> None:
        """End an access token; already gone is success."""
        with contextlib.suppress(NotFound):
            self._ask("DELETE", f"{_access(owner)}/{quote(number, safe='')}", "revoke-token", owner)

    def _pages(self, path: str, owner: str, operation: str) -> Iterator[ListedToken]:
        page = "1"
        while page:
            answer = self._ask("GET", path, operation, owner, query={"per_page": "100", "page": page})
            yield from (_token(one, owner) for one in answer.body or ())
            page = answer.headers.get("x-next-page", "")

    def _ask(
        self,
        method: str,
        path: str,
        operation: str,
        thing: str,
        *,
        body: Mapping[str, object] | None = None,
        query: Mapping[str, str] | None = None,
        effect: bool = False,
        attempts: int = 6,
    ) -> RestAnswer:
        return self._rest.send(
            method,
            path,
            operation=operation,
            auth={"PRIVATE-TOKEN": self._token},
            body=body,
            query=query,
            needs=_NEEDS,
            thing=thing,
            effect=effect,
            attempts=attempts,
        )


def _made(body: object, owner: str, operation: str) -> tuple[ListedToken, Secret]:
    if not isinstance(body, dict) or not isinstance(body.get("token"), str):
        raise Indeterminate("GitLab's answer does not hold the token that it made", api=API, operation=operation)
    return _token(body, owner), Secret(body["token"])


def _token(body: dict[str, Any], owner: str) -> ListedToken:
    return ListedToken(
        id=int(body["id"]),
        owner=owner,
        name=str(body.get("name") or ""),
        username=str(body.get("username") or ""),
        scopes=tuple(body.get("scopes") or ()),
        revoked=bool(body.get("revoked")),
        created_at=instant_of(body.get("created_at")),
        expires_at=instant_of(body.get("expires_at")),
    )


def _path(owner: str) -> str:
    kind, _, which = owner.partition("/")
    return f"/api/v4/{kind}/{quote(which, safe='')}"


def _access(owner: str) -> str:
    return "/api/v4/personal_access_tokens" if owner == PERSONAL else f"{_path(owner)}/access_tokens"
