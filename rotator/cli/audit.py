"""`rotator audit`: read the clouds, hold them against the policies, show what is wrong."""

import typer

from rotator.cli.exits import Threshold, of_audit
from rotator.cli.options import All, Config, FailOn, Json, Level, LogLevel, MetricsFile, ReportFile

SHOWN = 40


def audit(
    *,
    config: Config = None,
    as_json: Json = False,
    fail_on: FailOn = Threshold.HIGH,
    report: ReportFile = None,
    metrics_file: MetricsFile = None,
    everything: All = False,
    log_level: LogLevel = Level.WARNING,
) -> None:
    """Audit the container groups in scope. Changes nothing."""
    from rotator.cli import output, tables
    from rotator.cli.leases import leases
    from rotator.cli.session import opened, settings_of
    from rotator.migration.paths import paths_of
    from rotator.report.document import build
    from rotator.service.run import look

    output.check_files(report=report, metrics=metrics_file)
    with opened(settings_of(config), log_level) as application:
        seen = look(application)
        document = build(estate=seen.estate, audit=seen.audit, plan=seen.plan, paths=paths_of(seen.estate))
        if report:
            output.write_report(document, report)
        if metrics_file:
            output.write_metrics(application, metrics_file)
    if as_json:
        output.write_json(document)
    else:
        console = output.console()
        if seen.estate.unread:
            console.print(tables.unread(seen.estate.unread))
        most, complete = None if everything else SHOWN, not seen.estate.unread
        console.print(tables.findings(seen.audit, tables.names(seen.estate), most, complete=complete))
        ends = leases(document.inventory, seen.estate.observed_at, most)
        if ends:
            console.print()
            console.print(ends)
        console.print()
        console.print(tables.audit_line(seen.estate, seen.audit))
    raise typer.Exit(of_audit(seen.estate, seen.audit, fail_on))
