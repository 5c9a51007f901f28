"""An HTTPS proxy on loopback that knows the emulated hosts alone, so that any program reaches them under their real names.

No root, no entry in /etc/hosts and no change to the program are needed: `HTTPS_PROXY` is enough. The bytes are passed on as they
are, so the program itself checks the sandbox's certificate. A host that is not emulated is refused, never reached.
"""

import contextlib
import threading
from collections.abc import Sequence
from fnmatch import fnmatchcase
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import SHUT_RDWR, SHUT_WR, create_connection, socket

_PIECE = 65536


class Tunnel:
    """Passes CONNECT requests for `hosts` (glob patterns, port 443) on to `address` ("127.0.0.1:PORT")."""

    def __init__(self, address: str, hosts: Sequence[str], port: int = 0) -> None:
        host, _, target = address.rpartition(":")
        self._server = _Server(("127.0.0.1", port), _Connect)
        self._server.target, self._server.hosts = (host, int(target)), tuple(hosts)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, name=f"tunnel {self.url}", daemon=True)

    def start(self) -> None:
        """Listen in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Close the port. Connections that are open end with the sandbox behind them."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    target: tuple[str, int]
    hosts: tuple[str, ...]


class _Connect(BaseHTTPRequestHandler):
    server: _Server
    timeout = 60

    def do_CONNECT(self) -> None:
        host, _, port = self.path.lower().rpartition(":")
        if port != "443" or not any(fnmatchcase(host, glob) for glob in self.server.hosts):
            self.send_error(HTTPStatus.FORBIDDEN, "Not emulated", f"The sandbox does not emulate {self.path}.")
            return
        with create_connection(self.server.target) as cloud:
            self.connection.settimeout(None)
            self.send_response(HTTPStatus.OK, "Connection established")
            self.end_headers()
            back = threading.Thread(target=_pass, args=(cloud, self.connection), daemon=True)
            back.start()
            _pass(self.connection, cloud)
            back.join()
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Say nothing: the sandbox counts requests itself."""


def _pass(source: socket, sink: socket) -> None:
    """Copy bytes until one side ends; then end the other."""
    try:
        while piece := source.recv(_PIECE):
            sink.sendall(piece)
    except OSError:
        with contextlib.suppress(OSError):
            source.shutdown(SHUT_RDWR)
    with contextlib.suppress(OSError):
        sink.shutdown(SHUT_WR)
