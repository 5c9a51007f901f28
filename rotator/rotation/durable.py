"""Rotations on DBOS: what was under way when the process died is carried on by the next one, or by another replica.

The journal is a SQLite file, which one process has at a time, or PostgreSQL, which many replicas share. Steps return references,
never values.
"""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout
from pydantic import TypeAdapter

from rotator.model.errors import AlreadyRunning, Fenced, Leaving, ReplicaLost, RotatorError
from rotator.model.rotation import PlanItem, RotationOutcome
from rotator.ports import Json
from rotator.replicas.membership import Membership, Replicas
from rotator.rotation.context import Context
from rotator.rotation.cutover import run_errand
from rotator.rotation.engine import (
    JOURNAL_FORMAT,
    ON_DATABASE,
    ON_FILE,
    ROTATIONS,
    UNFINISHED,
    FileSteps,
    Hands,
    SharedSteps,
    launched,
    without_text,
)
from rotator.rotation.steps import guarded
from rotator.rotation.workflow import carry_out

if TYPE_CHECKING:
    from dbos import DBOS

log = logging.getLogger(__name__)

Remember = Callable[[RotationOutcome], None]

_ITEM = TypeAdapter(PlanItem)
_OUTCOME = TypeAdapter(RotationOutcome)

_LEAVE_WITHIN = timedelta(minutes=10)
"""How long a replica that leaves waits for what it has begun: longer than a group takes to become healthy."""


class Journal:
    """Carries rotations out durably, a bounded number at a time, and carries on those that an earlier process left.

    Use as a context: it is opened with `with journal.opened(context):`. A SQLite journal has a `lock` file, and opening it raises
    AlreadyRunning while another process has it. One on PostgreSQL has `replicas`: opening it is joining them, and from then on
    this process does its part of whatever is in the queues.
    """

    def __init__(self, url: str, lock: Path | None = None, replicas: Replicas | None = None) -> None:
        self._url = url
        self._lock = lock
        self._replicas = replicas
        self._tempo = ON_FILE if replicas is None else ON_DATABASE
        self._running: _Running | None = None

    @property
    def shared(self) -> bool:
        """Whether other replicas may have it open at the same time."""
        return self._replicas is not None

    @property
    def life(self) -> Membership | None:
        """This process's life among the replicas; None without replicas, or while the journal is closed."""
        return self._replicas.life if self._replicas is not None and self._running is not None else None

    @contextmanager
    def opened(
        self, context: Context, remember: Remember = lambda _: None, *, leave_within: timedelta = _LEAVE_WITHIN
    ) -> "Iterator[Journal]":
        """Own the journal, or be one of its replicas, until the block ends. Open already, it stays as it is.

        `remember` is told how each rotation ended, in the process that carried it out. Raises ReplicaLost when others have taken
        this process for dead.
        """
        if self._running is not None:
            yield self
            return
        running = _Running(context, remember)
        try:
            if self._replicas is None:
                with self._alone(), self._at_work(running, self._url, "rotator", timedelta(0)):
                    yield self
            else:
                with self._replicas.joined() as life, self._among_others(running, life, leave_within):
                    yield self
        except Fenced:
            raise ReplicaLost from None

    def leave(self) -> None:
        """Have whoever waits here for the end of rotations be told Leaving, where there are others to carry on."""
        if self._running is not None and self.shared:
            self._running.leaving = True

    def carried_on(self) -> tuple[RotationOutcome, ...]:
        """Wait for what is unfinished, which DBOS or another replica has taken up again, and return how it ended.

        What cannot be taken up is left to the plans of later runs: the vault's tags say where it stands.
        """
        from dbos import DBOS

        left = DBOS.list_workflows(
            status=UNFINISHED, name="rotation", app_version=JOURNAL_FORMAT, load_input=False, load_output=False
        )
        return tuple(self._ended([one.workflow_id for one in left]).values())

    def rotate(self, items: Sequence[PlanItem], run: str) -> tuple[RotationOutcome, ...]:
        """Carry the items out; `run` tells this run's attempts from those of other runs of the same work.

        The same items of the same run are the same work, whoever asks for them. While a principal's rotation is under way,
        whoever asked for it, a second one is not begun: its outcome is that of the first.
        """
        from dbos import DBOS, SetEnqueueOptions, SetWorkflowID

        asked = []
        for item in items:
            argument: Json = _ITEM.dump_python(item, mode="json")
            once = SetEnqueueOptions(deduplication_id=item.principal.id, duplication_policy="return-existing")
            with SetWorkflowID(f"{item.rotation}:{run}"), once:
                asked.append(DBOS.enqueue_workflow(ROTATIONS, self._open().rotation, argument).workflow_id)
        try:
            outcomes = self._ended(asked)
        except KeyboardInterrupt:
            if not self.shared:
                # What was begun is brought to its end; what only waits its turn is given up.
                waiting = DBOS.list_workflows(workflow_ids=asked, status="ENQUEUED", load_input=False, load_output=False)
                DBOS.cancel_workflows([one.workflow_id for one in waiting])
                self._ended(asked)
            raise
        return tuple(outcomes[one] for one in asked if one in outcomes)

    def _ended(self, ids: Sequence[str]) -> Mapping[str, RotationOutcome]:
        """Wait until the workflows have ended; those that end without an outcome are missing from the result."""
        from dbos import DBOS

        open_ids = list(dict.fromkeys(ids))
        outcomes: dict[str, RotationOutcome] = {}
        waiting = threading.Event()
        while True:
            self._open().check()
            left = DBOS.list_workflows(workflow_ids=open_ids, status=UNFINISHED, load_input=False, load_output=False)
            unfinished = {one.workflow_id for one in left} if open_ids else set()
            for one in [each for each in open_ids if each not in unfinished]:
                open_ids.remove(one)
                try:
                    outcomes[one] = _OUTCOME.validate_python(DBOS.retrieve_workflow(one).get_result())
                except Exception:  # noqa: BLE001 - one that was cut off or cancelled must not stop this run
                    log.warning("work that was cut off could not be taken up from the journal")
            if not open_ids:
                return outcomes
            waiting.wait(self._tempo.result)

    def _open(self) -> "_Running":
        if self._running is None:
            raise RotatorError("the journal is closed")
        return self._running

    @contextmanager
    def _at_work(self, running: "_Running", url: str, executor: str, leave_within: timedelta) -> Iterator[None]:
        def patience() -> timedelta:
            return leave_within if running.goes_on else timedelta(0)

        engine = launched(url, executor, running.register, running.parallel, self._tempo, patience=patience)
        self._running = running
        try:
            with engine:
                yield
        finally:
            self._running = None

    @contextmanager
    def _among_others(self, running: "_Running", life: Membership, leave_within: timedelta) -> Iterator[None]:
        running.life = life
        life.keep_beating()
        try:
            with self._at_work(running, self._url, life.name, leave_within):
                life.look_for_the_dead(_adopt)
                yield
        finally:
            life.end(in_order=not running.busy)

    @contextmanager
    def _alone(self) -> Iterator[None]:
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


class _Running:
    """A journal that is open: the workflows that DBOS calls, and whether they still may."""

    def __init__(self, context: Context, remember: Remember) -> None:
        self.life: Membership | None = None
        self.leaving = False
        self.rotation: Callable[[Json], Json]
        self._context = context
        self._remember = remember
        self._hands = Hands()

    @property
    def parallel(self) -> int:
        """How many rotations, and groups of each, at a time."""
        return self._context.rules.max_parallel

    @property
    def busy(self) -> bool:
        """Whether a workflow is under way in this process."""
        return self._hands.busy > 0

    @property
    def goes_on(self) -> bool:
        """Whether what is under way may come to its end."""
        return self._hands.cut_off is None and not (self.life and self.life.fence.shut)

    def check(self) -> None:
        """Raise what cut a workflow of this process off, Fenced or Leaving: nobody here should wait for results any more."""
        if self._hands.cut_off is not None:
            raise self._hands.cut_off
        if self.life is not None:
            self.life.check()
        if self.leaving:
            raise Leaving

    def register(self, dbos: "type[DBOS]") -> None:
        """Name the workflows to DBOS."""

        def errand(argument: Json) -> Json:
            with self._hands.at_work():
                return guarded(lambda: run_errand(self._context, argument))

        # However often its replicas die, a rotation is taken up again: it is harmless each time.
        kind = FileSteps if self.life is None else SharedSteps
        steps = kind(dbos, dbos.workflow(name="errand", max_recovery_attempts=None)(without_text(errand)), self.parallel)

        def rotation(argument: Json) -> Json:
            with self._hands.at_work():
                outcome = carry_out(steps, self._context, _ITEM.validate_python(argument))
                steps.run("remember", lambda: self._remember(outcome))
                written: Json = _OUTCOME.dump_python(outcome, mode="json")
                return written

        self.rotation = dbos.workflow(name="rotation", max_recovery_attempts=None)(without_text(rotation))


def _adopt(replica: str) -> None:
    """Put a dead replica's workflows back into their queues, where exactly one of the living takes each."""
    from dbos import DBOS

    # DBOS keeps this call for its own recovery service, and there is no public one. Its condition is that the row still
    # belongs to the dead executor, so that calling it twice does what once does.
    DBOS._recover_pending_workflows([replica])  # noqa: SLF001
    if DBOS.list_workflows(status="PENDING", executor_id=replica, app_version=JOURNAL_FORMAT, load_input=False, limit=1):
        raise RotatorError(f"not all work of {replica} could be taken over")
