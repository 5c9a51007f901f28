"""Azure Resource Manager as raw JSON with an explicit api-version.

Typed SDK models drop properties they do not know, and a group that is put without them loses them; so what is read to be
written again goes through here.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

from azure.core.credentials import TokenCredential
from azure.core.exceptions import DecodeError
from azure.core.rest import HttpRequest, HttpResponse
from azure.mgmt.core import ARMPipelineClient

from rotator.clients.failures import translated
from rotator.clients.network import Network
from rotator.clients.observed import RequestObserver, unobserved
from rotator.clients.operations import Patience, Poll, finished
from rotator.clients.pipeline import policies, scope_of
from rotator.clients.refusals import Answer, Asked, refusal
from rotator.clients.retry import retried
from rotator.model.errors import Rejected
from rotator.ports import Clock

Document = dict[str, Any]
"""A JSON object as Azure wrote it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmAnswer:
    """An answer below 400. Header names are in lower case; `body` is empty where there was none, and never printed."""

    status: int
    headers: Mapping[str, str]
    body: Document = field(repr=False)


class Arm:
    """A thin ARM client; safe to share between threads.

    Every method takes `service` and `operation` (closed names for errors and metrics), `needs` (the permission that Denied
    names) and `thing` (the object, for people), and raises the errors of `rotator.clients.failures`. Throttled and unavailable
    requests are tried again here, on our clock; callers need not.
    """

    def __init__(
        self,
        credential: TokenCredential,
        endpoint: str,
        audience: str,
        network: Network,
        clock: Clock,
        observe: RequestObserver = unobserved,
    ) -> None:
        self._endpoint = endpoint.rstrip("/")
        self._clock = clock
        self._client: ARMPipelineClient[HttpRequest, HttpResponse] = ARMPipelineClient(
            self._endpoint,
            policies=policies(credential, scope_of(audience), decoded=False),
            transport=network.azure_transport(clock, observe),
        )

    def get(
        self,
        path: str,
        api_version: str,
        *,
        service: str,
        operation: str,
        needs: str = "",
        thing: str = "",
        query: Mapping[str, str] | None = None,
    ) -> Document:
        """Return one resource, or whatever else the path answers."""
        asked = Asked(api=service, operation=operation, needs=needs, thing=thing)
        return self._ask("GET", self._url(path, api_version, query), None, asked).body

    def pages(
        self,
        path: str,
        api_version: str,
        *,
        service: str,
        operation: str,
        needs: str = "",
        thing: str = "",
        query: Mapping[str, str] | None = None,
    ) -> Iterator[Document]:
        """Yield the items of a list, page after page. A list that breaks off raises; it never ends early in silence."""
        asked = Asked(api=service, operation=operation, needs=needs, thing=thing)
        url = self._url(path, api_version, query)
        while url:
            body = self._ask("GET", url, None, asked).body
            items = body.get("value")
            if not isinstance(items, list):
                raise Rejected(
                    f"{asked.service} answered to {asked.deed} with something that is no list.",
                    api=service,
                    operation=operation,
                    reason="unexpected-answer",
                )
            yield from items
            url = self._next(body.get("nextLink"), asked)

    def send(
        self,
        method: str,
        path: str,
        api_version: str,
        body: Document | None = None,
        *,
        service: str,
        operation: str,
        needs: str = "",
        thing: str = "",
        effect: bool | None = None,
        attempts: int = 6,
    ) -> ArmAnswer:
        """Make one request and return its answer without waiting for an operation that it started.

        `attempts` is 1 for a body that may be out of date by the time of another try.

        `effect` says that doing it twice differs from doing it once: then a lost answer is Indeterminate. By default true for
        POST and PUT (a second PUT restarts a container group again).
        """
        asked = self._effect(method, service, operation, needs, thing, effect=effect)
        return self._ask(method, self._url(path, api_version), body, asked, attempts)

    def run(
        self,
        method: str,
        path: str,
        api_version: str,
        body: Document | None = None,
        *,
        service: str,
        operation: str,
        needs: str = "",
        thing: str = "",
        effect: bool | None = None,
        patience: timedelta = timedelta(minutes=40),
        final: bool = True,
    ) -> Document:
        """Make a request and wait until Azure says that what it started is done; return the final resource or result.

        Without `final` the result is not fetched, which spares a request, and what is returned means nothing.

        Waits on our clock, as long as Retry-After says (5 s without it). Raises Rejected with the operation's error code when
        it failed or was cancelled, and Indeterminate when it is not over within `patience` (a container group may take 30
        minutes) or its state cannot be read.
        """
        asked = self._effect(method, service, operation, needs, thing, effect=effect)
        url = self._url(path, api_version)
        answer = self._ask(method, url, body, asked)
        reading = Asked(api=service, operation=f"{operation}-poll", needs=needs, thing=thing)

        def look(link: str) -> Poll:
            seen = self._ask("GET", self._own(link, asked), None, reading)
            return Poll(status=seen.status, headers=seen.headers, body=seen.body)

        first = Poll(status=answer.status, headers=answer.headers, body=answer.body)
        return finished(method, url, first, look, Patience(self._clock, patience), asked, final=final)

    def _effect(self, method: str, service: str, operation: str, needs: str, thing: str, *, effect: bool | None) -> Asked:
        changes = method in {"POST", "PUT"} if effect is None else effect
        return Asked(api=service, operation=operation, effect=changes, needs=needs, thing=thing)

    def _ask(self, method: str, url: str, body: Document | None, asked: Asked, attempts: int = 6) -> ArmAnswer:
        return retried(self._clock, lambda: self._once(method, url, body, asked), attempts, key=url)

    def _once(self, method: str, url: str, body: Document | None, asked: Asked) -> ArmAnswer:
        with translated(api=asked.api, operation=asked.operation, effect=asked.effect, needs=asked.needs, thing=asked.thing):
            response = self._client.send_request(HttpRequest(method, url, json=body))
            headers = {name.lower(): value for name, value in response.headers.items()}
            if response.status_code >= 400:
                raise refusal(Answer.read(response.status_code, headers, response.text()), asked)
            return ArmAnswer(status=response.status_code, headers=headers, body=_document(response))

    def _url(self, path: str, api_version: str, query: Mapping[str, str] | None = None) -> str:
        return f"{self._endpoint}{path}?{urlencode({**(query or {}), 'api-version': api_version})}"

    def _next(self, link: object, asked: Asked) -> str:
        return self._own(link, asked) if isinstance(link, str) and link else ""

    def _own(self, link: str, asked: Asked) -> str:
        """Refuse a link that leads elsewhere: our token would go with the request."""
        ours, theirs = urlsplit(self._endpoint), urlsplit(link)
        if not theirs.netloc and link.startswith("/"):
            return f"{self._endpoint}{link}"
        if (theirs.scheme, theirs.hostname, theirs.port or 443) != (ours.scheme, ours.hostname, ours.port or 443):
            raise Rejected(
                f"{asked.service} answered to {asked.deed} with a link to another host, {theirs.hostname}.",
                api=asked.api,
                operation=asked.operation,
                reason="foreign-link",
            )
        return link


def _document(response: HttpResponse) -> Document:
    if not response.content.strip():
        return {}
    try:
        body = response.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise DecodeError("no JSON object", response=response)
    return body
