"""Rotations on DBOS: what was under way when the process died is carried on by the next one.

The journal is a SQLite file, or PostgreSQL when its URL says so. JSON only, never pickle; steps return references, never
values. Importing DBOS costs more than a second, so it happens here and only when something is rotated.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout
from pydantic import TypeAdapter

from rotator.model.errors import AlreadyRunning, RotatorError
from rotator.model.rotation import PlanItem, Retirement, RotationOutcome
from rotator.ports import Json
from rotator.rotation.context import Context
from rotator.rotation.steps import guarded, place_of, unguarded
from rotator.rotation.workflow import carry_out, finish_off

if TYPE_CHECKING:
    from dbos import DBOS, WorkflowHandle

# The version of the journal's format, not of the program: DBOS resumes only workflows of the same version, and by default
# makes it a hash of the source, so that an upgrade would leave every unfinished rotation lying.
JOURNAL_FORMAT = "1"

_ITEM = TypeAdapter(PlanItem)
_RETIREMENT = TypeAdapter(Retirement)
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
    same SQLite journal open.
    """

    def __init__(self, url: str, lock: Path | None) -> None:
        self._url = url
        self._lock = lock
        self._context: Context | None = None
        self._workflows: Mapping[str, Callable[[Json], Json]] = {}

    @contextmanager
    def opened(self, context: Context) -> "Iterator[Journal]":
        """Own the journal until the block ends."""
        with self._locked():
            from dbos import DBOS, DBOSPortableJSONSerializer

            logging.getLogger("dbos").setLevel(logging.ERROR)
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
            self._workflows = self._registered(DBOS)
            try:
                DBOS.launch()
                yield self
            finally:
                DBOS.destroy(destroy_registry=True)
                self._context = None

    def carried_on(self) -> tuple[RotationOutcome, ...]:
        """Wait for what an earlier process left unfinished, which DBOS has taken up again, and return how it ended."""
        from dbos import DBOS

        left = DBOS.list_workflows(status=["PENDING", "ENQUEUED"], load_input=False, load_output=False)
        handles: list[WorkflowHandle[Json]] = [DBOS.retrieve_workflow(one.workflow_id) for one in left]
        return tuple(_OUTCOME.validate_python(handle.get_result()) for handle in handles)

    def rotate(self, items: Sequence[PlanItem], run: str, parallel: int) -> tuple[RotationOutcome, ...]:
        """Carry the items out; `run` tells this run's attempts from those of other runs of the same work."""
        work = [("rotation", f"{item.rotation}:{run}", _ITEM.dump_python(item, mode="json")) for item in items]
        return self._all(work, parallel)

    def retire(self, retirements: Sequence[Retirement], run: str, parallel: int) -> tuple[RotationOutcome, ...]:
        """End the old secrets of rotations whose soak is over."""
        work = [("retirement", f"{one.rotation}:retire:{run}", _RETIREMENT.dump_python(one, mode="json")) for one in retirements]
        return self._all(work, parallel)

    def _all(self, work: Sequence[tuple[str, str, Json]], parallel: int) -> tuple[RotationOutcome, ...]:
        from dbos import SetWorkflowID

        def one(task: tuple[str, str, Json]) -> RotationOutcome:
            name, workflow_id, argument = task
            with SetWorkflowID(workflow_id):
                return _OUTCOME.validate_python(self._workflows[name](argument))

        with ThreadPoolExecutor(max_workers=parallel, thread_name_prefix="rotation") as pool:
            return tuple(pool.map(one, work))

    def _registered(self, dbos: "type[DBOS]") -> Mapping[str, Callable[[Json], Json]]:
        def rotation(argument: Json) -> Json:
            return _journalled(carry_out(DurableSteps(dbos), self._reach(), _ITEM.validate_python(argument)))

        def retirement(argument: Json) -> Json:
            return _journalled(finish_off(DurableSteps(dbos), self._reach(), _RETIREMENT.validate_python(argument)))

        return {
            "rotation": dbos.workflow(name="rotation")(_without_text(rotation)),
            "retirement": dbos.workflow(name="retirement")(_without_text(retirement)),
        }

    def _reach(self) -> Context:
        if self._context is None:
            raise RotatorError("the journal is closed")
        return self._context

    @contextmanager
    def _locked(self) -> Iterator[None]:
        if self._lock is None:
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
