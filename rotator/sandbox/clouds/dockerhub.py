"""Docker Hub's management of tokens: a Docker ID's personal ones, and those of an organisation.

Addresses, fields and limits are those of docs.docker.com/reference/api/hub/latest; what refusals look like is from memory.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from rotator.sandbox.ledger import Entry
from rotator.sandbox.wire import Document, Handler, Refused, Reply, Request, Route, Window, parse_instant, rfc3339

if TYPE_CHECKING:
    from rotator.sandbox.world import World

HOSTS = ("hub.docker.com",)
REGISTRY = "docker.io"
KIND = "docker-hub-token"
_SESSION = timedelta(minutes=10)
_LOG_INS = Window(limit=100, span=timedelta(minutes=1))
_PERSONAL = frozenset({"repo:admin", "repo:write", "repo:read", "repo:public_read"})
# A token of the free plan can only do all (github.com/docker/hub-feedback, 2022).
_CAPS = {"team": 10, "business": 100}


@dataclass(slots=True, kw_only=True)
class HubToken:
    """One token. `reach` are its scopes, or the paths of repositories that an organisation's may pull."""

    id: str
    label: str
    value: str
    created_at: datetime
    expires_at: datetime | None
    reach: tuple[str, ...]
    active: bool = True

    def verdict(self, now: datetime) -> str:
        """Say whether it can log in."""
        if not self.active:
            return "disabled"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "ok"


@dataclass(slots=True, kw_only=True)
class HubAccount:
    """A Docker ID or an organisation. `plan` is free, pro, team or business; `owner` may manage an organisation's tokens."""

    name: str
    plan: str
    organization: bool = False
    owner: str = ""
    password: str = ""
    tokens: dict[str, HubToken] = field(default_factory=dict)


class DockerHub:
    """All accounts by name, and the sessions of those who are logged in to the API."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.accounts: dict[str, HubAccount] = {}
        self.sessions: dict[str, tuple[str, datetime]] = {}
        world.ledger.judge(KIND, self._lives)

    def add(self, account: HubAccount) -> HubAccount:
        """Add an account."""
        self.accounts[account.name] = account
        return account

    def issue(
        self, account: HubAccount, label: str, reach: tuple[str, ...], expires_at: datetime | None, created_at: datetime
    ) -> HubToken:
        """Make a token."""
        world = self.world
        value = f"dckr_oat_{world.text(32)}" if account.organization else f"dckr_pat_{world.text(27)}"
        token = HubToken(id=world.guid(), label=label, value=value, created_at=created_at, expires_at=expires_at, reach=reach)
        account.tokens[token.id] = token
        world.issued(value, KIND, _principal(account), f"token/{token.id}", "hub.token.issued", expires_at)
        return token

    def verdict(self, username: str, password: str, repository: str, now: datetime) -> str:
        """Judge a log-in to the registry: the user name is the Docker ID or the organisation."""
        account = self.accounts.get(username.lower())
        if account is None:
            return "invalid"
        token = next((one for one in account.tokens.values() if one.value == password), None)
        if token is None:
            return "ok" if account.password and password == account.password else "invalid"
        verdict = token.verdict(now)
        if verdict == "ok" and repository and account.organization:
            return "ok" if any(fnmatchcase(repository, path) for path in token.reach) else "no-permission"
        return verdict

    def _lives(self, entry: Entry, now: datetime) -> bool:
        account = self.accounts.get(entry.principal.rpartition("/")[2])
        held = () if account is None else account.tokens.values()
        return any(one.value == entry.value and one.verdict(now) == "ok" for one in held)


def _principal(account: HubAccount) -> str:
    return f"plain:{REGISTRY}/{account.name}"


def _refuse(status: int, message: str) -> Refused:
    return Refused(Reply(status, {"message": message, "detail": message}), "", message)


def _refusal(_world: "World", _request: Request, status: int, _code: str, message: str) -> Refused:
    return _refuse(status, message)


def log_in(world: "World", request: Request) -> Reply:
    """Exchange a password or a token for a session."""
    body, now = request.json(), world.now()
    identifier = str(body.get("identifier", "")).lower()
    wait, _ = world.limits.take(("docker-hub", identifier), _LOG_INS, now)
    if wait and not world.options.quiet:
        raise Refused(Reply(429, {"errors": [{"code": "TOOMANYREQUESTS", "message": "too many requests"}]}, {"Retry-After": "5"}))
    if world.hub.verdict(identifier, str(body.get("secret", "")), "", now) != "ok":
        raise _refuse(401, "Incorrect authentication credentials")
    session = f"eyJ{world.text(120)}"
    world.hub.sessions[session] = (identifier, now + _SESSION)
    world.ledger.record(session, "docker-hub-session", f"plain:{REGISTRY}/{identifier}", "session")
    return Reply(200, {"access_token": session})


def _account(world: "World", request: Request) -> HubAccount:
    """Return the account whose tokens the path means, if the caller may manage them."""
    caller, ends_at = world.hub.sessions.get(request.bearer, ("", world.now()))
    if not caller or ends_at <= world.now():
        raise _refuse(401, "Incorrect authentication credentials")
    name = request.params.get("org", "").lower()
    if not name:
        return world.hub.accounts[caller]
    account = world.hub.accounts.get(name)
    if account is None or not account.organization:
        raise _refuse(404, "Not found")
    if caller != account.owner:
        raise _refuse(403, "You do not have permission to perform this action.")
    return account


def _token(world: "World", request: Request) -> tuple[HubAccount, HubToken]:
    account = _account(world, request)
    token = account.tokens.get(request.params["token"])
    if token is None:
        raise _refuse(404, "Not found")
    return account, token


def _document(account: HubAccount, token: HubToken, *, whole: bool = True) -> Document:
    known: Document = {
        "is_active": token.active,
        "created_at": rfc3339(token.created_at),
        "expires_at": rfc3339(token.expires_at) if token.expires_at else None,
    }
    if not account.organization:
        return {**known, "uuid": token.id, "token_label": token.label, "scopes": list(token.reach), "token": ""}
    resources = [{"type": "TYPE_REPO", "path": path, "scopes": ["scope-image-pull"]} for path in token.reach]
    return {**known, "id": token.id, "label": token.label, **({"resources": resources} if whole else {})}


def list_tokens(world: "World", request: Request) -> Reply:
    """List an account's tokens, page by page; the list of an organisation's leaves out what each may reach."""
    account = _account(world, request)
    page, size = int(request.query.get("page", "1")), min(int(request.query.get("page_size", "10")), 100)
    shown = [_document(account, one, whole=False) for one in account.tokens.values()]
    more = len(shown) > page * size
    body = {
        "count" if not account.organization else "total": len(shown),
        "next": f"{request.url}?page={page + 1}&page_size={size}" if more else None,
        "previous": None,
        "results": shown[(page - 1) * size : page * size],
    }
    return Reply(200, body)


def create_token(world: "World", request: Request) -> Reply:
    """Make a token; its value is told this once."""
    account, body, now = _account(world, request), request.json(), world.now()
    label = str(body.get("label" if account.organization else "token_label", ""))
    expires_at = _expiry(body, now)
    if not 1 <= len(label) <= 100:
        raise _refuse(400, "the label must have 1 to 100 characters")
    if account.organization:
        resources = [one for one in body.get("resources") or () if isinstance(one, dict)]
        if not 1 <= len(resources) <= 50:
            raise _refuse(400, "a token has 1 to 50 resources")
        if len(account.tokens) >= _CAPS.get(account.plan, 0):
            raise _refuse(403, "the organization has reached its maximum number of access tokens")
        reach = tuple(str(one.get("path", "")) for one in resources if "scope-image-pull" in (one.get("scopes") or ()))
    else:
        reach = tuple(str(one) for one in body.get("scopes") or ())
        if not reach or not set(reach) <= _PERSONAL:
            raise _refuse(400, "unknown scopes")
        if account.plan == "free" and reach != ("repo:admin",):
            raise _refuse(403, "you are not allowed to create a scoped personal access token with your current plan")
    token = world.hub.issue(account, label, reach, expires_at, now)
    return Reply(201, {**_document(account, token), "token": token.value})


def _expiry(body: Document, now: datetime) -> datetime | None:
    text = body.get("expires_at")
    if not text:
        return None
    expires_at = parse_instant(str(text))
    if expires_at <= now:
        raise _refuse(400, "expires_at lies in the past")
    return expires_at


def get_token(world: "World", request: Request) -> Reply:
    """Return a token without its value."""
    return Reply(200, _document(*_token(world, request)))


def patch_token(world: "World", request: Request) -> Reply:
    """Switch a token on or off, or give it another label; its end cannot be changed."""
    account, token = _token(world, request)
    body = request.json()
    token.active = bool(body.get("is_active", token.active))
    token.label = str(body.get("label" if account.organization else "token_label", token.label))
    world.touch(_principal(account))
    return Reply(200, _document(account, token))


def delete_token(world: "World", request: Request) -> Reply:
    """Delete a token, which ends it at once."""
    account, token = _token(world, request)
    del account.tokens[token.id]
    principal = _principal(account)
    world.events.append("hub.token.deleted", principal=principal, handle=f"token/{token.id}")
    world.touch(principal)
    return Reply(204)


def _route(operation: str, method: str, path: str, handler: Handler) -> Route:
    return Route(
        service="docker-hub",
        operation=f"hub.{operation}",
        method=method,
        path=path,
        hosts=HOSTS,
        handler=handler,
        bare=False,
        refusal=_refusal,
    )


ROUTES: tuple[Route, ...] = (
    _route("logIn", "POST", "/v2/auth/token", log_in),
    *(
        route
        for root in ("/v2/access-tokens", "/v2/orgs/{org}/access-tokens")
        for route in (
            _route("tokens.list", "GET", root, list_tokens),
            _route("tokens.create", "POST", root, create_token),
            _route("tokens.get", "GET", root + "/{token}", get_token),
            _route("tokens.patch", "PATCH", root + "/{token}", patch_token),
            _route("tokens.delete", "DELETE", root + "/{token}", delete_token),
        )
    ),
)
