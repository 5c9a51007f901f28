"""`rotator plan`: what a rotation would do, before anything is done."""

from pathlib import Path
from typing import Annotated

import typer

from rotator.cli.exits import Exit
from rotator.cli.options import All, AllowOutage, Config, Force, Json, Level, LogLevel, Only
from rotator.model.tool import Tool

Emit = Annotated[
    Tool | None, typer.Option("--emit", help="Write what is due for groups of this tool, as text to paste; no values.")
]
Save = Annotated[Path | None, typer.Option("--save", help="Also save the plan, for `rotator rotate FILE`.", dir_okay=False)]


def plan(
    *,
    config: Config = None,
    only: Only = None,
    force: Force = False,
    allow_outage: AllowOutage = False,
    save: Save = None,
    as_json: Json = False,
    everything: All = False,
    emit: Emit = None,
    log_level: LogLevel = Level.WARNING,
) -> None:
    """Show what is due, why, and what a rotation would do to each group. Changes nothing."""
    from rotator.cli import output, tables
    from rotator.cli.selection import check_only, check_outage
    from rotator.cli.session import opened, settings_of

    check_outage(only, allow_outage=allow_outage)
    output.check_files(text=save)
    with opened(settings_of(config), log_level) as application:
        estate, _ = application.audit()
        check_only(only or (), estate)
        made = application.with_use(application.plan(estate, only or (), force=force, allow_outage=allow_outage))
        text = application.dump_plan(made)
        if save:
            output.write_text(save, text)
        paste, unread = application.emit(made, estate, emit) if emit else ("", ())
    for sentence in unread:
        typer.echo(f"{sentence} Groups of it without a tag may be missing here.", err=True)
    if paste:
        typer.echo(paste, nl=False)
    elif as_json:
        typer.echo(text, nl=False)
    else:
        console = output.console()
        if estate.unread:
            console.print(tables.unread(estate.unread))
        console.print(tables.plan(made, tables.names(estate), estate.observed_at, None if everything else 40))
        if save:
            console.print(f"Saved. Carry it out with: rotator rotate {save}")
    raise typer.Exit(Exit.INCOMPLETE if estate.unread or unread else Exit.CLEAN)
