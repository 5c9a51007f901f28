"""The estate as gauges: one consistent picture, made anew from each reading.

The picture is replaced as a whole. A series therefore ends with the thing it describes, and a scrape in the middle of an
audit never sees half of the old estate and half of the new one.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from prometheus_client.core import GaugeMetricFamily

from rotator.model.arm import ArmId
from rotator.model.credential import Credential, Principal, PrincipalKind
from rotator.model.estate import STAGED_SUFFIX, TAG_HANDLE, Estate, StoredSecret
from rotator.model.group import Absent, Binding, Inline, ManagedIdentity, VaultReference
from rotator.model.lease import stored_lease
from rotator.model.policy import Audit, Finding, Severity, Verdict
from rotator.model.rotation import HeldCause, Plan, PlanItem
from rotator.model.usage import Drain

PER_CREDENTIAL = ("credential_id", "kind", "registry")
"""The labels of every series about one credential. What changes, or may be empty, belongs in `rotator_credential_info`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One reading with what was made of it; `max_age` is the limit for each kind of principal, `last_used` what a log knows."""

    estate: Estate
    plan: Plan
    audit: Audit
    max_age: Mapping[PrincipalKind, timedelta]
    last_used: Mapping[Principal, datetime] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    """What is known about the credential that a principal's consumers use now."""

    principal: Principal
    stored: StoredSecret | None
    current: Credential | None
    item: PlanItem | None

    @property
    def labels(self) -> tuple[str, str, str]:
        return self.principal.id, self.principal.kind.value, self.principal.registry

    @property
    def expires_at(self) -> datetime | None:
        if self.current is not None:
            return self.current.expires_at
        return self.stored.expires_at if self.stored else None

    @property
    def issued_at(self) -> datetime | None:
        if self.current is not None and self.current.issued_at is not None:
            return self.current.issued_at
        return self.stored.created_at if self.stored else None

    @property
    def known(self) -> bool:
        return self.current is not None or self.stored is not None


def families(picture: Picture) -> Iterator[GaugeMetricFamily]:
    """Yield every gauge that one reading fills. A value that is not known is left out, never guessed."""
    items = {item.principal: item for item in picture.plan.items}
    facts = [_facts(principal, picture.estate, items.get(principal)) for principal in _principals(picture)]
    yield from _instants(facts, picture)
    yield from _conditions(facts, picture)
    yield _orphans(picture)
    yield _groups(picture.estate)
    yield _leases(picture.estate)
    yield from _findings(picture.audit)
    yield from _reading(picture.estate)


def _principals(picture: Picture) -> list[Principal]:
    found = {*picture.estate.records, *picture.estate.consumers, *(item.principal for item in picture.plan.items)}
    return sorted(found, key=lambda principal: principal.id)


def _facts(principal: Principal, estate: Estate, item: PlanItem | None) -> _Facts:
    stored = estate.secrets_of.get(principal.id)
    record = estate.records.get(principal)
    listed = record.credentials if record else None
    return _Facts(
        principal=principal,
        stored=stored,
        current=_current(stored, listed, estate.observed_at),
        item=item,
    )


def _current(stored: StoredSecret | None, listed: tuple[Credential, ...] | None, now: datetime) -> Credential | None:
    """Return the credential that the vault names; without a vault secret the only live one, or the last one that ended.

    None when several live and nothing tells which of them is in use.
    """
    if stored is not None:
        named = stored.tags.get(TAG_HANDLE)
        return next((one for one in listed or () if one.handle.id == named), None)
    live = [one for one in listed or () if not one.expired(now)]
    if listed and not live:
        return max(listed, key=lambda one: one.expires_at or now)
    return live[0] if len(live) == 1 else None


def _instants(facts: Iterable[_Facts], picture: Picture) -> Iterator[GaugeMetricFamily]:
    expiration = _gauge("credential_expiration_timestamp_seconds", "When the credential in use ends.")
    has_expiry = _gauge("credential_has_expiry", "1 when the credential in use ends by itself, 0 when it never does.")
    due = _gauge("credential_rotation_due_timestamp_seconds", "When the credential became or becomes due for rotation.")
    rotated = _gauge("credential_last_rotation_timestamp_seconds", "When the credential in use was issued.")
    max_age = _gauge("credential_max_age_seconds", "How old a credential of this kind may become.")
    consumers = _gauge("credential_consumers", "How many container groups pull with the credential.")
    used = _gauge("credential_last_used_timestamp_seconds", "When somebody last logged in with a secret of the principal.")
    for one in facts:
        if one.principal in picture.last_used:
            used.add_metric(one.labels, picture.last_used[one.principal].timestamp())
        if one.expires_at is not None:
            expiration.add_metric(one.labels, one.expires_at.timestamp())
        if one.known:
            has_expiry.add_metric(one.labels, float(one.expires_at is not None))
        if one.item is not None and one.item.due_at is not None:
            due.add_metric(one.labels, one.item.due_at.timestamp())
        if one.issued_at is not None:
            rotated.add_metric(one.labels, one.issued_at.timestamp())
        if one.principal.kind in picture.max_age:
            max_age.add_metric(one.labels, picture.max_age[one.principal.kind].total_seconds())
        consumers.add_metric(one.labels, len(picture.estate.consumers.get(one.principal, ())))
    yield from (expiration, has_expiry, due, rotated, max_age, consumers, used)


def _conditions(facts: Iterable[_Facts], picture: Picture) -> Iterator[GaugeMetricFamily]:
    condition = _gauge("credential_condition", "1 for the status that holds.", ("credential_id", "type", "status"))
    info = _gauge("credential_info", "Always 1; join on credential_id.", (*PER_CREDENTIAL, "secret_name", "resource_group"))
    revocation = _gauge(
        "revocation_due_timestamp_seconds", "When the replaced credential is to end; only while it lives.", ("credential_id",)
    )
    now = picture.estate.observed_at
    for one in facts:
        ended = one.expires_at is not None and one.expires_at <= now
        ready = "Unknown" if not one.known else "False" if ended else "True"
        held = "True" if one.item is not None and one.item.held and not one.item.awaits_window else "False"
        for kind, holds in (("Ready", ready), ("Held", held)):
            for status in ("True", "False", "Unknown"):
                condition.add_metric((one.principal.id, kind, status), float(status == holds))
        where = ArmId(one.principal.resource_id).resource_group
        info.add_metric((*one.labels, one.stored.name if one.stored else "", where), 1)
    for retirement in picture.plan.retirements:
        revocation.add_metric((retirement.principal.id,), retirement.soak_until.timestamp())
    yield from (condition, info, revocation, *_drains(picture.plan), *_held(facts, picture.plan))


def _drains(plan: Plan) -> Iterator[GaugeMetricFamily]:
    drain = _gauge(
        "revocation_drain",
        "1 for what the logs say of the replaced credential's use; only while it lives.",
        ("credential_id", "state"),
    )
    used = _gauge(
        "revocation_last_used_timestamp_seconds",
        "When the replaced credential was, or may have been, last used; absent when no use is known.",
        ("credential_id",),
    )
    for one in plan.retirements:
        if one.usage is None:
            continue
        for state in Drain:
            drain.add_metric((one.principal.id, state.value), float(state is one.usage.drain))
        if one.usage.drain is Drain.IN_USE and one.usage.last_seen_at is not None:
            used.add_metric((one.principal.id,), one.usage.last_seen_at.timestamp())
    yield from (drain, used)


def _held(facts: Iterable[_Facts], plan: Plan) -> Iterator[GaugeMetricFamily]:
    """Yield one series for each thing that waits for a person, with its reason from a closed set; nothing for all others."""
    held = _gauge("rotation_held", "1 while a rotation waits for a person; reason is a closed set.", (*PER_CREDENTIAL, "reason"))
    since = _gauge("rotation_held_since_timestamp_seconds", "When a rotation that waits for a person was held.")
    at = {one.principal: one.since for one in plan.situations if one.why}
    for one in facts:
        if one.item is None or not one.item.held or one.item.awaits_window:
            continue
        held.add_metric((*one.labels, (one.item.cause or HeldCause.CHANGED).value), 1)
        began_at = at.get(one.principal)
        if began_at is not None:
            since.add_metric(one.labels, began_at.timestamp())
    for retirement in plan.retirements:
        if retirement.held:
            principal = retirement.principal
            held.add_metric((principal.id, principal.kind.value, principal.registry, HeldCause.UNREAD.value), 1)
    yield from (held, since)


def _orphans(picture: Picture) -> GaugeMetricFamily:
    """Count live secrets that neither the vault names nor a retirement or a planned rotation will end."""
    estate, plan = picture.estate, picture.plan
    owned: dict[str, set[str]] = {}
    for stored in estate.secrets:
        if TAG_HANDLE in stored.tags:
            name = stored.name.removesuffix(STAGED_SUFFIX)
            owned.setdefault(name, set()).add(stored.tags[TAG_HANDLE])
    ending = {(item.principal, old) for item in plan.items for old in item.old}
    ending |= {(one.principal, old) for one in plan.retirements for old in one.old}
    count: Counter[str] = Counter()
    for principal, record in estate.records.items():
        current = estate.secrets_of.get(principal.id)
        if current is None:
            continue  # not looked after by rotator yet: its secrets are somebody else's
        count[principal.kind.value] += sum(
            1
            for one in record.credentials or ()
            if not one.expired(estate.observed_at)
            and one.handle.id not in owned.get(current.name, set())
            and (principal, one.handle.id) not in ending
        )
    family = _gauge("orphaned_credentials", "Live secrets of principals in the vault that no rotation owns.", ("kind",))
    for kind, number in sorted(count.items()):
        family.add_metric((kind,), number)
    return family


def _groups(estate: Estate) -> GaugeMetricFamily:
    modes = ((group, {auth_mode(one) for one in group.bindings}) for group in estate.groups)
    count = Counter((group.id.subscription, mode) for group, used in modes for mode in used)
    family = _gauge(
        "container_groups", "Container groups by way of authentication to a registry.", ("subscription_id", "auth_mode")
    )
    for labels, number in sorted(count.items()):
        family.add_metric(labels, number)
    return family


def _leases(estate: Estate) -> GaugeMetricFamily:
    """Yield the end of the lease that each group pulls with at its next start; nothing where that cannot be told."""
    family = _gauge(
        "group_lease_expiration_timestamp_seconds",
        "When the ECR password ends with which a container group pulls at its next start.",
        ("subscription_id", "resource_group", "group", "registry"),
    )
    for group in estate.groups:
        for binding in group.bindings:
            lease = stored_lease(estate, group, binding)
            if lease is not None and lease.ends_at is not None:
                labels = (group.id.subscription, group.id.resource_group, group.name, binding.registry)
                family.add_metric(labels, lease.ends_at.timestamp())
    return family


def auth_mode(binding: Binding) -> str:
    """Name the way in which a binding authenticates, from a closed set."""
    match binding.source:
        case ManagedIdentity():
            return "managed-identity"
        case VaultReference():
            return "vault-reference"
        case Inline():
            return "inline-password"
        case Absent():
            return "anonymous"


def _findings(audit: Audit) -> Iterator[GaugeMetricFamily]:
    count = Counter(
        {(policy.id, policy.severity.value, status): 0 for policy in audit.policies for status in ("open", "waived", "unknown")}
    )
    count.update((one.policy, Severity(one.severity).value, _status(one)) for one in audit.findings)
    findings = _gauge("findings", "Violations and unknown verdicts by policy.", ("check_id", "severity", "status"))
    for labels, number in sorted(count.items()):
        findings.add_metric(labels, number)
    waivers = _gauge("waiver_expiration_timestamp_seconds", "When a waiver that is in use ends.", ("waiver_id", "check_id"))
    used = {one.waiver.id: one.waiver for one in audit.findings if one.waiver is not None}
    for waiver in used.values():
        end = datetime(*waiver.expires_on.timetuple()[:3], tzinfo=audit.evaluated_at.tzinfo) + timedelta(days=1)
        waivers.add_metric((waiver.id, waiver.policy), end.timestamp())
    yield from (findings, waivers)


def _status(finding: Finding) -> str:
    if finding.verdict is Verdict.UNKNOWN:
        return "unknown"
    return "open" if finding.waiver is None else "waived"


def _reading(estate: Estate) -> Iterator[GaugeMetricFamily]:
    unreadable = Counter((_subscription(one.scope), one.code) for one in estate.unread)
    unread = _gauge("scan_unreadable_scopes", "What the last reading could not see.", ("subscription_id", "reason"))
    for subscription in estate.subscriptions:
        if not any(seen == subscription for seen, _ in unreadable):
            unreadable[subscription, ""] = 0
    for labels, number in sorted(unreadable.items()):
        unread.add_metric(labels, number)
    yield unread


def complete_subscriptions(estate: Estate) -> tuple[str, ...]:
    """Return the subscriptions of which everything was read."""
    partly = {_subscription(one.scope) for one in estate.unread}
    return tuple(one for one in estate.subscriptions if one.lower() not in partly)


def _subscription(scope: str) -> str:
    """Return the subscription that a scope lies in, in lower case; empty for the vault or the directory."""
    if "/subscriptions/" in scope.lower():
        return ArmId(scope).subscription
    return scope.lower() if len(scope) == 36 and scope.count("-") == 4 else ""


def _gauge(name: str, text: str, labels: tuple[str, ...] = PER_CREDENTIAL) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"rotator_{name}", text, labels=labels)
