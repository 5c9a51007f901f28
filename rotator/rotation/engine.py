"""DBOS as this program uses it: opened on a file or a PostgreSQL, with two queues, JSON only, never pickle.

Importing DBOS costs more than a second, so it happens here and only when something is rotated.
"""

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from rotator.model.errors import ConfigError, RotatorError
from rotator.ports import Errand, Json
from rotator.replicas.membership import session_name
from rotator.rotation.steps import guarded, place_of, unguarded

if TYPE_CHECKING:
    from dbos import DBOS, Queue

# The version of the journal's format, not of the program: DBOS resumes only workflows of the same version, and by default
# makes it a hash of the source, so that an upgrade would leave every unfinished rotation lying.
JOURNAL_FORMAT = "2"

ROTATIONS, GROUPS = "rotations", "groups"
UNFINISHED = ["PENDING", "ENQUEUED"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tempo:
    """How often, in seconds, queues and results are asked for. A file is asked by one process; a database by every replica."""

    queue: float
    result: float


ON_FILE = Tempo(queue=0.1, result=0.1)
ON_DATABASE = Tempo(queue=0.25, result=0.1)


class _Steps:
    """What the `Steps` ports on DBOS share; they live inside a workflow."""

    def __init__(self, dbos: "type[DBOS]", errand: Callable[[Json], Json], parallel: int) -> None:
        self._dbos = dbos
        self._errand = errand
        self._parallel = parallel

    def run(self, name: str, work: Callable[[], Json]) -> Json:
        """Return the recorded result, or do the work and record it."""
        return unguarded(self._dbos.run_step({"name": name}, lambda: guarded(work)))

    def _id(self, name: str, errand: Errand) -> str:
        # The parent's and the errand's: asked for again by a replay, it is the same workflow.
        return f"{self._dbos.workflow_id}/{name}{errand.key}"


class FileSteps(_Steps):
    """The `Steps` port on a SQLite journal: one process does all.

    Errands do not go through a queue here. It was measured: asking a file for work all the time makes a run of 160 groups half as
    long again.
    """

    def each(self, name: str, errands: Sequence[Errand], work: Callable[[Json], Json]) -> tuple[Json, ...]:
        """Run a workflow for each errand, some at a time, and wait for all. `work` is the one that the journal knows."""
        from dbos import SetWorkflowID

        del work
        named = [(self._id(name, one), one.argument) for one in errands]

        def one(workflow_id: str, argument: Json) -> Json:
            with SetWorkflowID(workflow_id):
                return self._errand(argument)

        with ThreadPoolExecutor(max_workers=self._parallel, thread_name_prefix="errand") as pool:
            return tuple(unguarded(result) for result in pool.map(lambda each: one(*each), named))


class SharedSteps(_Steps):
    """The `Steps` port on PostgreSQL: whichever replica has a hand free takes an errand."""

    def each(self, name: str, errands: Sequence[Errand], work: Callable[[Json], Json]) -> tuple[Json, ...]:
        """Enqueue a workflow for each errand and wait for all. `work` cannot travel: it is the one that every journal knows."""
        from dbos import SetEnqueueOptions, SetWorkflowID

        del work
        handles = []
        for one in errands:
            with SetWorkflowID(self._id(name, one)), SetEnqueueOptions(queue_partition_key=one.place):
                handles.append(self._dbos.enqueue_workflow(GROUPS, self._errand, one.argument))
        return tuple(unguarded(handle.get_result(polling_interval_sec=ON_DATABASE.result)) for handle in handles)


class Hands:
    """The workflows that run in this process now, and what cut one of them off."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._busy = 0
        self.cut_off: BaseException | None = None

    @property
    def busy(self) -> int:
        """How many run."""
        return self._busy

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Count one workflow. A crash in it is kept, because the engine's thread ends without telling anybody."""
        from dbos import error as signals

        with self._lock:
            self._busy += 1
        try:
            yield
        except (Exception, signals.DBOSBaseException):
            # The engine's own signals, such as that another replica owns the workflow now, are the engine's to handle.
            raise
        except BaseException as error:
            self.cut_off = error
            raise
        finally:
            with self._lock:
                self._busy -= 1


@contextmanager
def launched(
    url: str,
    executor: str,
    workflows: "Callable[[type[DBOS]], None]",
    parallel: int,
    tempo: Tempo,
    *,
    patience: Callable[[], timedelta],
) -> Iterator[None]:
    """Run DBOS until the block ends; its workflows begin at once. `workflows` registers them. Raises ConfigError.

    At the end nothing new is begun, and what is under way is waited for as long as `patience` says then.
    """
    from dbos import DBOS, DBOSPortableJSONSerializer
    from sqlalchemy.exc import SQLAlchemyError

    logging.getLogger("dbos").setLevel(logging.ERROR)
    _tune_sqlite()
    # The others end a frozen replica's sessions by this name.
    named = {} if url.startswith("sqlite") else {"connect_args": {"application_name": session_name(executor)}}
    DBOS(
        config={
            "name": "rotator",
            "system_database_url": url,
            "serializer": DBOSPortableJSONSerializer(),
            "application_version": JOURNAL_FORMAT,
            "executor_id": executor,
            "console_log_level": "ERROR",
            # A run waits for this thread at its end.
            "notification_listener_polling_interval_sec": 0.1,
            "db_engine_kwargs": named,
        }
    )
    workflows(DBOS)
    try:
        try:
            DBOS.launch()
            _queues(DBOS, parallel, tempo)
        except SQLAlchemyError as error:
            raise ConfigError(
                f"the journal cannot be opened ({type(error).__name__})",
                advice="Move it away and run again; the vault says where each rotation stands.",
            ) from None
        yield
    finally:
        DBOS.destroy(destroy_registry=True, workflow_completion_timeout_sec=int(patience().total_seconds()))


def _queues(dbos: "type[DBOS]", parallel: int, tempo: Tempo) -> "tuple[Queue, Queue]":
    """Declare the queues: rotations wait for their groups, so that each kind needs a queue of its own."""
    rotations = dbos.register_queue(
        ROTATIONS, worker_concurrency=parallel, polling_interval_sec=tempo.queue, on_conflict="always_update"
    )
    groups = dbos.register_queue(
        GROUPS,
        worker_concurrency=parallel * parallel,
        # It makes the queue a partitioned one: a region that waits for Azure's limits does not keep the others waiting.
        partition_worker_concurrency=parallel * parallel,
        polling_interval_sec=tempo.queue,
        on_conflict="always_update",
    )
    return rotations, groups


def without_text(work: Callable[[Json], Json]) -> Callable[[Json], Json]:
    """Keep an unforeseen exception's text out of the journal, which stores what leaves a workflow."""

    def guardedly(argument: Json) -> Json:
        try:
            return work(argument)
        except RotatorError:
            raise
        except Exception as error:  # noqa: BLE001 - the last gate before the journal
            raise RotatorError(place_of(error)) from None

    return guardedly


def _tune_sqlite() -> None:
    """Make SQLite quick enough for a commit a group, and give an old one what DBOS's tables ask for.

    Not every commit is forced to the disk: a journal may be lost at any moment without harm. `unixepoch('subsec')` is NULL in
    SQLite before 3.42 (Debian 12 brings 3.40), and DBOS, which asks for it on Python 3.12 and newer, then refuses to start.
    """
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    if not event.contains(Engine, "connect", _tuned):
        event.listen(Engine, "connect", _tuned)


def _tuned(connection: object, _record: object) -> None:
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        if sqlite3.sqlite_version_info < (3, 42):
            # The times of DBOS's own rows; nothing of ours is decided by them, so they need not follow the clock port.
            connection.create_function("unixepoch", 1, lambda _subsec: time.time())  # noqa: TID251
