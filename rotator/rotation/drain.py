"""Whether an old secret is still used, as far as a log can tell, and whether it may end. Pure.

The directory's sign-in log names the very secret. A registry's login events name only the user: there a login may have come with
the new secret, if a container group that stores it pulled at that time, and otherwise may have come with the old one.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from rotator.model.credential import Credential
from rotator.model.rotation import Retirement
from rotator.model.usage import OWN_AGENT, Drain, DrainRule, Pull, Usage, Use, Uses
from rotator.rotation.rules import Rules

_NAMED = 5


class Decision(StrEnum):
    """What becomes of an old secret."""

    END = "end"
    KEEP = "keep"
    HOLD = "hold"


def window_of(retirement: Retirement, rules: Rules, now: datetime) -> datetime:
    """Return the instant from which a use counts: the cutover, or later when the secret has been quiet for long enough."""
    return max(retirement.cutover_at, now - rules.drain_quiet)


def usage_of(retirement: Retirement, uses: Uses, rules: Rules, now: datetime) -> Usage:
    """Say what a log proves about the old secrets of a retirement.

    UNKNOWN: the log could not be read, or not enough time has passed for entries to arrive (`early`). IN_USE: somebody used an
    old secret, or may have: an entry that nothing explains is never taken for harmless. ASSUMED: nothing speaks for a use, but
    the log would not show one for certain. PROVED: the log works, and shows none.
    """
    since = window_of(retirement, rules, now)
    if uses.unreadable:
        return Usage(drain=Drain.UNKNOWN, detail=uses.unreadable)
    entries = [one for one in uses.entries if since <= one.at]
    until = uses.complete_until
    if uses.names_keys:
        suspects = _with_keys(entries, retirement.old)
    else:
        # What happened after the groups were read cannot be compared with their pulls; the next run looks at it.
        until = min(until, retirement.seen_at or until)
        entries = [one for one in entries if one.at <= (retirement.seen_at or one.at)]
        suspects = unexplained(entries, retirement.pulls, rules.drain_window)
    if suspects:
        return _in_use(suspects, certain=uses.names_keys)
    if until <= since:
        return Usage(drain=Drain.UNKNOWN, detail="it is too early to tell: log entries may still be on their way", early=True)
    return _silent(entries, uses, until)


def decide(retirement: Retirement, usage: Usage, alive: Sequence[Credential], rules: Rules, now: datetime) -> Decision:
    """Say whether the old secrets may end now, are kept for another look, or wait for a person.

    `alive` are those that the registry lists as living. One that ends by itself within another soak needs nobody's decision.
    """
    over = now >= limit_of(retirement, rules)
    if rules.drain is DrainRule.REPORT or usage.drain is Drain.PROVED:
        return Decision.END
    if usage.early:
        return Decision.KEEP
    if rules.drain is DrainRule.WHEN_NOT_IN_USE and usage.drain is not Drain.IN_USE:
        # A log that fails tonight may answer tomorrow; one that is never there must not keep secrets alive for ever.
        return Decision.END if usage.drain is Drain.ASSUMED or over else Decision.KEEP
    ends_soon = bool(alive) and all(one.expires_at is not None and one.expires_at <= now + rules.soak for one in alive)
    return Decision.HOLD if over and not ends_soon else Decision.KEEP


def limit_of(retirement: Retirement, rules: Rules) -> datetime:
    """Return the instant from which an old secret that is still used waits for a person."""
    return retirement.soak_until + rules.drain_limit


def unexplained(entries: Iterable[Use], pulls: Sequence[Pull], window: timedelta) -> tuple[Use, ...]:
    """Return the logins that neither this program's verification nor a pull of a group on the new secret accounts for.

    A pull accounts for the logins within `window` of the first and of the last time that the instance view names. Of those in
    between only the number is known, so that each such pull accounts for one login somewhere in between, and no more.
    """
    left = {number: pull.count - 2 for number, pull in enumerate(pulls) if pull.count > 2}
    found = []
    for one in sorted(entries, key=lambda use: use.at):
        if one.agent == OWN_AGENT or any(_near(one.at, pull, window) for pull in pulls):
            continue
        # The pull that ends first is the least use for later logins.
        between = [number for number in left if pulls[number].first_at < one.at < pulls[number].last_at]
        chosen = min(between, key=lambda number: pulls[number].last_at, default=None)
        if chosen is None:
            found.append(one)
            continue
        left[chosen] -= 1
        if not left[chosen]:
            del left[chosen]
    return tuple(found)


def _near(at: datetime, pull: Pull, window: timedelta) -> bool:
    return abs(at - pull.first_at) <= window or abs(at - pull.last_at) <= window


def _with_keys(entries: Iterable[Use], old: Iterable[str]) -> tuple[Use, ...]:
    # A handle is `application/<key id>`; the log has the key id alone.
    keys = {handle.rpartition("/")[2].lower() for handle in old}
    return tuple(one for one in entries if one.key.lower() in keys)


def _in_use(suspects: Sequence[Use], *, certain: bool) -> Usage:
    last = max(suspects, key=lambda one: one.at)
    callers = tuple(dict.fromkeys(_addresses(suspects)))
    named = ", ".join(callers[:_NAMED]) + (f" and {len(callers) - _NAMED} more" if len(callers) > _NAMED else "")
    how = "used" if certain else "perhaps used (the log does not say which secret)"
    return Usage(
        drain=Drain.IN_USE,
        last_seen_at=last.at,
        callers=callers,
        detail=f"{how} by {named or 'an unknown address'}, last at {last.at:%Y-%m-%d %H:%M} UTC",
    )


def _addresses(suspects: Sequence[Use]) -> Iterator[str]:
    """Yield the callers' addresses, the latest first."""
    yield from (one.address for one in sorted(suspects, key=lambda use: use.at, reverse=True) if one.address)


def _silent(entries: Sequence[Use], uses: Uses, until: datetime) -> Usage:
    last = max((one.at for one in entries), default=None)
    when = f"{until:%Y-%m-%d %H:%M} UTC"
    if uses.unproven:
        return Usage(drain=Drain.ASSUMED, last_seen_at=last, detail=uses.unproven)
    if uses.names_keys and any(not one.key for one in entries):
        detail = f"no use until {when}, but some sign-ins do not say with which secret"
        return Usage(drain=Drain.ASSUMED, last_seen_at=last, detail=detail)
    if not uses.names_keys and any(one.agent != OWN_AGENT for one in entries):
        detail = f"no login until {when} but those near pulls of groups on the new secret"
        return Usage(drain=Drain.ASSUMED, last_seen_at=last, detail=detail)
    return Usage(drain=Drain.PROVED, last_seen_at=last, detail=f"not used until {when}, while the log shows others")
