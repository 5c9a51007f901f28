"""Rotations on DBOS: what was under way when the process died is carried on by the next one.

The journal is a SQLite file, or PostgreSQL when its URL says so. JSON only, never pickle; steps return references, never
values. Importing DBOS costs more than a second, so it happens here and only when something is rotated.
"""

import logging
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Never

from filelock import FileLock, Timeout
from pydantic import TypeAdapter

from rotator.model.errors import AlreadyRunning, ConfigError, RotatorError
from rotator.model.rotation import PlanItem, RotationOutcome
from rotator.ports import Json
from rotator.rotation.context import Context
from rotator.rotation.steps import guarded, place_of, unguarded
from rotator.rotation.workflow import carry_out

if TYPE_CHECKING:
    from dbos import DBOS, WorkflowHandle

# The version of the journal's format, not of the program: DBOS resumes only workflows of the same version, and by default
# makes it a hash of the source, so that an upgrade would leave every unfinished rotation lying.
JOURNAL_FORMAT = "1"
# Any number that nothing else locks in a journal's database.
_ADVISORY_LOCK = 0x726F7461746F72

_ITEM = TypeAdapter(PlanItem)
_OUTCOME = TypeAdapter(RotationOutcome)


class DurableSteps:
    """The `Steps` port on DBOS; lives inside a workflow."""

    def __init__(self, dbos: "type[DBOS]") -> None:
        self._dbos = dbos

    def run(self, name: str, work: Callable[[], Json]) -> Json:
        """Return the recorded result, or do the work and record it."""
        return unguarded(self._dbos.run_step({"name": name}, lambda: guarded(work)))


class Journal:
    """Carries rotations out durably, a bounded number at a time, and carries on those that an earlier process left.

    Use as a context: it is opened with `with journal.opened(context):`. Raises AlreadyRunning when another process has the
    same journal open. `lock` is the file that says so for a SQLite journal; PostgreSQL says so itself.
    """

    def __init__(self, url: str, lock: Path | None) -> None:
        self._url = url
        self._lock = lock
        self._context: Context | None = None
        self._workflow: Callable[[Json], Json] = lambda _: self._closed()

    @contextmanager
    def opened(self, context: Context) -> "Iterator[Journal]":
        """Own the journal until the block ends."""
        with self._locked():
            from dbos import DBOS, DBOSPortableJSONSerializer
            from sqlalchemy.exc import SQLAlchemyError

            logging.getLogger("dbos").setLevel(logging.ERROR)
            _mend_old_sqlite()
            DBOS(
                config={
                    "name": "rotator",
                    "system_database_url": self._url,
                    "serializer": DBOSPortableJSONSerializer(),
                    "application_version": JOURNAL_FORMAT,
                    "executor_id": "rotator",
                    "console_log_level": "ERROR",
                }
            )
            self._context = context
            self._workflow = self._registered(DBOS)
            try:
                try:
                    DBOS.launch()
                except SQLAlchemyError as error:
                    raise ConfigError(
                        f"the journal cannot be opened ({type(error).__name__})",
                        advice="Move it away and run again; the vault says where each rotation stands.",
                    ) from None
                yield self
            finally:
                DBOS.destroy(destroy_registry=True)
                self._context = None

    def carried_on(self) -> tuple[RotationOutcome, ...]:
        """Wait for what an earlier process left unfinished, which DBOS has taken up again, and return how it ended.

        What cannot be taken up is left to the plans of later runs: the vault's tags say where it stands.
        """
        from dbos import DBOS

        left = DBOS.list_workflows(status=["PENDING", "ENQUEUED"], load_input=False, load_output=False)
        handles: list[WorkflowHandle[Json]] = [DBOS.retrieve_workflow(one.workflow_id) for one in left]
        outcomes = []
        for handle in handles:
            try:
                outcomes.append(_OUTCOME.validate_python(handle.get_result()))
            except Exception:  # noqa: BLE001 - a journal of another version, or one that was cut off, must not stop this run
                logging.getLogger(__name__).warning("work that was cut off could not be taken up from the journal")
        return tuple(outcomes)

    def rotate(self, items: Sequence[PlanItem], run: str, parallel: int) -> tuple[RotationOutcome, ...]:
        """Carry the items out; `run` tells this run's attempts from those of other runs of the same work."""
        from dbos import SetWorkflowID

        def one(item: PlanItem) -> RotationOutcome:
            with SetWorkflowID(f"{item.rotation}:{run}"):
                argument: Json = _ITEM.dump_python(item, mode="json")
                return _OUTCOME.validate_python(self._workflow(argument))

        with ThreadPoolExecutor(max_workers=parallel, thread_name_prefix="rotation") as pool:
            return tuple(pool.map(one, items))

    def _registered(self, dbos: "type[DBOS]") -> Callable[[Json], Json]:
        def rotation(argument: Json) -> Json:
            return _journalled(carry_out(DurableSteps(dbos), self._reach(), _ITEM.validate_python(argument)))

        return dbos.workflow(name="rotation")(_without_text(rotation))

    def _reach(self) -> Context:
        return self._closed() if self._context is None else self._context

    def _closed(self) -> Never:
        raise RotatorError("the journal is closed")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        if self._lock is None:
            with _alone_in(self._url):
                yield
            return
        self._lock.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self._lock)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise AlreadyRunning(f"another rotator works on the journal {self._lock.with_suffix('')}") from None
        try:
            yield
        finally:
            lock.release()


@contextmanager
def _alone_in(url: str) -> Iterator[None]:
    """Hold a PostgreSQL journal's advisory lock, which ends with the process that holds it.

    Replicas take turns: two that took up the same work at once would each make a secret and end the other's.
    """
    from sqlalchemy import create_engine, text

    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            if not connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": _ADVISORY_LOCK}):
                raise AlreadyRunning("another rotator works on the same PostgreSQL journal")
            yield
    finally:
        engine.dispose()


def _mend_old_sqlite() -> None:
    """Give SQLite before 3.42 the fractions of a second that DBOS's tables ask for by default.

    `unixepoch('subsec')` is NULL there, and DBOS, which asks for it on Python 3.12 and newer, then refuses to start. Debian 12
    brings SQLite 3.40.
    """
    if sqlite3.sqlite_version_info >= (3, 42):
        return
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    if not event.contains(Engine, "connect", _with_fractions):
        event.listen(Engine, "connect", _with_fractions)


def _with_fractions(connection: object, _record: object) -> None:
    if isinstance(connection, sqlite3.Connection):
        # The times of DBOS's own rows; nothing of ours is decided by them, so they need not follow the clock port.
        connection.create_function("unixepoch", 1, lambda _subsec: time.time())  # noqa: TID251


def _journalled(outcome: RotationOutcome) -> Json:
    written: Json = _OUTCOME.dump_python(outcome, mode="json")
    return written


def _without_text(work: Callable[[Json], Json]) -> Callable[[Json], Json]:
    """Keep an unforeseen exception's text out of the journal, which stores what leaves a workflow."""

    def guardedly(argument: Json) -> Json:
        try:
            return work(argument)
        except RotatorError:
            raise
        except Exception as error:  # noqa: BLE001 - the last gate before the journal
            raise RotatorError(place_of(error)) from None

    return guardedly
