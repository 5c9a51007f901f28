"""What `rotator migrate` and `rotator disable-admin-user` show; readable at 80 columns."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from rotator.cli.listing import Listing, Row
from rotator.migration.plan import matches
from rotator.model.credential import Principal, PrincipalKind
from rotator.model.errors import ConfigError
from rotator.model.estate import Estate
from rotator.model.migration import AdminUse, Goal, Migration, Move, Moved, Result, Step
from rotator.report.words import called, count, described, instant, place

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


def plan(made: Migration, known: Mapping[str, str]) -> RenderableType:
    """Show who moves, who does not and why. `known` are display names of principals by id; --json has the ids."""
    steps = Counter(one.step for one in made.moves)
    if not made.moves:
        return Text(f"No group stores a password that {_goal(made.goal)} could do away with.")
    shown: list[RenderableType] = [
        Text.assemble(
            (f"{count(steps[Step.MOVE], 'group')} can move to {_goal(made.goal)}", "bold"),
            f" in waves of {', '.join(str(len(one)) for one in made.waves)}; each restarts." if made.waves else ".",
        )
    ]
    order = {group: number for number, group in enumerate(group for wave in made.waves for group in wave)}
    going = [one for one in made.moves if one.step in {Step.MOVE, Step.FINISH}]
    rows = [_going(one, known) for one in sorted(going, key=lambda one: (order.get(one.group, len(order)), one.group))]
    if rows:
        shown += ["", Listing(rows, ("group", "leaves"))]
    staying = _staying(made.moves, known)
    if staying:
        shown += ["", Text("Not moved:", style="bold"), *staying]
    if made.grants:
        shown.append("")
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


def _going(one: Move, known: Mapping[str, str]) -> Row:
    principals = [change.principal for change in one.changes]
    again = one.step is Step.FINISH
    return Row(
        cells=(Text(place(one.group.text)), Text(", ".join(called(who, known) for who in principals))),
        below=(
            Text("; ".join(described(who) for who in principals), style="dim"),
            *((Text("was put by an earlier run: its health is looked at", style="yellow"),) if again else ()),
        ),
    )


def _staying(moves: Sequence[Move], known: Mapping[str, str]) -> list[RenderableType]:
    """Name each reason once, with the groups below it: most groups have the same one."""
    found: dict[tuple[Step, str], list[Move]] = {}
    for one in moves:
        if one.step in {Step.HOLD, Step.LEAVE}:
            why = f"{one.why}{': ' if one.missing else ''}{', '.join(one.missing)}"
            found.setdefault((one.step, _spoken(why, known)), []).append(one)
    lines: list[RenderableType] = []
    for (step, why), some in found.items():
        groups = ", ".join(place(one.group.text) for one in some)
        lines += [
            Padding(Text(why, style="yellow" if step is Step.HOLD else ""), (0, 0, 0, 1)),
            Padding(Text(groups, style="dim"), (0, 0, 0, 3)),
        ]
    return lines


def _spoken(sentence: str, known: Mapping[str, str]) -> str:
    """Put what people call a principal in the place of each id in a sentence, but not in the commands, which quote it."""
    return re.sub(r"(?<![\w'-])[a-z-]+:[^\s,;]+/[^\s,;]+", lambda found: _name(found[0], known), sentence)


def _name(text: str, known: Mapping[str, str]) -> str:
    try:
        principal = Principal.parse(text)
    except ValueError:
        return text
    if principal.kind is PrincipalKind.ACR_REFRESH_TOKEN:
        return f"the refresh token of {principal.registry}"
    return f"{called(principal, known)} ({described(principal)})"
