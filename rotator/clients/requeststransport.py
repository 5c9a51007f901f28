"""The transport below azure-core's pipelines: our routes, our clock, and a sharp line between unsent and unanswered."""

import ssl
from datetime import timedelta
from http.cookiejar import DefaultCookiePolicy
from socket import socket

import requests
from azure.core.exceptions import AzureError, ServiceRequestError, ServiceResponseError
from azure.core.pipeline.transport import RequestsTransport
from azure.core.rest import HttpRequest
from requests.adapters import HTTPAdapter
from urllib3 import HTTPSConnectionPool
from urllib3.connection import HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError
from urllib3.util import connection as sockets
from urllib3.util.retry import Retry

from rotator.clients.deadline import check_deadline
from rotator.clients.network import Network
from rotator.clients.observed import TRAIL, UNANSWERED, UNSENT, RequestObserver, Stopwatch
from rotator.ports import Clock

_NO_RETRIES = Retry(total=False, redirect=False, raise_on_status=False)
_CONNECTIONS = 32  # per host; fan-out threads beyond it would open and drop a connection for each request


class ClockedTransport(RequestsTransport):  # type: ignore[misc]  # exported untyped
    """azure-core's requests transport on our clock and routes.

    azure-core calls every connection error a "request" error, also one that broke while the answer was awaited. Only a failure
    to connect proves that nothing was sent, so everything else is raised as a response error here: taking a lost answer for
    an unsent request would issue a second secret.
    """

    def __init__(self, network: Network, clock: Clock, observe: RequestObserver, *, connect: timedelta, read: timedelta) -> None:
        session = requests.Session()
        session.trust_env = False
        # One session serves many hosts and callers: nothing that one answer sets may ride along on another's request.
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        session.mount("https://", _ResolvingAdapter(network, clock))
        # Plain HTTP is for the managed identity endpoints of Azure, which are inside the host.
        session.mount("http://", HTTPAdapter(max_retries=_NO_RETRIES))
        super().__init__(
            session=session,
            use_env_settings=False,
            connection_timeout=connect.total_seconds(),
            read_timeout=read.total_seconds(),
            connection_verify=str(network.ca_file) if network.ca_file else True,
        )
        self._clock = clock
        self._observe = observe

    def send(self, request: HttpRequest, **kwargs: object) -> object:
        """Send a request; ServiceRequestError means that nothing was sent, ServiceResponseError that it may have been."""
        watch = Stopwatch(self._observe)
        try:
            response = super().send(request, **kwargs)
        except ServiceRequestError as error:
            if isinstance(error.inner_exception, (ConnectTimeoutError, requests.ConnectTimeout)):
                watch.report(UNSENT)
                raise
            watch.report(UNANSWERED)
            TRAIL.leave(request.method, UNANSWERED, request.headers, None)
            raise ServiceResponseError(error.message, error=error.inner_exception) from error
        except AzureError:
            watch.report(UNANSWERED)
            TRAIL.leave(request.method, UNANSWERED, request.headers, None)
            raise
        watch.report(str(response.status_code))
        TRAIL.leave(request.method, str(response.status_code), request.headers, response.headers)
        return response

    def sleep(self, duration: float) -> None:
        """Wait on our clock: azure-core's policies and azure-identity wait through this."""
        self._clock.sleep(timedelta(seconds=duration))


class _ResolvingAdapter(HTTPAdapter):
    """Opens connections where the network says; the pools stay keyed by the real host."""

    def __init__(self, network: Network, clock: Clock) -> None:
        super().__init__(pool_maxsize=_CONNECTIONS, max_retries=_NO_RETRIES)
        pool = type("ResolvingPool", (HTTPSConnectionPool,), {"ConnectionCls": _connection_to(network, clock)})
        self.poolmanager.pool_classes_by_scheme = {"https": pool}


def _connection_to(network: Network, clock: Clock) -> type[HTTPSConnection]:
    class ResolvingConnection(HTTPSConnection):
        def _new_conn(self) -> socket:
            address = network.address_of(self.host)
            if address is None:
                return super()._new_conn()
            try:
                return sockets.create_connection(
                    (address.host, address.port or self.port), self.timeout, socket_options=self.socket_options
                )
            except OSError as error:
                raise NewConnectionError(self, type(error).__name__) from error

        def putrequest(self, method: str, url: str, skip_host: bool = False, skip_accept_encoding: bool = False) -> None:  # noqa: FBT001, FBT002 - http.client's own signature
            # The pool has connected by now, and nothing of the request has been written.
            network.fence(method)
            check_deadline(clock, method)
            super().putrequest(method, url, skip_host=skip_host, skip_accept_encoding=skip_accept_encoding)

        def connect(self) -> None:
            try:
                super().connect()
            except NewConnectionError:
                raise
            except ssl.SSLCertVerificationError as error:
                raise NewConnectionError(self, f"TLS: {error.verify_message}") from error
            except (OSError, HTTPError) as error:
                # A handshake that failed proves that nothing was sent, which urllib3's own type does not tell.
                raise NewConnectionError(self, type(error).__name__) from error

    return ResolvingConnection
