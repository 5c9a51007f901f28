"""The protocol of other parties' registries, and Amazon's: challenge, token, manifest."""

from datetime import timedelta

from rotator.sandbox.clouds.registries.images import DOCKER_HUB, canonical_host
from rotator.sandbox.clouds.registries.pull import MANIFEST, asked_scopes, issue_access, manifest_reply, route
from rotator.sandbox.clouds.registries.records import PlainRegistry
from rotator.sandbox.wire import Refused, Reply, Request, Route, oci_refuse, rfc3339
from rotator.sandbox.world import World

PLAIN_HOSTS = (
    "index.docker.io", "registry-1.docker.io", "docker.io", "registry.hub.docker.com", "ghcr.io", "quay.io",
    "registry.gitlab.com",
    "mcr.microsoft.com", "*.dkr.ecr.*.amazonaws.com", "registry.*", "harbor.*",
)  # fmt: skip
TOKEN_HOSTS = ("mcr.microsoft.com", "auth.docker.io", "ghcr.io", "gitlab.com", "quay.io")


def _plain(world: World, request: Request) -> PlainRegistry:
    plain = world.registries.plain.get(canonical_host(request.host.partition(":")[0]))
    if plain is None:
        raise oci_refuse(404, "NAME_UNKNOWN", f"registry {request.host} is not known to the sandbox")
    return plain


def _plain_challenge(plain: PlainRegistry, scope: str = "") -> dict[str, str]:
    if plain.kind == "bearer":
        suffix = f',scope="{scope}"' if scope else ""
        return {"WWW-Authenticate": f'Bearer realm="{plain.realm}",service="{plain.service}"{suffix}'}
    realm = f"https://{plain.host}/" if plain.kind == "ecr" else plain.host
    service = ',service="ecr.amazonaws.com"' if plain.kind == "ecr" else ""
    return {"WWW-Authenticate": f'Basic realm="{realm}"{service}'}


def _plain_authorize(world: World, plain: PlainRegistry, request: Request, repository: str) -> None:
    challenge = _plain_challenge(plain, f"repository:{repository}:pull" if repository else "")
    if plain.kind == "bearer":
        grant = world.registries.grants.get(request.bearer)
        if grant is None or grant.server != canonical_host(plain.host) or world.now() >= grant.expires_at:
            raise oci_refuse(401, "UNAUTHORIZED", "authentication required", headers=challenge)
        if repository and (repository, ("pull",)) not in grant.access:
            raise oci_refuse(403, "DENIED", "requested access to the resource is denied")
        return
    if request.basic is None:
        if repository and plain.is_public(repository):
            return
        raise oci_refuse(401, "UNAUTHORIZED", "authentication required", headers=challenge)
    verdict = world.registries.plain_verdict(plain, *request.basic, world.now())
    if verdict == "expired" and plain.kind == "ecr":
        raise oci_refuse(403, "DENIED", "Your authorization token has expired. Reauthenticate and try again.")
    if verdict != "ok":
        raise oci_refuse(401, "UNAUTHORIZED", "Not Authorized", headers=challenge)


def plain_ping(world: World, request: Request) -> Reply:
    """Answer the version check of a registry of another party."""
    _plain_authorize(world, _plain(world, request), request, "")
    return Reply(200, {}, {"Docker-Distribution-Api-Version": "registry/2.0"})


def plain_manifest(world: World, request: Request) -> Reply:
    """Return a manifest of another party's registry."""
    plain = _plain(world, request)
    repository, reference = request.params["repository"], request.params["reference"]
    _plain_authorize(world, plain, request, repository)
    if plain.kind != "bearer" and not world.registries.image_exists(canonical_host(plain.host), repository, reference):
        message = f"The repository with name '{repository}' does not exist in the registry"
        raise oci_refuse(404, "NAME_UNKNOWN" if repository not in plain.repositories else "MANIFEST_UNKNOWN", message)
    return manifest_reply(world, plain.host, repository, reference)


def plain_token(world: World, request: Request) -> Reply:
    """Issue an access token of another party's registry for Basic credentials, or for a public repository."""
    service = request.query.get("service", "")
    plain = next((one for one in world.registries.plain.values() if one.kind == "bearer" and one.service == service), None)
    if plain is None:
        raise oci_refuse(400, "UNSUPPORTED", f"unknown service '{service}'")
    host, scopes, user, password = canonical_host(plain.host), asked_scopes([request.query.get("scope", "")]), "", ""
    if request.basic is not None:
        user, password = request.basic
        if world.registries.plain_verdict(plain, user, password, world.now()) != "ok":
            raise _denied(host)
    access = tuple((name, ("pull",)) for name, _ in scopes if _pulls(world, plain, (user, password), name))
    if not user and scopes and not access and host != DOCKER_HUB:
        raise _denied(host)
    token = issue_access(world, host, user, access, timedelta(minutes=5))
    return Reply(200, {"token": token, "access_token": token, "expires_in": 300, "issued_at": rfc3339(world.now())})


def _pulls(world: World, plain: PlainRegistry, login: tuple[str, str], repository: str) -> bool:
    """Say whether a login that was let in, or nobody, may pull a repository."""
    if plain.is_public(repository):
        return True
    user, password = login
    judged = bool(user) and world.registries.accepts(plain.host, user, password, repository, world.now()).everywhere
    return judged and repository in plain.repositories


def _denied(host: str) -> Refused:
    """Each party has its own words for a wrong password."""
    if host == DOCKER_HUB:
        return Refused(Reply(401, {"details": "incorrect username or password"}), "UNAUTHORIZED", "incorrect")
    if host == "ghcr.io":
        return oci_refuse(403, "DENIED", "denied")
    return oci_refuse(401, "UNAUTHORIZED", "HTTP Basic: Access denied")


ROUTES: tuple[Route, ...] = (
    route("plain.ping", "GET", "/v2", PLAIN_HOSTS, plain_ping),
    route("plain.manifest", "GET", MANIFEST, PLAIN_HOSTS, plain_manifest),
    route("plain.manifest", "HEAD", MANIFEST, PLAIN_HOSTS, plain_manifest),
    route("plain.token", "GET", "/token", TOKEN_HOSTS, plain_token),
    route("plain.token", "GET", "/jwt/auth", TOKEN_HOSTS, plain_token),
    route("plain.token", "GET", "/v2/auth", TOKEN_HOSTS, plain_token),
)
