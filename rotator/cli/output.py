"""Where output goes: tables or JSON to standard output, reports and metrics to files."""

from pathlib import Path
from typing import TYPE_CHECKING

from rotator.model.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

    from rotator.application import Application
    from rotator.report.document import Report


def console() -> "Console":
    """Return the console for tables: 80 columns where there is no terminal, no colour where NO_COLOR is set."""
    from rich.console import Console

    return Console(highlight=False)


def write_json(value: object) -> None:
    """Write a value of the vocabulary to standard output."""
    import typer

    from rotator.report.json import dumps

    typer.echo(dumps(value))


def write_report(report: "Report", file: Path) -> None:
    """Write a report in the format that the file's ending names; ConfigError for another ending."""
    from rotator.report import html
    from rotator.report import json as as_json

    writers = {".html": html.render, ".json": as_json.render}
    render = writers.get(file.suffix.lower())
    if render is None:
        raise ConfigError(f"{file}: a report ends in .html or .json", advice="Give the file one of these endings.")
    write_text(file, render(report))


def write_metrics(application: "Application", file: Path) -> None:
    """Write the metrics in Prometheus' text format."""
    try:
        application.metrics.write_textfile(file)
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error.strerror}", advice="Name a file in a folder that exists.") from None


def write_text(file: Path, text: str) -> None:
    """Write text to a file; ConfigError when that cannot be done."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error.strerror}", advice="Name a file that can be written.") from None
