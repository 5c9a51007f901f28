"""The first phase: a new secret is announced in the vault, made, and staged there.

Every function may run twice, because the journal writes down a step only after it: each looks at the vault and at the
registry before it acts. A value exists only inside these functions; what they return is a reference.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from rotator.model.credential import Credential, Origin, Overlap, Traits, is_brought
from rotator.model.errors import Held, NotFound, Rejected, VerificationFailed
from rotator.model.estate import STAGED_SUFFIX, TAG_HANDLE, StoredSecret
from rotator.model.rotation import Phase, PlanItem
from rotator.model.secret import Secret
from rotator.rotation.context import Context, Where, looking
from rotator.rotation.lastlook import last_look
from rotator.rotation.naming import by_hand, marker_of, stranger_in
from rotator.rotation.record import RotationRecord, read_promoted, read_record
from rotator.rotation.tenure import confirm, take_over, wait_for_turn
from rotator.rotation.verify import credential_of, value_of

_PLACEHOLDER = "pending"
# How long after its announcement a secret of ours may have been made, and how far the registry's clock may be behind ours.
_MADE_WITHIN = timedelta(hours=1)
_CLOCKS_APART = timedelta(minutes=5)


def issue(context: Context, item: PlanItem) -> RotationRecord:
    """Return the record of a staged secret that belongs to this rotation and still works; makes one when there is none.

    Raises Held when the vault or the registry are not as the plan found them: then nothing is made.
    """
    return looking(context, lambda: _issue(context, item))


def _issue(context: Context, item: PlanItem) -> RotationRecord:
    driver = context.driver(item.principal)
    looked_at = context.clock.now()
    current, staged = context.vault.look(item.secret_name), context.vault.look(item.secret_name + STAGED_SUFFIX)
    _refuse_strangers(context, item, current, staged)
    found = read_record(staged) if staged else None
    if wait_for_turn(context, item, found):
        return _issue(context, item)
    brought = found is not None and found.rotation == item.rotation and is_brought(found.handle)
    live = driver.inspect(item.principal) if driver.traits.listed and not brought else ()
    for record in (_promoted(item, current), found):
        if record is not None and record.rotation == item.rotation and _usable(context, item, record, live):
            agree = found is not None and (found.rotation, found.handle) == (record.rotation, record.handle)
            return take_over(context, found) if agree and found is not None else _kept_again(context, record)
    _refuse_other_work(item, found, current, live)
    if driver.traits.origin is Origin.PERSON:
        raise Held(f"{item.principal.id}: a person has to make its new secret", advice=by_hand(driver.traits, item.principal))
    fresh = RotationRecord(
        rotation=item.rotation,
        principal=item.principal,
        phase=Phase.INTENT,
        secret_name=item.secret_name,
        slot=item.slot,
        old=item.old,
        issued_at=context.clock.now(),
        revoke=item.revoke,
    )
    if driver.traits.overlap is Overlap.TWO_SLOTS:
        fresh = replace(fresh, replaces=_checked_slot(context, item, live, found, current))
    if driver.traits.overlap is Overlap.SINGLE:
        fresh = replace(fresh, replaces=last_look(context, item, live, found))
    leases = driver.traits.overlap is Overlap.LEASES
    if not leases:
        announce(context, fresh)
        confirm(context, fresh, current, looked_at)
    if driver.traits.overlap is not Overlap.SINGLE:
        _end_lost(context, item, live, current)
    # Whoever stood still for longer may have been taken for dead, and the slot be in use with another's password.
    before = context.signatures.get(item.rotation, looked_at) + context.rules.writer_timeout / 2
    credential, secret = driver.issue(item.principal, item.rotation, item.ttl, item.slot, before=before)
    context.tell(item.rotation, item.principal, "issue", f"made {credential.handle.id}", where=Where(handle=credential.handle.id))
    kept = stage(context, fresh, credential, secret)
    if leases:
        # A second lease harms nobody, so that none is announced; but two installations need not both move the groups.
        confirm(context, kept, current, looked_at)
    return kept


def _end_lost(context: Context, item: PlanItem, live: Sequence[Credential], current: StoredSecret | None) -> None:
    """End what an earlier try of this very rotation made, and whose value was lost before it reached the vault."""
    kept = {*item.old, current.tags.get(TAG_HANDLE, "") if current else ""}
    for credential in live:
        if credential.handle.marker == item.rotation and credential.handle.id not in kept:
            context.driver(item.principal).retire(credential.handle)
            lost = f"ended {credential.handle.id}, made by an earlier try whose value was lost"
            context.tell(item.rotation, item.principal, "retire", lost, where=Where(handle=credential.handle.id))


def stage(context: Context, record: RotationRecord, credential: Credential, secret: Secret) -> RotationRecord:
    """Write a new secret into the vault under its staged name; the only way in which a secret travels.

    A lost answer is looked up, not repeated blindly: the value is still in hand, so nothing has to be made again.
    """
    staged = context.signed(
        replace(
            record,
            phase=Phase.STAGED,
            handle=credential.handle.id,
            username=credential.username,
            issued_at=credential.issued_at or context.clock.now(),
            expires_at=credential.expires_at,
        )
    )

    def write() -> StoredSecret:
        present = context.vault.look(staged.staged_name)
        if present is not None and present.enabled and present.tags.get(TAG_HANDLE) == staged.handle:
            return present
        return context.vault.write(staged.staged_name, secret, tags=staged.tags(), expires_at=staged.expires_at)

    kept = replace(staged, version=looking(context, write).version)
    where = Where(handle=kept.handle, secret=kept.staged_name, version=kept.version)
    context.tell(kept.rotation, kept.principal, "stage", f"{kept.staged_name} holds {kept.handle}", where=where)
    return kept


def announce(context: Context, fresh: RotationRecord) -> None:
    """Say in the vault what is about to be made, before it is: whatever a crash leaves behind then has an owner.

    Each try says it anew, so that a slot which somebody else fills later is not taken for ours.
    """
    tags = context.signed(fresh).tags()
    stored = context.vault.write(fresh.staged_name, Secret(_PLACEHOLDER), tags=tags, expires_at=None, enabled=False)
    where = Where(secret=fresh.staged_name, version=stored.version)
    context.tell(fresh.rotation, fresh.principal, "announce", f"{fresh.staged_name} says what will be made", where=where)


def _refuse_strangers(context: Context, item: PlanItem, current: StoredSecret | None, staged: StoredSecret | None) -> None:
    stored = {one.name.lower(): one for one in (current, staged) if one is not None}
    stranger = stranger_in(item.principal, item.secret_name, stored, context.rules)
    if stranger:
        raise Held(f"the vault's secret {stranger} is not {item.principal.id}'s; nothing was done")


def _refuse_other_work(
    item: PlanItem, found: RotationRecord | None, current: StoredSecret | None, live: Sequence[Credential]
) -> None:
    """Refuse to begin when the vault tells of a secret that this rotation does not take over.

    The plan may come from a journal that lay about for months, and another program may have begun meanwhile.
    """
    if found is not None and found.rotation == item.rotation:
        return
    listed = {one.handle.id for one in live}
    owned = {found.handle, *found.old} & listed if found else set()
    if found is not None and (found.phase not in {Phase.DONE, Phase.SOAKING} or not owned <= set(item.old)):
        raise Held(
            f"{item.principal.id}: another rotation, {found.rotation}, is not finished ({found.phase.value})",
            advice="Finish it first: run rotator plan to see what it waits for.",
        )
    handle = current.tags.get(TAG_HANDLE, "") if current else ""
    if handle in listed and handle not in item.old and marker_of(item.principal, (handle,)) != item.rotation:
        raise Held(f"{item.principal.id}: {item.secret_name} holds {handle} by now, which the plan did not know of")


def _promoted(item: PlanItem, current: StoredSecret | None) -> RotationRecord | None:
    """Return what the consumers' secret says of this rotation: it outweighs a staged record that says otherwise."""
    record = read_promoted(current) if current else None
    return replace(record, principal=item.principal) if record is not None else None


def _kept_again(context: Context, record: RotationRecord) -> RotationRecord:
    """Write the record of a promoted secret again where it is gone, or tells of another secret than the one in use."""
    secret, ours = value_of(context, record), context.signed(record)
    stored = context.vault.write(ours.staged_name, secret, tags=ours.tags(), expires_at=ours.expires_at, enabled=False)
    where = Where(handle=ours.handle, secret=ours.staged_name, version=stored.version)
    context.tell(ours.rotation, ours.principal, "stage", f"{ours.staged_name} tells of {ours.handle} again", where=where)
    return replace(ours, version=stored.version)


def _usable(context: Context, item: PlanItem, found: RotationRecord, live: Sequence[Credential]) -> bool:
    """Whether the record's secret still works, so that none has to be made.

    The registry's list can be late, so one that was promoted and is not listed is tried: a slot that groups use must not be
    filled again because of an old answer.
    """
    if found.phase is Phase.INTENT or not found.handle:
        return False
    traits = context.driver(item.principal).traits
    leases = traits.overlap is Overlap.LEASES
    # A lease that was made hours ago for a rotation that then got stuck would run out before the next run.
    margin = context.rules.renew_before_of(item.principal.kind) if leases else timedelta(0)
    if found.expires_at is not None and found.expires_at - margin <= context.clock.now():
        return False
    if not traits.listed or is_brought(found.handle) or any(one.handle.id == found.handle for one in live):
        return True
    return found.phase not in {Phase.STAGED, Phase.VERIFIED} and _still_pulls(context, item, found)


def _still_pulls(context: Context, item: PlanItem, found: RotationRecord) -> bool:
    driver, credential = context.driver(item.principal), credential_of(item, found)
    for image in item.images:
        try:
            driver.verify(credential, value_of(context, found), [image])
        except NotFound:
            return True
        except (VerificationFailed, Rejected):
            continue
        else:
            return True
    return False


def _checked_slot(
    context: Context, item: PlanItem, live: Sequence[Credential], found: RotationRecord | None, current: StoredSecret | None
) -> str:
    """Return the handle of what the slot holds; Held when that may be in use.

    The last look before the one effect that could lock groups out.
    """
    now, traits = context.clock.now(), context.driver(item.principal).traits
    in_use = {*item.old, current.tags.get(TAG_HANDLE, "") if current else ""}
    ours = found if found is not None and found.rotation == item.rotation and found.slot == item.slot else None
    if found is not None and ours is None:
        # What the last rotation recorded outweighs a word of the operator's from before it.
        in_use.add(found.handle)
    filling = next((one for one in live if one.handle.slot == item.slot and not one.expired(now)), None)
    if filling is None:
        return ""
    if filling.handle.id in item.revoke:
        return filling.handle.id
    if filling.handle.id in in_use:
        raise Held(f"{item.principal.id}: {item.slot} is the password in use; the plan is wrong and nothing was done")
    announced = ours.issued_at if ours is not None and ours.phase is Phase.INTENT else None
    if filling.handle.id == item.replaces or (announced is not None and made_then(filling, announced, traits)):
        return filling.handle.id
    raise Held(
        f"{item.principal.id}: {item.slot} was filled by somebody else since the plan",
        advice=f"Delete {item.slot} if nobody uses it, and run again; rotator does not fill it while somebody may.",
    )


def made_then(credential: Credential, announced: datetime, traits: Traits) -> bool:
    """Whether a secret may be the one that was announced at that instant."""
    made = credential.issued_at
    if made is None:
        # Of a service that never tells, the announced slot is taken to be ours: nobody but rotator is to fill it. One that tells
        # and did not this time has said nothing, and a secret that may be somebody else's is kept.
        return not traits.ends
    return announced - _CLOCKS_APART <= made <= announced + _MADE_WITHIN
