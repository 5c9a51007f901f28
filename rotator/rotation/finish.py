"""The last two phases: the old secret soaks while anybody may still use it, and is retired by the handle that was recorded."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rotator.model.arm import ArmId
from rotator.model.credential import Credential, Handle, Overlap, Principal, RetireMode, is_brought
from rotator.model.errors import Held, NotFound
from rotator.model.estate import STAGED_SUFFIX, TAG_HANDLE
from rotator.model.rotation import Phase, PlanItem, Retirement
from rotator.model.usage import Drain, Usage
from rotator.rotation.context import Context, Where, looking, switch_off
from rotator.rotation.drain import Decision, decide, limit_of, usage_of, window_of
from rotator.rotation.naming import handle_of
from rotator.rotation.outages import parked
from rotator.rotation.record import RotationRecord, read_record
from rotator.rotation.tenure import guard

# How the end of an old secret is told; what the log said follows.
DRAINED = {
    Drain.PROVED: "proved out of use",
    Drain.ASSUMED: "assumed out of use",
    Drain.UNKNOWN: "whether it was used is unknown",
    Drain.IN_USE: "ended although it may be in use",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """What came of an attempt to end old secrets: whether they ended, and a sentence that says what the log says of them.

    `closed`: they live, but nothing is left to do here, because only a person can end them.
    """

    ended: bool
    detail: str
    closed: bool = False


def begin_soak(context: Context, item: PlanItem, record: RotationRecord, left: Sequence[ArmId]) -> RotationRecord:
    """Record that every group which could move has moved, and until when the old secret lives.

    Nothing soaks when there is nothing to end: a lease ends by itself, and a first secret replaces none. `left` groups
    keep the rotation open even then, so that they are moved when they can be.
    """
    guard(context, record)
    now = context.clock.now()
    where = Where(handle=record.handle, secret=record.staged_name, version=record.version)
    driver = context.driver(item.principal)
    ends_alone = driver.traits.retire is RetireMode.BY_ITSELF
    unlisted = is_brought(record.handle) or not driver.traits.listed
    over = set() if unlisted else {one.handle.id for one in driver.inspect(item.principal) if one.expired(now)}
    # One that is not listed stays on the list of what to end: the registry's answer may be late, and ending it twice is no harm.
    # What was revoked has been ended before; the registry's list may not know yet.
    over |= {record.handle, *item.revoke}
    if driver.traits.overlap is Overlap.SINGLE:
        # The new secret has ended the old one.
        over |= set(item.old)
    old = () if ends_alone else tuple(handle for handle in item.old if handle not in over)
    # Groups that do not run store what has ended: they are moved when they run, and are not forgotten until then.
    left = (*left, *(one.group for one in parked(item.consumers)))
    if not old and not (left and driver.traits.overlap is not Overlap.LEASES):
        closed = replace(record, phase=Phase.DONE, cutover_at=now, old=(), revoke=())
        saved = context.save(closed, enabled=False)
        context.tell(item.rotation, item.principal, "soak", "nothing is left to end", where=where)
        return saved
    ends_at = now + context.rules.soak if old else now
    soaking = replace(record, phase=Phase.SOAKING, old=old, cutover_at=now, soak_until=ends_at, revoke=())
    context.save(soaking, enabled=False)
    until = (
        f"the old secret lives until {soaking.soak_until:%Y-%m-%d %H:%M} UTC" if old else "groups are left that have to follow"
    )
    context.tell(item.rotation, item.principal, "soak", until, where=where)
    return soaking


def hold(context: Context, record: RotationRecord, why: str) -> RotationRecord:
    """Record that a person must decide. No secret is ended by that. Raises Held when another installation works on it by now."""
    guard(context, record)
    held = context.save(replace(record, phase=Phase.HELD, held=why, held_at=context.clock.now()))
    where = Where(handle=held.handle, secret=held.staged_name, version=held.version)
    single = context.driver(held.principal).traits.overlap is Overlap.SINGLE
    stands = "the old secret has ended, so the next run goes on" if single else "both secrets stay alive"
    context.tell(held.rotation, held.principal, "hold", f"{stands}: {why}", where=where)
    return held


def retire(context: Context, retirement: Retirement) -> Ending:
    """End every old secret of a rotation whose soak is over, unless somebody uses one. Already gone counts as done.

    Addresses the handles that were recorded, never what today's configuration would say. Raises Held, and ends nothing, when the
    vault holds another secret by now, and when an old one is still used so long after its soak that a person must decide.
    """
    current = context.vault.look(retirement.secret_name)
    if retirement.old and (current is None or current.tags.get(TAG_HANDLE) != retirement.handle):
        # Groups that read from the vault use what is there; it may be the very secret that is to be ended.
        raise Held(
            f"{retirement.secret_name} no longer holds {retirement.handle}: somebody wrote another version during the soak",
            advice="Find out what the groups use, and put it into the vault with its tags; until then nothing is ended.",
        )
    driver, listed = context.driver(retirement.principal), _listed(context, retirement)
    if retirement.old and not any(one.handle.id == retirement.handle for one in listed):
        # Ending one password of a token means sending the list of those that stay; a list from before the new one was made would
        # end the new one too.
        raise Held(f"{retirement.principal.id}: the registry does not list {retirement.handle}, which its groups use")
    if _by_person(context, retirement.principal, retirement.old):
        return _handed_over(context, retirement)
    ending = _drained(context, retirement, listed)
    for text in retirement.old if ending.ended else ():
        if text == retirement.handle:
            continue
        if is_brought(text):
            _hand_over(context, retirement, text)
            continue
        handle = handle_of(retirement.principal, text)
        looking(context, lambda one=handle: driver.retire(one))  # type: ignore[misc]  # a default argument binds it now
        ended = f"ended {text}; {ending.detail}"
        context.tell(
            retirement.rotation, retirement.principal, "retire", ended, where=Where(handle=text, secret=retirement.secret_name)
        )
    return ending


def _by_person(context: Context, principal: Principal, old: Sequence[str]) -> bool:
    """Whether none of the old secrets can be ended by us: then there is nothing to ask a log about either."""
    ends = context.driver(principal).traits.retire is not RetireMode.BY_PERSON
    return bool(old) and not any(ends and not is_brought(one) for one in old)


def _handed_over(context: Context, retirement: Retirement) -> Ending:
    """Tell a person, once and in the evidence, what is to be ended; nobody is reminded of it."""
    for text in retirement.old:
        _hand_over(context, retirement, text)
    advice = context.driver(retirement.principal).traits.ended_by_hand
    return Ending(ended=False, detail=f"{' '.join(retirement.old)} is out of use, and a person's to end. {advice}", closed=True)


def _hand_over(context: Context, retirement: Retirement, text: str) -> None:
    told = f"{text} is out of use. {context.driver(retirement.principal).traits.ended_by_hand}"
    where = Where(handle=text, secret=retirement.secret_name)
    context.tell(retirement.rotation, retirement.principal, "hand-over", told, where=where)


def look_at_use(context: Context, retirement: Retirement) -> Usage:
    """Ask the log whether an old secret was used since the cutover. Never raises."""
    now = context.clock.now()
    since = window_of(retirement, context.rules, now)
    uses = context.usage.uses(retirement.principal, retirement.registries, since)
    return usage_of(retirement, uses, context.rules, now)


def _drained(context: Context, retirement: Retirement, listed: Sequence[Credential]) -> Ending:
    """Decide by the log whether the old secrets may end. Raises Held, naming the callers, when a person must decide."""
    now = context.clock.now()
    known = {one.handle.id: one for one in listed}
    # One that is not listed is asked about like a living one: the registry's answer may be late.
    if all(text in known and known[text].expired(now) for text in retirement.old):
        return Ending(ended=True, detail="the old secret had ended by itself")
    usage = look_at_use(context, retirement)
    alive = [known[text] for text in retirement.old if text in known and not known[text].expired(now)]
    decision = decide(retirement, usage, alive, context.rules, now)
    if retirement.decided or decision is Decision.END:
        return Ending(ended=True, detail=f"{DRAINED[usage.drain]}: {usage.detail}")
    limit = limit_of(retirement, context.rules)
    if decision is Decision.HOLD:
        raise Held(
            f"kept: the old secret {', '.join(retirement.old)} was not shown to be out of use by {limit:%Y-%m-%d %H:%M} UTC:"
            f" {usage.detail}. Stop its callers, or end it all the same: "
            f"rotator revoke '{retirement.principal.id}' --handle '{retirement.old[0]}'",
        )
    kept = f"kept: {usage.detail}; asked again at the next run"
    if usage.drain is Drain.IN_USE:
        kept += f", and a person decides after {limit:%Y-%m-%d %H:%M} UTC"
    where = Where(handle=" ".join(retirement.old), secret=retirement.secret_name)
    context.tell(retirement.rotation, retirement.principal, "drain", kept, where=where)
    return Ending(ended=False, detail=kept)


def _listed(context: Context, retirement: Retirement) -> Sequence[Credential]:
    driver = context.driver(retirement.principal)
    if is_brought(retirement.handle) or not driver.traits.listed:
        # No list tells it, so that none can be found out of date either.
        return (Credential(handle=Handle(principal=retirement.principal, id=retirement.handle), username=""),)
    try:
        return driver.inspect(retirement.principal)
    except NotFound:
        # Nobody is there any more, so that nothing can be ended wrongly.
        return (Credential(handle=Handle(principal=retirement.principal, id=retirement.handle), username=""),)


def close(context: Context, retirement: Retirement) -> None:
    """Record that the rotation is over, and switch off the vault's versions of the ended secrets."""
    for ended in switch_off(context, retirement.secret_name, retirement.old):
        where = Where(handle=ended.tags.get(TAG_HANDLE, ""), secret=ended.name, version=ended.version)
        off = f"switched off the version of {ended.name} that holds it"
        context.tell(retirement.rotation, retirement.principal, "disable", off, where=where)
    staged = context.record(retirement.secret_name + STAGED_SUFFIX)
    if staged is not None and staged.rotation == retirement.rotation:
        context.save(replace(staged, phase=Phase.DONE, old=(), soak_until=None), enabled=False)
    where = Where(handle=retirement.handle, secret=retirement.secret_name)
    context.tell(retirement.rotation, retirement.principal, "close", "the rotation is over", where=where)


def end_orphan(context: Context, handle: Handle) -> bool:
    """End a live secret of ours that nobody owns; False when the vault knows it by now, because the plan may be minutes old."""
    for stored in context.vault.inventory():
        record = read_record(stored)
        if stored.tags.get(TAG_HANDLE) == handle.id or (record is not None and handle.id in record.old):
            return False
    looking(context, lambda: context.driver(handle.principal).retire(handle))
    context.tell(
        handle.marker, handle.principal, "retire", f"ended {handle.id}, which no rotation owned", where=Where(handle=handle.id)
    )
    return True
