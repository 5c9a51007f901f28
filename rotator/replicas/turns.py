"""Who fires the schedule: one leader among the replicas, each instant of each job once."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from sqlalchemy import Connection, delete, func, null, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError

from rotator.model.errors import Fenced
from rotator.replicas.membership import Replicas
from rotator.replicas.tables import LEADING, firings

_KEPT = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Firing:
    """A job at the instant that its schedule says, whenever it is really carried out."""

    job: str
    instant: datetime

    @property
    def run(self) -> str:
        """The name of the run: the same for whoever carries it out, so that its rotations are the same work."""
        return f"{self.job}-{self.instant:%Y%m%dT%H%M%SZ}"


class Turns(Protocol):
    """Decides whether this process fires the schedule now."""

    def leads(self) -> bool:
        """Whether it is this process that audits and fires."""
        ...

    def begin(self, firing: Firing) -> bool:
        """Note that a firing is carried out here; False when it was already, here or elsewhere."""
        ...

    def end(self, firing: Firing) -> None:
        """Note that it was carried out."""
        ...

    def left_over(self) -> Sequence[Firing]:
        """Take over what an earlier leader began and did not end."""
        ...

    def resign(self) -> None:
        """Lead no more."""
        ...


class Alone:
    """The turns of a process that shares nothing."""

    def leads(self) -> bool:
        """Always."""
        return True

    def begin(self, firing: Firing) -> bool:
        """Always: the scheduler fires each instant once."""
        del firing
        return True

    def end(self, firing: Firing) -> None:
        """Nothing has to be noted."""

    def left_over(self) -> Sequence[Firing]:
        """Nothing: a run that was cut off is carried on by the next one."""
        return ()

    def resign(self) -> None:
        """Nobody else would lead."""


class SharedTurns:
    """The turns of one replica. The leader holds an advisory lock, which is free the moment its process dies.

    Two may lead for a moment, when a connection breaks and its process lives. That harms nothing: an instant is noted once, and
    rotations of the same run are the same work.
    """

    def __init__(self, replicas: Replicas) -> None:
        self._replicas = replicas
        self._lock = threading.Lock()
        self._session: Connection | None = None

    def leads(self) -> bool:
        """Keep the lead, or take it when nobody has it."""
        with self._lock:
            try:
                if self._session is None:
                    self._session = self._tried()
                else:
                    self._session.execute(text("SELECT 1"))
            except (SQLAlchemyError, Fenced):
                self._drop()
            return self._session is not None

    def begin(self, firing: Firing) -> bool:
        """Note the firing; the database keeps an instant of a job once."""
        with self._replicas.transaction() as (connection, replica):
            new = insert(firings).values(job=firing.job, instant=firing.instant, replica=replica).on_conflict_do_nothing()
            return connection.execute(new.returning(firings.c.job)).first() is not None

    def end(self, firing: Firing) -> None:
        """Note that it was carried out, and forget those of long ago."""
        with self._replicas.transaction() as (connection, _):
            this = (firings.c.job == firing.job) & (firings.c.instant == firing.instant)
            connection.execute(update(firings).where(this).values(ended_at=func.clock_timestamp()))
            connection.execute(delete(firings).where(firings.c.ended_at < func.clock_timestamp() - _KEPT))

    def left_over(self) -> Sequence[Firing]:
        """Take over what another leader began and did not end, the oldest first."""
        with self._replicas.transaction() as (connection, replica):
            open_ones = (firings.c.ended_at.is_(null())) & (firings.c.replica != replica)
            rows = connection.execute(select(firings).where(open_ones).order_by(firings.c.instant)).all()
            connection.execute(update(firings).where(open_ones).values(replica=replica))
            return tuple(Firing(job=row.job, instant=row.instant) for row in rows)

    def resign(self) -> None:
        """Lead no more, so that another replica leads at once."""
        with self._lock:
            self._drop()

    def _tried(self) -> Connection | None:
        session = self._replicas.life.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        if session.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": LEADING}):
            return session
        session.close()
        return None

    def _drop(self) -> None:
        if self._session is not None:
            # The session must end, and not go back to the pool: the lock ends with it.
            self._session.invalidate()
            self._session.close()
            self._session = None
