"""The facts of credentials. Pure.

A principal whose credentials its service does not list (Docker Hub, an admin user, anything that could not be read) is one
case of its own; what the vault recorded when it stored the secret stands in for the service's word there.
"""

from collections.abc import Iterator
from datetime import datetime

from rotator.audit.bindingfacts import why_unlisted
from rotator.audit.cases import Case, Facts, Sight, days, instant_text
from rotator.audit.limits import Limits
from rotator.model.arm import ArmId
from rotator.model.credential import Credential, Principal, PrincipalKind
from rotator.model.estate import TAG_HANDLE, TAG_ISSUED, Estate, StoredSecret
from rotator.model.policy import Subject

LEASES = frozenset({PrincipalKind.ECR, PrincipalKind.ACR_REFRESH_TOKEN})
"""Kinds whose service alone decides how long a secret lives: limits in days say nothing about them."""


def credential_cases(estate: Estate, sight: Sight, now: datetime, limits: Limits) -> Iterator[Case]:
    """Yield one case for each credential that is listed, and one for each principal in use whose credentials are not."""
    for unread in sight.all_of("tokens"):
        yield _unlisted_tokens(estate, sight, unread.scope, unread.reason)
    everybody = sorted({*estate.records, *estate.consumers}, key=lambda one: one.id)
    for principal in everybody:
        record = estate.records.get(principal)
        why = None if record else why_unlisted(estate, sight, principal)
        if record is None and why is None:
            continue  # The principal is gone, which is another policy's matter; it has no credentials to judge.
        shared = _about_principal(estate, sight, principal, limits)
        if record is not None and record.credentials is not None:
            yield from _listed(estate, sight, record.credentials, shared, now, limits)
        else:
            yield _unlisted(estate, sight, principal, shared, why or _never_listed(principal), now, limits)


def _about_principal(estate: Estate, sight: Sight, principal: Principal, limits: Limits) -> Facts:
    facts = Facts()
    facts.put("principal", principal.id)
    facts.put("principal_kind", str(principal.kind))
    facts.put("registry", principal.registry)
    facts.put("consumers", *_consumers(estate, sight, principal))
    facts.put("is_lease", principal.kind in LEASES)
    limit = limits.max_age_for(principal.kind)
    facts.put("has_max_age", limit is not None)
    facts.put("max_age_days", None if limit is None else days(limit), "the kind has no limit")
    facts.put("expiring_within_days", days(limits.expiring_within_for(principal.kind)))
    stored = estate.secrets_of.get(principal.id)
    unread = sight.any_reason("vault") if stored is None else None
    facts.put("in_vault", None if unread else bool(stored and stored.enabled), unread)
    return facts


def _consumers(estate: Estate, sight: Sight, principal: Principal) -> tuple[int | None, str | None]:
    count = len(estate.consumers.get(principal, ()))
    hidden = sight.any_reason("container-groups")
    # Groups that nobody saw may use it: a count that is not zero is certain to be at least that, a zero is not.
    return (None, hidden) if hidden and not count else (count, None)


def _listed(
    estate: Estate, sight: Sight, listed: tuple[Credential, ...], shared: Facts, now: datetime, limits: Limits
) -> Iterator[Case]:
    for position, credential in enumerate(listed):
        principal = credential.handle.principal
        stored = estate.secrets_of.get(principal.id)
        facts = Facts()
        facts.known.update(shared.known)
        facts.missing.update(shared.missing)
        facts.put("slot", credential.handle.slot)
        facts.put("is_first", position == 0)
        facts.put("live_credentials", sum(not one.expired(now) for one in listed))
        facts.put("all_expired", all(one.expired(now) for one in listed))
        unread = sight.any_reason("vault") if stored is None else None
        in_use = _in_use(listed, stored, limits.slots.get(principal.id, ""))
        known = None if in_use is None and unread else in_use is not None
        facts.put("current_known", known, unread)
        facts.put("current", None if in_use is None else credential is in_use, unread or "nothing tells which one the groups use")
        facts.put("superseded", in_use is not None and credential is not in_use)
        _dates(facts, credential.issued_at or _recorded_issue(stored, credential), credential.expires_at, now)
        facts.put("has_expiry", credential.expires_at is not None)
        facts.put("expired", credential.expired(now))
        yield _case(principal, credential.handle.id, facts)


def _in_use(listed: tuple[Credential, ...], stored: StoredSecret | None, told: str) -> Credential | None:
    """Return the credential that the groups use, as far as it can be told: by the vault, by the operator, or as the only one."""
    handle = stored.tags.get(TAG_HANDLE) if stored else None
    named = next((one for one in listed if handle and one.handle.id == handle), None)
    chosen = named or next((one for one in listed if told and one.handle.slot == told), None)
    return chosen or (listed[0] if len(listed) == 1 else None)


def _unlisted(estate: Estate, sight: Sight, principal: Principal, shared: Facts, why: str, now: datetime, limits: Limits) -> Case:
    stored = estate.secrets_of.get(principal.id)
    told = limits.slots.get(principal.id) or (stored and stored.tags.get(TAG_HANDLE))
    facts = shared
    facts.put("slot", "")
    facts.put("is_first", True)
    facts.put("superseded", False)
    unread = sight.any_reason("vault") if stored is None else None
    facts.put("current_known", None if unread and not told else bool(told), unread)
    ends_at = stored.expires_at if stored else None
    if principal.kind is PrincipalKind.ACR_ADMIN:
        # Two passwords, always, that never end (learn.microsoft.com/azure/container-registry: "Admin account"); a vault
        # secret's own date is a reminder and ends nothing.
        ends_at = None
        facts.put("live_credentials", 2)
        facts.put("has_expiry", False)
        facts.put("expired", False)
        facts.put("all_expired", False)
    elif ends_at is not None:
        facts.put("current", True)
        facts.put("has_expiry", True)
        facts.put("expired", ends_at <= now)
        facts.put("all_expired", ends_at <= now)
    _dates(facts, _recorded_issue(stored, None) or _stored_long_ago(stored, principal, now, limits), ends_at, now)
    return _case(principal, "", facts, why)


def _stored_long_ago(stored: StoredSecret | None, principal: Principal, now: datetime, limits: Limits) -> datetime | None:
    """Return when the vault got the secret, if that alone makes it too old: it was made then or earlier, so nothing follows
    from a recent date.
    """
    limit = limits.max_age_for(principal.kind)
    if stored is None or stored.created_at is None or limit is None or now - stored.created_at < limit:
        return None
    return stored.created_at


def _recorded_issue(stored: StoredSecret | None, credential: Credential | None) -> datetime | None:
    """Return when the vault's tags say that the secret was made; for a listed credential only when they are about it."""
    if stored is None or (credential is not None and stored.tags.get(TAG_HANDLE) != credential.handle.id):
        return None
    try:
        at = datetime.fromisoformat(stored.tags.get(TAG_ISSUED, ""))
    except ValueError:
        return None
    return at if at.tzinfo else None


def _dates(facts: Facts, issued_at: datetime | None, expires_at: datetime | None, now: datetime) -> None:
    if issued_at is not None:
        facts.put("issued_at", instant_text(issued_at))
        facts.put("age_days", days(now - issued_at))
    if expires_at is not None:
        facts.put("expires_at", instant_text(expires_at))
        facts.put("expires_in_days", days(expires_at - now))


def _never_listed(principal: Principal) -> str:
    if principal.kind is PrincipalKind.ACR_ADMIN:
        return "Azure lists an admin user's passwords only together with their values, which an inventory does not read"
    return "its credentials could not be read"


def _unlisted_tokens(estate: Estate, sight: Sight, registry_id: str, why: str) -> Case:
    """Return the case of the tokens that nobody could list and no group that was read uses; the used ones have their own."""
    facts = Facts()
    facts.put("principal_kind", str(PrincipalKind.ACR_TOKEN))
    facts.put("is_lease", False)
    hidden = sight.any_reason("container-groups")
    facts.put("consumers", None if hidden else 0, hidden)
    server = next((one.login_server.lower() for one in estate.registries if one.id == ArmId(registry_id)), None)
    facts.put("registry", server)
    return Case(
        subject=Subject.CREDENTIAL,
        resource=registry_id,
        part="tokens",
        subscription=ArmId(registry_id).subscription,
        facts=facts.known,
        missing=facts.missing,
        otherwise=why,
    )


def _case(principal: Principal, part: str, facts: Facts, otherwise: str = "the service does not say") -> Case:
    return Case(
        subject=Subject.CREDENTIAL,
        resource=principal.id,
        part=part,
        subscription=ArmId(principal.resource_id).subscription,
        facts=facts.known,
        missing=facts.missing,
        otherwise=otherwise,
    )
