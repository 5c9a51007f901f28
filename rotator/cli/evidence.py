"""`rotator evidence`: the chain of what was done to which credential, checked and handed out."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from rotator.cli.exits import Exit
from rotator.cli.options import Config, Json, Level, LogLevel
from rotator.model.errors import ConfigError, RotatorError

if TYPE_CHECKING:
    from rotator.application import Application
    from rotator.history.chain import Examination, Head

app = typer.Typer(help="Check and export the evidence of every rotation.", no_args_is_help=True)

Export = Annotated[
    Path | None,
    typer.Option(
        "--file",
        help="Check an export instead of the database; - reads standard input. Needs no configuration; "
        "with --config the vault is asked too.",
        allow_dash=True,
    ),
]
Offline = Annotated[bool, typer.Option("--offline", help="Do not ask the vault how far the log must go.")]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", help="Write to this file instead of standard output.", dir_okay=False)
]


@app.command()
def verify(
    *,
    file: Export = None,
    offline: Offline = False,
    config: Config = None,
    as_json: Json = False,
    log_level: LogLevel = Level.WARNING,
) -> None:
    """Find every record that was changed, removed or reordered, and ask the vault whether the end is still there.

    Exit status: 0 intact; 1 not; 3 intact as far as it goes, but the vault could not be asked, or the log is not here.
    """
    from rotator.cli import output
    from rotator.cli.session import opened, settings_of
    from rotator.history import chain

    if file is not None and (offline or config is None):
        with _reading(file) as stream:
            found, unasked = chain.examine(chain.read_links(stream)), "it was not asked"
    else:
        with opened(settings_of(config), log_level) as application:
            heads, unasked = _heads(application, offline=offline)
            if file is None:
                found = chain.examine(application.evidence.links(), heads=heads)
            else:
                with _reading(file) as stream:
                    found = chain.examine(chain.read_links(stream), heads=heads)
    status = _judged(found, wanted=not offline and (file is None or config is not None))
    if as_json:
        output.write_json({"intact": found.intact, "vault_answer": unasked or "compared", "examination": found})
    else:
        _say(found, unasked)
    raise typer.Exit(status)


@app.command()
def export(*, output: Output = None, config: Config = None, log_level: LogLevel = Level.WARNING) -> None:
    """Write the log, one JSON record a line, as `rotator evidence verify --file` reads it. Contacts no cloud."""
    from rotator.cli.output import check_files
    from rotator.cli.session import opened, settings_of

    if output is not None:
        check_files(text=output)
    with opened(settings_of(config), log_level) as application:
        lines = application.evidence.lines()
        if output is None:
            for line in lines:
                typer.echo(line)
            return
        try:
            with output.open("w", encoding="utf-8", newline="\n") as stream:
                stream.writelines(f"{line}\n" for line in lines)
        except OSError as error:
            raise ConfigError(f"{output} cannot be written: {error.strerror}", advice="Name another file.") from None


def _heads(application: "Application", *, offline: bool) -> "tuple[tuple[Head, ...], str]":
    """Return what the vault knows of the log, and why it was not asked, where it was not."""
    if offline:
        return (), "it was not asked"
    try:
        heads = application.evidence.heads()
    except RotatorError as error:
        return (), error.message
    return heads, "" if heads else "it knows of no record"


@contextmanager
def _reading(file: Path) -> Iterator[TextIO]:
    """Open an export. Bytes that are no text stay what they are, so that the check names their record."""
    if str(file) == "-":
        if hasattr(sys.stdin, "reconfigure"):
            sys.stdin.reconfigure(encoding="utf-8", errors="surrogateescape", newline="\n")
        yield sys.stdin
        return
    try:
        stream = file.open(encoding="utf-8", errors="surrogateescape", newline="\n")
    except OSError as error:
        raise ConfigError(
            f"the export {file} cannot be read: {error.strerror}", advice="Make one with rotator evidence export -o FILE."
        ) from None
    with stream:
        yield stream


def _judged(found: "Examination", *, wanted: bool) -> Exit:
    if not found.intact:
        return Exit.FINDINGS
    if found.records == 0:
        return Exit.INCOMPLETE if found.vault is not None else Exit.CLEAN
    return Exit.INCOMPLETE if wanted and found.vault is None else Exit.CLEAN


def _say(found: "Examination", unasked: str) -> None:
    from rich.text import Text

    from rotator.cli.output import console
    from rotator.report.words import count

    lines: list[tuple[str, str]] = []
    if found.records:
        last = found.head
        lines.append((f"{count(found.records, 'record')} checked, from {found.first_at} to {last.at if last else ''}.", ""))
        ends = f"The last is record {last.seq}, hash {last.hash}." if last and last.hash else "The last is illegible."
        lines.append((ends, ""))
    else:
        lines.append(("The log is empty.", ""))
    lines += [(f"Note: {one}.", "yellow") for one in found.notices]
    lines += [(f"Record {one.seq}: {one.damage.value}: {one.detail}.", "red") for one in found.flaws]
    if found.unshown:
        lines.append((f"And {found.unshown} more broken places.", "red"))
    lines.append(_vault_line(found, unasked))
    if found.records:
        lines.append(("The chain is intact.", "green") if found.intact else ("The log is not what was written.", "bold red"))
    for line, style in lines:
        console().print(Text(line, style=style), soft_wrap=True)


def _vault_line(found: "Examination", unasked: str) -> tuple[str, str]:
    if found.vault is None:
        return f"The vault's head was not compared: {unasked}.", "yellow"
    since = f"; the {found.unanchored} after it are not yet known to it" if found.unanchored else ""
    return f"The vault knows of record {found.vault.seq}, hash {found.vault.hash}{since}.", ""
