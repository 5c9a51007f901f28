"""The tables that verbs show; each is readable at 80 columns."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import groupby

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from rotator.cli.listing import Heading, Listing, Row
from rotator.history import Entry
from rotator.model.credential import Principal
from rotator.model.estate import Estate, Unread
from rotator.model.policy import Audit, Finding, Severity
from rotator.model.rotation import Action, Plan, PlanItem, Result, Retirement, RotationOutcome
from rotator.model.usage import Drain
from rotator.report.document import Proof, work_of
from rotator.report.unjudged import Unjudged, unjudged, unread_by_reason
from rotator.report.words import (
    beyond_title,
    called,
    count,
    described,
    instant,
    lasting,
    listed,
    place,
    relative,
    short,
    subject,
    why_due,
)

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


def name_of(principal: Principal, known: Mapping[str, str]) -> Text:
    """Name a principal in a cell."""
    return Text(called(principal, known))


def below(*parts: str) -> tuple[Text, ...]:
    """Return the dim lines below a row; empty ones are left out."""
    return tuple(Text(part, style="dim") for part in parts if part)


def unread(things: Iterable[Unread]) -> RenderableType:
    """Show what could not be read; this comes before everything else."""
    lines = [
        Text.assemble((", ".join(what), "bold"), f": {reason}", (f"\n{advice}" if advice else "", "dim"))
        for reason, advice, what in unread_by_reason(things)
    ]
    return Panel(
        Group(*lines), title="Could not be read; nothing is known about these", title_align="left", border_style="yellow"
    )


def findings(audit: Audit, known: Mapping[str, str], most: int | None, *, complete: bool = True) -> RenderableType:
    """Show the open violations by policy, the worst first, then what could not be judged; at most `most` things.

    `complete` says whether everything could be read: only then is nothing found nothing to find.
    """
    violations = audit.open()
    shown = violations[:most]
    numbers = Counter(one.policy for one in violations)
    rows: list[Row | Heading] = []
    for policy, some in groupby(shown, key=lambda one: one.policy):
        found = list(some)
        rows.append(_policy(found[0], numbers[policy]))
        rows += [_finding(one, known) for one in found]
    rest = unjudged(audit.unknown())
    seen = rest if most is None else rest[: max(most - len(shown), 0)]
    if seen:
        rows.append(Heading(mark=Text("unknown", style="magenta"), text=Text("Could not be judged", style="bold")))
        rows += [_unjudged(one, known) for one in seen]
    hidden = len(violations) - len(shown) + len(rest) - len(seen)
    parts: list[RenderableType] = [Listing(rows)] if rows else [_nothing(complete=complete)]
    if hidden:
        parts.append(Text(f" and {hidden} more; show them with --all, --json or --report FILE", style="dim"))
    return Group(*parts)


def _nothing(*, complete: bool) -> Text:
    if complete:
        return Text("No open violation.", style="green")
    return Text("No open violation in what could be read.", style="yellow")


def _policy(finding: Finding, number: int) -> Heading:
    severity = Text(finding.severity.value, style=_COLOURS[finding.severity])
    times = f" ({number})" if number > 1 else ""
    return Heading(mark=severity, text=Text.assemble((finding.title, "bold"), times, (f"  {finding.policy}", "dim")))


def _finding(finding: Finding, known: Mapping[str, str]) -> Row:
    name, kind = subject(finding.resource, known)
    more = beyond_title(finding)
    where = Text(", ".join(text for text in (kind, short(finding.part)) if text), style="dim")
    return Row(cells=(Text(name), where), below=(Text(more),) if more else ())


def _unjudged(one: Unjudged, known: Mapping[str, str]) -> Row:
    name, kind = subject(one.resource, known)
    return Row(cells=(Text(name), Text(kind, style="dim")), below=(Text(one.sentence),))


def changes(before: Audit, after: Audit) -> RenderableType:
    """Show, for each policy that found something, how many violations were open before and how many are now."""
    then, today = (Counter(one.policy for one in audit.open()) for audit in (before, after))
    rows = []
    for policy in sorted(after.policies, key=lambda one: (one.severity.rank, one.id)):
        was, now = then[policy.id], today[policy.id]
        if was or now:
            style = "green" if now < was else "" if now == was else "red"
            severity = Text(policy.severity.value, style=_COLOURS[policy.severity])
            rows.append(Row(cells=(severity, Text(policy.title), Text(str(was)), Text(str(now), style=style))))
    return Listing(rows, ("severity", "policy", "before", "after"))


def audit_line(estate: Estate, audit: Audit) -> Text:
    """Sum an audit up in one line."""
    numbers = Counter(one.severity for one in audit.open())
    parts = Text(f"{count(len(estate.groups), 'group')}, {count(numbers.total(), 'open violation')}")
    shown = [(f"{numbers[one]} {one.value}", _COLOURS[one]) for one in Severity if numbers[one]]
    if shown:
        parts.append(" (").append_text(Text(", ").join(Text(text, style=style) for text, style in shown)).append(")")
    waived = sum(1 for one in audit.findings if one.waiver is not None)
    for number, word in ((waived, "waived"), (len(audit.unknown()), "not judged"), (len(estate.unread), "not read")):
        if number:
            parts.append(f", {number} {word}")
    return parts


def plan(plan: Plan, known: Mapping[str, str], now: datetime, most: int | None = None) -> RenderableType:
    """Show what would be done, why and when; then what is held, and which old credentials wait for their end."""
    held = [item for item in plan.items if item.held and not item.awaits_window]
    later = [item for item in plan.items if item.awaits_window]
    heading = f"{count(len(plan.due), 'rotation')}, {count(plan.restarts, 'group restart')}"
    heading += f", {len(held)} held" if held else ""
    heading += f", {len(later)} waiting for a window" if later else ""
    heading += f", {count(len(plan.retirements), 'old credential')} soaking" if plan.retirements else ""
    parts: list[RenderableType] = [Text(f"Plan: {heading}; {plan.healthy} in order", style="bold")]
    if plan.due:
        parts += ["", _due(plan.due, known, now, most)]
    if held:
        parts += ["", _held(held, known, "held until somebody decides")]
    if later:
        parts += ["", _held(later, known, "waits for its announced window")]
    if plan.retirements:
        parts += ["", retirements(plan.retirements, known, now)]
    return Group(*parts)


def _due(items: tuple[PlanItem, ...], known: Mapping[str, str], now: datetime, most: int | None) -> RenderableType:
    rows = [
        Row(
            cells=(name_of(item.principal, known), Text(why_due(item, now)), Text(work_of(item))),
            below=(*below(described(item.principal)), *_stuck(item), *_outage(item), *below(item.advice)),
        )
        for item in items[:most]
    ]
    shown = Listing(rows, ("credential", "why", "what is done"))
    hidden = len(items) - len(rows)
    return Group(shown, Text(f" and {hidden} more; show them with --all", style="dim")) if hidden else shown


def _stuck(item: PlanItem) -> tuple[Text, ...]:
    """Name a group that the rotation holds while it moves others, and why."""
    held = [one for one in item.consumers if one.action is Action.HOLD]
    more = f"; and {len(held) - 1} more" if len(held) > 1 else ""
    return (Text(f"holds {held[0].group.name}: {held[0].why}{more}", style="yellow"),) if held else ()


def _outage(item: PlanItem) -> tuple[Text, ...]:
    return (Text(item.outage, style="yellow"),) if item.outage else ()


def _held(items: Iterable[PlanItem], known: Mapping[str, str], title: str) -> Listing:
    rows = [
        Row(
            cells=(name_of(item.principal, known), Text(described(item.principal), style="dim")),
            below=(Text(item.held, style="yellow"), *_outage(item), *below(item.advice)),
        )
        for item in items
    ]
    return Listing(rows, (title, ""))


def retirements(things: Iterable[Retirement], known: Mapping[str, str], now: datetime) -> Listing:
    """Show the old credentials that still live, and what they wait for."""
    rows = [
        Row(
            cells=(
                name_of(one.principal, known),
                Text(relative(one.cutover_at, now)),
                Text(relative(one.soak_until, now)),
                Text(_awaited(one), style="yellow" if one.held else ""),
            ),
            below=(*below(described(one.principal)), *_used(one)),
        )
        for one in things
    ]
    return Listing(rows, ("old credential of", "replaced", "ends", "waits for"))


def _used(one: Retirement) -> tuple[Text, ...]:
    """Say whether the old credential is still used, and by whom."""
    if one.usage is None:
        return ()
    colour = {Drain.PROVED: "green", Drain.IN_USE: "yellow"}.get(one.usage.drain, "dim")
    drain = one.usage.drain.value.replace("-", " ")
    said = one.usage.detail if one.usage.drain is Drain.IN_USE else f"{drain}: {one.usage.detail}"
    return (Text(f"use: {said}", style=colour),)


def _awaited(one: Retirement) -> str:
    if one.held:
        return one.held
    return listed(place(group.text) for group in one.waiting_for) if one.waiting_for else "the end of its soak"


def under_way(soaking: tuple[Retirement, ...], known: Mapping[str, str], now: datetime) -> RenderableType:
    """Show the rotations whose old credential still lives."""
    if not soaking:
        return Text("No rotation is under way.", style="green")
    back = "Until then, where the old one lives, rotator roll-back CREDENTIAL goes back to the old one."
    return Group(retirements(soaking, known, now), Text(f" {back}", style="dim"))


def outcomes(things: Iterable[RotationOutcome], known: Mapping[str, str]) -> Listing:
    """Show how rotations ended."""
    rows = [
        Row(
            cells=(
                name_of(one.principal, known),
                Text(one.result.value.replace("_", " "), style=_RESULTS[one.result]),
                Text(lasting(one.ended_at - one.started_at)),
                Text(_moved(one), style="dim"),
            ),
            below=(Text(one.detail), *below(_left(one))),
        )
        for one in things
    ]
    return Listing(rows, ("credential", "result", "took", "groups"))


def _moved(one: RotationOutcome) -> str:
    return f"{count(len(one.redeployed), 'group')} moved" if one.redeployed else ""


def _left(one: RotationOutcome) -> str:
    return f"{count(len(one.left), 'group')} left: {listed(place(group.text) for group in one.left)}" if one.left else ""


def history(entries: Iterable[Entry], known: Mapping[str, str]) -> Listing:
    """Show the history, the newest first."""
    rows = []
    for entry in entries:
        name, kind = subject(entry.subject, known) if entry.subject else ("", "")
        about = ", ".join(text for text in (name, kind) if text)
        cells = (Text(instant(entry.at)), Text(entry.what), Text(entry.result.replace("_", " ")), Text(about or entry.detail))
        rows.append(Row(cells=cells, below=below(entry.detail if about else "")))
    return Listing(rows, ("when (UTC)", "what", "result", "about"))


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
