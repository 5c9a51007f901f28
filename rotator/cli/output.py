"""Where output goes: tables or JSON to standard output, reports and metrics to files."""

import os
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from rotator.model.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from rotator.application import Application
    from rotator.report.document import Report


def console() -> "Console":
    """Return the console for tables: 80 columns where there is no terminal, no colour where NO_COLOR is set."""
    from rich.console import Console

    return Console(highlight=False)


def fill(text: str, width: int, indent: int = 0) -> str:
    """Break lines between words, those after the first indented. What is longer than a line (an id to copy) stays whole."""
    return "\n".join(
        textwrap.fill(line, width, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False)
        for line in text.splitlines()
    )


def write_json(value: object) -> None:
    """Write a value of the vocabulary to standard output."""
    import typer

    from rotator.report.json import dumps

    typer.echo(dumps(value))


def check_files(*, report: Path | None = None, metrics: Path | None = None, text: Path | None = None) -> None:
    """Raise ConfigError for a file that could not be written in the end: after a rotation, that would be too late to say."""
    if report is not None:
        _writer(report)
    for file in (report, metrics, text):
        if file is None:
            continue
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unwritable(file, str(error.strerror)) from None
        if not os.access(file if file.exists() else file.parent, os.W_OK):
            raise _unwritable(file, "permission denied")


def write_report(report: "Report", file: Path) -> None:
    """Write a report in the format that the file's ending names; ConfigError for another ending."""
    write_text(file, _writer(file)(report))


def _writer(file: Path) -> "Callable[[Report], str]":
    from rotator.report import html
    from rotator.report import json as as_json

    render = {".html": html.render, ".json": as_json.render}.get(file.suffix.lower())
    if render is None:
        raise ConfigError(f"{file}: a report ends in .html or .json", advice="Give the file one of these endings.")
    return render


def write_metrics(application: "Application", file: Path) -> None:
    """Write the metrics in Prometheus' text format."""
    try:
        application.metrics.write_textfile(file)
    except OSError as error:
        raise _unwritable(file, str(error.strerror)) from None


def write_text(file: Path, text: str) -> None:
    """Write text to a file; ConfigError when that cannot be done."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise _unwritable(file, str(error.strerror)) from None


def _unwritable(file: Path, why: str) -> ConfigError:
    return ConfigError(f"{file} cannot be written: {why}", advice="Name a file in a folder that can be written.")
