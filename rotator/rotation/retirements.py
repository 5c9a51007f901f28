"""Which old secrets are waiting to be ended, and which live ones nobody owns. Pure; worked out anew from the vault's tags."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

from rotator.model.arm import ArmId
from rotator.model.credential import Handle, Principal, is_brought
from rotator.model.estate import TAG_HANDLE, TAG_ROTATION, Estate, PrincipalRecord
from rotator.model.group import GROUP_TAG_PREFIX
from rotator.model.rotation import Phase, Retirement
from rotator.model.usage import Pull
from rotator.rotation.consumers import Target, bound_to, keeps_old
from rotator.rotation.naming import mark_of, rotation_of
from rotator.rotation.record import RotationRecord
from rotator.rotation.rules import Rules
from rotator.rotation.sight import sees_consumers, sees_vault


def retirements_of(
    estate: Estate, records: Iterable[RotationRecord], target: Callable[[RotationRecord], Target], rules: Rules, now: datetime
) -> Iterator[Retirement]:
    """Yield every rotation that soaks. `waiting_for` are the groups that may still store an old secret."""
    held = "" if sees_vault(estate) and sees_consumers(estate) else "not every group that may store it could be read"
    for record in sorted(records, key=lambda one: one.principal.id):
        if record.phase is not Phase.SOAKING:
            continue
        cutover_at = record.cutover_at or record.issued_at or now
        yield Retirement(
            rotation=record.rotation,
            principal=record.principal,
            secret_name=record.secret_name,
            handle=record.handle,
            old=record.old,
            cutover_at=cutover_at,
            soak_until=record.soak_until or cutover_at + rules.soak,
            registries=_registries(estate, record.principal),
            # Also once the old secret has ended by itself: what stores it cannot pull, and must not be forgotten.
            waiting_for=waiting_for(estate, target(record)),
            held=held,
            pulls=tuple(_pulls(estate, target(record), cutover_at - rules.drain_window)),
            seen_at=estate.observed_at,
            revoked=record.revoke if set(record.revoke) <= set(record.old) else (),
        )


def _registries(estate: Estate, principal: Principal) -> tuple[str, ...]:
    groups = estate.consumers.get(principal, ())
    return tuple(sorted({one.registry for group in groups for one in bound_to(group, principal)}))


def _pulls(estate: Estate, target: Target, since: datetime) -> Iterator[Pull]:
    """Yield what is known of the pulls with the target's secret: those of groups that are shown to use it."""
    for group in (*estate.consumers.get(target.principal, ()), *estate.bystanders):
        registries = {one.registry for one in bound_to(group, target.principal)}
        if not keeps_old(group, target):
            yield from (one for one in group.pulls if one.registry in registries and one.last_at >= since)


def any_live(handles: Iterable[str], known: PrincipalRecord | None, now: datetime) -> bool:
    """Whether one of the handles may still be accepted; True when that could not be read."""
    wanted = set(handles)
    if any(is_brought(one) for one in wanted):
        return True
    if known is None or known.credentials is None:
        return bool(wanted)
    return any(one.handle.id in wanted and not one.expired(now) for one in known.credentials)


def waiting_for(estate: Estate, target: Target) -> tuple[ArmId, ...]:
    """List the groups, also those outside the scope, that are not shown to use the target's secret: the old one must live on."""
    groups = (*estate.consumers.get(target.principal, ()), *estate.bystanders)
    return tuple(group.id for group in groups if keeps_old(group, target))


def orphans_of(estate: Estate, records: Iterable[RotationRecord]) -> Iterator[Handle]:
    """Yield live secrets that a rotation of this vault made and that neither the vault nor a group holds.

    They come from a lost answer or a process that died between making a secret and keeping it. Whatever another program made,
    also another installation of this one, belongs to somebody else and is never touched. Nothing is an orphan while the vault or
    the groups could not be read: ending what is in use would be the worst that this program can do.
    """
    if not (sees_vault(estate) and sees_consumers(estate)):
        return
    known = list(records)
    stored_marks = {
        tag
        for group in (*estate.groups, *estate.bystanders)
        for name, tag in group.tags.items()
        if name.startswith(GROUP_TAG_PREFIX)
    }
    for principal, listed in sorted(estate.records.items(), key=lambda pair: pair[0].id):
        stored = estate.secrets_of.get(principal.id)
        ours = [one for one in known if one.principal == principal]
        tags = stored.tags if stored else {}
        owned = {tags.get(TAG_HANDLE, ""), *(handle for one in ours for handle in (one.handle, *one.old))}
        # While one is announced and not yet kept, the step that makes it looks after what was lost.
        settled = {one.rotation for one in ours if one.phase is not Phase.INTENT} | {rotation_of(tags.get(TAG_ROTATION, ""))}
        settled -= {one.rotation for one in ours if one.phase is Phase.INTENT} | {""}
        for credential in listed.credentials or ():
            handle = credential.handle
            if handle.marker not in settled or handle.id in owned or credential.expired(estate.observed_at):
                continue
            if mark_of(handle.marker, handle.id) not in stored_marks:
                yield handle
