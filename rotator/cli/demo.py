"""`rotator demo`: everything once, against the emulated clouds, with an oracle that measures the three promises."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rotator.cli.exits import Exit
from rotator.cli.options import Json, Level, LogLevel
from rotator.cli.sandbox import Estate, Faults, Groups, Seed

if TYPE_CHECKING:
    from rich.console import Console

    from rotator.application import Application
    from rotator.report.document import Report
    from rotator.sandbox.serve import Sandbox
    from rotator.service.run import Run

Directory = Annotated[
    Path | None, typer.Option("--directory", "-d", help="Where its files go; a new temporary folder by default.", file_okay=False)
]
SHOWN = 12


def demo(
    *,
    estate: Estate = "demo",
    groups: Groups = None,
    seed: Seed = 1,
    faults: Faults = None,
    directory: Directory = None,
    as_json: Json = False,
    log_level: LogLevel = Level.INFO,
) -> None:
    """Audit, plan, rotate, wait, retire and audit again in emulated clouds; then ask an oracle what really happened."""
    import tempfile

    from rotator.cli import output, tables
    from rotator.cli.sandbox import prepared, running
    from rotator.cli.session import opened, settings_of

    folder = directory or Path(tempfile.mkdtemp(prefix="rotator-demo-"))
    console = output.console()
    console.quiet = as_json
    with running(prepared(folder, estate=estate, groups=groups, seed=seed, faults=faults)) as sandbox:
        _point_sdks_at(sandbox)
        settings = settings_of(sandbox.options.directory / "rotator.yaml", given={})
        with (folder / "rotator.log").open("w", encoding="utf-8") as log, opened(settings, log_level, log, "demo") as application:
            runs = _story(application, console)
            log.flush()
            report = _proved(application, sandbox, runs)
    page = folder / "report.html"
    output.write_report(report, page)
    if report.proof is None:
        raise typer.Exit(Exit.BUG)
    if as_json:
        output.write_json(report)
    console.print(tables.verdict(report.proof))
    console.print(f"The report: {page}", soft_wrap=True)
    raise typer.Exit(Exit.CLEAN if report.proof.kept else Exit.UNDONE)


def _story(application: "Application", console: "Console") -> "list[Run]":
    """Do what an operator would do over a day, and return the runs."""
    from rotator.cli import tables
    from rotator.cli.steps import carried_out, soaked
    from rotator.service.run import look

    seen = look(application)
    _heading(console, "Audit")
    console.print(tables.findings(seen.audit, tables.names(seen.estate), SHOWN))
    console.print()
    console.print(tables.audit_line(seen.estate, seen.audit))
    _heading(console, "Plan")
    console.print(tables.plan(seen.plan, tables.names(seen.estate), seen.estate.observed_at, SHOWN))
    _heading(console, "Rotate")
    runs = [carried_out(application, seen, console, quiet=console.quiet)]
    _heading(console, "Soak and retire")
    runs += soaked(application, runs[0], console, quiet=console.quiet)
    _heading(console, "Audit again")
    console.print(tables.changes(seen.audit, runs[-1].audit))
    console.print()
    console.print(tables.audit_line(runs[-1].estate, runs[-1].audit))
    return runs


def _heading(console: "Console", text: str) -> None:
    console.print()
    console.rule(f"[bold]{text}", align="left", style="dim")


def _proved(application: "Application", sandbox: "Sandbox", runs: "list[Run]") -> "Report":
    """Ask the oracle, after showing it every text that this program wrote."""
    from rotator.migration.paths import paths_of
    from rotator.report import html
    from rotator.report.document import build

    last = runs[-1]
    outcomes = [outcome for run in runs for outcome in run.outcomes]

    def report(texts: int) -> "Report":
        return build(
            estate=last.estate,
            audit=last.audit,
            plan=application.plan(last.estate),
            outcomes=outcomes,
            paths=paths_of(last.estate),
            oracle=sandbox.oracle.report(),
            texts_scanned=texts,
        )

    texts = _texts(application, sandbox.options.directory)
    texts["report"] = html.render(report(0)).encode()
    for source, text in texts.items():
        sandbox.oracle.scan(text, source)
    return report(len(texts))


def _texts(application: "Application", folder: Path) -> dict[str, bytes]:
    """Return everything that was written so far, by name: journal, history, log, settings, plan and metrics."""
    files = {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}
    return files | {"metrics": application.metrics.text().encode()}


def _point_sdks_at(sandbox: "Sandbox") -> None:
    """Azure's identity SDK finds a managed identity only in the process's own environment."""
    import os

    os.environ.update(sandbox.environment)  # noqa: TID251 - written for the SDK, not read
