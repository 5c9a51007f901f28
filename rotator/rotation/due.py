"""Which credential a principal's groups use now, and whether it is due. Pure."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from rotator.model.credential import Credential, Handle, Origin, Principal, Traits
from rotator.model.estate import TAG_HANDLE, TAG_ISSUED, PrincipalRecord, StoredSecret
from rotator.model.rotation import Reason
from rotator.rotation.record import read_instant
from rotator.rotation.rules import Rules


@dataclass(frozen=True, slots=True, kw_only=True)
class Current:
    """The credential in use, as far as it can be told. `candidates` are all live secrets when it cannot."""

    credential: Credential | None
    candidates: tuple[Credential, ...]
    in_vault: bool


def current_credential(
    principal: Principal, record: PrincipalRecord | None, stored: StoredSecret | None, traits: Traits, rules: Rules, now: datetime
) -> Current:
    """Say which secret the principal's groups use.

    The vault's tag is believed when the service still lists the handle. Without it, a single live secret must be the one;
    with two, only the operator's `rotation.slots` can tell, because no log names the slot that was used.
    """
    if not traits.listed:
        held = _refined(_held(principal, stored), record)
        return Current(credential=held, candidates=(), in_vault=held is not None)
    listed = record.credentials or () if record else ()
    named = stored.tags.get(TAG_HANDLE, "") if stored else ""
    for credential in listed:
        if named and stored and credential.handle.id == named:
            return Current(credential=_dated(credential, stored), candidates=(), in_vault=True)
    told = rules.slots.get(principal.id, "")
    live = tuple(one for one in listed if not one.expired(now))
    chosen = next((one for one in listed if told and one.handle.slot == told), None)
    if chosen is None and len(live) == 1:
        chosen = live[0]
    if chosen is None and not live and listed:
        chosen = max(listed, key=lambda one: one.issued_at or datetime.min.replace(tzinfo=UTC))
    return Current(credential=chosen, candidates=live, in_vault=False)


def _dated(credential: Credential, stored: StoredSecret) -> Credential:
    """Return it with the instant that the vault's tag tells, where the service does not tell when it was made."""
    if credential.issued_at is not None:
        return credential
    return replace(credential, issued_at=_issued(stored))


def _issued(stored: StoredSecret) -> datetime | None:
    try:
        return read_instant(stored.tags, TAG_ISSUED) or stored.created_at
    except ValueError:
        return stored.created_at


def _held(principal: Principal, stored: StoredSecret | None) -> Credential | None:
    if stored is None or TAG_HANDLE not in stored.tags:
        return None
    return Credential(
        handle=Handle(principal=principal, id=stored.tags[TAG_HANDLE]),
        username=principal.name,
        issued_at=_issued(stored),
        expires_at=stored.expires_at,
    )


def _refined(held: Credential | None, record: PrincipalRecord | None) -> Credential | None:
    """Add what the service says of the very secret that the vault holds: its end may have been moved since it was stored."""
    listed = record.credentials or () if record and held else ()
    told = next((one for one in listed if held and one.handle.id == held.handle.id), None)
    return held if held is None or told is None else replace(held, expires_at=told.expires_at or held.expires_at)


def reasons_of(current: Current, traits: Traits, rules: Rules, principal: Principal, now: datetime) -> tuple[Reason, ...]:
    """List why the credential is due at `now`, the most urgent first; empty when it is not."""
    found = []
    credential = current.credential
    if credential is not None:
        before = rules.renew_before_of(principal.kind)
        if credential.expired(now):
            found.append(Reason.EXPIRED)
        elif credential.expires_at is not None and credential.expires_at - before <= now:
            found.append(Reason.EXPIRING)
        if credential.issued_at is not None and now - credential.issued_at >= rules.max_age_of(principal.kind):
            found.append(Reason.TOO_OLD)
        # Where a person makes the secret, another one would have no end either; its age makes it due.
        ours = traits.ends and traits.lease_ttl is None and traits.origin is Origin.SERVICE
        if credential.expires_at is None and ours and rules.rotate_without_expiry:
            found.append(Reason.NO_EXPIRY)
    if not current.in_vault:
        found.append(Reason.NOT_IN_VAULT)
    return tuple(found)


def due_at(current: Current, rules: Rules, principal: Principal) -> datetime | None:
    """Return the instant at which the credential becomes due by its expiry or its age, or None when neither is known."""
    credential = current.credential
    if credential is None:
        return None
    instants = []
    if credential.expires_at is not None:
        instants.append(credential.expires_at - rules.renew_before_of(principal.kind))
    if credential.issued_at is not None:
        instants.append(credential.issued_at + rules.max_age_of(principal.kind))
    return min(instants, default=None)
