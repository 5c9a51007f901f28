"""The database as the parts of one replica use it."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from rotator.model.errors import Fenced


class Database(Protocol):
    """The database of the replicas that this process has joined."""

    def transaction(self) -> AbstractContextManager[tuple[Connection, str]]:
        """Give a transaction and the name of this replica's life; Fenced when it is over, or the database is away."""
        ...


@contextmanager
def begun(engine: Engine) -> Iterator[Connection]:
    """Give a transaction. A database that is away ends the work where it stands: Fenced, never a failed step."""
    try:
        with engine.begin() as connection:
            yield connection
    except SQLAlchemyError as error:
        # Its text may hold parameters; what it was is enough.
        raise Fenced(f"the journal's database: {type(error).__name__}") from None
