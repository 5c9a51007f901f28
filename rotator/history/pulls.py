"""What earlier looks saw of pulls with a new secret, beside what Azure still shows.

Azure forgets a group's pulls with its next restart, and the login that a pull caused stays in the registry's log. What an
audit saw of them is remembered while the old secret soaks. Losing it makes nothing unsafe: a login that nothing explains any more
counts as a use of the old secret, which is then kept for longer.
"""

from collections.abc import Iterable
from dataclasses import replace

from sqlalchemy import Connection, insert, select

from rotator.history.rows import pulls
from rotator.model.arm import ArmId
from rotator.model.rotation import Retirement
from rotator.model.usage import Pull


def with_remembered(connection: Connection, retirements: Iterable[Retirement]) -> tuple[Retirement, ...]:
    """Remember the pulls of each retirement, and return it with those of earlier looks added."""
    return tuple(_with_remembered(connection, one) if one.old else one for one in retirements)


def _with_remembered(connection: Connection, retirement: Retirement) -> Retirement:
    rows = connection.execute(select(pulls).where(pulls.c.rotation == retirement.rotation)).all()
    # Of one run of a group the looks saw growing counts. The newest is Azure's own; the others add their instants alone.
    known = {
        Pull(group=ArmId(row.group), registry=row.registry, first_at=row.first_at, last_at=row.last_at): None for row in rows
    }
    seen = {replace(one, count=1): None for one in retirement.pulls}
    new = [
        {
            "rotation": retirement.rotation,
            "group": one.group.text,
            "registry": one.registry,
            "first_at": one.first_at,
            "last_at": one.last_at,
        }
        for one in seen
        if one not in known
    ]
    if new:
        connection.execute(insert(pulls), new)
    return replace(retirement, pulls=(*retirement.pulls, *(one for one in known if one not in seen)))
