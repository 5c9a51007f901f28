"""`rotator rotate`: carry out what is due, or a plan that was saved and read by somebody."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rotator.cli.confirm import confirm
from rotator.cli.exits import Exit
from rotator.cli.options import AllowOutage, Config, Force, Json, Level, LogLevel, MetricsFile, Only, Yes
from rotator.model.errors import ConfigError

if TYPE_CHECKING:
    from rotator.application import Application
    from rotator.model.rotation import Plan
    from rotator.service.run import Run

PlanFile = Annotated[
    Path | None,
    typer.Argument(metavar="[PLAN]", help="A plan saved with `rotator plan --save`; refused when the estate has changed."),
]
Wait = Annotated[bool, typer.Option("--wait", help="Stay until the old credentials have soaked, and end them.")]


def rotate(
    plan: PlanFile = None,
    *,
    config: Config = None,
    only: Only = None,
    force: Force = False,
    allow_outage: AllowOutage = False,
    yes: Yes = False,
    wait: Wait = False,
    as_json: Json = False,
    metrics_file: MetricsFile = None,
    log_level: LogLevel = Level.WARNING,
) -> None:
    """Rotate what is due, and end old credentials whose soak is over."""
    from rotator.cli import output, tables
    from rotator.cli.selection import check_outage
    from rotator.cli.session import opened, settings_of
    from rotator.cli.steps import carried_out, soaked

    if plan and (only or force or allow_outage):
        raise typer.BadParameter("a saved plan already says what to rotate", param_hint="--only/--force/--allow-outage")
    check_outage(only, allow_outage=allow_outage)
    output.check_files(metrics=metrics_file)
    with opened(settings_of(config), log_level, verb="rotate") as application:
        decided = _decided(application, plan, only or [], force=force, allow_outage=allow_outage)
        unread = decided.estate.unread
        console = output.console()
        if unread and not as_json:
            console.print(tables.unread(unread))
        if not as_json:
            console.print(tables.plan(decided.plan, tables.names(decided.estate), application.clock.now()))
        confirm(f"Carry this out? {decided.plan.restarts} group restarts", yes=yes or not _something(decided))
        runs = [carried_out(application, decided, console, quiet=as_json)]
        if wait:
            runs += soaked(application, runs[0], console, quiet=as_json)
        if metrics_file:
            output.write_metrics(application, metrics_file)
    outcomes = [outcome for done in runs for outcome in done.outcomes]
    if as_json:
        output.write_json({"outcomes": outcomes, "unread": unread})
    raise typer.Exit(Exit.UNDONE if any(run.undone for run in runs) else Exit.INCOMPLETE if unread else Exit.CLEAN)


def _decided(application: "Application", file: Path | None, only: list[str], *, force: bool, allow_outage: bool) -> "Run":
    from rotator.cli.selection import check_only
    from rotator.service.run import Run

    saved = _saved(application, file) if file else None
    estate, audit = application.audit()
    if saved is None:
        check_only(only, estate)
        plan = application.with_use(application.plan(estate, only, force=force, allow_outage=allow_outage))
        return Run(estate=estate, audit=audit, plan=plan)
    application.check_unchanged(saved, estate)
    return Run(estate=estate, audit=audit, plan=saved)


def _saved(application: "Application", file: Path) -> "Plan":
    try:
        return application.load_plan(file.read_text(encoding="utf-8"))
    except ConfigError as error:
        raise ConfigError(f"{file}: {error.message}", advice=error.advice) from None
    except OSError as error:
        why = f"the plan {file} cannot be read: {error.strerror}"
    except UnicodeDecodeError:
        why = f"{file}: this is no saved plan: it is no text"
    raise ConfigError(why, advice="Make one with rotator plan --save FILE.")


def _something(run: "Run") -> bool:
    return bool(run.plan.due or run.plan.retirements or run.plan.orphans)
