"""The writes of container groups that all replicas made, in the database, so that Azure's limits are held across them.

A write is counted before it is sent, in a transaction that owns its region: two replicas that ask at once are told one after the
other. One that is under way counts as one of this very moment, also when its replica dies, until it is known to be over.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import cast

from sqlalchemy import Connection, delete, func, insert, null, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from rotator.ports import Clock, Written
from rotator.replicas.database import Database
from rotator.replicas.tables import pauses, writes

_KEPT = timedelta(hours=1, minutes=5)
"""Longer than Azure's longest window and the margin that is added to it."""


class SharedLedger:
    """Keeps `rotator.ports.WriteLedger` in the database of the replicas that this process has joined.

    Time is the database's, one clock for all, unless `clock` is given: for an emulated cloud, whose time can be turned.
    Raises Fenced when the database cannot be asked: nothing may be written uncounted.
    """

    def __init__(self, database: Database, clock: Clock | None = None) -> None:
        self._database = database
        self._clock = clock

    @contextmanager
    def opened(self, region: str) -> Iterator[Written]:
        """Own what is known of a region until the block ends."""
        with self._database.transaction() as (connection, replica):
            connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:region, 0))"), {"region": region})
            yield _Shared(connection, region, replica, self._now(connection))

    def settle(self, connection: Connection, replica: str) -> None:
        """End what a dead replica had under way: nobody knows when Azure counted it, so it counts from now on."""
        over = update(writes).where(writes.c.replica == replica, writes.c.ended_at.is_(null()))
        connection.execute(over.values(ended_at=self._now(connection)))

    def _now(self, connection: Connection) -> datetime:
        # After the lock: whoever waited for it must not measure by an instant from before the wait.
        return self._clock.now() if self._clock else cast("datetime", connection.scalar(select(func.clock_timestamp())))


class _Shared:
    """Keeps `rotator.ports.Written` within one transaction."""

    def __init__(self, connection: Connection, region: str, replica: str, now: datetime) -> None:
        self._connection = connection
        self._region = region
        self._replica = replica
        connection.execute(delete(writes).where(writes.c.region == region, writes.c.ended_at < now - _KEPT))
        rows = connection.scalars(select(writes.c.ended_at).where(writes.c.region == region)).all()
        self.ended = sorted(at for at in rows if at is not None)
        # Clocks that replicas bring along may differ a little; together they never go back.
        self.now = max(now, self.ended[-1]) if self.ended else now
        self.under_way = sum(1 for at in rows if at is None)
        self.not_before = cast("datetime | None", connection.scalar(select(pauses.c.until).where(pauses.c.region == region)))

    def begin(self) -> None:
        self._connection.execute(insert(writes).values(region=self._region, replica=self._replica, ended_at=null()))
        self.under_way += 1

    def end(self) -> None:
        mine = select(func.min(writes.c.id)).where(
            writes.c.region == self._region, writes.c.replica == self._replica, writes.c.ended_at.is_(null())
        )
        self._connection.execute(update(writes).where(writes.c.id == mine.scalar_subquery()).values(ended_at=self.now))
        self.ended.append(self.now)
        self.under_way -= 1

    def pause(self, until: datetime) -> None:
        new = upsert(pauses).values(region=self._region, until=until)
        self._connection.execute(new.on_conflict_do_update(index_elements=[pauses.c.region], set_={"until": until}))
        self.not_before = until
