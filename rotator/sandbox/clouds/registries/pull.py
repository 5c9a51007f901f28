"""Azure registries' own protocol: challenge, token, manifest; and what every registry's protocol shares."""

import base64
import hashlib
import json
from datetime import datetime, timedelta

from rotator.sandbox.clouds.registries.images import canonical_host
from rotator.sandbox.clouds.registries.passwords import REPLICAS
from rotator.sandbox.clouds.registries.records import REFRESH_TTL, ZERO_GUID, Grant, Registry
from rotator.sandbox.wire import Document, Handler, Refused, Reply, Request, Route, oci_refuse, rfc3339
from rotator.sandbox.world import World

_ACCESS_TTL = timedelta(minutes=75)
_MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
_ACR_UNAUTHORIZED = "authentication required, visit https://aka.ms/acr/authorization for more information."
ACR_HOSTS = ("*.azurecr.io", "*.azurecr.cn", "*.azurecr.us")

Access = tuple[tuple[str, tuple[str, ...]], ...]


def _replica(world: World) -> int:
    """Each request is answered by whichever replica is next; a client cannot choose."""
    return world.rng.randrange(REPLICAS)


def _acr(world: World, request: Request) -> Registry:
    registry = world.registries.servers.get(canonical_host(request.host.partition(":")[0]))
    if registry is None:
        raise oci_refuse(404, "NAME_UNKNOWN", f"registry {request.host} is not known to the sandbox")
    if not registry.admits(request.client_ip):
        raise oci_refuse(
            403,
            "DENIED",
            f"client with IP '{request.client_ip}' is not allowed access. Refer https://aka.ms/acr/firewall to grant access.",
        )
    return registry


def asked_scopes(texts: list[str]) -> list[tuple[str, tuple[str, ...]]]:
    """Read scopes like `repository:team/app:pull,push`; what is no repository is left out."""
    found = []
    for text in " ".join(texts).split():
        kind, _, rest = text.partition(":")
        name, _, actions = rest.rpartition(":")
        if kind == "repository" and name:
            found.append((name, tuple(actions.split(","))))
    return found


def issue_access(world: World, server: str, identity: str, access: Access, ttl: timedelta) -> str:
    """Issue an access token whose `access` claims a client can read."""
    expires_at = world.now() + ttl
    claims = {
        "iss": "Azure Container Registry",
        "aud": server,
        "sub": identity,
        "jti": world.guid(),
        "iat": int(world.now().timestamp()),
        "exp": int(expires_at.timestamp()),
        "access": [{"type": "repository", "name": name, "actions": list(actions)} for name, actions in access],
    }
    token = _jwt(world, claims)
    world.registries.remember(token, Grant(server=server, identity=identity, access=access, expires_at=expires_at))
    world.ledger.record(token, "registry-access-token", f"registry:{server}/{identity}", f"access@{rfc3339(expires_at)}")
    return token


def _jwt(world: World, claims: Document) -> str:
    """Return a token whose claims can be read; its signature is random, because only this registry checks it."""
    parts = [json.dumps({"alg": "RS256", "typ": "JWT"}), json.dumps(claims)]
    encoded = [base64.urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in parts]
    return ".".join([*encoded, world.text(43)])


# --- Azure Container Registry ---


def _challenge(registry: Registry, scope: str = "") -> dict[str, str]:
    server = registry.login_server
    suffix = f',scope="{scope}"' if scope else ""
    return {"WWW-Authenticate": f'Bearer realm="https://{server}/oauth2/token",service="{server}"{suffix}'}


def acr_ping(world: World, request: Request) -> Reply:
    """Answer the version check: 401 with the challenge, 200 with a working token or Basic credential."""
    registry = _acr(world, request)
    if _authorized(world, registry, request, "", "") is None:
        raise oci_refuse(401, "UNAUTHORIZED", _ACR_UNAUTHORIZED, headers=_challenge(registry))
    return Reply(200, {}, {"Docker-Distribution-Api-Version": "registry/2.0"})


def acr_token(world: World, request: Request) -> Reply:
    """Issue an access token for Basic credentials (GET, or POST with grant_type=password) or a refresh token."""
    registry = _acr(world, request)
    form = request.form() if request.method == "POST" else request.query
    # Several scopes are several parameters on the wire; the last one is what the container platform asks for.
    scopes = asked_scopes([form.get("scope", "")])
    if form.get("service", registry.login_server).lower() != registry.login_server.lower():
        raise oci_refuse(400, "INVALID_SERVICE", "the service does not match this registry")
    user, password = _offered(request, form)
    if not user and registry.anonymous:
        granted = tuple((name, ("pull",)) for name, _ in scopes)
        return Reply(200, {"access_token": issue_access(world, registry.login_server.lower(), "", granted, _ACCESS_TTL)})
    replica, now = _replica(world), world.now()
    login = world.registries.accepts(registry.login_server, user, password, "", now)
    verdict = login.on(replica)
    if verdict not in ("ok", "no-permission"):
        _log_login(world, registry, (user, password), request, ok=False)
        raise oci_refuse(401, "UNAUTHORIZED", _ACR_UNAUTHORIZED)
    _log_login(world, registry, (user, password), request, identity=login.identity, ok=True)
    access = []
    for name, _ in scopes:
        held = world.registries.accepts(registry.login_server, user, password, name, now).on(replica) == "ok"
        access.append((name, ("pull",) if held else ()))
    token = issue_access(world, registry.login_server.lower(), login.identity or user, tuple(access), _ACCESS_TTL)
    return Reply(200, {"access_token": token})


def _offered(request: Request, form: dict[str, str]) -> tuple[str, str]:
    if request.basic is not None:
        return request.basic
    if form.get("grant_type") == "refresh_token":
        return ZERO_GUID, form.get("refresh_token", "")
    if form.get("grant_type") == "password":
        return form.get("username", ""), form.get("password", "")
    return "", ""


def _log_login(
    world: World, registry: Registry, login: tuple[str, str], request: Request, *, identity: str = "", ok: bool
) -> None:
    agent = request.headers.get("user-agent", "")
    world.registries.log_login(registry, login, request.client_ip, identity=identity, ok=ok, user_agent=agent)


def acr_exchange(world: World, request: Request) -> Reply:
    """Exchange an Entra access token for a refresh token of three hours."""
    registry, form = _acr(world, request), request.form()
    try:
        caller = world.entra.caller_of(form.get("access_token", ""), "arm")
    except Refused:
        raise oci_refuse(401, "UNAUTHORIZED", _ACR_UNAUTHORIZED) from None
    return Reply(200, {"refresh_token": issue_refresh(world, registry, caller.object_id, caller.app_id, world.now())})


def issue_refresh(world: World, registry: Registry, principal_id: str, identity: str, issued_at: datetime) -> str:
    """Issue a refresh token, the password of the all-zero user name: it ends three hours later, whoever stored it."""
    server, expires_at = registry.login_server.lower(), issued_at + REFRESH_TTL
    claims = {
        "jti": world.guid(),
        "sub": identity,
        "aud": server,
        "exp": int(expires_at.timestamp()),
        "grant_type": "refresh_token",
    }
    token = _jwt(world, claims)
    principal = f"acr-refresh:{server}/{ZERO_GUID}"
    world.registries.refresh[token] = Grant(
        server=server, identity=identity, access=(), expires_at=expires_at, principal_id=principal_id
    )
    world.ledger.record(token, "registry-refresh-token", principal, f"lease@{rfc3339(expires_at)}")
    world.watch(principal, expires_at)
    return token


def _authorized(world: World, registry: Registry, request: Request, repository: str, action: str) -> str | None:
    """Return the identity that the request's authorization proves, "" for anonymous, or None."""
    now = world.now()
    if request.bearer:
        grant = world.registries.grants.get(request.bearer)
        if grant is None or grant.server != registry.login_server.lower() or now >= grant.expires_at:
            return None
        if repository and (repository, action) not in {(name, one) for name, held in grant.access for one in held}:
            raise oci_refuse(
                401,
                "DENIED",
                "requested access to the resource is denied",
                headers=_challenge(registry, f"repository:{repository}:{action}"),
            )
        return grant.identity
    if request.basic is not None:
        user, password = request.basic
        accepted = world.registries.accepts(registry.login_server, user, password, repository, now)
        verdict = accepted.on(_replica(world))
        admitted = verdict in ("ok", "no-permission")
        _log_login(world, registry, (user, password), request, identity=accepted.identity, ok=admitted)
        if verdict == "no-permission" and repository:
            raise oci_refuse(403, "DENIED", "requested access to the resource is denied")
        return accepted.identity if verdict in ("ok", "no-permission") else None
    return "" if registry.anonymous and repository else None


def acr_manifest(world: World, request: Request) -> Reply:
    """Return a manifest to whoever may pull its repository."""
    registry = _acr(world, request)
    repository, reference = request.params["repository"], request.params["reference"]
    identity = _authorized(world, registry, request, repository, "pull")
    if identity is None:
        scope = f"repository:{repository}:pull"
        raise oci_refuse(401, "UNAUTHORIZED", _ACR_UNAUTHORIZED, headers=_challenge(registry, scope))
    reply = manifest_reply(world, registry.login_server, repository, reference)
    agent = request.headers.get("user-agent", "")
    # A HEAD fetches nothing: the repository log has no pull for it.
    if request.method == "GET":
        world.logs.record_pull(
            login_server=registry.login_server,
            identity=identity,
            client_ip=request.client_ip,
            repository=repository,
            tag=reference,
            ok=True,
            user_agent=agent,
        )
    return reply


def manifest_reply(world: World, server: str, repository: str, reference: str) -> Reply:
    """Return the manifest of an image that is there; the caller has asked whether it may be pulled."""
    host = canonical_host(server)
    if not world.registries.image_exists(host, repository, reference):
        detail = {"Tag": reference}
        raise oci_refuse(404, "MANIFEST_UNKNOWN", f'manifest tagged by "{reference}" is not found', detail=detail)
    config = hashlib.sha256(f"{repository}:{reference}".encode()).hexdigest()
    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST_TYPE,
        "config": {"mediaType": "application/vnd.docker.container.image.v1+json", "size": 1469, "digest": f"sha256:{config}"},
        "layers": [],
    }
    body = json.dumps(manifest).encode()
    digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
    headers = {"Docker-Content-Digest": digest, "Content-Type": _MANIFEST_TYPE, "ETag": f'"{digest}"'}
    return Reply(200, body, headers)


def route(operation: str, method: str, path: str, hosts: tuple[str, ...], handler: Handler) -> Route:
    """Return a route of the registries' own protocol, whose errors have that protocol's envelope."""
    return Route(
        service="registry",
        operation=f"registry.{operation}",
        method=method,
        path=path,
        hosts=hosts,
        handler=handler,
        auth="registry",
        bare=False,
        refusal=lambda _world, _request, status, code, message: oci_refuse(status, code, message),
    )


MANIFEST = "/v2/{repository...}/manifests/{reference}"
ROUTES: tuple[Route, ...] = (
    route("acr.ping", "GET", "/v2", ACR_HOSTS, acr_ping),
    route("acr.token", "GET", "/oauth2/token", ACR_HOSTS, acr_token),
    route("acr.token", "POST", "/oauth2/token", ACR_HOSTS, acr_token),
    route("acr.exchange", "POST", "/oauth2/exchange", ACR_HOSTS, acr_exchange),
    route("acr.manifest", "GET", MANIFEST, ACR_HOSTS, acr_manifest),
    route("acr.manifest", "HEAD", MANIFEST, ACR_HOSTS, acr_manifest),
)
