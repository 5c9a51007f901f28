"""The tables that verbs show; each is readable at 80 columns."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from rotator.history import Entry
from rotator.model.credential import Principal
from rotator.model.estate import Estate, Unread
from rotator.model.policy import Audit, Finding, Severity, Verdict
from rotator.model.rotation import Plan, PlanItem, Result, Retirement, RotationOutcome
from rotator.report.document import Proof, work_of
from rotator.report.words import KINDS, count, instant, lasting, listed, place, relative

_COLOURS = {
    Severity.CRITICAL: "bold red",
    Severity.HIGH: "red",
    Severity.MEDIUM: "yellow",
    Severity.LOW: "blue",
    Severity.INFO: "dim",
}
_RESULTS = {
    Result.SUCCESS: "green",
    Result.SOAKING: "green",
    Result.HELD: "yellow",
    Result.ROLLED_BACK: "red",
    Result.FAILED: "bold red",
    Result.SKIPPED: "dim",
}


def names(estate: Estate) -> Mapping[str, str]:
    """Return the display names of principals whose own name is a GUID, by their id."""
    return {one.principal.id: one.display_name for one in estate.records.values() if one.display_name}


def who(principal: Principal, known: Mapping[str, str]) -> Text:
    """Name a principal and, below it, what and where it is."""
    where = "" if principal.registry == "entra" else f"\n{principal.registry}"
    return Text.assemble(known.get(principal.id, principal.name), (f"\n{KINDS[principal.kind]}{where}", "dim"))


def unread(things: Iterable[Unread]) -> RenderableType:
    """Show what could not be read; this comes before everything else."""
    lines = [
        Text.assemble(
            (one.what, "bold"), " of ", place(one.scope), f": {one.reason}", (f"\n{one.advice}" if one.advice else "", "dim")
        )
        for one in things
    ]
    return Panel(
        Group(*lines), title="Could not be read; nothing is known about these", title_align="left", border_style="yellow"
    )


def findings(audit: Audit, most: int | None) -> RenderableType:
    """Show the open violations and what could not be judged, the worst first; at most `most` rows."""
    rows = [*audit.open(), *audit.unknown()]
    table = _table("severity", "where", "what")
    table.columns[0].no_wrap = True
    table.columns[1].ratio, table.columns[2].ratio = 5, 8
    for finding in rows[:most]:
        table.add_row(*_finding(finding))
    hidden = len(rows) - len(rows[:most])
    more = [Text(f"and {hidden} more; show them with --all, --json or --report FILE", style="dim")] if hidden else []
    return Group(table, *more) if rows else Text("No open violation.", style="green")


def _finding(finding: Finding) -> tuple[Text, Text, Text]:
    unknown = finding.verdict is Verdict.UNKNOWN
    severity = Text("unknown", style="magenta") if unknown else Text(finding.severity.value, style=_COLOURS[finding.severity])
    where = Text.assemble(place(finding.resource), (f"\n{finding.part}" if finding.part else "", "dim"))
    return severity, where, Text.assemble(finding.message, (f"\n{finding.policy}", "dim"))


def audit_line(estate: Estate, audit: Audit) -> Text:
    """Sum an audit up in one line."""
    severities = [(severity, sum(1 for one in audit.open() if one.severity is severity)) for severity in Severity]
    parts = Text(f"{count(len(estate.groups), 'group')}, {count(len(audit.open()), 'open violation')}")
    shown = [(f"{number} {severity.value}", _COLOURS[severity]) for severity, number in severities if number]
    if shown:
        parts.append(" (").append_text(Text(", ").join(Text(text, style=style) for text, style in shown)).append(")")
    waived = sum(1 for one in audit.findings if one.waiver is not None)
    for number, word in ((waived, "waived"), (len(audit.unknown()), "not judged"), (len(estate.unread), "not read")):
        if number:
            parts.append(f", {number} {word}")
    return parts


def plan(plan: Plan, known: Mapping[str, str], now: datetime, most: int | None = None) -> RenderableType:
    """Show what would be done, why and when; then what is held, and which old credentials wait for their end."""
    held = [item for item in plan.items if item.held]
    heading = f"{count(len(plan.due), 'rotation')}, {count(plan.restarts, 'group restart')}"
    heading += f", {len(held)} held" if held else ""
    heading += f", {count(len(plan.retirements), 'old credential')} soaking" if plan.retirements else ""
    parts: list[RenderableType] = [Text(f"Plan: {heading}; {plan.healthy} in order", style="bold")]
    if plan.due:
        parts.append(_due(plan.due, known, now, most))
    if held:
        parts.append(_held(held, known))
    if plan.retirements:
        parts.append(retirements(plan.retirements, known, now))
    return Group(*parts)


def _due(items: tuple[PlanItem, ...], known: Mapping[str, str], now: datetime, most: int | None) -> RenderableType:
    table = _table("credential", "why", "ends", "what is done")
    table.columns[0].ratio, table.columns[3].ratio = 5, 5
    for item in items[:most]:
        ends = relative(item.expires_at, now) if item.expires_at else "never"
        work = work_of(item)
        waves = f"\nwaves of {', '.join(str(len(wave)) for wave in item.waves)}" if len(item.waves) > 1 else ""
        advice = f"\n{item.advice}" if item.advice else ""
        table.add_row(who(item.principal, known), listed(item.reasons), ends, Text.assemble(work, (waves + advice, "dim")))
    hidden = len(items) - len(items[:most])
    return Group(table, Text(f"and {hidden} more; show them with --all", style="dim")) if hidden else table


def _held(items: Iterable[PlanItem], known: Mapping[str, str]) -> Table:
    table = _table("held", "why nothing is done")
    table.columns[0].ratio, table.columns[1].ratio = 5, 9
    for item in items:
        advice = f"\n{item.advice}" if item.advice else ""
        table.add_row(who(item.principal, known), Text.assemble((item.held, "yellow"), (advice, "dim")))
    return table


def retirements(things: Iterable[Retirement], known: Mapping[str, str], now: datetime) -> Table:
    """Show the old credentials that still live, and what they wait for."""
    table = _table("old credential of", "replaced", "ends", "waits for")
    table.columns[0].ratio, table.columns[3].ratio = 5, 4
    for one in things:
        waits = one.held or (listed(place(group.text) for group in one.waiting_for) if one.waiting_for else "the end of its soak")
        table.add_row(who(one.principal, known), relative(one.cutover_at, now), relative(one.soak_until, now), waits)
    return table


def under_way(soaking: tuple[Retirement, ...], held: list[PlanItem], known: Mapping[str, str], now: datetime) -> RenderableType:
    """Show the rotations that are not over."""
    parts: list[RenderableType] = [_held(held, known)] if held else []
    if soaking:
        parts.append(retirements(soaking, known, now))
    return Group(*parts) if parts else Text("No rotation is under way.", style="green")


def outcomes(things: Iterable[RotationOutcome], known: Mapping[str, str]) -> Table:
    """Show how rotations ended."""
    table = _table("credential", "result", "what happened", "took")
    table.columns[0].ratio, table.columns[2].ratio = 5, 6
    for one in things:
        moved = f"\n{count(len(one.redeployed), 'group')} moved" if one.redeployed else ""
        left = f"\n{count(len(one.left), 'group')} left: {listed(place(group.text) for group in one.left)}" if one.left else ""
        result = Text(one.result.value.replace("_", " "), style=_RESULTS[one.result])
        detail = Text.assemble(one.detail, (moved + left, "dim"))
        table.add_row(who(one.principal, known), result, detail, lasting(one.ended_at - one.started_at))
    return table


def history(entries: Iterable[Entry]) -> Table:
    """Show the history, the newest first."""
    table = _table("when (UTC)", "what", "result", "detail")
    table.columns[0].no_wrap = True
    table.columns[3].ratio = 1
    for entry in entries:
        subject = f"\n{entry.subject}" if entry.subject else ""
        table.add_row(instant(entry.at), entry.what, entry.result, Text.assemble(entry.detail, (subject, "dim")))
    return table


def verdict(proof: Proof) -> Panel:
    """Show what the sandbox's oracle measured."""
    promises = (
        (proof.outage_seconds, "seconds in which a group could not pull"),
        (proof.lost_properties, f"properties lost in {count(proof.redeploys, 'redeploy')}"),
        (proof.leaks, f"secrets found in {count(proof.texts_scanned, 'text')} that rotator wrote"),
        (proof.orphans, "live secrets that nobody owns"),
    )
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right")
    for number, words in promises:
        table.add_row(Text(f"{number:g}", style="bold red" if number else "bold green"), words)
    kept = proof.kept
    return Panel(
        Group(table, Text(f"{count(proof.repaired, 'group')} that could not pull before can pull now.", style="dim")),
        title="The oracle's verdict: " + ("every promise kept" if kept else "A PROMISE WAS BROKEN"),
        title_align="left",
        border_style="green" if kept else "red",
    )


def _table(*columns: str) -> Table:
    from rich.box import SIMPLE_HEAD

    table = Table(box=SIMPLE_HEAD, pad_edge=False, expand=True, header_style="dim", padding=(0, 1))
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
