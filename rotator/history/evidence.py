"""The evidence log: every phase of every rotation in a hash chain that whoever edits the database cannot edit unnoticed.

A fault of the log never stops a rotation; what could not be written is counted, and the chain itself says so as soon as it can
be written again.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Lock
from typing import Protocol

import structlog
from sqlalchemy import Connection, Engine, insert, select, text
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from rotator.history import chain
from rotator.history.anchor import VaultAnchor
from rotator.history.chain import Examination, Head, Link
from rotator.history.rows import evidence
from rotator.model.errors import ConfigError, Held, RotatorError
from rotator.model.estate import StoredSecret
from rotator.model.rotation import RotationEvent
from rotator.ports import Clock, Json, Trail

log = structlog.get_logger(__name__)

FORMAT = 1
"""Of a record; fields are only ever added."""
_APPEND_LOCK, _ANCHOR_LOCK = 0x726F7461_65766964, 0x726F7461_616E6368
_PAGE = 1000
_TRIES = 5


class Losses(Protocol):
    """Whoever counts the records that could not be written."""

    def evidence_lost(self) -> None:
        """Count one."""
        ...


@dataclass(slots=True)
class _Missed:
    """What could not be written since the last record that could."""

    count: int = 0
    since: str = ""
    cause: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceSettings:
    """`actor` says who writes: identity, client, tenant, host, program, verb. `required`: no evidence, no rotation."""

    actor: Mapping[str, str] = field(default_factory=dict)
    required: bool = False


class EvidenceLog:
    """Keeps the chain in a table beside the history, its head in the vault. Safe for threads and for several processes."""

    def __init__(
        self, engine: Engine, clock: Clock, anchor: VaultAnchor, trail: Trail, losses: Losses, settings: EvidenceSettings
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._anchor = anchor
        self._trail = trail
        self._losses = losses
        self._settings = settings
        self._lock = Lock()
        self._missed = _Missed()
        self._begun = False
        self._unanchored = False
        self._checked: Head | None = None

    def notice(self, event: RotationEvent) -> None:
        """Record one event of a rotation (this is a `rotator.ports.Observer`)."""
        self._append(
            event.at,
            {
                "rotation": event.rotation,
                "principal": event.principal.id,
                "step": event.step,
                "ok": event.ok,
                "code": event.code,
                "group": event.group.text if event.group else "",
                "handle": event.handle,
                "secret": event.secret,
                "version": event.version,
                "requests": list(event.requests),
                "detail": event.detail,
            },
        )

    @contextmanager
    def kept(self, work: str) -> Iterator[None]:
        """Record that a run begins, and put the log's head into the vault when it ends, however it ends.

        `work` says what the run is about to do, and is empty for a run that has nothing to do. Raises Held, before anything is
        done, when the evidence is required and cannot be written.
        """
        self._trail.taken()  # what this thread asked before is no part of the run
        if work and not self._append(self._clock.now(), {"step": "run", "ok": True, "detail": work}) and self._settings.required:
            raise Held(
                "the evidence log cannot be written, and state.evidence_required is set: nothing was rotated",
                advice="Mend the database that state.history_url names (or the file in state.directory), and run again.",
            )
        try:
            yield
        finally:
            self._move_anchor()

    def head(self) -> Head | None:
        """Return the last record's place; None for an empty log."""
        with self._engine.connect() as connection:
            return _head(connection)

    def links(self, after: int = 0) -> Iterator[Link]:
        """Yield the records after a number in their order, a page at a time: a log of years takes no more memory."""
        for seq, body, digest in self._rows(after):
            yield chain.stored_link(seq, body, digest)

    def lines(self) -> Iterator[str]:
        """Yield the lines of an export. What is no record any more is yielded as it is: a check of the export will say so."""
        for _, body, digest in self._rows(0):
            try:
                yield chain.exported(body, digest)
            except (ValueError, TypeError):
                yield body.replace("\n", " ")

    def heads(self) -> tuple[Head, ...]:
        """Return what the vault knows of the log. Raises what the vault raised, and Held when that is illegible."""
        return self._anchor.heads()

    def check(self, secrets: Iterable[StoredSecret]) -> bool | None:
        """Check what was added since the last check, and everything at the first: whether the log is whole, None when empty.

        `secrets` is a listing of the vault; a head among them must be in the log. Says in the program's log what is wrong.
        """
        try:
            found = self._examined(self._anchor.among(secrets))
        except (RotatorError, SQLAlchemyError) as error:
            log.error("the evidence could not be checked", cause=type(error).__name__)  # noqa: TRY400 - its text may name hosts
            return False
        if found is None:
            return None
        for flaw in found.flaws[:5]:
            log.error("the evidence is broken", record=flaw.seq, damage=flaw.damage.value, detail=flaw.detail)
        self._checked = found.head if found.intact else None
        return found.intact

    def _examined(self, vault: Head | None) -> Examination | None:
        after = self._checked
        if after is not None and not self._holds(after):
            after = None
        found = chain.examine(
            self.links(after.seq if after else 0),
            heads=[vault] if vault and (after is None or vault.seq > after.seq) else (),
            after=after,
        )
        if found.head is None:
            if vault is not None:
                log.warning("the evidence of earlier runs is not in this database", vault_knows_of_record=vault.seq)
            return None
        if vault is not None and after is not None and vault.seq <= after.seq and not self._holds(vault):
            self._checked = None
            return self._examined(vault)  # in full, which names what is wrong
        return found

    def _append(self, at: datetime, fields: Mapping[str, Json]) -> bool:
        """Write a record, and before it that others are missing, if so; False when it could not be written."""
        instant = _instant(at)
        with self._lock:
            try:
                self._write(instant, fields)
            except (SQLAlchemyError, RotatorError, ValueError) as error:
                missed = self._missed
                self._missed = _Missed(missed.count + 1, missed.since or instant, type(error).__name__)
            else:
                self._missed, self._unanchored = _Missed(), True
                return True
            cause = self._missed.cause
        self._losses.evidence_lost()
        log.error("the evidence lost a record", step=str(fields.get("step", "")), cause=cause)
        return False

    def _write(self, at: str, fields: Mapping[str, Json]) -> None:
        gap = [_gap(self._missed)] if self._missed.count else []
        # A log must not begin at 1 while the vault knows of a longer one, so what the vault raises is raised here.
        lost = None if self._begun or self.head() is not None else self._anchor.read()
        common: Mapping[str, Json] = {"format": FORMAT, "at": at, "actor": dict(self._settings.actor)}
        for left in reversed(range(_TRIES)):
            try:
                with self._alone() as connection:
                    last = _head(connection)
                    opening = [_continuing(lost)] if last is None and lost is not None else []
                    last = last or lost
                    for one in (*opening, *gap, fields):
                        last = _insert(connection, last, {**common, **one})
            except IntegrityError:
                # Another process took the number, in a database that knows no lock of ours.
                if not left:
                    raise
            else:
                self._begun = True
                return

    @contextmanager
    def _alone(self, key: int = _APPEND_LOCK) -> Iterator[Connection]:
        """Be the only writer of the log until the transaction ends, among all processes."""
        with self._engine.begin() as connection:
            if connection.dialect.name == "sqlite" and key == _APPEND_LOCK:
                # Python begins a transaction at the first write only; two processes could read the same last record before.
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            elif connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})
            yield connection

    def _move_anchor(self) -> None:
        if not self._unanchored:
            return
        try:
            # One replica at a time: two that look and then write could move the vault's head backwards.
            with self._alone(_ANCHOR_LOCK) as connection:
                if connection.dialect.name == "sqlite":
                    # Flushes: what the vault knows of must survive a power cut.
                    connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)")
                head = _head(connection)
                if head is not None:
                    self._anchor.move(head, self._holds)
            self._unanchored = False
        except RotatorError as error:
            log.error("the evidence's head is not in the vault", code=error.code, reason=error.message, advice=error.advice)  # noqa: TRY400
        except SQLAlchemyError as error:
            log.error("the evidence's head is not in the vault", cause=type(error).__name__)  # noqa: TRY400

    def _holds(self, head: Head) -> bool:
        """Whether the log has this very record, or follows on from it."""
        with self._engine.connect() as connection:
            kept = connection.execute(select(evidence.c.hash).where(evidence.c.seq == head.seq)).scalar_one_or_none()
            if kept is not None:
                return str(kept) == head.hash
            following = select(evidence.c.body).where(evidence.c.seq == head.seq + 1)
            body = connection.execute(following).scalar_one_or_none()
        first = chain.stored_link(head.seq + 1, body, "") if body is not None else None
        return first is not None and (first.step, first.prev) == (chain.CONTINUES, head.hash)

    def _rows(self, after: int) -> Iterator[tuple[int, str, str]]:
        while True:
            query = select(evidence).where(evidence.c.seq > after).order_by(evidence.c.seq).limit(_PAGE)
            try:
                with self._engine.connect() as connection:
                    page = connection.execute(query).all()
            except SQLAlchemyError as error:
                raise ConfigError(
                    f"the evidence cannot be read from the history's database ({type(error).__name__})",
                    advice="Check state.history_url, and that the database is reachable and not damaged.",
                ) from None
            for row in page:
                after = row.seq
                yield row.seq, row.body, row.hash
            if len(page) < _PAGE:
                return


def _head(connection: Connection) -> Head | None:
    row = connection.execute(select(evidence).order_by(evidence.c.seq.desc()).limit(1)).one_or_none()
    if row is None:
        return None
    try:
        at = str(json.loads(row.body)["at"])
    except (ValueError, KeyError, TypeError):
        at = ""  # somebody has edited it; a check says so
    return Head(seq=row.seq, hash=row.hash, at=at)


def _insert(connection: Connection, last: Head | None, fields: Mapping[str, Json]) -> Head:
    seq = last.seq + 1 if last else 1
    body = chain.canonical(_clean({**fields, "seq": seq, "prev": last.hash if last else chain.GENESIS}))
    digest = chain.hash_of(body)
    connection.execute(insert(evidence), {"seq": seq, "body": body, "hash": digest})
    return Head(seq=seq, hash=digest, at=str(fields["at"]))


def _continuing(lost: Head) -> Mapping[str, Json]:
    return {
        "step": chain.CONTINUES,
        "ok": True,
        "detail": f"this log continues after one that is not here, whose last record in the vault is {lost.seq}",
        "continues": {"seq": lost.seq, "hash": lost.hash, "at": lost.at},
    }


def _gap(missed: _Missed) -> Mapping[str, Json]:
    count = "1 record" if missed.count == 1 else f"{missed.count} records"
    return {
        "step": chain.GAP,
        "ok": False,
        "detail": f"{count} could not be written from {missed.since} on ({missed.cause})",
        "missed": missed.count,
    }


def _clean(fields: Mapping[str, Json]) -> dict[str, Json]:
    """Replace what is no text in what services said: half a surrogate pair has no UTF-8, and the record would be lost for it."""
    return {
        name: value.encode("utf-8", "replace").decode() if isinstance(value, str) else value for name, value in fields.items()
    }


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
