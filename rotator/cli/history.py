"""`rotator history`: what earlier runs found and did."""

from typing import Annotated

import typer

from rotator.cli.options import Config, Json, Level, LogLevel

Limit = Annotated[int, typer.Option("--limit", "-n", min=1, help="How many entries, the newest first.")]
RotationId = Annotated[str | None, typer.Option("--rotation", help="Every event of one rotation instead.")]


def history(
    *,
    config: Config = None,
    limit: Limit = 20,
    rotation: RotationId = None,
    as_json: Json = False,
    log_level: LogLevel = Level.WARNING,
) -> None:
    """Show earlier audits and rotations. Contacts no cloud."""
    from rotator.cli import output, tables
    from rotator.cli.session import opened, settings_of

    with opened(settings_of(config), log_level) as application:
        entries = application.history.events_of(rotation) if rotation else application.history.recent(limit)
    if as_json:
        output.write_json(entries)
    elif entries:
        output.console().print(tables.history(entries, {}))
    else:
        output.console().print("Nothing is remembered yet.")
