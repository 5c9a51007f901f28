"""The tokens of Docker Hub: personal ones of a Docker ID, and those of an organisation.

Addresses and fields: docs.docker.com/reference/api/hub/latest.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from rotator.clients.rest import Rest, bearer
from rotator.model.errors import Indeterminate
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


class DockerHub:
    """Docker Hub's management API. `organization` is empty for the personal tokens of whoever the session belongs to."""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest

    def session(self, identifier: str, secret: Secret) -> Secret:
        """Log in and return the short-lived token that the other calls are made with. Raises Denied when it is refused."""
        answer = self._rest.send(
            "POST",
            "/v2/auth/token",
            operation="log-in",
            body={"identifier": identifier, "secret": secret.reveal()},
            needs=f"a password or token with which {identifier} can log in to Docker Hub",
            thing=identifier,
        )
        return Secret(_text(answer.body, "access_token", "log-in"))

    def tokens(self, session: Secret, organization: str) -> tuple[HubToken, ...]:
        """Return every token, live or not. NotFound when there is no such organisation."""
        return tuple(self._tokens(session, organization))

    def token(self, session: Secret, organization: str, token_id: str) -> HubToken:
        """Return one token with what it may reach."""
        answer = self._rest.send(
            "GET",
            f"{_path(organization)}/{quote(token_id, safe='')}",
            operation="read-token",
            auth={"Authorization": bearer(session)},
            **_thing(organization),
        )
        return _token(answer.body)

    def create(
        self, session: Secret, organization: str, label: str, expires_at: datetime, reach: Mapping[str, object]
    ) -> tuple[HubToken, Secret]:
        """Make a token; `reach` is `scopes` of a personal one, `resources` of an organisation's. Indeterminate without answer."""
        wish = {
            "label" if organization else "token_label": label,
            "expires_at": expires_at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            **reach,
        }
        answer = self._rest.send(
            "POST",
            _path(organization),
            operation="create-token",
            auth={"Authorization": bearer(session)},
            body=wish,
            effect=True,
            **_thing(organization),
        )
        return _token(answer.body), Secret(_text(answer.body, "token", "create-token"))

    def delete(self, session: Secret, organization: str, token_id: str) -> None:
        """Delete a token; NotFound when it is gone. Doing so twice does what once does, so a lost answer is asked for again."""
        self._rest.send(
            "DELETE",
            f"{_path(organization)}/{quote(token_id, safe='')}",
            operation="delete-token",
            auth={"Authorization": bearer(session)},
            **_thing(organization),
        )

    def _tokens(self, session: Secret, organization: str) -> Iterator[HubToken]:
        for page in range(1, _MOST_PAGES + 1):
            answer = self._rest.send(
                "GET",
                _path(organization),
                operation="list-tokens",
                auth={"Authorization": bearer(session)},
                query={"page": str(page), "page_size": str(_PAGE)},
                **_thing(organization),
            )
            body = answer.body if isinstance(answer.body, dict) else {}
            yield from (_token(one) for one in body.get("results") or () if isinstance(one, dict))
            if not body.get("next"):
                return


def _path(organization: str) -> str:
    return f"/v2/orgs/{quote(organization, safe='')}/access-tokens" if organization else "/v2/access-tokens"


def _thing(organization: str) -> dict[str, Any]:
    whose = f"the organisation {organization}" if organization else "the Docker ID"
    needs = f"an owner of {organization}" if organization else "a password or a token that may manage access tokens"
    return {"thing": f"the tokens of {whose}", "needs": needs}


def _token(body: object) -> HubToken:
    found: Mapping[str, Any] = body if isinstance(body, dict) else {}
    resources: Sequence[object] = found.get("resources") or ()
    return HubToken(
        id=str(found.get("uuid") or found.get("id") or ""),
        label=str(found.get("token_label") or found.get("label") or ""),
        active=bool(found.get("is_active", True)),
        created_at=_instant(found.get("created_at")),
        expires_at=_instant(found.get("expires_at")),
        resources=tuple(one for one in resources if isinstance(one, dict)),
    )


def _text(body: object, name: str, operation: str) -> str:
    value = body.get(name) if isinstance(body, dict) else None
    if not isinstance(value, str) or not value:
        raise Indeterminate("Docker Hub's answer does not hold the token that it made", api=API, operation=operation)
    return value


def _instant(text: object) -> datetime | None:
    return datetime.fromisoformat(text).astimezone(UTC) if isinstance(text, str) and text else None
