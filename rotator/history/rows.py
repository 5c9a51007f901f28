"""The tables of the history, and the values that come out of them."""

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import BigInteger, Boolean, Column, DateTime, Dialect, Index, Integer, MetaData, String, Table, Text
from sqlalchemy.types import TypeDecorator

SCHEMA_VERSION = 2


class Instant(TypeDecorator[datetime]):
    """An aware UTC instant. SQLite forgets time zones, so the zone is put back when the row is read."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Store UTC."""
        del dialect
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return UTC."""
        del dialect
        if value is None or value.tzinfo is not None:
            return value
        return value.replace(tzinfo=UTC)


tables = MetaData()

schema = Table("rotator_schema", tables, Column("version", Integer, primary_key=True))

installation = Table(
    "rotator_installation", tables, Column("only", Integer, primary_key=True), Column("name", String(40), nullable=False)
)

runs = Table(
    "rotator_runs",
    tables,
    Column("id", Integer, primary_key=True),
    Column("at", Instant, nullable=False, index=True),
    Column("groups", Integer, nullable=False),
    Column("open", Integer, nullable=False),
    Column("waived", Integer, nullable=False),
    Column("unknown", Integer, nullable=False),
    Column("unread", Integer, nullable=False),
)

findings = Table(
    "rotator_findings",
    tables,
    Column("id", String(200), primary_key=True),
    Column("policy", String(200), nullable=False),
    Column("severity", String(20), nullable=False),
    Column("verdict", String(20), nullable=False),
    Column("waiver", String(200), nullable=False),
    Column("resource", Text, nullable=False),
    Column("part", Text, nullable=False),
    Column("subscription", String(40), nullable=False),
    Column("message", Text, nullable=False),
    Column("first_seen_at", Instant, nullable=False),
    Column("last_seen_at", Instant, nullable=False),
    Column("resolved_at", Instant, nullable=True, index=True),
)

events = Table(
    "rotator_events",
    tables,
    Column("id", Integer, primary_key=True),
    Column("rotation", String(200), nullable=False),
    Column("principal", Text, nullable=False),
    Column("step", String(40), nullable=False),
    Column("at", Instant, nullable=False),
    Column("ok", Boolean, nullable=False),
    Column("group", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("code", String(40), nullable=False),
    Index("rotator_events_by_rotation", "rotation", "at"),
)

pulls = Table(
    "rotator_pulls",
    tables,
    Column("id", Integer, primary_key=True),
    Column("rotation", String(200), nullable=False),
    Column("group", Text, nullable=False),
    Column("registry", Text, nullable=False),
    Column("first_at", Instant, nullable=False),
    Column("last_at", Instant, nullable=False),
    Index("rotator_pulls_by_rotation", "rotation", "last_at"),
)

outcomes = Table(
    "rotator_outcomes",
    tables,
    Column("id", Integer, primary_key=True),
    Column("rotation", String(200), nullable=False, index=True),
    Column("principal", Text, nullable=False),
    Column("result", String(20), nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("ended_at", Instant, nullable=False, index=True),
    Column("redeployed", Integer, nullable=False),
    Column("left", Integer, nullable=False),
    Column("detail", Text, nullable=False),
    Column("code", String(40), nullable=False),
)


# One text a record, not a column a field: what was hashed is what is kept, byte for byte, and a record may grow by a field.
evidence = Table(
    "rotator_evidence",
    tables,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("body", Text, nullable=False),
    Column("hash", String(64), nullable=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the history. `what` is `audit` or `rotation`; `subject` the principal's id, empty for an audit."""

    at: datetime
    what: str
    subject: str
    result: str
    detail: str
    rotation: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RememberedFinding:
    """A finding with its life so far; `resolved_at` is None while it was there at the last look."""

    id: str
    policy: str
    severity: str
    verdict: str
    waiver: str
    resource: str
    part: str
    message: str
    first_seen_at: datetime
    last_seen_at: datetime
    resolved_at: datetime | None
