"""Entra ID over HTTP: tokens for apps (login.microsoftonline.com) and for managed identities (/msi/token)."""

from datetime import UTC, timedelta
from typing import TYPE_CHECKING

from rotator.sandbox.clouds.graph.records import REPLICAS, ServicePrincipal
from rotator.sandbox.wire import Document, Handler, Refused, Reply, Request, Route, refuse

if TYPE_CHECKING:
    from rotator.sandbox.world import World

LOGIN_HOSTS = (
    "login.microsoftonline.com",
    "login.windows.net",
    "sts.windows.net",
    "login.microsoftonline.us",
    "login.chinacloudapi.cn",
    "login.partner.microsoftonline.cn",
)

IDENTITY_TOKEN_TTL = timedelta(hours=24)
"""Of a managed identity's token (from memory)."""


def _aadsts(world: "World", status: int, error: str, number: int, text: str) -> Refused:
    """Build the error body of the token endpoint."""
    stamp = world.now().astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    trace, correlation = world.guid(), world.guid()
    description = f"AADSTS{number}: {text} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {stamp}"
    body: Document = {
        "error": error,
        "error_description": description,
        "error_codes": [number],
        "timestamp": stamp,
        "trace_id": trace,
        "correlation_id": correlation,
        "error_uri": f"https://login.microsoftonline.com/error?code={number}",
    }
    return Refused(Reply(status, body), f"AADSTS{number}", text)


def _demand_tenant(world: "World", request: Request) -> str:
    tenant = request.params["tenant"]
    if tenant.lower() != world.entra.tenant_id:
        raise _aadsts(
            world,
            400,
            "invalid_tenant" if request.method == "GET" else "invalid_request",
            90002,
            f"Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the "
            "correct cloud. Check with your subscription administrator, this may happen if there are no active "
            "subscriptions for the tenant.",
        )
    return tenant


def discover_tenant(world: "World", request: Request) -> Reply:
    """Return the OpenID Connect discovery document of the tenant."""
    tenant = request.params["tenant"]
    if tenant.lower() not in ("common", "organizations"):
        tenant = _demand_tenant(world, request)
    root = f"https://{request.host}/{tenant}"
    return Reply(
        200,
        {
            "issuer": f"{root}/v2.0",
            "authorization_endpoint": f"{root}/oauth2/v2.0/authorize",
            "token_endpoint": f"{root}/oauth2/v2.0/token",
            "device_authorization_endpoint": f"{root}/oauth2/v2.0/devicecode",
            "jwks_uri": f"{root}/discovery/v2.0/keys",
            "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
            "response_modes_supported": ["query", "fragment", "form_post"],
            "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
            "scopes_supported": ["openid", "profile", "email", "offline_access"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "tenant_region_scope": "EU",
            "cloud_instance_name": "microsoftonline.com",
        },
    )


def discover_instance(world: "World", request: Request) -> Reply:
    """Return the aliases of the login host, which MSAL asks for unless told not to."""
    host = request.host
    return Reply(
        200,
        {
            "tenant_discovery_endpoint": f"https://{host}/{world.entra.tenant_id}/v2.0/.well-known/openid-configuration",
            "api-version": "1.1",
            "metadata": [{"preferred_network": host, "preferred_cache": host, "aliases": [host]}],
        },
    )


def issue(world: "World", request: Request) -> Reply:
    """Issue an access token for client credentials."""
    _demand_tenant(world, request)
    form = request.form()
    if form.get("grant_type") != "client_credentials":
        grant = form.get("grant_type", "")
        raise _aadsts(world, 400, "unsupported_grant_type", 70003, f"The app requested an unsupported grant type '{grant}'.")
    principal = _authenticate(world, form, request.client_ip)
    audience = _audience_of(world, form)
    token = world.entra.issue_token(principal.object_id, audience)
    claims = world.entra.claims_of(token) or {}
    lifetime = claims["exp"] - claims["iat"]
    return Reply(200, {"token_type": "Bearer", "expires_in": lifetime, "ext_expires_in": lifetime, "access_token": token})


def _authenticate(world: "World", form: dict[str, str], client_ip: str) -> ServicePrincipal:
    app_id, secret = form.get("client_id", ""), form.get("client_secret", "")
    if "client_assertion" in form:
        raise refuse(501, "NotEmulated", "The sandbox does not emulate client assertions: use a client secret.")
    application, principal = world.graph.application_by_app_id(app_id), world.graph.service_principal_by_app_id(app_id)
    if principal is None and application is not None:
        text = f"The client application {app_id} is missing service principal in the tenant {world.entra.tenant_id}."
        raise _aadsts(world, 401, "invalid_client", 7000229, text)
    if principal is None or principal.kind == "ManagedIdentity":
        text = (
            f"Application with identifier '{app_id}' was not found in the directory 'Sandbox'. This can happen if the "
            "application has not been installed by the administrator of the tenant or consented to by any user in the "
            "tenant. You may have sent your authentication request to the wrong tenant."
        )
        raise _aadsts(world, 400, "unauthorized_client", 700016, text)
    if not principal.enabled:
        text = f"Application '{app_id}'({principal.display_name}) is disabled."
        raise _aadsts(world, 401, "unauthorized_client", 7000112, text)
    if not secret:
        text = "'client_assertion', 'client_secret' or 'request' is required for the 'client_credentials' grant type."
        raise _aadsts(world, 401, "invalid_client", 7000216, text)
    status = world.graph.secret_valid(app_id, secret, world.now(), replica=world.rng.randrange(REPLICAS))
    error = {"valid": 0, "expired": 7000222}.get(status, 7000215)
    key_id = world.graph.key_of(app_id, secret) if status in ("valid", "expired") else ""
    resource = form.get("resource") or form.get("scope", "").removesuffix("/.default")
    world.logs.record_sign_in(app_id, key_id, client_ip, error=error, resource=resource)
    if status == "expired":
        text = (
            f"The provided client secret keys for app '{app_id}' are expired. Visit the Azure portal to create new keys "
            "for your app: https://aka.ms/NewClientSecret, or consider using certificate credentials for added "
            "security: https://aka.ms/certCreds."
        )
        raise _aadsts(world, 401, "invalid_client", 7000222, text)
    if status != "valid":
        text = (
            "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, "
            f"not the client secret ID, for a secret added to app '{app_id}'."
        )
        raise _aadsts(world, 401, "invalid_client", 7000215, text)
    return principal


def _audience_of(world: "World", form: dict[str, str]) -> str:
    if form.get("resource"):
        return form["resource"]
    scope = form.get("scope", "")
    if not scope:
        text = (
            "The required field 'scope' is missing from the credential. Ensure that you have all the necessary "
            "parameters for the login request."
        )
        raise _aadsts(world, 400, "invalid_request", 900144, text)
    if " " in scope.strip() or not scope.endswith("/.default"):
        text = (
            f"The provided value for scope {scope} is not valid. Client credential flows must have a scope value with "
            "/.default suffixed to the resource identifier (application ID URI)."
        )
        raise _aadsts(world, 400, "invalid_scope", 1002012, text)
    return scope.removesuffix("/.default")


def issue_to_identity(world: "World", request: Request) -> Reply:
    """Issue an access token of a managed identity, as App Service and Container Apps do on their local endpoint."""
    if request.headers.get("x-identity-header") != world.entra.identity_header:
        raise _identity_refusal(401, "The X-IDENTITY-HEADER of the request is missing or wrong.")
    resource = request.query.get("resource", "")
    if not resource:
        raise _identity_refusal(400, "The query parameter 'resource' is required.")
    principal = _identity_asked(world, request.query)
    if principal is None:
        raise _identity_refusal(
            400, "No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId."
        )
    token = world.entra.issue_token(principal.object_id, resource, IDENTITY_TOKEN_TTL)
    claims = world.entra.claims_of(token) or {}
    return Reply(
        200,
        {
            "access_token": token,
            # A text, not a number: that is how the real endpoint writes it.
            "expires_on": str(claims["exp"]),
            "resource": resource,
            "token_type": "Bearer",
            "client_id": principal.app_id,
        },
    )


def _identity_asked(world: "World", query: dict[str, str]) -> ServicePrincipal | None:
    graph, found = world.graph, None
    if query.get("client_id"):
        found = graph.service_principal_by_app_id(query["client_id"])
    elif query.get("object_id") or query.get("principal_id"):
        found = graph.service_principal(query.get("object_id") or query["principal_id"])
    elif query.get("mi_res_id"):
        found = graph.managed_identity(query["mi_res_id"])
    elif world.entra.default_identity:
        found = graph.service_principal(world.entra.default_identity)
    return found if found is not None and found.kind == "ManagedIdentity" else None


def _identity_refusal(status: int, message: str) -> Refused:
    return Refused(Reply(status, {"statusCode": status, "message": message}), str(status), message)


def _route(operation: str, method: str, path: str, handler: Handler, hosts: tuple[str, ...] = LOGIN_HOSTS) -> Route:
    return Route(service="entra", operation=f"entra.{operation}", method=method, path=path, hosts=hosts, handler=handler)


ROUTES: tuple[Route, ...] = (
    _route("discoverInstance", "GET", "/common/discovery/instance", discover_instance),
    _route("discoverTenant", "GET", "/{tenant}/v2.0/.well-known/openid-configuration", discover_tenant),
    _route("token", "POST", "/{tenant}/oauth2/v2.0/token", issue),
    _route("token", "POST", "/{tenant}/oauth2/token", issue),
    _route("identityToken", "GET", "/msi/token", issue_to_identity, hosts=("127.0.0.1", "localhost")),
)
