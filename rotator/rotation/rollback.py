"""The way back: a rotation in the other direction, from the new secret to the one before it.

The old secret is tried for real and staged again under its own handle. From there on nothing is special: verify, promote,
cutover, soak and retire do with it what they do with every secret, and whatever is cut off is carried on from the vault's tags.
"""

from collections.abc import Sequence

from rotator.model.credential import Credential, Handle
from rotator.model.errors import Held, VerificationFailed
from rotator.model.estate import STAGED_SUFFIX, TAG_HANDLE, StoredSecret
from rotator.model.image import ImageReference
from rotator.model.rotation import Phase, Situation
from rotator.model.secret import Secret
from rotator.rotation.context import Context
from rotator.rotation.issue import stage
from rotator.rotation.marking import known_as
from rotator.rotation.naming import marker_of
from rotator.rotation.record import TAG_USERNAME, RotationRecord
from rotator.rotation.tenure import SETTLE
from rotator.rotation.verify import pull_all


def begin(context: Context, situation: Situation, images: Sequence[str]) -> RotationRecord:
    """Stage the secret from before the rotation; from here on the next run carries the roll-back on.

    `images` are those of all groups that use the credential. Harmless twice: what has begun is returned as it stands. Raises
    Held, and writes nothing, when the way back is closed: the vault never held the old value, the secret has ended, or the
    registry does not accept it.
    """
    record = context.record(situation.secret_name + STAGED_SUFFIX)
    if record is not None and record.known_as and situation.new in {record.handle, *record.old}:
        return record
    if record is None or (record.rotation, record.handle) != (situation.rotation, situation.new):
        raise Held(f"{situation.principal.id}: its rotation has moved on since it was looked at", advice="Look again.")
    before = context.version_of(record.secret_name, record.old)
    if before is None:
        raise Held(
            f"{situation.principal.id}: the vault never held the old secret, {' '.join(record.old)}, so nobody can put it back",
            advice="Mend the groups and resume, or put the old value into the vault with its tags.",
        )
    credential = _live(context, record, before)
    secret = context.vault.read(record.secret_name, before.version)
    _try(context, credential, secret, images)
    back = RotationRecord(
        rotation=marker_of(record.principal, (f"back from {record.handle}",)),
        principal=record.principal,
        phase=Phase.STAGED,
        secret_name=record.secret_name,
        slot=credential.handle.slot,
        old=(record.handle, *(one for one in record.old if one != credential.handle.id)),
        known_as=known_as(before, record.rotation),
    )
    # Else it could carry the second of the version before it, and a later look take that one for the newer.
    context.clock.sleep(SETTLE)
    context.tell(back.rotation, back.principal, "roll-back", f"going back from {record.handle} to {credential.handle.id}")
    return stage(context, back, credential, secret)


def _live(context: Context, record: RotationRecord, before: StoredSecret) -> Credential:
    """Return what the registry lists of the old secret; Held when it has ended."""
    wanted = before.tags[TAG_HANDLE]
    listed = context.driver(record.principal).inspect(record.principal)
    found = next((one for one in listed if one.handle.id == wanted), None)
    if found is None or found.expired(context.clock.now()):
        raise Held(
            f"{record.principal.id}: the old secret, {wanted}, has ended, so there is nothing to go back to",
            advice="Resume; or let the next rotation make a new one.",
        )
    return Credential(
        handle=Handle(principal=record.principal, id=wanted, slot=found.handle.slot),
        username=before.tags.get(TAG_USERNAME) or record.username or record.principal.name,
        issued_at=found.issued_at,
        expires_at=found.expires_at,
    )


def _try(context: Context, credential: Credential, secret: Secret, images: Sequence[str]) -> None:
    wanted = [ImageReference.parse(text) for text in images]
    driver = context.driver(credential.handle.principal)
    try:
        missing = pull_all(driver, credential, secret, wanted)
    except VerificationFailed as error:
        raise Held(f"the old secret does not work any more, so nothing is put back: {error.message}") from None
    if wanted and len(missing) == len(wanted):
        raise Held(f"{credential.handle.principal.id}: {min(missing)} does not exist any more, so nothing proves the old secret")
