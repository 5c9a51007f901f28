"""Opens the history's database, whichever it is."""

import secrets
import sqlite3
from contextlib import suppress
from pathlib import Path

from sqlalchemy import Engine, create_engine, event, insert, select, text, update
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, NoSuchModuleError
from sqlalchemy.pool import StaticPool

from rotator.history.rows import SCHEMA_VERSION, installation, schema, tables
from rotator.model.errors import ConfigError

# Any number that nothing else locks in the database.
_PREPARING = 0x686973746F7279

BUSY_SECONDS = 10.0
"""How long a write waits for another program that holds the file."""


def open_engine(url: str) -> Engine:
    """Return an engine for a SQLAlchemy URL; raises ConfigError, without the URL's password, when there can be none."""
    try:
        parsed = make_url(url)
        in_memory = parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:")
        if in_memory:
            # One connection for all threads: each connection to a database in memory would be a database of its own.
            return create_engine(parsed, poolclass=StaticPool, connect_args={"check_same_thread": False})
        if parsed.get_backend_name() == "sqlite":
            return _file_engine(parsed)
        return create_engine(parsed, pool_pre_ping=True)
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        raise ConfigError(
            f"state.history_url names no database that can be reached ({type(error).__name__})",
            advice="Write it like sqlite:///rotator-history.sqlite or postgresql+psycopg://user@host/database.",
        ) from None


def _file_engine(url: URL) -> Engine:
    try:
        Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"the folder of {url.database} cannot be made: {error.strerror}") from None
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS})

    @event.listens_for(engine, "connect")
    def tune(connection: sqlite3.Connection, _record: object) -> None:
        # Readers beside the writer, and one flush a commit less: an event is written on every step of every group.
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")

    return engine


def prepare(engine: Engine) -> None:
    """Make the tables that are missing; raises ConfigError when a newer version of rotator made them."""
    _make_tables(engine)
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            # Replicas that start together would all write the version.
            connection.execute(text("LOCK TABLE rotator_schema"))
        version = connection.execute(select(schema.c.version)).scalar_one_or_none()
        if version is None:
            connection.execute(insert(schema), {"version": SCHEMA_VERSION})
        elif version < SCHEMA_VERSION:
            # So far a newer schema only has more tables; an older program must not rotate beside it without writing into them.
            connection.execute(update(schema).values(version=SCHEMA_VERSION))
        elif version > SCHEMA_VERSION:
            raise ConfigError(
                f"the history has schema {version}; this version of rotator knows {SCHEMA_VERSION}",
                advice="Upgrade rotator, or name another database in state.history_url.",
            )


def _make_tables(engine: Engine) -> None:
    """Make the tables that are missing. PostgreSQL makes replicas that start together wait for each other; a file, once more."""
    if engine.dialect.name == "postgresql":
        with engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _PREPARING})
            tables.create_all(connection)
        return
    try:
        tables.create_all(engine)
    except DBAPIError as error:
        if "locked" in str(error.orig):
            raise  # it was waited for already
        tables.create_all(engine)  # another process was making them at the same moment


def installation_of(engine: Engine) -> str:
    """Return the name of the installation whose history this is; given once, by chance, and shared by all its replicas."""
    with suppress(IntegrityError), engine.begin() as connection:
        if connection.execute(select(installation.c.name)).scalar_one_or_none() is None:
            # Of two processes that get here at once, one meets the other's row: there is a single key.
            connection.execute(insert(installation), {"only": 1, "name": secrets.token_hex(4)})
    with engine.connect() as connection:
        return str(connection.execute(select(installation.c.name)).scalar_one())
