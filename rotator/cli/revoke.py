"""`rotator revoke`: end a leaked credential now, then give its groups another."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from rotator.cli.confirm import confirm
from rotator.cli.deciding import DryRun, Which, exit_of, shown_while
from rotator.cli.exits import Exit
from rotator.cli.options import Config, Json, Level, LogLevel, Yes

if TYPE_CHECKING:
    from rotator.model.rotation import RotationOutcome
    from rotator.ports import Observer

Handles = Annotated[
    list[str] | None, typer.Option("--handle", help="The secret to end, as rotator status names it. Repeatable.", metavar="ID")
]
Everything = Annotated[bool, typer.Option("--all", help="End every secret of the credential.")]


def revoke(
    principal: Which,
    *,
    handle: Handles = None,
    everything: Everything = False,
    config: Config = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: Json = False,
    log_level: LogLevel = Level.WARNING,
) -> None:
    """End a leaked credential at once, then make another and move its groups to it, without canary and without soak.

    Without --handle and --all: the secret in use. Its groups cannot pull until they have been moved; how many and for how long
    at the least is said before anything is done.
    """
    from rotator.cli import output, situations, tables
    from rotator.cli.selection import one_principal
    from rotator.cli.session import opened, settings_of

    if handle and everything:
        raise typer.BadParameter("--all names every secret already", param_hint="--handle/--all")
    with opened(settings_of(config), log_level) as application:
        estate = application.estate()
        plan = application.plan(estate)
        console, names = output.console(), tables.names(estate)
        if estate.unread and not as_json:
            console.print(tables.unread(estate.unread))
        who = one_principal(principal, estate, plan.situations)
        found = application.decisions.revocation(estate, who, handle or (), everything=everything)
        outcomes: tuple[RotationOutcome, ...] = ()
        if found is not None:
            if not as_json:
                console.print(situations.revocation(found, names))
            if not dry_run:
                restarts = len(found.out) + len(found.safe) - len(found.stuck) if found.successor and not found.obstacle else 0
                confirm(f"End it now? {restarts} group restarts", yes=yes)
                wanted = found

                def act(progress: "Observer | None") -> "Sequence[RotationOutcome]":
                    return application.decisions.revoke(wanted, progress)

                outcomes = shown_while(act, estate, quiet=as_json)
    if as_json:
        output.write_json({"revocation": found, "outcomes": outcomes, "unread": estate.unread})
    elif found is None:
        console.print(f"{who.id} has no live secret in use; there is nothing to end.", markup=False, soft_wrap=True)
    elif outcomes:
        console.print(tables.outcomes(outcomes, names))
    if found is None:
        raise typer.Exit(Exit.CLEAN)
    exit_of(outcomes, unread=bool(estate.unread))
