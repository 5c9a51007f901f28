"""Azure's container instance SDK on our transport: it lists and reads groups, writes their tags and restarts them.

The PUT of a redeploy does not go through it. The SDK takes a 202 to it for an error, keeps the headers that tell what is left of
Azure's write limits to itself, and watches the operation in a thread of its own. What must lose nothing is raw JSON from end to
end: read as such here, and sent as such through `rotator.clients.arm`.
"""

from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import cache
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

from azure.core.credentials import TokenCredential
from azure.core.exceptions import DecodeError, HttpResponseError
from azure.core.pipeline import PipelineRequest, PipelineResponse
from azure.core.pipeline.policies import SansIOHTTPPolicy
from azure.core.rest import HttpRequest, HttpResponse
from azure.mgmt.containerinstance import ContainerInstanceManagementClient
from azure.mgmt.containerinstance.models import ContainerGroup

from rotator.azure.groupversion import API_VERSION as API_VERSION  # noqa: PLC0414 - also named from here
from rotator.azure.writeonly import Object
from rotator.clients.failures import translated
from rotator.clients.network import Network
from rotator.clients.observed import RequestObserver, unobserved
from rotator.clients.operations import Patience, Poll, finished
from rotator.clients.paging import paged
from rotator.clients.pipeline import policies, scope_of
from rotator.clients.refusals import Asked
from rotator.clients.retry import retried
from rotator.model.arm import ArmId
from rotator.model.errors import Rejected
from rotator.ports import Clock

SERVICE = "container-instances"
READ, WRITE = "Microsoft.ContainerInstance/containerGroups/read", "Microsoft.ContainerInstance/containerGroups/write"
_GROUPS = "/containergroups"
_RESTART = "Microsoft.ContainerInstance/containerGroups/restart/action"

Result = TypeVar("Result")


class GroupClient:
    """Container groups as Azure's own JSON, with the names of the wire and every property, known to the SDK or not.

    Safe for threads. Throttled and unavailable requests are tried again here, on our clock; callers need not. Raises the errors
    of `rotator.clients.failures`.
    """

    def __init__(
        self,
        credential: TokenCredential,
        endpoint: str,
        audience: str,
        network: Network,
        clock: Clock,
        observe: RequestObserver = unobserved,
        *,
        api_version: str = API_VERSION,
    ) -> None:
        self.api_version = api_version
        self._clock = clock
        transport = network.azure_transport(clock, observe)
        scope = scope_of(audience)

        def connect(subscription: str) -> ContainerInstanceManagementClient:
            return ContainerInstanceManagementClient(
                credential,
                subscription,
                base_url=endpoint.rstrip("/"),
                credential_scopes=[scope],
                api_version=api_version,
                policies=[_Checks(endpoint), *policies(credential, scope, decoded=False)],
                transport=transport,
            )

        self._client = cache(connect)

    def listed(self, subscription: str) -> Iterator[Object]:
        """Yield the groups of a subscription as the list has them: without instance views.

        A list that breaks off raises; it never ends early in silence. The SDK's models (10.2.0b2 and newer) are dictionaries
        that keep what they do not know; `as_dict` is the one way out of them that leaves no model inside.
        """
        listing = self._client(subscription).container_groups.list()
        thing = f"subscription {subscription}"
        for model in paged(self._clock, listing, api=SERVICE, operation="list", needs=READ, thing=thing):
            yield document_of(model)

    def get(self, group: ArmId) -> Object:
        """Return one group with its instance view; NotFound when it is gone.

        The JSON is taken from the answer and not from the SDK's model of it: it may be put again, and must then be what Azure
        wrote, whichever version of the SDK is installed.
        """
        client, address = self._client(group.subscription), f"{group.text}?api-version={self.api_version}"
        # Not through the SDK's operation: it would build a model of the group that nobody looks at, for a third of the time.
        return self._ask(_asked("read", READ, group), lambda: cast("Object", _sent(client, address).json()))

    def update_tags(self, group: ArmId, tags: dict[str, str]) -> None:
        """Send the group's tags, all of them: whether Azure keeps those that a PATCH leaves out is not documented."""
        groups = self._client(group.subscription).container_groups
        self._ask(_asked("tag", WRITE, group), lambda: groups.update(group.resource_group, group.name, {"tags": tags}))

    def restart(self, group: ArmId, patience: timedelta) -> None:
        """Restart every container; returns when Azure says it is done.

        Raises Rejected with Azure's code, Conflict for a group in transition, Indeterminate without an answer or after
        `patience`.
        """
        client, asked = self._client(group.subscription), _asked("restart", _RESTART, group, effect=True)

        def begin() -> Poll:
            try:
                # Watched by us: the SDK would watch in a thread of its own, where our names for the requests are not in force.
                return client.container_groups.begin_restart(  # type: ignore[return-value]
                    group.resource_group, group.name, polling=False, cls=_poll
                ).result()
            except HttpResponseError as error:
                # The SDK knows 204 alone; another success is one too, and calling it a refusal would say that nothing happened.
                if error.response is not None and 200 <= (error.response.status_code or 0) < 300:
                    return _seen(error.response)
                raise

        def look(link: str) -> Poll:
            return self._ask(_asked("restart-poll", READ, group), lambda: _seen(_sent(client, link)))

        first = self._ask(asked, begin)
        finished("POST", group.text, first, look, Patience(self._clock, patience), asked)

    def _ask(self, asked: Asked, work: Callable[[], Result]) -> Result:
        def once() -> Result:
            with translated(api=asked.api, operation=asked.operation, effect=asked.effect, needs=asked.needs, thing=asked.thing):
                return work()

        return retried(self._clock, once, key=asked.thing)


class _Checks(SansIOHTTPPolicy[HttpRequest, HttpResponse]):
    """Checks what the generated client takes on trust.

    It follows a link to any host, and our token goes with the request; and it takes an answer without a list for an empty list,
    which would turn a whole subscription into a clean one.
    """

    def __init__(self, endpoint: str) -> None:
        self._ours = _origin(endpoint)

    def on_request(self, request: PipelineRequest[HttpRequest]) -> None:
        """Refuse a request that leads elsewhere."""
        if _origin(request.http_request.url) != self._ours:
            host = urlsplit(request.http_request.url).hostname
            raise Rejected(
                f"Azure Container Instances answered with a link to another host, {host}.",
                api=SERVICE,
                operation="follow-link",
                reason="foreign-link",
            )

    def on_response(self, request: PipelineRequest[HttpRequest], response: PipelineResponse[HttpRequest, HttpResponse]) -> None:
        """Refuse a group that is no JSON object, and a list that is none."""
        asked, answer = request.http_request, response.http_response
        path = urlsplit(asked.url).path.lower()
        if asked.method != "GET" or answer.status_code != 200 or _GROUPS not in path:
            return
        body = answer.json()
        items = body.get("value") if isinstance(body, dict) and path.endswith(_GROUPS) else [body]
        if not isinstance(items, list) or not all(isinstance(one, dict) for one in items):
            raise DecodeError("no group", response=answer)


def _origin(url: str) -> tuple[str, str | None, int]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or 443


def _asked(operation: str, needs: str, group: ArmId, *, effect: bool = False) -> Asked:
    return Asked(api=SERVICE, operation=operation, needs=needs, thing=f"group {group.name}", effect=effect)


def _poll(response: PipelineResponse[HttpRequest, HttpResponse], _model: object, _headers: object) -> Poll:
    return _seen(response.http_response)


def _sent(client: ContainerInstanceManagementClient, link: str) -> HttpResponse:
    response = client.send_request(HttpRequest("GET", link))
    response.raise_for_status()
    return response


def _seen(response: Any) -> Poll:  # noqa: ANN401 - azure-core has two response classes
    body = response.json() if response.text().strip() else {}
    return Poll(
        status=response.status_code,
        headers={name.lower(): value for name, value in response.headers.items()},
        body=body if isinstance(body, dict) else {},
    )


def document_of(model: ContainerGroup | Object) -> Object:
    """Return a listed group as the dictionary that it is.

    It may be one already: the SDK gives up on a type that it cannot resolve, without a word, and a thread that comes in while
    another is still importing the SDK was once given what was on the wire.
    """
    return model if isinstance(model, dict) else model.as_dict()
