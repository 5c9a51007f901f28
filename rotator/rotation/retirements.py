"""Which old secrets are waiting to be ended, and which live ones nobody owns. Pure; worked out anew from the vault's tags."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from rotator.model.arm import ArmId
from rotator.model.credential import Handle, Principal
from rotator.model.estate import TAG_HANDLE, Estate, PrincipalRecord
from rotator.model.group import Inline
from rotator.model.rotation import Phase, Retirement
from rotator.rotation.consumers import moved
from rotator.rotation.record import RotationRecord
from rotator.rotation.rules import Rules


def retirements_of(estate: Estate, records: Iterable[RotationRecord], rules: Rules, now: datetime) -> Iterator[Retirement]:
    """Yield every rotation that soaks. `waiting_for` are the groups that may still store an old secret."""
    for record in sorted(records, key=lambda one: one.principal.id):
        if record.phase is not Phase.SOAKING:
            continue
        cutover_at = record.cutover_at or now
        known = estate.records.get(record.principal)
        yield Retirement(
            rotation=record.rotation,
            principal=record.principal,
            secret_name=record.secret_name,
            handle=record.handle,
            old=record.old,
            cutover_at=cutover_at,
            # A record without an end was cut short: the soak counts from now, the longer wait being the safe one.
            soak_until=record.soak_until or now + rules.soak,
            registries=_registries(estate, record.principal),
            # Keeping a secret that has ended by itself would protect nobody.
            waiting_for=waiting_for(estate, record) if any_live(record.old, known, now) else (),
        )


def _registries(estate: Estate, principal: Principal) -> tuple[str, ...]:
    groups = estate.consumers.get(principal, ())
    return tuple(sorted({one.registry for group in groups for one in group.bindings if one.principal == principal}))


def any_live(handles: Iterable[str], known: PrincipalRecord | None, now: datetime) -> bool:
    """Whether one of the handles may still be accepted; True when that could not be read."""
    if known is None or known.credentials is None:
        return True
    wanted = set(handles)
    return any(one.handle.id in wanted and not one.expired(now) for one in known.credentials)


def waiting_for(estate: Estate, record: RotationRecord) -> tuple[ArmId, ...]:
    """List the groups whose stored password is not shown to be this rotation's: their old secret must live on."""
    found = []
    for group in estate.consumers.get(record.principal, ()):
        registries = tuple(
            sorted(
                {one.registry for one in group.bindings if one.principal == record.principal and isinstance(one.source, Inline)}
            )
        )
        if registries and not moved(group, registries, record.rotation):
            found.append(group.id)
    return tuple(found)


def orphans_of(estate: Estate, records: Mapping[Principal, RotationRecord]) -> Iterator[Handle]:
    """Yield live secrets that carry one of our markers and that neither the vault nor an open rotation knows.

    They come from a lost answer or a process that died between making a secret and storing it. Secrets without a marker
    belong to somebody else and are never touched.
    """
    for principal, known in sorted(estate.records.items(), key=lambda pair: pair[0].id):
        record = records.get(principal)
        stored = estate.secrets_of.get(principal.id)
        owned = {stored.tags.get(TAG_HANDLE, "")} if stored else set()
        if record is not None:
            owned |= {record.handle, *record.old}
        for credential in known.credentials or ():
            handle = credential.handle
            unfinished = record is not None and record.phase in {Phase.INTENT, Phase.STAGED} and handle.marker == record.rotation
            if handle.marker and handle.id not in owned and not unfinished and not credential.expired(estate.observed_at):
                yield handle
