"""Who may put a group now: one rotation, in one replica."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert

from rotator.model.arm import ArmId
from rotator.replicas.database import Database
from rotator.replicas.tables import claims

_ASK_AGAIN = 0.2


class LocalClaims:
    """Keeps `rotator.ports.GroupClaims` within one process: one lock a group."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}

    @contextmanager
    def claim(self, group: ArmId) -> Iterator[None]:
        """Own the group until the block ends."""
        with self._guard:
            lock = self._locks.setdefault(group.key, threading.Lock())
        with lock:
            yield


class SharedClaims:
    """Keeps `rotator.ports.GroupClaims` across replicas: a row a group.

    A row and no advisory lock: that would be free the moment its connection breaks, while its holder may still be writing. The
    row goes when it is released, or when its replica is buried, whose fence is shut by then.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._here = LocalClaims()

    @contextmanager
    def claim(self, group: ArmId) -> Iterator[None]:
        """Own the group until the block ends. Raises Fenced when the database cannot be asked, or this replica's life is over."""
        with self._here.claim(group):
            waiting = threading.Event()
            while not self._taken(group):
                # Real time: it is another process that is waited for, whatever the clouds' clock says.
                waiting.wait(_ASK_AGAIN)
            try:
                yield
            finally:
                self._release(group)

    def _taken(self, group: ArmId) -> bool:
        with self._database.transaction() as (connection, replica):
            mine = insert(claims).values(group=group.key, replica=replica).on_conflict_do_nothing()
            return connection.execute(mine.returning(claims.c.group)).first() is not None

    def _release(self, group: ArmId) -> None:
        with self._database.transaction() as (connection, replica):
            connection.execute(delete(claims).where(claims.c.group == group.key, claims.c.replica == replica))
