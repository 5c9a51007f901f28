"""Writes and reads the history.

The history is a convenience for people: losing it loses no credential, and a fault in it never stops a rotation.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta

import structlog
from sqlalchemy import Connection, Engine, Insert, Update, bindparam, case, delete, insert, null, select, update
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError

from rotator.history.database import installation_of, open_engine, prepare
from rotator.history.pulls import with_remembered
from rotator.history.rows import Entry, Instant, RememberedFinding, events, findings, outcomes, pulls, runs
from rotator.model.errors import ConfigError
from rotator.model.estate import Estate
from rotator.model.policy import Audit, Finding, Verdict
from rotator.model.rotation import Retirement, RotationEvent, RotationOutcome
from rotator.ports import Clock

log = structlog.get_logger(__name__)

KEPT = timedelta(days=400)
"""How long single events are remembered: a year's audit can look back on them. Audits and outcomes are kept for good."""


class History:
    """Remembers audits, findings and rotations in a database that SQLAlchemy can reach. Thread-safe.

    `url` is a SQLAlchemy URL: `sqlite:///path/history.sqlite` or `postgresql+psycopg://…`. Missing tables are made.
    `installation` names this installation; it is lost with the history.
    Raises ConfigError when the database cannot be opened, or was written by a newer version.
    """

    def __init__(self, url: str, clock: Clock) -> None:
        self._clock = clock
        self._engine = open_engine(url)
        try:
            prepare(self._engine)
            self.installation = installation_of(self._engine)
        except SQLAlchemyError as error:
            raise _unopened(self._engine.url, error) from None

    @property
    def engine(self) -> Engine:
        """The database, for what is kept beside the history."""
        return self._engine

    def record_audit(self, estate: Estate, audit: Audit) -> None:
        """Remember one evaluation: new findings begin, missing ones are resolved, the others are seen once more.

        A missing finding stays open when something of its subscription could not be read: not seen is not gone.
        """
        seen = {one.id: one for one in audit.findings}
        blind = " ".join(one.scope.lower() for one in estate.unread)
        now = audit.evaluated_at
        with self._writing("an audit") as connection:
            connection.execute(insert(runs), _run(estate, audit))
            known = {
                row.id: row for row in connection.execute(select(findings.c.id, findings.c.subscription, findings.c.resolved_at))
            }
            gone: list[Mapping[str, object]] = [
                {"key": row.id, "now": now}
                for row in known.values()
                if row.id not in seen and row.resolved_at is None and not (row.subscription and row.subscription in blind)
            ]
            _many(connection, insert(findings), [_new(one, now) for one in seen.values() if one.id not in known])
            _many(connection, _changed(), [_again(one, now) for one in seen.values() if one.id in known])
            _many(
                connection,
                update(findings).where(findings.c.id == bindparam("key")).values(resolved_at=bindparam("now", type_=Instant)),
                gone,
            )
            connection.execute(delete(events).where(events.c.at < self._clock.now() - KEPT))
            connection.execute(delete(pulls).where(pulls.c.last_at < self._clock.now() - KEPT))

    def notice(self, event: RotationEvent) -> None:
        """Remember one event of a rotation (this is a `rotator.ports.Observer`)."""
        row = {
            "rotation": event.rotation,
            "principal": event.principal.id,
            "step": event.step,
            "at": event.at,
            "ok": event.ok,
            "group": event.group.text if event.group else "",
            "detail": event.detail,
            "code": event.code,
        }
        with self._writing("an event") as connection:
            connection.execute(insert(events), row)

    def with_pulls(self, retirements: tuple[Retirement, ...]) -> tuple[Retirement, ...]:
        """Remember the pulls that explain logins; return the retirements with those of earlier looks, or unchanged at a fault."""
        found = list(retirements)
        with self._writing("pulls") as connection:
            found[:] = with_remembered(connection, retirements)
        return tuple(found)

    def record_outcomes(self, ended: Iterable[RotationOutcome]) -> None:
        """Remember how rotations ended in this run."""
        rows: list[Mapping[str, object]] = [
            {
                "rotation": one.rotation,
                "principal": one.principal.id,
                "result": one.result.value,
                "started_at": one.started_at,
                "ended_at": one.ended_at,
                "redeployed": len(one.redeployed),
                "left": len(one.left),
                "detail": one.detail,
                "code": one.code,
            }
            for one in ended
        ]
        with self._writing("an outcome") as connection:
            _many(connection, insert(outcomes), rows)

    def recent(self, limit: int = 20) -> tuple[Entry, ...]:
        """Return the newest audits and rotations, the newest first."""
        with self._engine.connect() as connection:
            audits = connection.execute(select(runs).order_by(runs.c.at.desc()).limit(limit)).all()
            ended = connection.execute(select(outcomes).order_by(outcomes.c.ended_at.desc()).limit(limit)).all()
        entries = [
            Entry(
                at=row.at,
                what="audit",
                subject="",
                result="complete" if row.unread == 0 else "partial",
                detail=f"{row.groups} groups, {row.open} open, {row.waived} waived, {row.unknown} unknown, {row.unread} unread",
            )
            for row in audits
        ] + [
            Entry(
                at=row.ended_at,
                what="rotation",
                subject=row.principal,
                result=row.result,
                detail=row.detail or f"{row.redeployed} groups moved",
                rotation=row.rotation,
            )
            for row in ended
        ]
        return tuple(sorted(entries, key=lambda entry: entry.at, reverse=True)[:limit])

    def events_of(self, rotation: str) -> tuple[Entry, ...]:
        """Return what happened in one rotation, in order; `what` is the step and `subject` the group, where there was one."""
        query = select(events).where(events.c.rotation == rotation).order_by(events.c.at, events.c.id)
        with self._engine.connect() as connection:
            return tuple(
                Entry(
                    at=row.at,
                    what=row.step,
                    subject=row.group,
                    result="ok" if row.ok else row.code or "failed",
                    detail=row.detail,
                    rotation=row.rotation,
                )
                for row in connection.execute(query)
            )

    def findings_since(self, at: datetime) -> tuple[RememberedFinding, ...]:
        """Return the findings that began or were resolved at `at` or later, in the order in which they began."""
        query = select(findings).where((findings.c.first_seen_at >= at) | (findings.c.resolved_at >= at))
        with self._engine.connect() as connection:
            rows = connection.execute(query.order_by(findings.c.first_seen_at, findings.c.id)).all()
        return tuple(
            RememberedFinding(
                id=row.id,
                policy=row.policy,
                severity=row.severity,
                verdict=row.verdict,
                waiver=row.waiver,
                resource=row.resource,
                part=row.part,
                message=row.message,
                first_seen_at=row.first_seen_at,
                last_seen_at=row.last_seen_at,
                resolved_at=row.resolved_at,
            )
            for row in rows
        )

    def first_seen(self) -> Mapping[str, datetime]:
        """Return when each unresolved finding was first seen, by its id."""
        query = select(findings.c.id, findings.c.first_seen_at).where(findings.c.resolved_at.is_(None))
        with self._engine.connect() as connection:
            return {row.id: row.first_seen_at for row in connection.execute(query)}

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    @contextmanager
    def _writing(self, what: str) -> Iterator[Connection]:
        """Write in one transaction. A database that is full or away costs the memory of this, never the work itself."""
        try:
            with self._engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            log.warning("the history lost something", what=what, cause=type(error).__name__)


def _unopened(url: URL, error: SQLAlchemyError) -> ConfigError:
    where, cause = url.render_as_string(hide_password=True), str(getattr(error, "orig", "")).lower()
    if url.get_backend_name() == "sqlite" and "locked" in cause:
        why, advice = "is locked by another program", "Wait for it to end; a copy or a backup of the file may hold it too."
    elif url.get_backend_name() == "sqlite" and ("not a database" in cause or "malformed" in cause):
        why, advice = "is damaged", "Move the file away and run again; the evidence in it is lost, and the new log says so."
    else:
        why, advice = f"cannot be opened ({type(error).__name__})", "Check state.history_url, and that it can be written to."
    return ConfigError(f"the history at {where} {why}", advice=advice)


def _many(connection: Connection, statement: Insert | Update, rows: list[Mapping[str, object]]) -> None:
    if rows:
        connection.execute(statement, rows)


def _run(estate: Estate, audit: Audit) -> Mapping[str, object]:
    return {
        "at": audit.evaluated_at,
        "groups": len(estate.groups),
        "open": len(audit.open()),
        "waived": sum(1 for one in audit.findings if one.verdict is Verdict.FAIL and one.waiver is not None),
        "unknown": len(audit.unknown()),
        "unread": len(estate.unread),
    }


def _new(finding: Finding, now: datetime) -> Mapping[str, object]:
    return {
        "id": finding.id,
        "policy": finding.policy,
        "severity": finding.severity.value,
        "verdict": finding.verdict.value,
        "waiver": finding.waiver.id if finding.waiver else "",
        "resource": finding.resource,
        "part": finding.part,
        "subscription": finding.subscription.lower(),
        "message": finding.message,
        "first_seen_at": now,
        "last_seen_at": now,
    }


def _again(finding: Finding, now: datetime) -> Mapping[str, object]:
    names = ("severity", "verdict", "waiver", "message")
    return {"key": finding.id, "now": now} | {f"new_{name}": value for name, value in _new(finding, now).items() if name in names}


def _changed() -> Update:
    """Return the statement that sees a finding once more; one that had been resolved begins a new life."""
    reborn = case((findings.c.resolved_at.is_not(None), bindparam("now", type_=Instant)), else_=findings.c.first_seen_at)
    return (
        update(findings)
        .where(findings.c.id == bindparam("key"))
        .values(
            severity=bindparam("new_severity"),
            verdict=bindparam("new_verdict"),
            waiver=bindparam("new_waiver"),
            message=bindparam("new_message"),
            first_seen_at=reborn,
            last_seen_at=bindparam("now", type_=Instant),
            resolved_at=null(),
        )
    )
