"""What `rotator migrate` and `rotator disable-admin-user` show; readable at 80 columns."""

import re
from collections import Counter
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from rotator.migration.plan import matches
from rotator.model.errors import ConfigError
from rotator.model.estate import Estate
from rotator.model.migration import AdminUse, Goal, Migration, Moved, Result, Step
from rotator.report.words import count, instant, place

_IDENTITY = r"(?i)/subscriptions/[^/]+/resourcegroups/[^/]+/providers/microsoft\.managedidentity/userassignedidentities/[^/]+"
_STYLES = {Result.MOVED: "green", Result.LEFT: "dim", Result.NOT_BEGUN: "dim"}


def check_identity(identity: str) -> None:
    """Raise ConfigError for what is no user-assigned identity: Azure pulls with no other."""
    if identity and not re.fullmatch(_IDENTITY, identity):
        raise ConfigError(
            f"--identity {identity}: this is no resource id of a user-assigned identity",
            advice="az identity show --name NAME --resource-group GROUP --query id; a system-assigned one cannot pull images.",
        )


def check_only(only: Sequence[str], estate: Estate) -> None:
    """Raise ConfigError for a name that fits no group: a mistyped one would do nothing, silently."""
    for one in only:
        if not estate.unread and not any(matches(group, [one]) for group in estate.groups):
            raise ConfigError(
                f"--only {one}: no container group, registry or credential in use has this name",
                advice="rotator audit lists what there is; * stands for anything.",
            )


def plan(made: Migration) -> RenderableType:
    """Show who moves, who does not and why."""
    steps = Counter(one.step for one in made.moves)
    if not made.moves:
        return Text(f"No group stores a password that {_goal(made.goal)} could do away with.")
    shown: list[RenderableType] = [
        Text.assemble(
            (f"{count(steps[Step.MOVE], 'group')} can move to {_goal(made.goal)}", "bold"),
            f" in waves of {', '.join(str(len(one)) for one in made.waves)}; each restarts." if made.waves else ".",
        )
    ]
    rows = Table.grid(padding=(0, 2))
    rows.add_column(max_width=34, overflow="fold")
    rows.add_column(overflow="fold")
    order = {group: number for number, group in enumerate(group for wave in made.waves for group in wave)}
    for one in sorted(made.moves, key=lambda move: (order.get(move.group, len(order)), move.step, move.group)):
        rows.add_row(
            place(one.group.text), _what(one.step, [change.principal.id for change in one.changes], one.why, one.missing)
        )
    shown.append(rows)
    shown += [Text(f"Needs: {g.identity.rpartition('/')[2]} as {g.role_name} on {g.what}", style="dim") for g in made.grants]
    if made.unused:
        shown.append(Text("No group uses these afterwards. Ask the log who else does, then end them:"))
        shown += [Text(f"  {one.how}", overflow="fold") for one in made.unused]
    return Group(*shown)


def outcomes(made: Migration, moved: Sequence[Moved]) -> RenderableType:
    """Show what came of each group."""
    rows = Table.grid(padding=(0, 2))
    rows.add_column(max_width=34, overflow="fold")
    rows.add_column(no_wrap=True)
    rows.add_column(overflow="fold")
    for one in moved:
        rows.add_row(place(one.group.text), Text(one.result.value, style=_STYLES.get(one.result, "red")), Text(one.detail))
    well = sum(1 for one in moved if one.result is Result.MOVED)
    return Group(rows, Text(f"{count(well, 'group')} moved to {_goal(made.goal)}.", style="bold"))


def admin_use(use: AdminUse) -> RenderableType:
    """Show who uses an admin user."""
    lines = [Text(f"{use.registry}: admin user {use.principal.name}", style="bold")]
    lines += [Text(f"  stored in group {place(one.text)}") for one in use.groups]
    lines += [
        Text(f"  {one.address or 'an unknown address'}: {count(one.logins, 'login')}, last {instant(one.last_at)}")
        for one in use.callers
    ]
    if use.unknown:
        lines.append(Text(f"  not known: {use.unknown}", style="yellow"))
    elif not use.used:
        lines.append(Text(f"  nobody has used it for {use.window_days:g} days", style="green"))
    return Group(*lines)


def _goal(goal: Goal) -> str:
    return "a managed identity" if goal is Goal.MANAGED_IDENTITY else "a reference to the vault"


def _what(step: Step, principals: Sequence[str], why: str, missing: Sequence[str]) -> Text:
    if step is Step.MOVE:
        return Text(f"leaves {', '.join(principals)}")
    if step is Step.FINISH:
        return Text(f"was put by an earlier run, left {', '.join(principals)}: its health is looked at", style="yellow")
    return Text(f"{why}{': ' if missing else ''}{', '.join(missing)}", style="yellow" if step is Step.HOLD else "dim")
