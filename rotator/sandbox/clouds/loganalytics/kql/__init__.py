"""A small, real engine for the Kusto Query Language: what is not understood is an error, never an empty answer."""

from rotator.sandbox.clouds.loganalytics.kql.engine import Result, Table, run
from rotator.sandbox.clouds.loganalytics.kql.errors import KqlError

__all__ = ["KqlError", "Result", "Table", "run"]
