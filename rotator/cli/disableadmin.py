"""`rotator disable-admin-user`: switch off an admin user that nobody uses."""

from typing import Annotated

import typer

from rotator.cli.confirm import confirm
from rotator.cli.deciding import DryRun
from rotator.cli.exits import Exit
from rotator.cli.options import Config, Json, Level, LogLevel, Yes

Which = Annotated[str, typer.Argument(metavar="[REGISTRY]", help="Its name or login server; all that have one without.")]
AssumeUnused = Annotated[
    bool, typer.Option("--assume-unused", help="Also where no log can tell; never where somebody is known to use it.")
]


def disable_admin_user(
    registry: Which = "",
    *,
    config: Config = None,
    assume_unused: AssumeUnused = False,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: Json = False,
    log_level: LogLevel = Level.WARNING,
) -> None:
    """Switch registries' admin users off, where neither a container group nor the log shows anybody who uses it."""
    from rotator.cli import migrating, output
    from rotator.cli.session import opened, settings_of

    with opened(settings_of(config), log_level, verb="disable-admin-user") as application:
        estate = application.estate()
        migrations, console = application.migrations, output.console()
        found = migrations.admin_users(estate, registry)
        free = [one for one in found if not one.used and (assume_unused or not one.unknown)]
        if not as_json:
            for one in found:
                console.print(migrating.admin_use(one))
            if not found:
                console.print("No admin user is switched on.")
        if free and not dry_run:
            confirm(f"Switch off the admin user of {', '.join(one.registry for one in free)}?", yes=yes)
            for one in free:
                migrations.switch_off(one, assume_unused=assume_unused)
                if not as_json:
                    console.print(f"Switched off: {one.registry}")
        if not as_json and any(one.unknown and not one.used for one in found) and not assume_unused:
            console.print("Kept where nobody can tell; --assume-unused switches off all the same.", style="dim")
    if as_json:
        done = () if dry_run else tuple(one.registry for one in free)
        output.write_json({"admin_users": found, "switched_off": done, "unread": estate.unread})
    raise typer.Exit(Exit.UNDONE if len(free) < len(found) else Exit.INCOMPLETE if estate.unread else Exit.CLEAN)
