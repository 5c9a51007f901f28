"""The second and third phases: the staged secret is tried for real, and promoted to what consumers read."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from rotator.model.credential import Credential, Handle
from rotator.model.errors import NotFound, VerificationFailed
from rotator.model.estate import TAG_HANDLE, TAG_ROTATION, StoredSecret
from rotator.model.image import ImageReference
from rotator.model.rotation import Phase, PlanItem
from rotator.model.secret import Secret
from rotator.ports import RegistryDriver
from rotator.rotation.context import Context, Where, looking
from rotator.rotation.record import RotationRecord, promoted_tags
from rotator.rotation.tenure import guard

_PROMOTED = {Phase.PROMOTED, Phase.CUTOVER, Phase.SOAKING, Phase.DONE}
_RETRY_PAUSE = timedelta(seconds=5)


def verify(context: Context, item: PlanItem, record: RotationRecord) -> tuple[str, ...]:
    """Pull every image of the consumers with the new secret, several times in a row over fresh connections.

    New secrets take from seconds (Entra) to a minute (ACR) to reach every replica, so a refusal is tried again until the
    kind's limit has passed. Returns the images that do not exist: their groups could not start with any credential.
    Raises VerificationFailed.
    """
    driver = context.driver(item.principal)
    images = item.images
    secret = value_of(context, record)
    credential = credential_of(item, record)
    traits = driver.traits
    context.clock.sleep(traits.propagation)
    deadline = context.clock.now() + traits.propagation_limit
    where = Where(handle=record.handle, secret=record.staged_name, version=record.version)
    missing: set[ImageReference] = set()
    in_a_row = 0
    while in_a_row < context.rules.verify_pulls:
        try:
            missing |= pull_all(driver, credential, secret, [one for one in images if one not in missing])
            in_a_row += 1
        except VerificationFailed as error:
            in_a_row = 0
            if context.clock.now() >= deadline:
                context.tell(item.rotation, item.principal, "verify", error=error, where=where)
                raise
            context.clock.sleep(_RETRY_PAUSE)
    if images and len(missing) == len(images):
        raise VerificationFailed(
            f"{item.principal.id}: {images[0]} does not exist{_others(images)}, so nothing proves the new secret",
            advice="Push the image, or correct its name in the group; then rotator resume.",
        )
    if record.phase is Phase.STAGED:
        context.save(replace(record, phase=Phase.VERIFIED))
    pulled = f"pulled {len(images) - len(missing)} images {in_a_row} times"
    context.tell(item.rotation, item.principal, "verify", pulled, where=where)
    return tuple(str(image) for image in sorted(missing))


def promote(context: Context, item: PlanItem, record: RotationRecord) -> RotationRecord:
    """Make the verified secret the version that consumers read, then switch the staged copy off.

    Raises Held when another rotation has begun meanwhile, or another installation has taken this one over.
    """
    guard(context, record)

    def write() -> StoredSecret:
        current = context.vault.look(record.secret_name)
        if current is None or not current.enabled or current.tags.get(TAG_HANDLE) != record.handle:
            secret = context.vault.read(record.staged_name, record.version)
            return context.vault.write(record.secret_name, secret, tags=promoted_tags(record), expires_at=record.expires_at)
        if current.tags.get(TAG_ROTATION) != record.mark:
            return context.vault.annotate(record.secret_name, current.version, tags=promoted_tags(record))
        return current

    version = looking(context, write).version
    promoted = replace(record, phase=_promoted_phase(record, item), held="", held_at=None)
    promoted = context.save(promoted, enabled=False)
    where = Where(handle=record.handle, secret=record.secret_name, version=version)
    context.tell(item.rotation, item.principal, "promote", f"{record.secret_name} now holds {record.handle}", where=where)
    return promoted


def _promoted_phase(record: RotationRecord, item: PlanItem) -> Phase:
    if record.phase is Phase.SOAKING and item.waves:
        # Groups that were left behind are about to move. If this process dies after that, the soak that is written down may be
        # over: the old secret would be ended at the very moment at which they get the new one.
        return Phase.CUTOVER
    return record.phase if record.phase in _PROMOTED else Phase.PROMOTED


def _others(images: Sequence[ImageReference]) -> str:
    return f", nor does any other of its {len(images)} images" if len(images) > 1 else ""


def value_of(context: Context, record: RotationRecord) -> Secret:
    """Return the value of a rotation's secret: from the consumers' secret once it is there, until then from the staged one."""
    if record.phase in _PROMOTED or record.phase is Phase.HELD:
        promoted = context.version_of(record.secret_name, {record.handle})
        if promoted is not None:
            return context.vault.read(record.secret_name, promoted.version)
    return context.vault.read(record.staged_name, record.version)


def credential_of(item: PlanItem, record: RotationRecord) -> Credential:
    """Return what is known about a rotation's secret."""
    return Credential(
        handle=Handle(principal=item.principal, id=record.handle, slot=record.slot, marker=item.rotation),
        username=record.username or item.principal.name,
        issued_at=record.issued_at,
        expires_at=record.expires_at,
    )


def pull_all(
    driver: RegistryDriver, credential: Credential, secret: Secret, images: Sequence[ImageReference]
) -> set[ImageReference]:
    """Try each image once; returns those that do not exist. Raises VerificationFailed at the first that may not be pulled."""
    missing = set()
    for image in images:
        try:
            driver.verify(credential, secret, [image])
        except NotFound:
            missing.add(image)
    return missing
