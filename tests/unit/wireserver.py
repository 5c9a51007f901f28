"""A small HTTPS server that misbehaves on request, for the tests of what lies below the SDKs."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import trustme

HOSTS = ("demo.vault.azure.net", "demo.azurecr.io", "other.azurecr.io", "management.azure.com")


class ShownClock:
    """A clock that a sleep turns on; it keeps what was slept."""

    def __init__(self, at: datetime = datetime(2026, 11, 1, tzinfo=UTC)) -> None:
        self.at = at
        self.slept: list[timedelta] = []

    def now(self) -> datetime:
        return self.at

    def sleep(self, duration: timedelta) -> None:
        self.slept.append(duration)
        self.at += duration


@dataclass
class Seen:
    """One request as the server saw it."""

    method: str
    path: str
    host: str
    server_name: str | None
    authorization: str | None
    cookie: str | None
    body: bytes


@dataclass
class Wire:
    """The running server: where it listens, whom to trust, what it saw, and what it answers next."""

    port: int
    ca_file: Path
    seen: list[Seen] = field(default_factory=list)
    answers: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)
    connections: int = 0
    lose: bool = False
    """Take the request, then close without an answer."""
    truncate: bool = False
    """Promise more bytes than are sent."""

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def answer(self, status: int = 200, body: bytes = b"{}", **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers.append((status, {"content-type": "application/json", **named}, body))


@contextmanager
def serving(directory: Path, hosts: tuple[str, ...] = HOSTS) -> Iterator[Wire]:
    """Serve until the end of the block."""
    authority = trustme.CA()
    ca_file = directory / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*hosts).configure_cert(context)
    names: dict[int, str | None] = {}
    context.sni_callback = lambda held, name, _: names.__setitem__(id(held), name)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            wire.connections += 1
            super().setup()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Keep quiet."""

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            wire.seen.append(
                Seen(
                    self.command,
                    self.path,
                    str(self.headers.get("host")),
                    names.get(id(self.connection)),
                    self.headers.get("authorization"),
                    self.headers.get("cookie"),
                    body,
                )
            )
            if wire.lose:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            status, headers, content = wire.answers.pop(0) if wire.answers else (200, {}, b"{}")
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(content) + (50 if wire.truncate else 0)))
            self.end_headers()
            self.wfile.write(content)
            self.close_connection = wire.truncate

        do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = do_HEAD = _serve  # noqa: N815 - the names of the standard library

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.socket = context.wrap_socket(server.socket, server_side=True)
    wire = Wire(port=server.server_address[1], ca_file=ca_file)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield wire
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
