"""When the ECR passwords of the groups end: the list that `rotator audit` shows below its findings."""

from collections.abc import Iterable
from datetime import datetime

from rich.text import Text

from rotator.cli.listing import Listing, Row
from rotator.report.inventory import Mode
from rotator.report.inventory import Row as Entry
from rotator.report.words import relative


def leases(inventory: Iterable[Mode], now: datetime, most: int | None) -> Listing | None:
    """Show when the lease of each group ends, those that have ended first; None when no group uses one."""
    entries = [one for mode in inventory for one in mode.rows if one.until or one.unknown_end]
    entries.sort(key=lambda one: (one.until is None, one.until or now, one.group))
    rows = [Row(cells=(Text(one.group), _end(one, now)), below=_why(one)) for one in entries[:most]]
    if len(entries) > len(rows):
        rows.append(Row(cells=(Text(f"and {len(entries) - len(rows)} more: --all", style="dim"), Text())))
    return Listing(rows, ("ECR password in", "ends")) if rows else None


def _end(one: Entry, now: datetime) -> Text:
    if one.until is None:
        return Text("not known", style="yellow")
    words = f"{one.until:%Y-%m-%d %H:%M} UTC, {relative(one.until, now)}"
    return Text(words, style="red" if one.until <= now else "")


def _why(one: Entry) -> tuple[Text, ...]:
    return (Text(one.unknown_end, style="dim"),) if one.unknown_end else ()
