"""Two installations on one estate: each rotation has one writer at a time, and the vault's tags say who.

Replicas of one installation share a journal and need none of this. Two installations, each with a journal of its own, know
nothing of each other; what they both see is the vault. Key Vault has no conditional write, so that this is no lock: it is a
rule that two programs which both keep it cannot both break, as long as a write that takes longer than the settling pause is
looked at again. What it cannot stop is said in docs/guarantees.md.
"""

from datetime import datetime, timedelta

from rotator.model.errors import Held, RotatorError
from rotator.model.estate import StoredSecret
from rotator.model.rotation import Phase, PlanItem
from rotator.rotation.context import Context
from rotator.rotation.planner import OPEN
from rotator.rotation.record import RotationRecord

SETTLE = timedelta(seconds=2)
"""How long a claim lies in the vault before it is believed. The vault orders versions by whole seconds: without the pause the
secret staged next could carry the same second, and a later look could take the announcement for the newer of the two."""

_ADVICE = "Stop one of the two: rotator status shows what is unfinished, and docs/guarantees.md what both may do meanwhile."


def wait_for_turn(context: Context, item: PlanItem, found: RotationRecord | None) -> bool:
    """Return False when nobody else is at work on the rotation, True when somebody was and has been silent long enough.

    After True the vault must be looked at again. Raises Held when the other one is alive: it wrote while we waited.
    """
    if found is None or found.phase not in OPEN or not _of_another(context, found):
        return False
    quiet_at = (found.touched_at or context.clock.now()) + context.rules.writer_timeout
    wait = quiet_at - context.clock.now()
    if wait <= timedelta(0):
        return False
    context.tell(
        item.rotation,
        item.principal,
        "wait",
        f"installation {found.writer} was at work on it at {found.touched_at:%H:%M:%S} UTC; it has until {quiet_at:%H:%M:%S}",
    )
    context.clock.sleep(wait)
    again = context.record(found.staged_name)
    if again is not None and _of_another(context, again) and _signature(again) != _signature(found):
        raise _busy(again)
    return True


def confirm(context: Context, record: RotationRecord, current: StoredSecret | None, looked_at: datetime) -> None:
    """Let an announcement settle, and look whether it is still the newest word; Held when another writer came in between.

    `current` is the consumers' secret as it was at `looked_at`. An announcement that took long to arrive may have landed on top
    of work that another one has finished meanwhile, so that secret is then looked at too.
    """
    slow = context.clock.now() - looked_at > 2 * SETTLE
    context.clock.sleep(SETTLE)
    guard(context, record)
    if slow:
        newest = context.vault.look(record.secret_name)
        if (newest and newest.version) != (current and current.version):
            raise Held(
                f"{record.secret_name} was written by somebody else while this rotation began; nothing was made", advice=_ADVICE
            )


def take_over(context: Context, record: RotationRecord) -> RotationRecord:
    """Make another writer's unfinished rotation ours, after its time is up; Held when it, or a third one, signs it again."""
    if not _of_another(context, record):
        return record
    ours = context.save(record)
    context.clock.sleep(SETTLE)
    guard(context, ours)
    return ours


def guard(context: Context, record: RotationRecord) -> RotationRecord:
    """Return where the rotation stands in the vault, or the record itself where that says nothing.

    Raises Held when another rotation has begun since, or another installation has signed this one: a journal may come back long
    after others finished its work, and a process may wake up after another has taken its place.
    """
    latest = context.record(record.staged_name)
    if latest is None:
        return record
    if latest.rotation != record.rotation:
        raise Held(f"{record.principal.id}: another rotation, {latest.rotation}, has begun since; nothing was changed")
    if _of_another(context, latest):
        raise _busy(latest)
    if latest.phase is Phase.HELD and record.phase is not Phase.HELD and latest.handle == record.handle:
        # A person is giving it up, while a journal or another run carries it on.
        raise Held(f"{record.principal.id}: it was held meanwhile: {latest.held}")
    return latest


def keep(context: Context, record: RotationRecord) -> None:
    """Sign the rotation again when the last signature grows old, so that nobody takes us for dead.

    Raises Held as `guard` does, and nothing else.
    """
    now = context.clock.now()
    signed_at = context.signatures.get(record.rotation) or record.touched_at
    if signed_at is not None and now - signed_at < context.rules.writer_timeout / 3:
        return
    # Several groups of one wave come here at once; a second signature would do no harm, but costs a write.
    context.signatures[record.rotation] = now
    try:
        context.save(guard(context, record))
    except Held:
        raise
    except RotatorError:
        # A vault that is away for a moment is no reason to stop a group half way; nobody else can sign there either.
        return


def _of_another(context: Context, record: RotationRecord) -> bool:
    return record.writer not in {"", context.writer}


def _signature(record: RotationRecord) -> tuple[str, datetime | None, str]:
    return record.writer, record.touched_at, record.version


def _busy(record: RotationRecord) -> Held:
    return Held(
        f"{record.principal.id}: another installation of rotator, {record.writer}, is at work on it; this one holds",
        advice=_ADVICE,
    )
