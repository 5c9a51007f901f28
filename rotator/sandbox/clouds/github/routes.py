"""HTTP of api.github.com, as far as a token is told of in its headers."""

from datetime import UTC

from rotator.sandbox.wire import Refused, Reply, Request, Route
from rotator.sandbox.world import World

HOSTS = ("api.github.com",)


def user(world: World, request: Request) -> Reply:
    """Return the token's user; the headers tell the scopes and, where there is one, the end."""
    token = world.github.tokens.get(request.bearer)
    if token is None or token.verdict(world.now()) != "ok":
        raise _refused(401, "Bad credentials")
    if token.app:
        raise _refused(403, "Resource not accessible by integration")
    headers = {"X-OAuth-Scopes": ", ".join(token.scopes), "X-GitHub-Media-Type": "github.v3; format=json"}
    if token.expires_at is not None:
        headers["GitHub-Authentication-Token-Expiration"] = f"{token.expires_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    return Reply(200, {"login": token.login, "type": "User"}, headers)


def _refused(status: int, message: str) -> Refused:
    body = {"message": message, "documentation_url": "https://docs.github.com/rest", "status": str(status)}
    return Refused(Reply(status, body), str(status), message)


ROUTES: tuple[Route, ...] = (
    Route(
        service="github",
        operation="github.user",
        method="GET",
        path="/user",
        hosts=HOSTS,
        handler=user,
        bare=False,
        refusal=lambda _world, _request, status, _code, message: _refused(status, message),
    ),
)
