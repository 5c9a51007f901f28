"""The writes of container groups that all replicas made, in the database, so that Azure's limits are held across them."""

from sqlalchemy import Connection


def settle(connection: Connection, replica: str) -> None:
    """End what a dead replica had under way."""
