"""A PostgreSQL of one's own, from the system's programs: those that a server in production runs."""

import os
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from tests.conftest import Programs


@dataclass
class Server:
    """A running server; each `database()` is a new and empty one."""

    port: int
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def url(self, database: str) -> str:
        return f"postgresql://rotator@127.0.0.1:{self.port}/{database}"

    def database(self) -> str:
        from psycopg import connect

        name = f"test_{next(self._numbers)}"
        with connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self.url(name)

    def dump(self, url: str, programs: Programs) -> bytes:
        """Everything that a database holds, as text."""
        return subprocess.run([programs.find("pg_dump", "postgresql-client"), url], check=True, capture_output=True).stdout


@contextmanager
def running(programs: Programs) -> Iterator[Server]:
    make, serve = programs.find("initdb", "postgresql"), programs.find("postgres", "postgresql")
    folder = Path(tempfile.mkdtemp(prefix="postgres"))
    # It refuses to run as root.
    user = "nobody" if os.geteuid() == 0 else None
    if user:
        shutil.chown(folder, user)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    subprocess.run([make, "-D", folder, "-U", "rotator", "-A", "trust", "-N"], user=user, check=True, stdout=subprocess.DEVNULL)
    process = subprocess.Popen(
        [serve, "-D", folder, "-h", "127.0.0.1", "-p", str(port), "-k", folder, "-c", "fsync=off"],
        user=user,
        stderr=subprocess.DEVNULL,
    )
    try:
        while not (folder / "postmaster.pid").exists() or "ready" not in (folder / "postmaster.pid").read_text():
            assert process.poll() is None
            threading.Event().wait(0.05)
        yield Server(port)
    finally:
        process.terminate()
        process.wait(30)
        shutil.rmtree(folder, ignore_errors=True)
