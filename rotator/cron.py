"""Cron expressions as cron reads them; APScheduler counts the days of the week differently."""

import re

from apscheduler.triggers.cron import CronTrigger

_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")
_NUMBERED = re.compile(r"(?:\*|([0-7])(?:-([0-7]))?)(?:/([1-9][0-9]*))?")


def cron_trigger(expression: str, timezone: str = "UTC") -> CronTrigger:
    """Return when an expression of five fields is due: minute, hour, day of month, month, day of week (0 and 7 are Sunday).

    Raises ValueError, saying why, for what is no such expression.
    """
    fields = expression.split()
    if len(fields) == 5:
        fields[4] = ",".join(_named(part) for part in fields[4].split(","))
    return CronTrigger.from_crontab(" ".join(fields), timezone=timezone)


def _named(days: str) -> str:
    """Name the numbered days of one part of a list. APScheduler counts from Monday, cron from Sunday: `0` would be a day late."""
    part = _NUMBERED.fullmatch(days)
    if part is None or days == "*":
        return days
    first, last, step = part.groups()
    begin = int(first or 0)
    # A step without an end goes on to Saturday; day 7 is day 0 again.
    end = int(last) if last else begin if first and not step else 6
    named = _WEEKDAYS[begin : end + 1 : int(step or 1)]
    if not named:
        raise ValueError(f"{days} names no day of the week")
    return ",".join(named)
