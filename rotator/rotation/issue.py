"""The first three phases: a new secret is made and staged, tried for real, and promoted to what consumers read.

Every function may run twice, because the journal writes down a step only after it: each looks at the vault and at the
registry before it acts. A value exists only inside these functions; what they return is a reference.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from rotator.model.credential import Credential, Handle, Overlap
from rotator.model.errors import Held, NotFound, VerificationFailed
from rotator.model.estate import TAG_HANDLE, TAG_ISSUED, TAG_PRINCIPAL, TAG_RESOURCE, TAG_ROTATION, StoredSecret
from rotator.model.image import ImageReference
from rotator.model.rotation import Phase, PlanItem
from rotator.model.secret import Secret
from rotator.ports import RegistryDriver
from rotator.rotation.context import Context, looking
from rotator.rotation.record import TAG_USERNAME, RotationRecord, write_instant

_PLACEHOLDER = "pending"
_ISSUED = {Phase.STAGED, Phase.VERIFIED, Phase.PROMOTED, Phase.CUTOVER, Phase.SOAKING, Phase.HELD}
_PROMOTED = {Phase.PROMOTED, Phase.CUTOVER, Phase.SOAKING}
_CLOSED = {Phase.DONE}
_VERSION_PAUSE = timedelta(seconds=2)
_RETRY_PAUSE = timedelta(seconds=5)


def issue(context: Context, item: PlanItem) -> RotationRecord:
    """Return the record of a staged secret that belongs to this rotation and still works; makes one when there is none."""
    return looking(context, lambda: _issue(context, item))


def _issue(context: Context, item: PlanItem) -> RotationRecord:
    driver = context.driver(item.principal)
    fresh = _fresh_record(item)
    found = context.record(fresh.staged_name)
    if found is not None and found.rotation != item.rotation and found.phase not in _CLOSED | {Phase.INTENT, Phase.SOAKING}:
        raise Held(
            f"{item.principal.id}: another rotation, {found.rotation}, is not finished ({found.phase.value})",
            advice="Finish it first: run rotator plan to see what it waits for.",
        )
    live = driver.inspect(item.principal)
    if found is not None and found.rotation == item.rotation and _usable(found, live, driver, context.clock.now()):
        return found
    for credential in live:
        if credential.handle.marker == item.rotation:
            # Made by an earlier try of this very rotation, and its value was lost before it reached the vault.
            driver.retire(credential.handle)
    if driver.traits.overlap is Overlap.TWO_SLOTS:
        _check_slot(context, item, live, found)
        _write_intent(context, fresh, found)
    credential, secret = driver.issue(item.principal, item.rotation, item.ttl, item.slot)
    context.tell(item.rotation, item.principal, "issue", f"made {credential.handle.id}")
    return stage(context, fresh, credential, secret)


def stage(context: Context, record: RotationRecord, credential: Credential, secret: Secret) -> RotationRecord:
    """Write a new secret into the vault under its staged name; the only way in which a secret travels.

    A lost answer is looked up, not repeated blindly: the value is still in hand, so nothing has to be made again.
    """
    staged = replace(
        record,
        phase=Phase.STAGED,
        handle=credential.handle.id,
        username=credential.username,
        issued_at=credential.issued_at or context.clock.now(),
        expires_at=credential.expires_at,
    )

    def write() -> StoredSecret:
        present = context.vault.look(staged.staged_name)
        if present is not None and present.enabled and present.tags.get(TAG_HANDLE) == staged.handle:
            return present
        return context.vault.write(staged.staged_name, secret, tags=staged.tags(), expires_at=staged.expires_at)

    return replace(staged, version=looking(context, write).version)


def verify(context: Context, item: PlanItem, record: RotationRecord) -> tuple[str, ...]:
    """Pull every image of the consumers with the new secret, several times in a row over fresh connections.

    New secrets take from seconds (Entra) to a minute (ACR) to reach every replica, so a refusal is tried again until the
    kind's limit has passed. Returns the images that do not exist: their groups could not start with any credential.
    Raises VerificationFailed.
    """
    driver = context.driver(item.principal)
    images = tuple(ImageReference.parse(text) for text in sorted({text for one in item.consumers for text in one.images}))
    secret = _value_of(context, record)
    credential = _credential_of(item, record)
    traits = driver.traits
    context.clock.sleep(traits.propagation)
    deadline = context.clock.now() + traits.propagation_limit
    missing: set[ImageReference] = set()
    in_a_row = 0
    while in_a_row < context.rules.verify_pulls:
        try:
            missing |= _pull_all(driver, credential, secret, [one for one in images if one not in missing])
            in_a_row += 1
        except VerificationFailed as error:
            in_a_row = 0
            if context.clock.now() >= deadline:
                context.tell(item.rotation, item.principal, "verify", error=error)
                raise
            context.clock.sleep(_RETRY_PAUSE)
    if images and len(missing) == len(images):
        raise VerificationFailed(f"{item.principal.id}: none of its images exists any more, so nothing proves the new secret")
    if record.phase is Phase.STAGED:
        context.save(replace(record, phase=Phase.VERIFIED))
    context.tell(item.rotation, item.principal, "verify", f"pulled {len(images) - len(missing)} images {in_a_row} times")
    return tuple(str(image) for image in sorted(missing))


def promote(context: Context, item: PlanItem, record: RotationRecord) -> RotationRecord:
    """Make the verified secret the version that consumers read, then switch the staged copy off."""
    secret_tags = {
        TAG_PRINCIPAL: item.principal.id,
        TAG_RESOURCE: item.principal.resource_id,
        TAG_HANDLE: record.handle,
        TAG_ROTATION: item.rotation,
        TAG_ISSUED: write_instant(record.issued_at),
        TAG_USERNAME: record.username,
    }

    def write() -> None:
        current = context.vault.look(record.secret_name)
        if current is not None and current.enabled and current.tags.get(TAG_HANDLE) == record.handle:
            return
        context.vault.write(
            record.secret_name,
            context.vault.read(record.staged_name, record.version),
            tags={name: value for name, value in secret_tags.items() if value},
            expires_at=record.expires_at,
        )

    looking(context, write)
    promoted = replace(record, phase=Phase.PROMOTED if record.phase not in _PROMOTED else record.phase)
    context.save(promoted, enabled=False)
    context.tell(item.rotation, item.principal, "promote", f"{record.secret_name} now holds {record.handle}")
    return promoted


def _fresh_record(item: PlanItem) -> RotationRecord:
    return RotationRecord(
        rotation=item.rotation,
        principal=item.principal,
        phase=Phase.INTENT,
        secret_name=item.secret_name,
        slot=item.slot,
        old=item.old,
    )


def _usable(found: RotationRecord, live: Sequence[Credential], driver: RegistryDriver, now: datetime) -> bool:
    if found.phase not in _ISSUED or not found.has_value:
        return False
    if found.expires_at is not None and found.expires_at <= now:
        return False
    if driver.traits.overlap is Overlap.LEASES:
        return True
    return any(one.handle.id == found.handle for one in live)


def _check_slot(context: Context, item: PlanItem, live: Sequence[Credential], found: RotationRecord | None) -> None:
    """Refuse to fill a slot whose secret may be in use: the last look before the one effect that could lock groups out."""
    current = context.vault.look(item.secret_name)
    in_use = {*item.old, current.tags.get(TAG_HANDLE, "") if current else ""}
    now = context.clock.now()
    filling = [one.handle.id for one in live if one.handle.slot == item.slot and not one.expired(now)]
    if any(handle in in_use for handle in filling):
        raise Held(f"{item.principal.id}: {item.slot} is the password in use; the plan is wrong and nothing was done")
    if found is not None and found.rotation == item.rotation and found.slot == item.slot:
        return
    if any(handle != item.replaces for handle in filling):
        raise Held(f"{item.principal.id}: {item.slot} was filled by somebody else since the plan; make a new plan")


def _write_intent(context: Context, fresh: RotationRecord, found: RotationRecord | None) -> None:
    """Say in the vault which slot is about to be filled, before it is: slots cannot carry a marker themselves.

    After a crash the next run sees the intent without a value, and may fill this slot again, because nobody can use it yet.
    """
    if found is not None and found.rotation == fresh.rotation and found.phase is Phase.INTENT and found.slot == fresh.slot:
        return
    context.vault.write(fresh.staged_name, Secret(_PLACEHOLDER), tags=fresh.tags(), expires_at=None, enabled=False)
    # The vault orders versions by whole seconds. Without this pause the secret staged next could carry the same second, and a
    # later look could take the intent for the newer of the two, and fill the slot that groups use by then.
    context.clock.sleep(_VERSION_PAUSE)


def _value_of(context: Context, record: RotationRecord) -> Secret:
    if record.phase in _PROMOTED or record.phase is Phase.HELD:
        current = context.vault.look(record.secret_name)
        if current is not None and current.tags.get(TAG_HANDLE) == record.handle:
            return context.vault.read(record.secret_name, current.version)
    return context.vault.read(record.staged_name, record.version)


def _credential_of(item: PlanItem, record: RotationRecord) -> Credential:
    return Credential(
        handle=Handle(principal=item.principal, id=record.handle, slot=record.slot, marker=item.rotation),
        username=record.username or item.principal.name,
        issued_at=record.issued_at,
        expires_at=record.expires_at,
    )


def _pull_all(
    driver: RegistryDriver, credential: Credential, secret: Secret, images: Sequence[ImageReference]
) -> set[ImageReference]:
    missing = set()
    for image in images:
        try:
            driver.verify(credential, secret, [image])
        except NotFound:
            missing.add(image)
    return missing
