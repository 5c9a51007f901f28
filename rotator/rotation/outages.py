"""Kinds of which one secret lives at a time: the new one ends the old, and nobody can pull until all have moved. Pure.

Such an item is begun only while an outage is announced, by a window of the configuration or by a person. Once the old secret is
dead nothing is left to wait for: the item then goes on at any hour, with all groups in one wave. A canary would only keep the
others out for longer: the secret was tried for real before, and there is no old one to go back to.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from fnmatch import fnmatchcase

from rotator.cron import cron_trigger
from rotator.model.credential import Principal, Traits
from rotator.model.estate import PrincipalRecord
from rotator.model.rotation import Action, Consumer, HeldCause, Phase, PlanItem
from rotator.rotation.consumers import HAS_IT
from rotator.rotation.record import RotationRecord
from rotator.rotation.retirements import any_live
from rotator.rotation.revocation import REDEPLOY_TAKES
from rotator.rotation.rules import Rules

_WINDOW = re.compile(r"(?P<cron>\S.*\S)\s+for\s+(?P<number>[1-9][0-9]{0,3})(?P<unit>[mh])")
_BEGUN = frozenset({Phase.STAGED, Phase.VERIFIED, Phase.PROMOTED, Phase.CUTOVER, Phase.HELD, Phase.SOAKING})


def is_open(text: str, now: datetime) -> bool:
    """Whether an instant lies in a window: a cron expression in UTC and how long it is open, `0 2 * * 6 for 2h`.

    Raises ValueError, saying why, for what is no window.
    """
    cron, lasts = _parts(text)
    begins = cron_trigger(cron).get_next_fire_time(None, now - lasts + timedelta(microseconds=1))
    return begins is not None and begins <= now


def announced(windows: Mapping[str, str], principal: Principal, now: datetime, takes: timedelta = timedelta(0)) -> bool:
    """Whether the configuration announces an outage of the principal's groups that begins now and takes so long."""
    mine = [text for glob, text in windows.items() if fnmatchcase(principal.id, glob)]
    return all(any(is_open(text, at) for text in mine) for at in (now, now + takes))


def next_window(windows: Mapping[str, str], principal: Principal, now: datetime) -> datetime | None:
    """Return when the next window of the principal begins; None where the configuration has none, or none that ever comes."""
    mine = [_parts(text)[0] for glob, text in windows.items() if fnmatchcase(principal.id, glob)]
    begins = (cron_trigger(cron).get_next_fire_time(None, now + timedelta(microseconds=1)) for cron in mine)
    return min((one for one in begins if one is not None), default=None)


def _parts(text: str) -> tuple[str, timedelta]:
    """Return a window's cron expression and how long it is open."""
    parts = _WINDOW.fullmatch(text.strip())
    if parts is None:
        raise ValueError(f"{text!r} is no window: write a cron expression and a duration in h or m, such as '0 2 * * 6 for 2h'")
    return parts["cron"], timedelta(**{"h": {"hours": 1}, "m": {"minutes": 1}}[parts["unit"]]) * int(parts["number"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Outages:
    """What decides whether an item may begin. `allowed`: a person said so."""

    traits: Traits
    rules: Rules
    now: datetime
    allowed: bool

    def decide(self, item: PlanItem, record: RotationRecord | None, known: PrincipalRecord | None) -> PlanItem:
        """Return the item with all its groups in one wave, and held when its outage may not begin now."""
        item = replace(item, waves=tuple(filter(None, (tuple(group for wave in item.waves for group in wave),))))
        if self._begun(item, record, known):
            return item
        item = replace(item, outage=self._sentence(item))
        if item.held or item.revoke or self._dead(item, known):
            return item
        held, advice, cause = self._obstacle(item)
        return replace(item, held=held, advice=advice, cause=cause) if held else replace(item, in_window=not self.allowed)

    def _begun(self, item: PlanItem, record: RotationRecord | None, known: PrincipalRecord | None) -> bool:
        """Whether the new secret is made, or may be: the old one has ended then."""
        if record is None or record.rotation != item.rotation:
            return False
        return record.phase in _BEGUN or not self.traits.listed or not any_live(record.old, known, self.now)

    def _dead(self, item: PlanItem, known: PrincipalRecord | None) -> bool:
        """Whether the service lists no living secret that the new one could end."""
        return self.traits.listed and known is not None and not any_live(item.old, known, self.now)

    def _obstacle(self, item: PlanItem) -> tuple[str, str, HeldCause | None]:
        """Return what stands in the way, what to do about it and its class."""
        command = f"rotator rotate --only '{item.principal.id}' --allow-outage"
        stuck = [one for one in item.consumers if one.action is Action.HOLD]
        resting = parked(item.consumers)
        if stuck:
            return (
                f"its new secret ends the old one at once, and {stuck[0].group.name} could not be moved: {stuck[0].why}",
                f"Put what is missing into the vault: {', '.join(stuck[0].missing)}" if stuck[0].missing else stuck[0].why,
                HeldCause.GROUPS,
            )
        if self.allowed:
            return "", "", None
        if resting:
            return (
                f"its new secret ends the old one at once, and {_named(resting)} could not start again (not running now)",
                f"Start or delete them, or let them read the vault; or leave them behind: {command}",
                HeldCause.GROUPS,
            )
        windows, takes = self.rules.outage_windows, takes_at_least(self.traits, self.rules, item)
        if announced(windows, item.principal, self.now, takes):
            return "", "", None
        begins = next_window(windows, item.principal, self.now)
        if begins is not None:
            advice = f"The next window begins {begins:%a %Y-%m-%d %H:%M} UTC (rotation.outage_windows). Sooner: {command}"
            if announced(windows, item.principal, self.now):
                why = f"what is left of its window is shorter than its outage of about {_minutes(takes)} min"
                return why, advice, HeldCause.OUTAGE_WINDOW
            missed = next_window(windows, item.principal, item.due_at) if item.due_at else None
            if missed is not None and missed <= self.now:
                # Runs at other hours would let it wait in good order until it has expired.
                why = f"it has been due since a window passed, at {missed:%Y-%m-%d %H:%M} UTC, in which no run began it"
                return why, advice, HeldCause.OUTAGE_WINDOW
            return "its new secret ends the old one at once, and its window has not begun", advice, HeldCause.WINDOW
        return (
            "its new secret ends the old one at once, and no outage is announced",
            f"Better a kind with overlap (a deploy token, two robots). Or announce a rotation.outage_windows, or: {command}",
            HeldCause.OUTAGE_WINDOW,
        )

    def _sentence(self, item: PlanItem) -> str:
        names = _named([one for one in item.consumers if one.action in {Action.REDEPLOY, Action.RESTART}])
        minutes = _minutes(takes_at_least(self.traits, self.rules, item))
        return (
            f"outage: {names or 'no group'} cannot pull from the new secret's making until moved, about {minutes} min; "
            "running containers go on"
        )


def takes_at_least(traits: Traits, rules: Rules, item: PlanItem) -> timedelta:
    """Return for how long the item's groups are out at the least."""
    rounds = -(-sum(len(wave) for wave in item.waves) // rules.max_parallel)
    return traits.propagation + rounds * REDEPLOY_TAKES


def _minutes(takes: timedelta) -> int:
    return max(1, round(takes.total_seconds() / 60))


def parked(consumers: tuple[Consumer, ...]) -> list[Consumer]:
    """Return the groups that store the secret and are left alone because they do not run."""
    return [one for one in consumers if one.action is Action.LEAVE and one.inline and one.why != HAS_IT]


def _named(consumers: list[Consumer]) -> str:
    names = [one.group.name for one in consumers]
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
