"""Giving a rotation up whose new secret nobody uses: that secret is ended and the record closed."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from rotator.model.credential import Handle, is_brought
from rotator.model.errors import Held
from rotator.model.estate import STAGED_SUFFIX, TAG_HANDLE
from rotator.model.rotation import Phase, Situation
from rotator.rotation.context import Context, looking
from rotator.rotation.issue import made_then
from rotator.rotation.record import RotationRecord

_PENDING = {Phase.STAGED, Phase.VERIFIED}


def stop(context: Context, situation: Situation) -> None:
    """Hold a rotation that another process, or its journal, might carry on while it is given up. Harmless twice."""
    record = _record(context, situation)
    if record is not None and record.phase in _PENDING and not record.known_as:
        # Also when another installation began it: that one looks before its next effect, and goes no further.
        held = replace(record, phase=Phase.HELD, held="it is being abandoned", held_at=context.clock.now())
        context.save(held)


def abandon(context: Context, situation: Situation) -> str:
    """End the new secret of a rotation, and close it; returns what was done. `situation` is from a fresh reading.

    Already gone counts as ended, and a closed record as closed. Raises Held, and ends nothing, when the vault gives the secret
    out by now.
    """
    record = _record(context, situation)
    if record is None or record.phase is Phase.DONE:
        return "it is over already"
    current = context.vault.look(record.secret_name)
    in_use = current.tags.get(TAG_HANDLE, "") if current is not None else ""
    if record.handle and in_use == record.handle:
        raise Held(f"{record.secret_name} gives {record.handle} out by now: roll back first")
    driver, ended = context.driver(record.principal), []
    for handle in _made(context, record, in_use):
        if is_brought(handle.id):
            told = f"gave {handle.id} up, which nobody used. {driver.traits.ended_by_hand}"
            context.tell(record.rotation, record.principal, "hand-over", told)
            continue
        looking(context, partial(driver.retire, handle))
        context.tell(record.rotation, record.principal, "abandon", f"ended {handle.id}, which nobody used")
        ended.append(handle.id)
    context.save(replace(record, phase=Phase.DONE, old=()), enabled=False)
    return f"given up; ended {' '.join(ended)}" if ended else "given up; there was nothing to end"


def _record(context: Context, situation: Situation) -> RotationRecord | None:
    record = context.record(situation.secret_name + STAGED_SUFFIX)
    return record if record is not None and record.rotation == situation.rotation else None


def _made(context: Context, record: RotationRecord, in_use: str) -> Iterator[Handle]:
    """Yield what the rotation has made."""
    if record.handle:
        yield Handle(principal=record.principal, id=record.handle, slot=record.slot)
    yield from made_unseen(context, record, in_use)


def made_unseen(context: Context, record: RotationRecord, in_use: str) -> Iterator[Handle]:
    """Yield secrets that a rotation made and never kept: those that carry its name, or fill the slot that it announced."""
    if is_brought(record.handle):
        return
    driver = context.driver(record.principal)
    for one in driver.inspect(record.principal):
        if one.handle.id in {record.handle, record.replaces, in_use, *record.old}:
            continue
        announced = record.phase is Phase.INTENT and bool(record.slot) and one.handle.slot == record.slot
        begun_at = record.issued_at if announced else None
        if one.handle.marker == record.rotation or (begun_at and made_then(one, begun_at, driver.traits)):
            yield one.handle
