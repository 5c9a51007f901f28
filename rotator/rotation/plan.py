"""What a run would do, decided in full from one reading of the estate. Pure: the same estate gives the same plan."""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from fnmatch import fnmatchcase

from rotator.model.credential import Overlap, Principal, PrincipalKind, Traits
from rotator.model.errors import Held
from rotator.model.estate import STAGED_SUFFIX, TAG_ROTATION, Estate, PrincipalRecord, StoredSecret
from rotator.model.rotation import Action, Phase, Plan, PlanItem, Reason
from rotator.rotation.consumers import consumer_of
from rotator.rotation.due import Current, current_credential, due_at, reasons_of
from rotator.rotation.record import RotationRecord, read_record
from rotator.rotation.retirements import any_live, orphans_of, retirements_of
from rotator.rotation.rules import Rules
from rotator.rotation.slots import free_slot
from rotator.rotation.waves import waves_of

# Phases after which a rotation is not finished and must be carried on, whether or not the credential is due again.
_OPEN = {Phase.INTENT, Phase.STAGED, Phase.VERIFIED, Phase.PROMOTED, Phase.CUTOVER, Phase.HELD}
# What `Unread.what` says when a principal may be missing only because its service could not be read.
_SOURCES_OF_RECORDS = {"tokens", "applications", "registries"}
_VAULT_NAME_LIMIT = 127 - len(STAGED_SUFFIX)


def make_plan(
    estate: Estate,
    traits: Mapping[PrincipalKind, Traits],
    rules: Rules,
    now: datetime,
    *,
    only: Sequence[str] = (),
    force: bool = False,
) -> Plan:
    """Decide what is due, what is held and why, and in which order groups move.

    `only` limits the plan to principals whose id matches one of the globs; `force` makes those due whatever their age and
    takes held ones up again. Raises nothing: what cannot be decided is an item with `held`.
    """
    records = {record.principal: record for stored in estate.secrets if (record := read_record(stored)) is not None}
    wanted = _matcher(only)
    items, healthy = [], 0
    for principal in sorted(estate.consumers, key=lambda one: one.id):
        if principal.kind not in traits or not wanted(principal):
            continue
        item = _Planner(estate, traits[principal.kind], rules, now, force=force).item(principal, records.get(principal))
        if item is None:
            healthy += 1
        else:
            items.append(item)
    items = _within_budget(sorted(items, key=_urgency), rules.max_groups_per_run)
    retirements = tuple(one for one in retirements_of(estate, records.values(), rules, now) if wanted(one.principal))
    orphans = tuple(one for one in orphans_of(estate, records) if wanted(one.principal))
    plan = Plan(
        made_at=now,
        items=tuple(items),
        retirements=retirements,
        healthy=healthy,
        digest="",
        orphans=orphans,
        only=tuple(only),
        force=force,
    )
    return replace(plan, digest=digest_of(plan))


class _Planner:
    """Makes one item; a class only to spare every function the same five arguments."""

    def __init__(self, estate: Estate, traits: Traits, rules: Rules, now: datetime, *, force: bool) -> None:
        self._estate = estate
        self._traits = traits
        self._rules = rules
        self._now = now
        self._force = force

    def item(self, principal: Principal, open_record: RotationRecord | None) -> PlanItem | None:
        """Return the principal's item, or None when it needs nothing."""
        stored = self._estate.secrets_of.get(principal.id)
        record = self._estate.records.get(principal)
        principal = record.principal if record else principal
        current = current_credential(principal, record, stored, self._traits, self._rules, self._now)
        if open_record is not None and open_record.phase in _OPEN:
            return self._carried_on(principal, open_record, current)
        if open_record is not None and open_record.phase is Phase.SOAKING:
            late = self._late_consumers(principal, open_record, current)
            if late is not None or any_live(open_record.old, record, self._now):
                # Two rotations of one principal at once would need a third secret, and a slot that is not there.
                return late
        reasons = reasons_of(current, self._traits, self._rules, principal, self._now)
        if not reasons and self._out_of_step(principal, stored):
            reasons = (Reason.OUT_OF_STEP,)
        if self._force and not reasons:
            reasons = (Reason.REQUESTED,)
        if not reasons or self._unread(record):
            return None
        old = self._old(current)
        replaced = (current.credential.handle.id,) if current.credential else ()
        item = self._decided(
            principal,
            reasons,
            current,
            rotation=marker_of(principal, replaced),
            old=old,
            secret_name=stored.name if stored else name_of(principal, self._rules),
            slot=None,
            record=record,
        )
        return self._worth_while(item)

    def _worth_while(self, item: PlanItem) -> PlanItem | None:
        """Drop an item that could move no group, and hold it when a group waits for a person.

        A secret that nobody can be given would only age in the vault, and fill a slot.
        """
        stuck = [one for one in item.consumers if one.action is Action.HOLD]
        reads_vault = any(one.action is Action.LEAVE and not one.inline for one in item.consumers)
        if item.waves or item.held or reads_vault:
            return item
        if not stuck:
            return None
        return replace(
            item,
            held=f"none of its groups can be moved: {stuck[0].group.name}: {stuck[0].why}",
            advice=f"Put what is missing into the vault: {', '.join(stuck[0].missing)}" if stuck[0].missing else stuck[0].why,
        )

    def _out_of_step(self, principal: Principal, stored: StoredSecret | None) -> bool:
        """Whether a running group stores a lease that is not shown to be the vault's.

        Leases cannot be listed, so a stored one that the vault does not know of ends without anybody having been told.
        """
        if self._traits.overlap is not Overlap.LEASES or stored is None:
            return False
        rotation = stored.tags.get(TAG_ROTATION, "")
        consumers = (
            consumer_of(group, principal, rotation, self._estate, self._traits, self._rules)
            for group in self._estate.consumers.get(principal, ())
        )
        return any(one.action is Action.REDEPLOY for one in consumers)

    def _carried_on(self, principal: Principal, open_record: RotationRecord, current: Current) -> PlanItem:
        item = self._decided(
            principal,
            (Reason.UNFINISHED,),
            current,
            rotation=open_record.rotation,
            old=open_record.old,
            secret_name=open_record.secret_name,
            slot=open_record.slot,
            record=self._estate.records.get(principal),
        )
        if open_record.phase is Phase.HELD and not self._force and not item.held:
            return replace(
                item,
                held=open_record.held or "held by an earlier run",
                advice=f"Mend the cause, then take it up again: rotator rotate --only '{principal.id}' --force",
            )
        return item

    def _late_consumers(self, principal: Principal, open_record: RotationRecord, current: Current) -> PlanItem | None:
        """A group that was stopped or held at the cutover may be able to move now; the rotation is not over until it has."""
        item = self._carried_on(principal, open_record, current)
        return item if item.waves else None

    def _unread(self, record: PrincipalRecord | None) -> bool:
        """Whether the principal's secrets are not known. The run then exits with 3; acting on a guess would be worse."""
        if self._traits.overlap is Overlap.LEASES:
            return False
        if record is None:
            return any(one.what in _SOURCES_OF_RECORDS for one in self._estate.unread)
        return record.credentials is None

    def _old(self, current: Current) -> tuple[str, ...]:
        if current.credential is None or self._traits.overlap is Overlap.LEASES:
            return ()
        return (current.credential.handle.id,)

    def _decided(
        self,
        principal: Principal,
        reasons: tuple[Reason, ...],
        current: Current,
        *,
        rotation: str,
        old: tuple[str, ...],
        secret_name: str,
        slot: str | None,
        record: PrincipalRecord | None,
    ) -> PlanItem:
        held, advice = self._standing_in_the_way(principal, record)
        if slot is None and self._traits.overlap is Overlap.TWO_SLOTS and not held and record is not None:
            try:
                slot = free_slot(
                    principal.id, record.credentials or (), current, self._rules.slots.get(principal.id, ""), self._now
                )
            except Held as error:
                held, advice = error.message, error.advice
        consumers = tuple(
            consumer_of(group, principal, rotation, self._estate, self._traits, self._rules)
            for group in self._estate.consumers.get(principal, ())
        )
        moving = [one.group for one in consumers if one.action in {Action.REDEPLOY, Action.RESTART}]
        return PlanItem(
            rotation=rotation,
            principal=principal,
            reasons=reasons,
            secret_name=secret_name,
            slot=slot or "",
            ttl=None if self._traits.lease_ttl else self._rules.ttl_of(principal.kind),
            old=old,
            consumers=consumers,
            waves=waves_of(moving, self._rules.canaries, self._rules.wave_growth),
            due_at=due_at(current, self._rules, principal),
            expires_at=current.credential.expires_at if current.credential else None,
            replaces=_in_slot(record, slot or ""),
            held=held,
            advice=advice,
        )

    def _standing_in_the_way(self, principal: Principal, record: PrincipalRecord | None) -> tuple[str, str]:
        if self._traits.overlap is Overlap.LEASES:
            return "", ""
        if self._unread(record):
            return f"{principal.id} could not be read", "See what could not be read at the top of the audit."
        if record is None:
            return (
                f"{principal.id} does not exist where its groups log in",
                "Create it again under this name, or give the groups another credential.",
            )
        if record.enabled is False:
            return (
                f"{principal.id} is disabled: a new secret would not work either",
                "Enable it, or give the groups another credential.",
            )
        return "", ""


def marker_of(principal: Principal, old: Sequence[str]) -> str:
    """Return the name of the rotation that replaces these handles: the same work planned twice has the same name."""
    return "rot-" + hashlib.sha256("\n".join((principal.id, *sorted(old))).encode()).hexdigest()[:16]


def name_of(principal: Principal, rules: Rules) -> str:
    """Return the vault secret's name: the operator's choice, or the template with what Key Vault forbids made a hyphen."""
    chosen = rules.secret_names.get(principal.id)
    if chosen:
        return chosen
    text = rules.secret_name.format(kind=principal.kind.value, registry=principal.registry, name=principal.name)
    name = re.sub(r"[^0-9A-Za-z]+", "-", text).strip("-").lower()
    if len(name) <= _VAULT_NAME_LIMIT:
        return name
    return f"{name[: _VAULT_NAME_LIMIT - 9]}-{hashlib.sha256(principal.id.encode()).hexdigest()[:8]}"


def digest_of(plan: Plan) -> str:
    """Digest everything that the plan decided, but not the instants, which move with every reading."""
    digest = hashlib.sha256()
    for item in plan.items:
        digest.update(repr(item_facts(item)).encode())
    for retirement in plan.retirements:
        digest.update(repr((retirement.rotation, retirement.handle, retirement.old)).encode())
    digest.update(repr(sorted(orphan.id for orphan in plan.orphans)).encode())
    return digest.hexdigest()


def item_facts(item: PlanItem) -> tuple[object, ...]:
    """What makes two items the same work."""
    return (
        item.rotation,
        item.principal.id,
        item.secret_name,
        item.slot,
        item.replaces,
        item.old,
        bool(item.held),
        tuple((one.group.key, one.registries, one.action.value, one.images, one.missing) for one in item.consumers),
        tuple(tuple(group.key for group in wave) for wave in item.waves),
    )


def _in_slot(record: PrincipalRecord | None, slot: str) -> str:
    listed = record.credentials or () if record and slot else ()
    return next((one.handle.id for one in listed if one.handle.slot == slot), "")


def _matcher(only: Sequence[str]) -> Callable[[Principal], bool]:
    return lambda principal: not only or any(fnmatchcase(principal.id, glob) for glob in only)


def _urgency(item: PlanItem) -> tuple[int, str]:
    order = list(Reason)
    return min(order.index(reason) for reason in item.reasons), item.principal.id


def _within_budget(items: Sequence[PlanItem], limit: int) -> list[PlanItem]:
    """Hold what would restart more groups than one run may; the most urgent go first, and one item is never split."""
    kept, used = [], 0
    for planned in items:
        item = planned
        size = sum(len(wave) for wave in item.waves)
        if not item.held and used and used + size > limit:
            item = replace(
                item,
                held=f"its {size} restarts would exceed the limit of {limit} for one run",
                advice="It is first in line at the next run; or raise rotation.max_groups_per_run.",
            )
        elif not item.held:
            used += size
        kept.append(item)
    return kept
