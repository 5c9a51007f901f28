"""The options that many verbs share. Light: this is loaded for `rotator --help`."""

import logging
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from rotator.cli.exits import Threshold


class Level(StrEnum):
    """How much is logged to standard error."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def _early(level: Level) -> Level:
    # Set at once, so that an error in the configuration already knows whether to show its traceback.
    logging.getLogger("rotator").setLevel(level.upper())
    return level


Config = Annotated[
    Path | None,
    typer.Option("--config", "-c", envvar="ROTATOR_CONFIG", help="The configuration file.", show_default="rotator.yaml"),
]
Json = Annotated[bool, typer.Option("--json", help="Write JSON to standard output.")]
LogLevel = Annotated[
    Level, typer.Option("--log-level", envvar="ROTATOR_LOG_LEVEL", help="How much to log to standard error.", callback=_early)
]
FailOn = Annotated[
    Threshold, typer.Option("--fail-on", help="The lowest severity that makes the exit status 1 (or 3, when unknown).")
]
ReportFile = Annotated[
    Path | None, typer.Option("--report", help="Also write a report: a page for .html, data for .json.", dir_okay=False)
]
MetricsFile = Annotated[
    Path | None, typer.Option("--metrics-file", help="Also write the metrics for a textfile collector.", dir_okay=False)
]
All = Annotated[bool, typer.Option("--all", "-a", help="Show every row.")]
Only = Annotated[
    list[str] | None,
    typer.Option("--only", help="Only these credentials: an id such as acr-token:demo.azurecr.io/pull, or a glob. Repeatable."),
]
AllowOutage = Annotated[
    bool,
    typer.Option("--allow-outage", help="Rotate what --only names now even where its groups cannot pull for a while."),
]
Force = Annotated[bool, typer.Option("--force", help="Rotate what --only names even though it is not due.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
