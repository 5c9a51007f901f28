"""GitLab's REST API, as far as tokens go. Pages are small, and a tight rate limit answers 429."""

from datetime import UTC, datetime, timedelta

from rotator.sandbox.clouds.gitlab.records import GitLabToken
from rotator.sandbox.wire import Bucket, Document, Refused, Reply, Request, Route, rfc3339
from rotator.sandbox.world import World

_HOSTS = ("gitlab.com",)
_PAGE = 2
_RATE = Bucket(capacity=30, per_second=2)
_LONGEST = timedelta(days=365)
_SHORT = timedelta(days=7)


def _refuse(status: int, message: str, **headers: str) -> Refused:
    error = {401: "invalid_token", 403: "insufficient_scope"}.get(status, "")
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Refused(Reply(status, {"message": message, **({"error": error} if error else {})}, named), error, message)


def _enter(world: World, request: Request) -> GitLabToken:
    """Return the token that asks; it must be alive and may use the API."""
    if not world.options.quiet:
        wait, _ = world.limits.take(("gitlab", request.client_ip), _RATE, world.now())
        if wait:
            raise _refuse(429, "Retry later", Retry_After=str(int(wait) + 1))
    value = request.headers.get("private-token", "") or request.bearer
    token = next((one for one in world.gitlab.tokens.values() if one.value == value), None)
    if token is None or token.kind != "gitlab-access-token" or not token.live(world.now()):
        raise _refuse(401, "401 Unauthorized")
    if "api" not in token.scopes and not request.path.endswith("/self/rotate"):
        raise _refuse(403, "The request requires higher privileges than provided by the access token.")
    return token


def _owner(world: World, request: Request) -> str:
    if "owner" not in request.params:
        return "personal"
    owner = f"{request.segments[2].lower()}/{request.params['owner']}"
    if owner not in world.gitlab.owners:
        raise _refuse(404, "404 Not Found")
    return owner


def _found(world: World, request: Request, kind: str) -> GitLabToken:
    caller, owner, wanted = _enter(world, request), _owner(world, request), request.params["id"]
    if wanted == "self" and owner == "personal":
        return caller
    token = world.gitlab.tokens.get(int(wanted)) if wanted.isdigit() else None
    if token is None or token.owner != owner or token.kind != kind:
        raise _refuse(404, "404 Not Found")
    return token


def _document(token: GitLabToken, now: datetime, *, value: bool = False) -> Document:
    shown: Document = {
        "id": token.id,
        "name": token.name,
        "scopes": list(token.scopes),
        "revoked": token.revoked,
        "expires_at": rfc3339(token.expires_at) if token.expires_at else None,
    }
    if token.kind == "gitlab-deploy-token":
        shown |= {"username": token.username, "expired": token.expires_at is not None and now >= token.expires_at}
    else:
        shown |= {"created_at": rfc3339(token.created_at), "active": token.live(now), "user_id": 1}
        shown["expires_at"] = token.expires_at.date().isoformat() if token.expires_at else None
    return shown | ({"token": token.value} if value else {})


def _listed(world: World, request: Request, kind: str) -> Reply:
    _enter(world, request)
    owner = _owner(world, request)
    found = [one for one in world.gitlab.tokens.values() if one.kind == kind and one.owner == owner]
    page = int(request.query.get("page", "1")) if request.query.get("page", "1").isdigit() else 1
    start = (max(page, 1) - 1) * _PAGE
    following = str(page + 1) if start + _PAGE < len(found) else ""
    return Reply(200, [_document(one, world.now()) for one in found[start : start + _PAGE]], {"X-Next-Page": following})


def list_deploy_tokens(world: World, request: Request) -> Reply:
    """List the deploy tokens of a project or group, the ended ones too."""
    return _listed(world, request, "gitlab-deploy-token")


def list_access_tokens(world: World, request: Request) -> Reply:
    """List the access tokens of a project or group, or personal ones."""
    return _listed(world, request, "gitlab-access-token")


def create_deploy_token(world: World, request: Request) -> Reply:
    """Make a deploy token; its value is shown here only."""
    _enter(world, request)
    owner, body = _owner(world, request), request.json()
    if not body.get("name") or not body.get("scopes"):
        raise _refuse(400, "name is missing, scopes is missing")
    text = str(body.get("expires_at") or "")
    token = world.gitlab.add(
        "gitlab-deploy-token",
        owner,
        str(body["name"]),
        scopes=tuple(body["scopes"]),
        username=str(body.get("username") or ""),
        expires_at=datetime.fromisoformat(text) if text else None,
    )
    return Reply(201, _document(token, world.now(), value=True))


def get_deploy_token(world: World, request: Request) -> Reply:
    """Show one deploy token."""
    return Reply(200, _document(_found(world, request, "gitlab-deploy-token"), world.now()))


def delete_deploy_token(world: World, request: Request) -> Reply:
    """End a deploy token."""
    token = _found(world, request, "gitlab-deploy-token")
    if token.revoked:
        raise _refuse(404, "404 Deploy Token Not Found")
    world.gitlab.end(token)
    return Reply(204)


def get_access_token(world: World, request: Request) -> Reply:
    """Show one access token."""
    return Reply(200, _document(_found(world, request, "gitlab-access-token"), world.now()))


def revoke_access_token(world: World, request: Request) -> Reply:
    """End an access token."""
    world.gitlab.end(_found(world, request, "gitlab-access-token"))
    return Reply(204)


def rotate_access_token(world: World, request: Request) -> Reply:
    """Replace an access token; the old one ends at once, and one that was replaced before ends its whole family."""
    token, now = _found(world, request, "gitlab-access-token"), world.now()
    if request.params["id"] == "self" and not {"api", "self_rotate"} & set(token.scopes):
        raise _refuse(403, "The request requires higher privileges than provided by the access token.")
    text = str(request.json().get("expires_at") or (now + _SHORT).date().isoformat())
    ends = datetime.fromisoformat(text).replace(tzinfo=UTC)
    if not now < ends <= now + _LONGEST:
        raise _refuse(400, "Expiration date must be before the maximum lifetime")
    if not token.rotated and not token.live(now):
        raise _refuse(401, "401 Unauthorized")
    made = world.gitlab.rotate(token, ends)
    if made is None:
        raise _refuse(401, "401 Unauthorized")
    return Reply(200, _document(made, now, value=True))


def _injected(_world: World, _request: Request, status: int, _code: str, message: str) -> Refused:
    return _refuse(status, message or f"{status} Error")


def _routes() -> tuple[Route, ...]:
    found = []
    for owners in ("projects", "groups"):
        base = f"/api/v4/{owners}/{{owner}}"
        found += [
            ("gitlab.deploy-tokens.list", "GET", f"{base}/deploy_tokens", list_deploy_tokens),
            ("gitlab.deploy-tokens.create", "POST", f"{base}/deploy_tokens", create_deploy_token),
            ("gitlab.deploy-tokens.get", "GET", f"{base}/deploy_tokens/{{id}}", get_deploy_token),
            ("gitlab.deploy-tokens.delete", "DELETE", f"{base}/deploy_tokens/{{id}}", delete_deploy_token),
        ]
    for base in (
        "/api/v4/projects/{owner}/access_tokens",
        "/api/v4/groups/{owner}/access_tokens",
        "/api/v4/personal_access_tokens",
    ):
        found += [
            ("gitlab.tokens.list", "GET", base, list_access_tokens),
            ("gitlab.tokens.get", "GET", f"{base}/{{id}}", get_access_token),
            ("gitlab.tokens.rotate", "POST", f"{base}/{{id}}/rotate", rotate_access_token),
            ("gitlab.tokens.revoke", "DELETE", f"{base}/{{id}}", revoke_access_token),
        ]
    return tuple(
        Route(
            service="gitlab",
            operation=name,
            method=method,
            path=path,
            hosts=_HOSTS,
            handler=handler,
            bare=False,
            refusal=_injected,
        )
        for name, method, path, handler in found
    )


ROUTES = _routes()
