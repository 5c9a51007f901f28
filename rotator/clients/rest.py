"""The management APIs of other parties (Docker Hub, GitHub, GitLab, Quay): JSON over HTTPS, and nothing that one alone has."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx

from rotator.clients.deadline import check_deadline
from rotator.clients.failures import translated
from rotator.clients.network import Network
from rotator.clients.observed import RequestObserver, unobserved
from rotator.clients.refusals import Answer, Asked, refusal
from rotator.clients.retry import retried
from rotator.model.errors import ConfigError
from rotator.model.secret import Secret
from rotator.ports import Clock

_TIMEOUT = timedelta(seconds=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class RestAnswer:
    """An answer below 400. Header names are in lower case; `body` is what the JSON says, None without one; never printed."""

    status: int
    headers: Mapping[str, str]
    body: Any = field(repr=False)


class Rest:
    """A thin client of one service; safe to share between threads.

    `root` is the address below which its API lies; `api` is its closed name for errors and metrics. Raises the errors of
    `rotator.clients.failures`. Throttled and unavailable requests are tried again here, on our clock; callers need not.
    """

    def __init__(self, root: str, api: str, network: Network, clock: Clock, observe: RequestObserver = unobserved) -> None:
        if urlsplit(root).scheme != "https":
            raise ConfigError(f"{root} is not encrypted, and tokens would be sent to it", advice="Use its https:// address.")
        self._root = root.rstrip("/")
        self._api = api
        self._network = network
        self._clock = clock
        self._observe = observe

    def send(
        self,
        method: str,
        path: str,
        *,
        operation: str,
        auth: Mapping[str, Secret] | None = None,
        body: Mapping[str, object] | None = None,
        query: Mapping[str, str] | None = None,
        needs: str = "",
        thing: str = "",
        effect: bool = False,
        attempts: int = 6,
    ) -> RestAnswer:
        """Make one request. `auth` are the headers that prove who asks, such as `Authorization`: `bearer(token)`.

        `body` may hold secrets: it is sent and kept nowhere. `effect` says that doing it twice differs from doing it once: then
        a lost answer is Indeterminate, and nothing is sent again.
        """
        asked = Asked(api=self._api, operation=operation, effect=effect, needs=needs, thing=thing)
        headers = {"Accept": "application/json", **{name: value.reveal() for name, value in (auth or {}).items()}}

        def once() -> RestAnswer:
            with (
                translated(api=self._api, operation=operation, effect=effect, needs=needs, thing=thing),
                self._network.http_client(_TIMEOUT, self._observe) as client,
            ):
                request = client.build_request(method, f"{self._root}{path}", headers=headers, params=query, json=body)
                check_deadline(self._clock, method)
                return _read(client.send(request), asked)

        return retried(self._clock, once, attempts, key=f"{self._api}{path}")


Reach = Callable[[str, str], Rest]
"""Makes a client of an address (`https://gitlab.com`) and a service's closed name (`gitlab`)."""


def bearer(token: Secret) -> Secret:
    """Return the value of an `Authorization` header that carries a token."""
    return Secret(f"Bearer {token.reveal()}")


def _read(response: httpx.Response, asked: Asked) -> RestAnswer:
    headers = {name.lower(): value for name, value in response.headers.items()}
    if response.status_code >= 400:
        raise refusal(Answer.read(response.status_code, headers, response.text), asked)
    # An answer that is no JSON raises here, and counts as none.
    body = response.json() if response.content.strip() else None
    return RestAnswer(status=response.status_code, headers=headers, body=body)
