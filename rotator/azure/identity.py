"""Who rotator is in Azure: the token credential behind every client."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock
from typing import Any, Literal

from azure.core.credentials import AccessToken, TokenCredential
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import CredentialUnavailableError

from rotator.clients.failures import translated
from rotator.clients.network import Network
from rotator.clients.observed import RequestObserver, unobserved
from rotator.model.errors import ConfigError, Rejected, RemoteError, Unavailable
from rotator.model.secret import Secret
from rotator.ports import Clock

IdentityKind = Literal["managed-identity", "workload-identity", "client-secret", "azure-cli", "default"]

# Entra lets access tokens live for 60 to 90 minutes, those of managed identities for a day; a token that is kept for less than
# the least of these is never presented after its end, whatever clock the service counts on.
_KEPT = timedelta(minutes=50)
_MARGIN = timedelta(minutes=5)
# For a token that seems to have ended before it began: it was stamped by the machine's clock, and ours runs ahead of that.
_KEPT_AT_LEAST = timedelta(minutes=10)

_ADVICE = "Check identity.kind and identity.client_id in the configuration, and that the identity is assigned to this host."


def token_credential(
    kind: IdentityKind,
    *,
    tenant_id: str,
    client_id: str | None,
    clock: Clock,
    network: Network,
    authority: str,
    client_secret: Secret | None = None,
    observe: RequestObserver = unobserved,
) -> "ClockedCredential":
    """Return the credential of the configured identity; it asks for no token yet.

    `authority` is the sign-in address, such as `https://login.microsoftonline.com`. `client_id` names a user-assigned identity,
    or an application where the kind needs one. Raises ConfigError when something is missing for the kind.
    """
    if kind == "client-secret" and (not client_id or client_secret is None):
        raise ConfigError("identity.kind client-secret needs a client id and a secret.")

    def build() -> TokenCredential:
        transport = network.azure_transport(clock, observe)
        return _inner(kind, tenant_id, client_id, client_secret, authority, {"transport": transport})

    return ClockedCredential(build, clock)


def _inner(
    kind: IdentityKind,
    tenant_id: str,
    client_id: str | None,
    client_secret: Secret | None,
    authority: str,
    pipeline: dict[str, Any],
) -> TokenCredential:
    import azure.identity as identity

    if kind == "managed-identity":
        return identity.ManagedIdentityCredential(client_id=client_id, **pipeline)
    if kind == "azure-cli":
        return identity.AzureCliCredential(tenant_id=tenant_id)
    if kind == "default":
        return identity.DefaultAzureCredential(
            authority=authority,
            managed_identity_client_id=client_id,
            workload_identity_tenant_id=tenant_id,
            exclude_interactive_browser_credential=True,
            **pipeline,
        )
    # Instance discovery asks login.microsoftonline.com about the authority, which a sovereign or private network cannot reach;
    # the authority comes from our own table of clouds.
    shared: dict[str, Any] = {"authority": authority, "disable_instance_discovery": True, **pipeline}
    if kind == "workload-identity":
        return identity.WorkloadIdentityCredential(tenant_id=tenant_id, client_id=client_id, **shared)
    if client_id is None or client_secret is None:
        raise ConfigError("identity.kind client-secret needs a client id and a secret.")
    return identity.ClientSecretCredential(tenant_id, client_id, client_secret.reveal(), **shared)


@dataclass(frozen=True, slots=True)
class _Kept:
    token: str
    until: datetime


class ClockedCredential:
    """A credential whose tokens end by our clock.

    azure-core and MSAL keep tokens by the machine's clock. On any other clock they would present a token long after its end, so
    this keeps them itself: it asks a new inner credential, which remembers nothing, and tells azure-core that every token has
    ended already, which makes azure-core ask again each time.
    """

    def __init__(self, build: Callable[[], TokenCredential], clock: Clock) -> None:
        self._build = build
        self._clock = clock
        self._kept: dict[tuple[object, ...], _Kept] = {}
        self._lock = Lock()

    def get_token(
        self,
        *scopes: str,
        claims: str | None = None,
        tenant_id: str | None = None,
        enable_cae: bool = False,
        **_: object,
    ) -> AccessToken:
        """Return a token that is good for a request made now. Raises Rejected when the identity is refused, or Unavailable."""
        key = (scopes, tenant_id, enable_cae)
        with self._lock:
            kept = None if claims else self._kept.get(key)
            if kept is None or kept.until <= self._clock.now():
                kept = self._fetch(scopes, claims, tenant_id, enable_cae=enable_cae)
                self._kept[key] = kept
        return AccessToken(kept.token, 0)

    def forget(self) -> None:
        """Drop every token, after a service refused one."""
        with self._lock:
            self._kept.clear()

    def _fetch(self, scopes: tuple[str, ...], claims: str | None, tenant_id: str | None, *, enable_cae: bool) -> _Kept:
        now = self._clock.now()
        with translated(api="entra", operation="token", thing=" ".join(scopes)):
            try:
                token = self._build().get_token(*scopes, claims=claims, tenant_id=tenant_id, enable_cae=enable_cae)
            except ClientAuthenticationError as error:
                raise _refused(error) from None
        ends_at = datetime.fromtimestamp(token.expires_on, tz=now.tzinfo)
        until = min(ends_at - _MARGIN, now + _KEPT) if ends_at > now else now + _KEPT_AT_LEAST
        return _Kept(token.token, until)


def _refused(error: ClientAuthenticationError) -> RemoteError:
    """Say why there is no token, without the text of the answer: only its AADSTS number."""
    if isinstance(error, CredentialUnavailableError):
        return Unavailable(
            "No identity could be found on this host to ask Azure with.", api="entra", operation="token", advice=_ADVICE
        )
    _, marked, rest = str(error.message).partition("AADSTS")
    number = rest[: len(rest) - len(rest.lstrip("0123456789"))] if marked else ""
    reason = f"AADSTS{number}" if number else "authentication-failed"
    return Rejected(
        f"Microsoft Entra gave the identity no token ({reason}).",
        api="entra",
        operation="token",
        reason=reason,
        advice=_ADVICE,
    )
