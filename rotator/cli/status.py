"""`rotator status`: the rotations that are under way, read from the vault, where they stand."""

import typer

from rotator.cli.exits import Exit
from rotator.cli.options import Config, Json, Level, LogLevel


def status(*, config: Config = None, as_json: Json = False, log_level: LogLevel = Level.WARNING) -> None:
    """Show the old credentials that still live, and the rotations that wait for a decision."""
    from rotator.cli import output, situations, tables
    from rotator.cli.session import opened, settings_of

    with opened(settings_of(config), log_level) as application:
        estate = application.estate()
        plan = application.with_use(application.plan(estate))
        now = application.clock.now()
        standing = application.decisions.situations(plan)
    held = [item for item in plan.items if item.held]
    if as_json:
        output.write_json({"soaking": plan.retirements, "held": held, "situations": standing, "unread": estate.unread})
    else:
        console = output.console()
        if estate.unread:
            console.print(tables.unread(estate.unread))
        soaking = {one.rotation for one in plan.retirements}
        told = [one for one in standing if one.why or one.rotation not in soaking]
        if told:
            console.print(situations.shown(told, tables.names(estate), now), crop=False)
        if plan.retirements or not told:
            console.print(tables.under_way(plan.retirements, tables.names(estate), now))
    waits = not all(item.awaits_window for item in held) or any(one.held for one in plan.retirements)
    raise typer.Exit(Exit.UNDONE if waits else Exit.INCOMPLETE if estate.unread else Exit.CLEAN)
