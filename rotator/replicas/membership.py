"""The life of a replica: it joins, beats, notices who has died, and leaves.

The database's clock and one statement decide who is alive. A heartbeat is an UPDATE of the replica's row, and a takeover ends
with the row's deletion in a transaction that holds it: so a replica either beats in time, or finds its row gone. The fence
shuts before a takeover can begin, because it counts from before the heartbeat was sent and its limit is the shorter.

A lost connection is no death. An advisory lock that ends with its session would free a living replica's work the moment
the network fails, seconds before that replica could know; the age of the heartbeat does not.
"""

import os
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import structlog
from sqlalchemy import Connection, Engine, create_engine, delete, func, insert, literal, select, text, update
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from rotator.model.errors import ConfigError, Fenced
from rotator.replicas.database import begun
from rotator.replicas.fence import Fence
from rotator.replicas.tables import claims, prepare, replicas

log = structlog.get_logger(__name__)

# A replica that was frozen in a transaction of ours would keep its locks for as long as it is frozen.
_IDLE_IN_TRANSACTION = "30s"


Burial = Callable[[Connection, str], None]
"""Ends what else a dead replica held, in the transaction that removes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetimes:
    """How old a heartbeat is when its replica counts as dead, and what follows from it."""

    dead_after: timedelta = timedelta(seconds=15)

    @property
    def beat(self) -> timedelta:
        """How often a replica beats, and looks for the dead."""
        return self.dead_after / 7.5

    @property
    def fence(self) -> timedelta:
        """How old a replica lets its own heartbeat become. The difference is for clocks that do not run alike."""
        return self.dead_after * 2 / 3


class Membership:
    """One life of a replica. `name` is its own and never used again; `burials` are called for each replica that died."""

    def __init__(self, engine: Engine, name: str, fence: Fence, lifetimes: Lifetimes, burials: Sequence[Burial] = ()) -> None:
        self.name = name
        self.engine = engine
        self.fence = fence
        self.lifetimes = lifetimes
        self._burials = burials
        self._ended = threading.Event()
        self._on_loss: list[Callable[[], None]] = []
        self._threads: list[threading.Thread] = []

    def check(self) -> None:
        """Raise Fenced when this life is over."""
        self.fence.check()

    def on_loss(self, told: Callable[[], None]) -> None:
        """Be told, from any thread, that others took this life for dead; at once when they did so already."""
        self._on_loss.append(told)
        if self.fence.shut:
            told()

    def beat(self) -> bool:
        """Say to the others that this replica lives; False when they have taken its work over, or cannot be told."""
        began = self.fence.now()
        try:
            with self.engine.begin() as connection:
                mine = update(replicas).where(replicas.c.name == self.name).values(beaten_at=func.clock_timestamp())
                alive = connection.execute(mine).rowcount == 1
        except SQLAlchemyError:
            return False
        if alive:
            self.fence.renew(began)
        else:
            self.fence.shut_for_good()
        return alive

    def bury(self, adopt: Callable[[str], None]) -> tuple[str, ...]:
        """Take over from every replica whose heartbeat is too old, unless another one is at it; returns their names.

        `adopt` puts its unfinished workflows back into the queues.
        """
        long_ago = func.clock_timestamp() - self.lifetimes.dead_after
        dead = select(replicas.c.name).where(replicas.c.beaten_at < long_ago, replicas.c.name != self.name)
        buried = []
        for name in self._names(dead):
            with self.engine.begin() as connection:
                # Skipped when a heartbeat, or another replica, has the row: it is not ours to bury then.
                taken = connection.scalar(dead.where(replicas.c.name == name).with_for_update(skip_locked=True))
                if taken is None:
                    continue
                _end_sessions(connection, name)
                adopt(name)
                connection.execute(delete(claims).where(claims.c.replica == name))
                for burial in self._burials:
                    burial(connection, name)
                connection.execute(delete(replicas).where(replicas.c.name == name))
            log.info("a replica is gone; its work is taken over here", replica=name)
            buried.append(name)
        return tuple(buried)

    def keep_beating(self) -> None:
        """Beat, in a thread of its own, until the life ends: from the beginning, since even opening a journal takes seconds."""
        self._begin(threading.Thread(target=self._beating, name="heartbeat", daemon=True))

    def look_for_the_dead(self, adopt: Callable[[str], None]) -> None:
        """Take over from whoever dies, in a thread of its own, until the life ends."""
        self._begin(threading.Thread(target=self._burying, args=(adopt,), name="takeover", daemon=True))

    def _begin(self, thread: threading.Thread) -> None:
        self._threads.append(thread)
        thread.start()

    def end(self, *, in_order: bool) -> None:
        """Leave. `in_order` says that nothing of this life's work is still under way in this process.

        What is not finished is left to the others, who find a heartbeat from long ago and need not wait.
        """
        self._ended.set()
        if not in_order:
            self.fence.shut_for_good()
        for thread in self._threads:
            thread.join(self.lifetimes.beat.total_seconds())
        try:
            with self.engine.begin() as connection:
                given_up = text("'-infinity'::timestamptz")
                connection.execute(update(replicas).where(replicas.c.name == self.name).values(beaten_at=given_up))
        except SQLAlchemyError as error:
            log.warning("could not say that this replica leaves", cause=type(error).__name__)
        if in_order and not self.fence.shut:
            self.fence.lift()

    def _beating(self) -> None:
        while not self._ended.wait(self.lifetimes.beat.total_seconds()):
            self.beat()
            try:
                self.fence.check()
            except Fenced:
                log.error("this replica was taken for dead", replica=self.name)  # noqa: TRY400 - it is no error with a trace
                for told in self._on_loss:
                    told()
                return

    def _burying(self, adopt: Callable[[str], None]) -> None:
        while not self.fence.shut:
            try:
                self.bury(adopt)
            except Exception as error:  # noqa: BLE001 - whatever it is, the next try may do it; its text may not be shown
                log.warning("a takeover failed and will be tried again", cause=type(error).__name__)
            if self._ended.wait(self.lifetimes.beat.total_seconds()):
                return

    def _names(self, chosen: "object") -> tuple[str, ...]:
        with self.engine.connect() as connection:
            return tuple(connection.scalars(chosen))  # type: ignore[call-overload]


class Replicas:
    """The replicas that share a PostgreSQL database. `url` is the journal's."""

    def __init__(self, url: str, lifetimes: Lifetimes | None = None, fence: Fence | None = None) -> None:
        self.lifetimes = lifetimes or Lifetimes()
        self.fence = fence or Fence(self.lifetimes.fence)
        self._url = url
        self._life: Membership | None = None
        self._burials: list[Burial] = []

    def on_burial(self, burial: Burial) -> None:
        """Have something ended for each replica that died."""
        self._burials.append(burial)

    @contextmanager
    def transaction(self) -> Iterator[tuple[Connection, str]]:
        """Give a transaction and the name of this replica's life; Fenced when it is over, or the database is away."""
        life = self.life
        life.check()
        try:
            with begun(life.engine) as connection:
                yield connection, life.name
        except Fenced:
            # The work that this cuts off is nobody's until the others take it over, so they must.
            life.fence.shut_for_good()
            raise

    @property
    def life(self) -> Membership:
        """The life that this process has now; Fenced when it has none."""
        if self._life is None:
            raise Fenced
        return self._life

    @contextmanager
    def joined(self) -> Iterator[Membership]:
        """Live until `end` is called on what is yielded, or the block ends. Raises ConfigError when the database is away."""
        name = f"{socket.gethostname()[:30]}-{os.getpid()}-{os.urandom(4).hex()}"
        engine = _engine(self._url, name)
        try:
            life = Membership(engine, name, self.fence, self.lifetimes, self._burials)
            try:
                began = self.fence.now()
                prepare(engine)
                with engine.begin() as connection:
                    now = func.clock_timestamp()
                    connection.execute(insert(replicas).values(name=literal(name), joined_at=now, beaten_at=now))
            except SQLAlchemyError as error:
                raise ConfigError(
                    f"the journal's database cannot be used ({type(error).__name__})",
                    advice="Check state.journal_url, and that its user may make tables there.",
                ) from None
            self.fence.guard(life.beat, began)
            self._life = life
            try:
                yield life
            finally:
                self._life = None
        finally:
            engine.dispose()


def session_name(replica: str) -> str:
    """Return the name that each of a replica's sessions has, so that those of a frozen one can be ended."""
    return "rotator " + replica


def _engine(url: str, replica: str) -> Engine:
    options = {
        "application_name": session_name(replica),
        "options": f"-c idle_in_transaction_session_timeout={_IDLE_IN_TRANSACTION}",
        "connect_timeout": 5,
        # A network that swallows packets must not hold a heartbeat for the quarter of an hour that TCP would try.
        "tcp_user_timeout": 5000,
    }
    try:
        address = make_url(url).set(drivername="postgresql+psycopg")
    except ArgumentError:
        raise ConfigError("state.journal_url is no URL of a database", advice="Write postgresql://user@host/database.") from None
    return create_engine(address, pool_pre_ping=True, max_overflow=20, connect_args=options)


def _end_sessions(connection: Connection, replica: str) -> None:
    """End what a frozen replica has open: a transaction in it may hold what everybody waits for."""
    connection.execute(
        text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = :name AND pid <> pg_backend_pid()"),
        {"name": session_name(replica)},
    )
