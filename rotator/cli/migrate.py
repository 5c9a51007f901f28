"""`rotator migrate`: away from stored passwords, with a canary and the way back."""

from typing import Annotated

import typer

from rotator.cli.confirm import confirm
from rotator.cli.deciding import DryRun
from rotator.cli.exits import Exit
from rotator.cli.options import Config, Json, Level, LogLevel, Yes
from rotator.model.migration import Goal, Moved, Result

To = Annotated[Goal, typer.Option("--to", help="What groups authenticate with afterwards.")]
Only = Annotated[
    list[str] | None,
    typer.Option("--only", help="Only these: a group, a registry or a credential's id, or a glob. Repeatable.", metavar="NAME"),
]
Identity = Annotated[
    str, typer.Option("--identity", help="Resource id of the user-assigned identity; before migration.identity.", metavar="ID")
]
Create = Annotated[bool, typer.Option("--create-identity", help="Create the identity where it does not exist.")]
NoWayBack = Annotated[
    bool, typer.Option("--without-way-back", help="Move also groups whose old password the vault does not hold.")
]
_IN_ORDER = {Result.MOVED, Result.LEFT}


def migrate(
    *,
    to: To,
    config: Config = None,
    only: Only = None,
    identity: Identity = "",
    create_identity: Create = False,
    without_way_back: NoWayBack = False,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: Json = False,
    log_level: LogLevel = Level.WARNING,
) -> None:
    """Move groups from stored passwords to a managed identity, or to a reference to the vault.

    In waves, a canary first; at the first group that is not well, the old entry is put back and everything stops.
    """
    from rotator.cli import migrating, output, tables
    from rotator.cli.session import opened, settings_of
    from rotator.cli.steps import interruptible

    migrating.check_identity(identity)
    with opened(settings_of(config), log_level, verb=f"migrate --to {to.value}") as application:
        estate = application.estate()
        migrating.check_only(only or (), estate)
        migrations = application.migrations
        made = migrations.plan(estate, to, only or (), identity=identity, without_way_back=without_way_back)
        console = output.console()
        if not as_json:
            if estate.unread:
                console.print(tables.unread(estate.unread))
            console.print(migrating.plan(made, tables.names(estate)))
        moved: tuple[Moved, ...] = ()
        if (made.waves or made.unconfirmed) and not dry_run:
            confirm(f"Carry this out? {made.restarts} group restarts", yes=yes)
            with interruptible():
                moved = migrations.carry_out(made, create=create_identity, without_way_back=without_way_back)
    if as_json:
        output.write_json({"migration": made, "outcomes": moved, "unread": estate.unread})
    elif moved:
        console.print(migrating.outcomes(made, moved))
    undone = any(one.result not in _IN_ORDER or one.code for one in moved)
    raise typer.Exit(Exit.UNDONE if undone else Exit.INCOMPLETE if estate.unread else Exit.CLEAN)
