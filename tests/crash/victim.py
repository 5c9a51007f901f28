"""The program in a process of its own, which may kill itself at a write of its journal. Runs in a child of the fork server.

The fork server has imported the program once (`PRELOADED`), so that a process which is as real as one from a shell costs a fifth
of a second instead of four. Nothing of the program is replaced: a listener on SQLAlchemy's engine sees the journal's commits.
"""

import os
import signal
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Connection, event
from sqlalchemy.engine import Engine
from sqlalchemy.pool import ConnectionPoolEntry, Pool

PRELOADED = (
    "tests.crash.victim",
    "azure.identity",
    "azure.keyvault.secrets",
    "azure.mgmt.containerinstance",
    "azure.mgmt.containerregistry",
    "azure.monitor.query",
    "boto3",
    "dbos",
    "rotator.cli.app",
    "rotator.cli.importing",
    "rotator.cli.run",
    "rotator.cli.session",
    "rotator.cli.steps",
    "rotator.cli.tables",
    "rotator.report.document",
    "rotator.telemetry.logs",
    "rotator.wiring",
    "sqlalchemy.dialects.sqlite",
)
_WRITES = ("INSERT", "UPDATE", "DELETE", "REPLACE")
# What a rotation writes down: that it began and ended, and its steps. DBOS's other rows are about itself.
_TABLES = ("workflow_status", "operation_outputs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What to run, where, and at which of the journal's commits to die (0: none), before or after it.

    `environment` is all that the process knows, `stdin` what a person writes to it; `seen` is a file that gets a line
    for each commit.
    """

    folder: Path
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    commit: int = 0
    after: bool = False
    stdin: str = field(default="", repr=False)

    @property
    def output(self) -> Path:
        return self.folder / "output.txt"

    @property
    def seen(self) -> Path:
        return self.folder / "commits.txt"


def live(orders: Orders) -> None:
    """Be the program from here on; the target of the process."""
    os.chdir(orders.folder)
    os.environ.clear()  # noqa: TID251 - this process is another one's whole world
    os.environ.update(orders.environment)  # noqa: TID251
    tempfile.tempdir = None
    with orders.output.open("ab") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    reading, writing = os.pipe()  # nothing of it is ever in a file
    os.write(writing, orders.stdin.encode())
    os.close(writing)
    os.dup2(reading, 0)
    sys.stdin = os.fdopen(0)
    sys.argv = ["rotator", *orders.arguments]
    _listen(orders)
    from rotator.cli.app import main

    main()


def _listen(orders: Orders) -> None:
    commits = _Commits(orders)
    event.listen(Engine, "before_cursor_execute", commits.executes)
    event.listen(Engine, "commit", commits.commits)
    event.listen(Engine, "engine_connect", commits.connects)
    event.listen(Pool, "checkin", commits.committed)


class _Commits:
    """Counts the transactions in which the journal was written."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders
        self._count = 0

    def connects(self, connection: Connection) -> None:
        connection.info.pop("wrote", None)

    def executes(self, connection: Connection, _cursor: object, statement: str, *_rest: object) -> None:
        if "journal" in str(connection.engine.url) and _writes(statement):
            connection.info["wrote"] = True

    def commits(self, connection: Connection) -> None:
        if connection.info.pop("wrote", False):
            self._count += 1
            connection.info["committed"] = self._count
            with self._orders.seen.open("a") as seen:
                seen.write(f"{self._count}\n")
            self._die(self._count, after=False)

    def committed(self, _connection: object, record: ConnectionPoolEntry) -> None:
        self._die(record.info.pop("committed", 0), after=True)

    def _die(self, number: int, *, after: bool) -> None:
        if number and number == self._orders.commit and after == self._orders.after:
            os.kill(os.getpid(), signal.SIGKILL)


def _writes(statement: str) -> bool:
    words = statement.lstrip().upper()
    return words.startswith(_WRITES) and any(table.upper() in words.partition("(")[0] for table in _TABLES)
