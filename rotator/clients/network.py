"""How connections leave the program: which address a host name leads to, and which authorities vouch for it.

`resolve` works like `curl --resolve`: only the TCP connection goes elsewhere. The URL, the Host header, the TLS server name and
the certificate check keep the real host name, so a private endpoint, a bastion's tunnel or the sandbox are all reached by the
very requests that the public service would see.
"""

import ipaddress
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx

from rotator.clients.observed import ObservingTransport, RequestObserver, unobserved

if TYPE_CHECKING:
    from rotator.clients.requeststransport import ClockedTransport
    from rotator.ports import Clock


Fence = Callable[[str], None]
"""Called with a request's method; raises (no Exception: nothing may take it for a failed request) where it may not be sent."""


def unfenced(method: str) -> None:
    """Let every request pass; the default fence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a connection goes. `port` is None for the port that the URL names."""

    host: str
    port: int | None


@dataclass(frozen=True, slots=True)
class Network:
    """The route to the remote APIs.

    `resolve` maps host names to `ip` or `ip:port`; a key is a host, a glob such as `*.azurecr.io`, or `*`. An exact key wins
    over a glob, a longer glob over a shorter one. Hosts that are addresses already are left alone, unless a key names them.
    `ca_file` replaces the bundled authorities. Proxy variables and netrc files of the environment are not read: a netrc entry
    would replace the bearer token of a request.

    `fence` is asked before every request, at the last moment that the transport offers: the connection is open, and the request
    line is not on the wire yet. What it raises ends the request unsent.
    """

    resolve: Mapping[str, str] = field(default_factory=dict)
    ca_file: Path | None = None
    fence: Fence = unfenced

    def address_of(self, host: str) -> Address | None:
        """Return where to connect for a host, or None to ask the name service as usual."""
        name = host.lower().strip("[]")
        if name in self.resolve:
            return _address(self.resolve[name])
        if _is_address(name):
            return None
        globs = [pattern for pattern in self.resolve if fnmatchcase(name, pattern.lower())]
        return _address(self.resolve[max(globs, key=len)]) if globs else None

    def http_client(self, timeout: timedelta, observe: RequestObserver = unobserved) -> httpx.Client:
        """Return a new httpx client with its own connections; redirects are not followed."""
        transport = ObservingTransport(_ResolvingTransport(self), observe)
        return httpx.Client(transport=transport, timeout=timeout.total_seconds(), trust_env=False, follow_redirects=False)

    def azure_transport(
        self,
        clock: "Clock",
        observe: RequestObserver = unobserved,
        *,
        connect: timedelta = timedelta(seconds=15),
        read: timedelta = timedelta(seconds=90),
    ) -> "ClockedTransport":
        """Return a transport for azure-core pipelines that waits on our clock. One may serve many clients and threads."""
        from rotator.clients.requeststransport import ClockedTransport

        return ClockedTransport(self, clock, observe, connect=connect, read=read)

    def tls(self) -> ssl.SSLContext:
        """Return the TLS context; made once for each authorities file, since reading a bundle takes 20 ms."""
        return _context(self.ca_file)


@lru_cache
def _context(ca_file: Path | None) -> ssl.SSLContext:
    if ca_file is None:
        return httpx.create_ssl_context(trust_env=False)
    return ssl.create_default_context(cafile=str(ca_file))


def _address(text: str) -> Address:
    parts = urlsplit(f"//{text}")
    if not parts.hostname:
        raise ValueError(f"{text!r} is no address; write ip or ip:port")
    return Address(host=parts.hostname, port=parts.port)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


class _ResolvingTransport(httpx.BaseTransport):
    """Sends each request to the address of its host.

    Every real host has connections of its own: a pool keyed by the address alone would hand a connection whose certificate
    was checked for one host to requests for another.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        self._transports: dict[str, httpx.HTTPTransport] = {}
        self._lock = Lock()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        host = request.url.host
        address = self._network.address_of(host)
        request.extensions = {**request.extensions, "trace": self._asks_fence(request.method)}
        if address is None:
            return self._transport("").handle_request(request)
        port = address.port or request.url.port
        elsewhere = httpx.Request(
            request.method,
            request.url.copy_with(host=address.host, port=port),
            headers=request.headers,  # holds the real Host
            stream=request.stream,
            extensions={**request.extensions, "sni_hostname": host},
        )
        return self._transport(host).handle_request(elsewhere)

    def _asks_fence(self, method: str) -> Callable[[str, object], None]:
        def traced(event: str, _info: object) -> None:
            if event == "http11.send_request_headers.started":
                self._network.fence(method)

        return traced

    def _transport(self, host: str) -> httpx.HTTPTransport:
        with self._lock:
            if host not in self._transports:
                self._transports[host] = httpx.HTTPTransport(verify=self._network.tls(), trust_env=False)
            return self._transports[host]

    def close(self) -> None:
        for transport in self._transports.values():
            transport.close()
