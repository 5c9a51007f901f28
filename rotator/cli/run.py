"""`rotator run --once`: everything that is due, for a scheduled container or job."""

from typing import Annotated

import typer

from rotator.cli.exits import Exit, Threshold, of_audit
from rotator.cli.options import Config, FailOn, Json, Level, LogLevel, MetricsFile, ReportFile

Once = Annotated[bool, typer.Option("--once", help="One audit and one rotation, then end. `rotator serve` keeps running.")]


def run(
    *,
    once: Once = False,
    config: Config = None,
    as_json: Json = False,
    fail_on: FailOn = Threshold.HIGH,
    report: ReportFile = None,
    metrics_file: MetricsFile = None,
    log_level: LogLevel = Level.INFO,
) -> None:
    """Audit, rotate what is due, retire what has soaked, audit again; asks nothing."""
    from rotator.cli import output, tables
    from rotator.cli.session import opened, settings_of
    from rotator.cli.steps import carried_out
    from rotator.migration.paths import paths_of
    from rotator.report.document import build
    from rotator.service.run import look

    if not once:
        raise typer.BadParameter("say --once, or use `rotator serve` to keep running", param_hint="--once")
    output.check_files(report=report, metrics=metrics_file)
    with opened(settings_of(config), log_level, verb="run") as application:
        console = output.console()
        done = carried_out(application, look(application), console, quiet=as_json)
        document = build(
            estate=done.estate, audit=done.audit, plan=done.plan, outcomes=done.outcomes, paths=paths_of(done.estate)
        )
        if report:
            output.write_report(document, report)
        if metrics_file:
            output.write_metrics(application, metrics_file)
    if as_json:
        output.write_json(document)
    else:
        if done.estate.unread:
            console.print(tables.unread(done.estate.unread))
        console.print(tables.audit_line(done.estate, done.audit))
    raise typer.Exit(max(of_audit(done.estate, done.audit, fail_on), Exit.UNDONE if done.undone else Exit.CLEAN))
