"""What several verbs show while a plan is carried out."""

from typing import TYPE_CHECKING

from rich.console import Console

from rotator.cli import tables
from rotator.cli.progress import RotationProgress

if TYPE_CHECKING:
    from rotator.application import Application
    from rotator.service.run import Run


def carried_out(application: "Application", run: "Run", console: Console, *, quiet: bool) -> "Run":
    """Carry out a run's plan with its progress shown, then its outcomes."""
    from rotator.service.run import carry_out

    known = tables.names(run.estate)
    if quiet:
        return carry_out(application, run)
    with RotationProgress(console, run.plan, known) as progress:
        done = carry_out(application, run, progress)
    if done.outcomes:
        console.print(tables.outcomes(done.outcomes, known))
    return done


def soaked(application: "Application", console: Console, *, quiet: bool) -> "list[Run]":
    """Wait on the application's clock until every old credential may end, and end them."""
    from rotator.service.run import look, soak

    waited = soak(application)
    if not waited:
        return []
    if not quiet:
        console.print(f"[dim]The soak is over ({application.clock.now():%Y-%m-%d %H:%M} UTC).[/]")
    return [carried_out(application, look(application), console, quiet=quiet)]
