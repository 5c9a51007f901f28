"""The tokens of Docker Hub: personal ones of a Docker ID, and those of an organisation.

Addresses and fields: docs.docker.com/reference/api/hub/latest.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from rotator.clients.instants import instant_of, text_of
from rotator.clients.rest import Rest, RestAnswer, bearer
from rotator.model.errors import Indeterminate, NotFound
from rotator.model.secret import Secret

API = "docker-hub"
ROOT = "https://hub.docker.com"
_PAGE = 100
# A list that never ends would keep a run alive for ever; an organisation has 100 tokens at most.
_MOST_PAGES = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class HubToken:
    """What Docker Hub tells of one token. `resources` are an organisation token's; the list may leave them out."""

    id: str
    label: str
    active: bool
    created_at: datetime | None
    expires_at: datetime | None
    resources: tuple[Mapping[str, Any], ...] = ()

    def expired(self, now: datetime) -> bool:
        """Whether it has ended by itself."""
        return self.expires_at is not None and self.expires_at <= now


class HubTokens:
    """The access tokens of one owner: of an organisation, or without one the personal tokens of whoever has logged in."""

    def __init__(self, rest: Rest, session: Secret, organization: str) -> None:
        self._rest = rest
        self._session = session
        self._organization = organization
        self._path = f"/v2/orgs/{quote(organization, safe='')}/access-tokens" if organization else "/v2/access-tokens"

    def listed(self) -> tuple[HubToken, ...]:
        """Return every token, live or not. NotFound when there is no such organisation."""
        return tuple(self._pages())

    def one(self, token_id: str) -> HubToken:
        """Return one token with what it may reach."""
        return _token(self._ask("GET", "read-token", token_id).body)

    def create(self, label: str, expires_at: datetime, reach: Mapping[str, object]) -> tuple[HubToken, Secret]:
        """Make a token; `reach` is `scopes` of a personal one, `resources` of an organisation's. Indeterminate without answer."""
        named = "label" if self._organization else "token_label"
        wish = {named: label, "expires_at": text_of(expires_at), **reach}
        answer = self._ask("POST", "create-token", body=wish, effect=True)
        return _token(answer.body), Secret(_text(answer.body, "token", "create-token"))

    def delete(self, token_id: str) -> None:
        """Delete a token; already gone is success. Twice does what once does, so a lost answer is asked for again."""
        with contextlib.suppress(NotFound):
            self._ask("DELETE", "delete-token", token_id)

    def _pages(self) -> Iterator[HubToken]:
        for page in range(1, _MOST_PAGES + 1):
            answer = self._ask("GET", "list-tokens", query={"page": str(page), "page_size": str(_PAGE)})
            body = answer.body if isinstance(answer.body, dict) else {}
            yield from (_token(one) for one in body.get("results") or () if isinstance(one, dict))
            if not body.get("next"):
                return

    def _ask(
        self,
        method: str,
        operation: str,
        token_id: str = "",
        *,
        body: Mapping[str, object] | None = None,
        query: Mapping[str, str] | None = None,
        effect: bool = False,
    ) -> RestAnswer:
        whose, needs = "the Docker ID", "a password or a token that may manage access tokens"
        if self._organization:
            whose, needs = f"the organisation {self._organization}", f"an owner of {self._organization}"
        return self._rest.send(
            method,
            f"{self._path}/{quote(token_id, safe='')}" if token_id else self._path,
            operation=operation,
            auth={"Authorization": bearer(self._session)},
            body=body,
            query=query,
            needs=needs,
            thing=f"the tokens of {whose}",
            effect=effect,
        )


def log_in(rest: Rest, identifier: str, secret: Secret) -> Secret:
    """Log in with a password or token, and return the short-lived one that tokens are managed with. Denied when it is refused."""
    answer = rest.send(
        "POST",
        "/v2/auth/token",
        operation="log-in",
        body={"identifier": identifier, "secret": secret.reveal()},
        needs=f"a password or token with which {identifier} can log in to Docker Hub",
        thing=identifier,
    )
    return Secret(_text(answer.body, "access_token", "log-in"))


def _token(body: object) -> HubToken:
    found: Mapping[str, Any] = body if isinstance(body, dict) else {}
    resources: Sequence[object] = found.get("resources") or ()
    return HubToken(
        id=str(found.get("uuid") or found.get("id") or ""),
        label=str(found.get("token_label") or found.get("label") or ""),
        active=bool(found.get("is_active", True)),
        created_at=instant_of(found.get("created_at")),
        expires_at=instant_of(found.get("expires_at")),
        resources=tuple(one for one in resources if isinstance(one, dict)),
    )


def _text(body: object, name: str, operation: str) -> str:
    value = body.get(name) if isinstance(body, dict) else None
    if not isinstance(value, str) or not value:
        raise Indeterminate("Docker Hub's answer does not hold the token that it made", api=API, operation=operation)
    return value
