"""The azure-core policies that our own clients and the generated SDKs share.

What is left out is left out on purpose. No retry policy: it would hide throttles from our metrics and repeat a request whose
answer was lost; `rotator.clients.retry` retries by type. No logging policies: they would write request bodies. No redirects.
And not ARM's automatic registration of resource providers: an audit must not write, and it waits in real time.
"""

from typing import Protocol, runtime_checkable

from azure.core.credentials import TokenCredential
from azure.core.pipeline import PipelineRequest, PipelineResponse
from azure.core.pipeline.policies import (
    BearerTokenCredentialPolicy,
    ContentDecodePolicy,
    HeadersPolicy,
    RequestIdPolicy,
    UserAgentPolicy,
)
from azure.core.rest import HttpRequest, HttpResponse


@runtime_checkable
class Forgetful(Protocol):
    """A credential that can drop the tokens it keeps."""

    def forget(self) -> None:
        """Fetch new tokens from now on."""
        ...


def policies(credential: TokenCredential, scope: str, *, decoded: bool = True) -> list[object]:
    """Return the policies of one client, in the order in which a request passes them.

    `decoded` False is for callers that read `response.json()` themselves: the policy would parse each body once more.
    """
    return [
        RequestIdPolicy(),
        HeadersPolicy(),
        UserAgentPolicy(base_user_agent="rotator"),
        *([ContentDecodePolicy()] if decoded else []),
        _Bearer(credential, scope),
    ]


def scope_of(audience: str) -> str:
    """Return the token scope of an audience such as `https://management.azure.com`."""
    return f"{audience.rstrip('/')}/.default"


class _Bearer(BearerTokenCredentialPolicy[HttpRequest, HttpResponse]):
    """Adds the token. A 401 to a token that we kept is answered once with a fresh one: it may have been revoked."""

    def send(self, request: PipelineRequest[HttpRequest]) -> PipelineResponse[HttpRequest, HttpResponse]:
        response = super().send(request)
        if response.http_response.status_code == 401 and isinstance(self._credential, Forgetful):
            self._credential.forget()
            response = super().send(request)
        return response
