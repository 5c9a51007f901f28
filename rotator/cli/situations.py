"""Where a rotation stands and what a person may decide, for the terminal; readable at 80 columns at three in the morning."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from rotator.model.arm import ArmId
from rotator.model.rotation import Choice, LiveSecret, Situation
from rotator.report.words import called, count, described, instant, lasting, listed, place, relative, short
from rotator.rotation.revocation import REDEPLOY_TAKES, Revocation

_LABEL = 9


def shown(situations: Iterable[Situation], names: Mapping[str, str], now: datetime) -> RenderableType:
    """Show each rotation with its reason, its secrets, its groups, and what is possible."""
    return Group(*(part for one in situations for part in _one(one, names, now)))


def announced(choice: Choice) -> Text:
    """Say what a decision does."""
    return Text(f"{choice.verb.value}: {choice.effect}; {count(choice.restarts, 'group restart')}.", style="bold")


def revocation(found: Revocation, names: Mapping[str, str]) -> RenderableType:
    """Say beforehand who will be without a working pull, and for how long at the least."""
    facts = Table.grid(padding=(0, 2, 0, 0))
    facts.add_column(width=_LABEL, style="dim")
    facts.add_column(overflow="fold")
    for handle in found.handles:
        facts.add_row("ends now", Text.assemble((handle, "bold red"), ", in use" if handle == found.in_use else ""))
    if found.kept:
        facts.add_row("stays", Text("\n".join(found.kept)))
    if found.obstacle:
        facts.add_row("then", Text(f"nothing is made in its place: {found.obstacle}", style="bold red"))
        facts.add_row("", Text(found.advice, style="dim"))
    elif found.successor:
        which = "at once into every group that can be moved" if found.stuck else "into every group at once"
        facts.add_row("then", f"a new secret is made, tried, and put {which}")
    else:
        facts.add_row("then", f"nothing: the vault gives out {found.in_use}, which stays")
    facts.add_row("without", _without(found))
    for group, why in () if found.obstacle else found.stuck:
        facts.add_row("", Text(f"{place(group.text)} stays without until somebody acts: {why or 'it cannot be moved'}", "yellow"))
    if found.safe:
        facts.add_row("safe", f"{count(len(found.safe), 'group')} on another secret of it: {_places(found.safe)}")
    facts.add_row("unharmed", f"{count(found.others, 'group')} on managed identities or other credentials")
    title = Text.assemble("Revocation of ", (called(found.principal, names), "bold"), f"  {described(found.principal)}")
    return Group(title, Padding(facts, (0, 0, 0, 2), expand=False))


def _without(found: Revocation) -> Text:
    if not found.out:
        return Text("no group: none is known to store it", style="green")
    text = Text.assemble((f"{count(len(found.out), 'group')}: {_places(found.out)}", "bold"))
    moving = len(found.out) - len(found.stuck)
    if found.obstacle:
        text.append("\nuntil somebody acts")
    elif moving and found.least:
        takes = lasting(REDEPLOY_TAKES)
        how = f"\nfor at least {lasting(found.least)}, reckoned as "
        how += f"{lasting(found.propagation)} until a new secret works everywhere, then " if found.successor else ""
        text.append(how + f"{takes} for every round of redeploys")
    text.append("\nThey keep running; what fails until then is every start that has to pull.")
    return text


def _one(one: Situation, names: Mapping[str, str], now: datetime) -> Iterable[RenderableType]:
    since = f", since {instant(one.since)} UTC ({relative(one.since, now)})" if one.since else ""
    yield Text.assemble((called(one.principal, names), "bold"), f"  {described(one.principal)}")
    facts = Table.grid(padding=(0, 2, 0, 0))
    facts.add_column(width=_LABEL, style="dim")
    facts.add_column(overflow="fold")
    facts.add_row("state", Text(f"{one.phase}{since}"))
    if one.why:
        facts.add_row("held", Text(one.why, style="yellow"))
    if one.advice and all(choice.refused for choice in one.choices):
        facts.add_row("", Text(one.advice, style="dim"))
    for number, secret in enumerate(one.live):
        facts.add_row("secrets" if not number else "", _secret(secret, one, now))
    if one.on_new:
        facts.add_row("moved", f"{count(len(one.on_new), 'group')}: {_places(one.on_new)}")
    if one.on_old:
        label = "not moved" if one.new else "used by"
        facts.add_row(label, f"{count(len(one.on_old), 'group')}: {_places(one.on_old)}")
    refused = [choice for choice in one.choices if choice.refused]
    possible = [choice for choice in one.choices if not choice.refused]
    for choice in refused if possible else ():
        facts.add_row("not now", Text(f"{choice.verb.value}: {choice.refused}", style="dim"))
    if one.new or possible:
        facts.add_row("rotation", Text(one.rotation, style="dim"))
    yield Padding(facts, (0, 0, 0, 2), expand=False)
    for choice in possible:
        # Never folded: a command that was broken into two lines cannot be copied.
        yield Text.assemble("  ", (choice.command, "bold"), no_wrap=True, overflow="ignore")
        yield Padding(Text(choice.effect), (0, 0, 0, 6), expand=False)
    yield Text("")


def _secret(secret: LiveSecret, one: Situation, now: datetime) -> Text:
    marks = [secret.role, "in the vault" if secret.handle == one.in_vault else ""]
    ends = f"ends {relative(secret.expires_at, now)}" if secret.expires_at else "never ends"
    return Text(", ".join(part for part in (short(secret.handle), *marks, ends) if part))


def _places(groups: Sequence[ArmId]) -> str:
    return listed(place(group.text) for group in groups)
