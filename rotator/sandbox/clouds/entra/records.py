"""The one tenant of Entra ID: its access tokens, and whom they speak for."""

import base64
import binascii
import hashlib
import hmac
import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from rotator.sandbox.wire import Caller, Document, Refused, Request, refuse

if TYPE_CHECKING:
    from rotator.sandbox.world import World

AUDIENCES: dict[str, tuple[str, ...]] = {
    "arm": (
        "https://management.azure.com",
        "https://management.core.windows.net",
        "https://management.chinacloudapi.cn",
        "https://management.core.chinacloudapi.cn",
        "https://management.usgovcloudapi.net",
        "https://management.core.usgovcloudapi.net",
    ),
    "graph": (
        "https://graph.microsoft.com",
        "https://graph.microsoft.us",
        "https://microsoftgraph.chinacloudapi.cn",
        "00000003-0000-0000-c000-000000000000",
    ),
    "vault": ("https://vault.azure.net", "https://vault.azure.cn", "https://vault.usgovcloudapi.net"),
    "logs": ("https://api.loganalytics.io", "https://api.loganalytics.azure.cn", "https://api.loganalytics.us"),
}
"""Which `aud` each service accepts."""

_UNAUTHORIZED: dict[str, tuple[str, str]] = {
    "arm": ("InvalidAuthenticationToken", "The access token is invalid."),
    "graph": ("InvalidAuthenticationToken", "Access token validation failure."),
    "vault": ("Unauthorized", "AKV10032: Invalid issuer or signature of the access token."),
    "logs": ("InvalidTokenError", "The provided authentication is not valid for this resource"),
}
_EXPIRED: dict[str, tuple[str, str]] = {
    "arm": ("ExpiredAuthenticationToken", "The access token expiry UTC time is earlier than current UTC time."),
    "graph": ("InvalidAuthenticationToken", "Lifetime validation failed, the token is expired."),
    "vault": ("Unauthorized", "AKV10046: The access token has expired."),
    "logs": ("InvalidTokenError", "The provided authentication is expired"),
}

APP_TOKEN_TTL = (3600.0, 5400.0)
"""Seconds; Entra draws the lifetime of an app's access token between 60 and 90 minutes (from memory)."""


class Entra:
    """The one tenant. Tokens are signed with a key of this world and expire on its clock."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.tenant_id = world.guid()
        self.identity_header = world.guid()
        self.default_identity: str | None = None
        """Object id of the identity that answers when a request to /msi/token names none."""
        self._key = world.rng.randbytes(32)

    def register_identity(self, *, client_id: str, principal_id: str, resource_id: str, name: str) -> None:
        """Make a user-assigned identity known to the directory and to /msi/token."""
        self.world.graph.add_managed_identity(name, resource_id=resource_id, principal_id=principal_id, client_id=client_id)
        if self.default_identity is None:
            self.default_identity = principal_id.lower()

    def issue_token(self, principal_id: str, audience: str, ttl: timedelta | None = None) -> str:
        """Return an access token (JWT) of the account with this object id; KeyError when there is none."""
        world, now = self.world, self.world.now()
        principal = world.graph.service_principal(principal_id)
        if principal is None:
            raise KeyError(f"no service principal {principal_id}")
        lifetime = ttl or timedelta(seconds=world.rng.uniform(*APP_TOKEN_TTL))
        claims: Document = {
            "aud": audience,
            "iss": self.issuer,
            "iat": _epoch(now),
            "nbf": _epoch(now),
            "exp": _epoch(now + lifetime),
            "appid": principal.app_id,
            "appidacr": "2" if principal.kind == "ManagedIdentity" else "1",
            "idp": self.issuer,
            "idtyp": "app",
            "oid": principal.object_id,
            "sub": principal.object_id,
            "tid": self.tenant_id,
            "uti": world.text(22),
            "ver": "1.0",
        }
        token = self._sign(claims)
        # The signature alone makes a token usable, and unlike the header it differs between any two of them.
        world.ledger.record(token.rpartition(".")[2], "access-token", f"identity:{principal.object_id}", claims["uti"])
        return token

    @property
    def issuer(self) -> str:
        """The `iss` of every access token."""
        return f"https://sts.windows.net/{self.tenant_id}/"

    def claims_of(self, token: str) -> Document | None:
        """Return the claims of a token that this tenant signed, expired or not; None for anything else."""
        parts = token.split(".")
        if len(parts) != 3:
            return None
        expected = self._signature(f"{parts[0]}.{parts[1]}")
        if not hmac.compare_digest(expected.encode(), parts[2].encode("utf-8", "replace")):
            return None
        try:
            claims: Document = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        except (ValueError, binascii.Error):
            return None
        return claims

    def caller_of(self, bearer: str, auth: str) -> Caller:
        """Return whom a bearer speaks for. `auth` is the route's word or a resource URL. Refused 401 otherwise."""
        claims = self.claims_of(bearer)
        if claims is None or not _audience_fits(str(claims["aud"]), auth):
            raise refuse(401, *_UNAUTHORIZED.get(auth, _UNAUTHORIZED["arm"]))
        now = self.world.now()
        if now.timestamp() >= claims["exp"]:
            raise self._expired(auth, now)
        principal = self.world.graph.service_principal(claims["oid"])
        name = principal.display_name if principal else str(claims["appid"])
        return Caller(object_id=claims["oid"], app_id=claims["appid"], name=name)

    def challenge(self, auth: str, request: Request) -> str:
        """Return the WWW-Authenticate header of a 401 of that service."""
        host = request.host.partition(":")[0].lower()
        login = "https://login.microsoftonline.com"
        if host.endswith(".cn"):
            login = "https://login.chinacloudapi.cn"
        elif host.endswith((".us", ".usgovcloudapi.net")):
            login = "https://login.microsoftonline.us"
        if auth == "vault":
            suffix = next(
                (one for one in AUDIENCES["vault"] if host.endswith(one.removeprefix("https://"))), AUDIENCES["vault"][0]
            )
            return f'Bearer authorization="{login}/{self.tenant_id}", resource="{suffix}"'
        return f'Bearer authorization_uri="{login}/{self.tenant_id}", error="invalid_token"'

    def _expired(self, auth: str, now: datetime) -> Refused:
        # On a real cloud the client's clock agrees with the server's, so that it renews in time. A jump of the
        # sandbox clock breaks that agreement; the challenge for claims, with which Azure ends a token early, is
        # understood by every Azure SDK and makes it fetch a new token instead of failing.
        value = {"access_token": {"nbf": {"essential": True, "value": str(_epoch(now))}}}
        claims = base64.b64encode(json.dumps(value).encode()).decode()
        header = (
            f'Bearer realm="", authorization_uri="https://login.microsoftonline.com/{self.tenant_id}", '
            f'error="insufficient_claims", claims="{claims}"'
        )
        code, message = _EXPIRED.get(auth, _EXPIRED["arm"])
        return refuse(401, code, message, headers={"WWW-Authenticate": header})

    def _sign(self, claims: Document) -> str:
        header = {"typ": "JWT", "alg": "HS256", "kid": hashlib.sha256(self._key).hexdigest()[:16]}
        unsigned = ".".join(_base64url(json.dumps(part, separators=(",", ":")).encode()) for part in (header, claims))
        return f"{unsigned}.{self._signature(unsigned)}"

    def _signature(self, unsigned: str) -> str:
        return _base64url(hmac.new(self._key, unsigned.encode("utf-8", "replace"), hashlib.sha256).digest())


def _epoch(at: datetime) -> int:
    return int(at.timestamp())


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _audience_fits(audience: str, auth: str) -> bool:
    """Say whether a token's `aud` is for the service; a client that speaks to the bare address may ask for that."""
    plain = audience.rstrip("/").lower()
    accepted = AUDIENCES.get(auth)
    if accepted is None:
        return plain == auth.rstrip("/").lower()
    return plain in accepted or plain.startswith(("https://127.0.0.1", "https://localhost"))
