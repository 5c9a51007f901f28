"""The tables that replicas share, beside the journal's own. All of it may be lost while no replica lives."""

from sqlalchemy import BigInteger, Column, DateTime, Engine, Identity, Index, MetaData, String, Table, Text, text

tables = MetaData()

replicas = Table(
    "rotator_replicas",
    tables,
    Column("name", String(80), primary_key=True),
    Column("joined_at", DateTime(timezone=True), nullable=False),
    Column("beaten_at", DateTime(timezone=True), nullable=False),
)

claims = Table(
    "rotator_claims",
    tables,
    Column("group", Text, primary_key=True),
    Column("replica", String(80), nullable=False),
)

# `ended_at` is null while the write is under way.
writes = Table(
    "rotator_writes",
    tables,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("region", Text, nullable=False),
    Column("replica", String(80), nullable=False),
    Column("ended_at", DateTime(timezone=True), nullable=True),
    Index("rotator_writes_by_region", "region", "ended_at"),
)

pauses = Table(
    "rotator_pauses",
    tables,
    Column("region", Text, primary_key=True),
    Column("until", DateTime(timezone=True), nullable=False),
)

# A run of the schedule. `ended_at` is null until it has ended, also when its leader died.
firings = Table(
    "rotator_firings",
    tables,
    Column("job", String(40), primary_key=True),
    Column("instant", DateTime(timezone=True), primary_key=True),
    Column("replica", String(80), nullable=False),
    Column("ended_at", DateTime(timezone=True), nullable=True),
)

# Any numbers that nothing else locks in a journal's database.
PREPARING = 0x726F7461746F72
LEADING = 0x6C656164


def prepare(engine: Engine) -> None:
    """Make the tables that are missing. Replicas that start together wait for each other."""
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": PREPARING})
        tables.create_all(connection)
