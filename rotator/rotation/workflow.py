"""The order of the phases, written against the `Steps` port: it knows no engine.

    issue → verify → promote → cutover in waves → soak          (this run)
    retire → close                                              (a later run, when the soak is over)

The soak is no sleeping thread: its end stands in the vault's tags, and whichever run comes after it retires the old secret.
A scheduled container that lives for minutes can therefore hold an overlap of days.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

from pydantic import TypeAdapter

from rotator.model.arm import ArmId
from rotator.model.credential import Overlap
from rotator.model.errors import CutoverFailed, Held, RotatorError, VerificationFailed
from rotator.model.rotation import Action, PlanItem, Result, Retirement, RotationOutcome
from rotator.ports import Json, Steps
from rotator.rotation import cutover, finish, issue, revoke, verify
from rotator.rotation.context import Context
from rotator.rotation.cutover import FAILED, LEFT, MARKED, Move
from rotator.rotation.record import RotationRecord
from rotator.rotation.steps import place_of
from rotator.rotation.tenure import guard

T = TypeVar("T")

_RECORD = TypeAdapter(RotationRecord)
_MOVES = TypeAdapter(tuple[Move, ...])
_TEXTS = TypeAdapter(tuple[str, ...])


def carry_out(steps: Steps, context: Context, item: PlanItem) -> RotationOutcome:
    """Rotate one principal as planned, up to the beginning of the soak; never raises an error of ours.

    A failure leaves the old secret alive and every group on a credential that works, and says so in the outcome.
    """
    outcome = RotationOutcome.at(context.clock.now(), item.rotation, item.principal)
    context.trail.taken()  # what this thread asked for an earlier rotation is no part of this one
    if item.held:
        return RotationOutcome.held(context.clock.now(), item)
    try:
        if item.revoke:
            # Before there is a successor: a leaked secret that still works is worse than groups that cannot start.
            _step(steps, "revoke", _TEXTS, lambda: revoke.end(context, item.principal, item.rotation, item.revoke))
        record = _step(steps, "issue", _RECORD, lambda: issue.issue(context, item))
        if item.revoke:
            _step(steps, "revoke the rest", _TEXTS, lambda: revoke.end_all(context, item.principal, item.rotation, item.revoke))
        missing = _verified(steps, context, item, record)
        record = _step(steps, "promote", _RECORD, lambda: verify.promote(context, item, record))
        # What has ended must not be deployed from the vault by anybody.
        ended = (*item.revoke, *(item.old if _ends_the_old(context, item) else ()))
        if ended:
            _step(steps, "forget", _TEXTS, lambda: revoke.forget(context, item.secret_name, ended))
        return _moved(steps, context, item, record, missing, outcome)
    except (VerificationFailed, Held) as error:
        context.tell(item.rotation, item.principal, "rotation", error=error)
        return _ended(context, outcome, Result.HELD, error.message, error.code)
    except RotatorError as error:
        context.tell(item.rotation, item.principal, "rotation", error=error)
        return _ended(context, outcome, Result.FAILED, error.message, error.code)


def finish_off(context: Context, retirement: Retirement) -> RotationOutcome:
    """End the old secrets of a rotation whose soak is over, unless one is still used; never raises an error of ours.

    It needs no journal: both steps are harmless twice, and what was cut off is found in the vault's tags by the next run, which
    also looks again whether a group has come that stores an old secret. A journal would not.
    """
    outcome = RotationOutcome.at(context.clock.now(), retirement.rotation, retirement.principal)
    try:
        if retirement.revoked:
            revoke.end_old(context, retirement)
            return _ended(context, outcome, Result.SUCCESS, f"revoked {' '.join(retirement.revoked)}")
        ending = finish.retire(context, retirement)
        if ending.closed:
            finish.close(context, retirement)
            return _ended(context, outcome, Result.SUCCESS, ending.detail)
        if not ending.ended:
            return _ended(context, outcome, Result.SOAKING, ending.detail)
        finish.close(context, retirement)
        return _ended(context, outcome, Result.SUCCESS, f"the old secret is ended; {ending.detail}")
    except RotatorError as error:
        context.tell(retirement.rotation, retirement.principal, "retire", error=error)
        result = Result.HELD if isinstance(error, Held) else Result.FAILED
        return _ended(context, outcome, result, error.message, error.code)
    except Exception as error:  # noqa: BLE001 - the others' old secrets must be ended all the same, and its text may not be shown
        return _ended(context, outcome, Result.FAILED, place_of(error), RotatorError.code)


def _verified(steps: Steps, context: Context, item: PlanItem, record: RotationRecord) -> tuple[str, ...]:
    try:
        return _step(steps, "verify", _TEXTS, lambda: verify.verify(context, item, record))
    except VerificationFailed as error:
        why = error.message
        _step(steps, "hold", _RECORD, lambda: finish.hold(context, record, why))
        raise


def _moved(
    steps: Steps, context: Context, item: PlanItem, record: RotationRecord, missing: Sequence[str], outcome: RotationOutcome
) -> RotationOutcome:
    moves: list[Move] = []
    # Groups that only need a tag come last: one that turns out to need more is moved behind the canary.
    for number, wave in enumerate((*item.waves, *filter(None, (item.marked,))), start=1):
        if number > 1:
            # A person may have decided meanwhile that the groups go elsewhere: back, or on from a revoked secret.
            guard(context, record)
        errands = cutover.errands_of(item, record, wave, missing)
        done = _MOVES.validate_python(steps.each(f"cutover {number}", errands, partial(cutover.run_errand, context)))
        moves.extend(done)
        outcome = _with_moves(outcome, item, moves)
        if any(one.result == FAILED for one in done):
            return _stopped(steps, context, item, record, done, missing, outcome)
    record = _step(steps, "soak", _RECORD, lambda: finish.begin_soak(context, item, record, outcome.left))
    refused = [one for one in moves if one.code]
    if refused:
        # Nothing was changed in these groups, so the others went on; the next run tries again.
        result = Result.HELD if all(one.code == Held.code for one in refused) else Result.FAILED
        why = f"{len(refused)} of {len(moves)} groups could not be moved: {refused[0].detail}"
        return _ended(context, outcome, result, why, refused[0].code)
    if record.soak_until is None:
        return _ended(context, outcome, Result.SUCCESS, f"{_done(item, record)} is in use")
    if not record.old:
        return _ended(context, outcome, Result.SOAKING, f"{_done(item, record)} is in use; groups are left that have to follow")
    if item.revoke or record.known_as:
        until = f"{record.soak_until:%Y-%m-%d %H:%M} UTC"
        return _ended(context, outcome, Result.SOAKING, f"{_done(item, record)} is in use; what it replaced lives until {until}")
    return _ended(context, outcome, Result.SOAKING, f"the old secret lives until {record.soak_until:%Y-%m-%d %H:%M} UTC")


def _ends_the_old(context: Context, item: PlanItem) -> bool:
    return context.driver(item.principal).traits.overlap is Overlap.SINGLE


def _done(item: PlanItem, record: RotationRecord) -> str:
    if item.revoke:
        return f"revoked {' '.join(item.revoke)}; the new credential"
    return f"rolled back; {record.handle}" if record.known_as else "the new credential"


def _stopped(
    steps: Steps,
    context: Context,
    item: PlanItem,
    record: RotationRecord,
    moves: Sequence[Move],
    missing: Sequence[str],
    outcome: RotationOutcome,
) -> RotationOutcome:
    """Stop at the first unhealthy group: hold the rotation, and put the old credential back where a group was changed."""
    failed = [one for one in moves if one.result == FAILED]
    why = failed[0].detail
    # First: a process that dies in between must not leave a rotation that goes on to the next groups.
    _step(steps, "hold", _RECORD, lambda: finish.hold(context, record, why))
    back = _step(steps, "roll back", _TEXTS, lambda: cutover.roll_back(context, item, record, moves, missing))
    result = Result.ROLLED_BACK if {one.group for one in failed} <= set(back) else Result.HELD
    return _ended(context, outcome, result, why, failed[0].code or CutoverFailed.code)


def _with_moves(outcome: RotationOutcome, item: PlanItem, moves: Sequence[Move]) -> RotationOutcome:
    waiting = [one.group for one in item.consumers if one.action is Action.HOLD or (one.action is Action.LEAVE and one.missing)]
    return replace(
        outcome,
        redeployed=tuple(ArmId(one.group) for one in moves if one.result not in {LEFT, MARKED}),
        left=(*waiting, *(ArmId(one.group) for one in moves if one.result == LEFT)),
    )


def _step(steps: Steps, name: str, adapter: TypeAdapter[T], work: Callable[[], T]) -> T:
    """Run one durable step; its result travels through the journal as JSON and is validated when it comes back."""

    def recorded() -> Json:
        result: Json = adapter.dump_python(work(), mode="json")
        return result

    return adapter.validate_python(steps.run(name, recorded))


def _ended(context: Context, outcome: RotationOutcome, result: Result, detail: str, code: str = "") -> RotationOutcome:
    return replace(outcome, result=result, ended_at=context.clock.now(), detail=detail, code=code)
