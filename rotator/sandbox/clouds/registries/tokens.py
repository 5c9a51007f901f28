"""HTTP of scope maps and repository tokens, and the passwords of tokens."""

from datetime import datetime, timedelta

from rotator.sandbox.clouds.registries.documents import password_entry, scope_map_document, token_document
from rotator.sandbox.clouds.registries.records import Registry, ScopeMap, Token
from rotator.sandbox.clouds.registries.routes import ONE, PAGE, registry_of, route, start_operation
from rotator.sandbox.wire import Document, Refused, Reply, Request, Route, paging, parse_instant, refuse
from rotator.sandbox.world import World

_ACTIVATION_SECONDS = 5.0


# --- scope maps ---


def put_scope_map(world: World, request: Request) -> Reply:
    """Create or replace a scope map."""
    registry = registry_of(world, request, "scopeMaps/write")
    name, properties = request.params["name"], request.json().get("properties") or {}
    existing = registry.scope_maps.get(name.lower())
    scope_map = ScopeMap(
        name=existing.name if existing else name,
        actions=[str(action) for action in properties.get("actions") or []],
        created_at=existing.created_at if existing else world.now(),
        description=str(properties.get("description") or ""),
    )
    registry.scope_maps[name.lower()] = scope_map
    _touch_tokens(world, registry, name)
    headers = start_operation(world, registry, "scopemaps", 0, request)
    return Reply(200, scope_map_document(registry, scope_map), headers)


def patch_scope_map(world: World, request: Request) -> Reply:
    """Change actions or description of a scope map."""
    registry = registry_of(world, request, "scopeMaps/write")
    scope_map, properties = _scope_map(registry, request), request.json().get("properties") or {}
    scope_map.actions = [str(action) for action in properties.get("actions", scope_map.actions)]
    scope_map.description = str(properties.get("description", scope_map.description) or "")
    _touch_tokens(world, registry, scope_map.name)
    return Reply(200, scope_map_document(registry, scope_map), start_operation(world, registry, "scopemaps", 0, request))


def _touch_tokens(world: World, registry: Registry, scope_map: str) -> None:
    for token in registry.tokens.values():
        if token.scope_map.lower() == scope_map.lower():
            world.touch(f"acr-token:{registry.login_server}/{token.name}")


def _scope_map(registry: Registry, request: Request) -> ScopeMap:
    found = registry.scope_maps.get(request.params["name"].lower())
    if found is None:
        raise _not_found(request.params["name"])
    return found


def _not_found(name: str) -> Refused:
    refused = refuse(404, "ResourceNotFound", f"The resource {name} could not be found.")
    refused.reply.body = {**_document(refused.reply.body), "status": "Failed"}
    return refused


def _document(body: object) -> Document:
    return body if isinstance(body, dict) else {}


def get_scope_map(world: World, request: Request) -> Reply:
    """Return a scope map."""
    registry = registry_of(world, request, "scopeMaps/read")
    return Reply(200, scope_map_document(registry, _scope_map(registry, request)))


def list_scope_maps(world: World, request: Request) -> Reply:
    """List the scope maps, the system's own among them."""
    registry = registry_of(world, request, "scopeMaps/read")
    return Reply(200, paging([scope_map_document(registry, one) for one in registry.scope_maps.values()], request, PAGE))


def delete_scope_map(world: World, request: Request) -> Reply:
    """Delete a scope map; tokens that used it can pull nothing any more."""
    registry = registry_of(world, request, "scopeMaps/delete")
    found = registry.scope_maps.pop(request.params["name"].lower(), None)
    if found is not None:
        _touch_tokens(world, registry, found.name)
    return Reply(200 if found else 204)


# --- tokens ---


def _token(registry: Registry, name: str) -> Token:
    found = registry.tokens.get(name.lower())
    if found is None:
        raise _not_found(name)
    return found


def put_token(world: World, request: Request) -> Reply:
    """Create a token, or replace its settings; passwords come from generateCredentials only."""
    registry = registry_of(world, request, "tokens/write")
    name, properties, now = request.params["name"], request.json().get("properties") or {}, world.now()
    scope_map = str(properties.get("scopeMapId", "")).rpartition("/")[2]
    if scope_map.lower() not in registry.scope_maps:
        raise refuse(400, "ScopeMapNotFound", f"The scope map '{scope_map}' of token '{name}' was not found.")
    token = registry.tokens.get(name.lower())
    if token is None:
        delay = timedelta(seconds=0 if world.options.quiet else _ACTIVATION_SECONDS)
        token = Token(name=name, scope_map=scope_map, created_at=now, active_at=now + delay)
        registry.tokens[name.lower()] = token
    token.scope_map, token.status = scope_map, str(properties.get("status", "enabled")).lower()
    world.touch(f"acr-token:{registry.login_server}/{name}")
    headers = start_operation(world, registry, "tokens", _ACTIVATION_SECONDS, request)
    return Reply(201, token_document(registry, token, now), headers)


def patch_token(world: World, request: Request) -> Reply:
    """Change a token. `credentials.passwords` lists the passwords to keep: the others end at once."""
    registry, now = registry_of(world, request, "tokens/write"), world.now()
    token, properties = _token(registry, request.params["name"]), request.json().get("properties") or {}
    principal = f"acr-token:{registry.login_server}/{token.name}"
    if "scopeMapId" in properties:
        token.scope_map = str(properties["scopeMapId"]).rpartition("/")[2]
    if "status" in properties:
        token.status = str(properties["status"]).lower()
        world.events.append("registry.token.status", principal=principal, status=token.status)
    credentials = properties.get("credentials")
    if isinstance(credentials, dict) and credentials.get("passwords") is not None:
        kept = {str(entry.get("name")) for entry in credentials["passwords"]}
        for name, slot in token.slots.items():
            if name not in kept and slot.current is not None:
                slot.clear(now)
                world.events.append("registry.password.revoked", principal=principal, slot=name)
    world.touch(principal)
    return Reply(200, token_document(registry, token, now), start_operation(world, registry, "tokens", 0, request))


def get_token(world: World, request: Request) -> Reply:
    """Return a token; password values are never among it."""
    registry = registry_of(world, request, "tokens/read")
    return Reply(200, token_document(registry, _token(registry, request.params["name"]), world.now()))


def list_tokens(world: World, request: Request) -> Reply:
    """List the tokens of a registry."""
    registry, now = registry_of(world, request, "tokens/read"), world.now()
    return Reply(200, paging([token_document(registry, one, now) for one in registry.tokens.values()], request, PAGE))


def delete_token(world: World, request: Request) -> Reply:
    """Delete a token with its passwords."""
    registry = registry_of(world, request, "tokens/delete")
    found = registry.tokens.pop(request.params["name"].lower(), None)
    if found is not None:
        world.touch(f"acr-token:{registry.login_server}/{found.name}")
        world.events.append("registry.token.deleted", principal=f"acr-token:{registry.login_server}/{found.name}")
    return Reply(200 if found else 204)


def generate_credentials(world: World, request: Request) -> Reply:
    """Give a token new passwords. Without `name` BOTH slots are replaced, as the real service does."""
    registry, now = registry_of(world, request, "generateCredentials/action"), world.now()
    body = request.json()
    token = _token(registry, str(body.get("tokenId", "")).rpartition("/")[2])
    if now < token.active_at:
        raise refuse(409, "TokenNotActive", f"The token '{token.name}' is not active yet. Please try again later.")
    names = [str(body["name"])] if body.get("name") else list(token.slots)
    if not set(names) <= set(token.slots):
        raise refuse(400, "InvalidPasswordName", f"The password name '{names[0]}' is invalid: use password1 or password2.")
    expires_at = _expiry(body, now)
    issued = {name: world.registries.issue_token(registry, token, name, expires_at=expires_at).value for name in names}
    # Whether the other slot is listed too, without its value, is not documented; the CLI's recordings show both.
    entries = [password_entry(name, slot, issued.get(name)) for name, slot in token.slots.items()]
    return Reply(200, {"username": token.name, "passwords": [entry for entry in entries if entry]})


def _expiry(body: Document, now: datetime) -> datetime | None:
    text = body.get("expiry")
    if not text:
        return None
    try:
        expires_at = parse_instant(str(text))
    except ValueError:
        raise refuse(400, "InvalidExpiry", f"The expiry '{text}' is not a valid date.") from None
    if expires_at <= now:
        raise refuse(400, "InvalidExpiry", f"The expiry '{text}' lies in the past.")
    return expires_at


ROUTES: tuple[Route, ...] = (
    route("generateCredentials", "POST", ONE + "/generateCredentials", generate_credentials),
    route("scopeMaps.list", "GET", ONE + "/scopeMaps", list_scope_maps),
    route("scopeMaps.put", "PUT", ONE + "/scopeMaps/{name}", put_scope_map),
    route("scopeMaps.get", "GET", ONE + "/scopeMaps/{name}", get_scope_map),
    route("scopeMaps.patch", "PATCH", ONE + "/scopeMaps/{name}", patch_scope_map),
    route("scopeMaps.delete", "DELETE", ONE + "/scopeMaps/{name}", delete_scope_map),
    route("tokens.list", "GET", ONE + "/tokens", list_tokens),
    route("tokens.put", "PUT", ONE + "/tokens/{name}", put_token),
    route("tokens.get", "GET", ONE + "/tokens/{name}", get_token),
    route("tokens.patch", "PATCH", ONE + "/tokens/{name}", patch_token),
    route("tokens.delete", "DELETE", ONE + "/tokens/{name}", delete_token),
)
