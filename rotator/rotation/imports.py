"""A secret that a person brings: tried for real, then staged in the vault like one that was issued. From there on every run
carries the rotation on, so that nothing is lost by a death.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from rotator.model.credential import Credential, Handle, Overlap, Principal, Traits, is_brought
from rotator.model.errors import Held, VerificationFailed
from rotator.model.estate import STAGED_SUFFIX, TAG_HANDLE, StoredSecret
from rotator.model.rotation import HeldCause, Phase, Plan, PlanItem
from rotator.model.secret import Secret
from rotator.ports import SecretExaminer
from rotator.rotation.context import Context, looking
from rotator.rotation.issue import stage
from rotator.rotation.planner import OPEN
from rotator.rotation.record import RotationRecord, read_record
from rotator.rotation.tenure import confirm, take_over, wait_for_turn
from rotator.rotation.verify import pull_all

# What a secret in hand does away with: that nobody but a person can make it, and that its service cannot be asked.
_OVERCOME = {HeldCause.PERSON, HeldCause.UNREAD}


def refuse_own(principal: Principal, traits: Traits) -> None:
    """Raise Held for a kind of which nobody but rotator may make a secret: before a person has typed one.

    Of slots and leases nothing would tell which one was brought. Where one secret lives at a time, the service's list would
    show another one than the vault names from then on, and no later rotation could tell whose it is.
    """
    if traits.overlap is not Overlap.MANY:
        outage = " --allow-outage" if traits.overlap is Overlap.SINGLE else ""
        raise Held(
            f"{principal.id}: rotator makes its secrets itself, and would not know which one this is",
            advice=f"rotator rotate --force --only '{principal.id}'{outage} makes a new one.",
        )


def item_for(plan: Plan, principal: Principal) -> PlanItem:
    """Return the principal's item of a plan that was forced, as a secret in hand makes it possible; Held when it does not."""
    item = next((one for one in plan.items if one.principal == principal), None)
    soaking = next((one for one in plan.retirements if one.principal == principal), None)
    if item is None and soaking is not None:
        raise Held(
            f"{principal.id}: its last rotation is not over; the old secret lives until {soaking.soak_until:%Y-%m-%d %H:%M} UTC",
            advice="rotator status says what it waits for. Bring the new one after that.",
        )
    if item is None:
        raise Held(
            f"{principal.id}: no group that could be moved uses it, or not everything could be read",
            advice="rotator plan says what could not be read.",
        )
    if item.held and item.cause not in _OVERCOME:
        raise Held(f"{principal.id}: {item.held}", advice=item.advice)
    return replace(item, held="", advice="", cause=None)


def tried(context: Context, item: PlanItem, secret: Secret, expires_at: datetime | None) -> Credential:
    """Return what is known of a secret in hand, once it has pulled the image of every consumer; nothing is kept yet.

    Its end is what the service says, and `expires_at` where that says nothing. Raises VerificationFailed with the reason.
    """
    driver, now = context.driver(item.principal), context.clock.now()
    refuse_own(item.principal, driver.traits)
    if isinstance(driver, SecretExaminer):
        credential = driver.examine(item.principal, secret)
    else:
        named = now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        credential = Credential(handle=Handle(principal=item.principal, id=f"brought@{named}"), username=item.principal.name)
    credential = replace(credential, issued_at=now, expires_at=credential.expires_at or expires_at)
    if credential.expired(now):
        raise VerificationFailed(f"{item.principal.id}: this secret has ended already", advice="Bring one that lives.")
    missing = pull_all(driver, credential, secret, item.images)
    if len(missing) == len(item.images):
        raise VerificationFailed(
            f"{item.principal.id}: {min(missing, default='no image')} does not exist, nor does any other image of its groups, so"
            " nothing proves this secret",
            advice="Push the image, or correct its name in the group.",
        )
    return credential


def kept(context: Context, item: PlanItem, credential: Credential, secret: Secret) -> RotationRecord | None:
    """Stage a tried secret; returns the record that every later run finds. None when it is the very one in use already.

    Harmless twice: the same secret again finds its own record. Raises Held, and keeps nothing, while another rotation of the
    principal is under way that groups have followed already.
    """
    looked_at = context.clock.now()
    current = context.vault.look(item.secret_name)
    staged = context.vault.look(item.secret_name + STAGED_SUFFIX)
    found = read_record(staged) if staged is not None else None
    if wait_for_turn(context, item, found):
        return kept(context, item, credential, secret)
    unfinished = found if found is not None and found.phase in OPEN else None
    if _holds(context, current, secret):
        ours = unfinished is not None and current is not None and unfinished.handle == current.tags.get(TAG_HANDLE)
        return take_over(context, unfinished) if ours and unfinished is not None else None
    if unfinished is not None and is_brought(unfinished.handle) and _holds(context, staged, secret):
        return take_over(context, unfinished)
    fresh = RotationRecord(
        rotation=item.rotation,
        principal=item.principal,
        phase=Phase.STAGED,
        secret_name=item.secret_name,
        old=(*item.old, *_superseded(unfinished, current)),
    )
    record = stage(context, fresh, credential, secret)
    confirm(context, record, current, looked_at)
    return record


def _superseded(unfinished: RotationRecord | None, current: StoredSecret | None) -> Sequence[str]:
    """Return the secret that waits to be verified and gives way to the new one; Held when it must not."""
    if unfinished is None or unfinished.phase is Phase.INTENT:
        return ()
    promoted = current is not None and current.tags.get(TAG_HANDLE) == unfinished.handle
    if promoted or unfinished.known_as or unfinished.revoke or not is_brought(unfinished.handle):
        raise Held(
            f"{unfinished.principal.id}: another rotation, {unfinished.rotation}, is not finished ({unfinished.phase.value})",
            advice="Finish it, roll it back or give it up first: rotator status shows the commands.",
        )
    return (unfinished.handle,)


def _holds(context: Context, stored: StoredSecret | None, secret: Secret) -> bool:
    """Whether a version of the vault has exactly this value. A disabled one cannot be read, and is not in use either."""
    if stored is None:
        return False
    if not stored.enabled:
        return False
    return looking(context, lambda: context.vault.read(stored.name, stored.version)) == secret
