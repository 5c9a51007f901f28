"""What a run would do, decided in full from one reading of the estate. Pure: the same estate gives the same plan."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from fnmatch import fnmatchcase

from rotator.model.credential import Principal, PrincipalKind, Traits
from rotator.model.estate import STAGED_SUFFIX, TAG_PRINCIPAL, Estate, StoredSecret
from rotator.model.rotation import HeldCause, Phase, Plan, PlanItem, Reason
from rotator.rotation.decisions import situations_of
from rotator.rotation.planner import OPEN, Planner
from rotator.rotation.record import RotationRecord, read_record
from rotator.rotation.retirements import orphans_of, retirements_of
from rotator.rotation.rules import Rules
from rotator.rotation.sight import sees_vault

_EARLY = datetime.min.replace(tzinfo=UTC)


def make_plan(
    estate: Estate,
    traits: Mapping[PrincipalKind, Traits],
    rules: Rules,
    now: datetime,
    *,
    vault: str = "",
    only: Sequence[str] = (),
    force: bool = False,
    allow_outage: bool = False,
) -> Plan:
    """Decide what is due, what is held and why, and in which order groups move.

    `vault` is the vault's URL, by which references of groups are told from references to other vaults. `only` limits the plan to
    principals whose id matches one of the globs; `force` makes those due whatever their age and takes held ones up again;
    `allow_outage` lets those begin whose new secret ends the old one at once. Raises nothing: what cannot be decided is an
    item with `held`. Without the whole vault nothing is due, because what a missing secret means cannot be told.
    """
    records, wanted = records_of(estate), _matcher(only)
    unfinished = {one.principal for one in records.values() if one.phase in OPEN}
    names = {stored.name.lower(): stored for stored in estate.secrets}
    planner = Planner(
        estate=estate, traits=traits, rules=rules, now=now, vault=vault, names=names, force=force, allow_outage=allow_outage
    )
    items, healthy = [], 0
    for principal in sorted(estate.consumers.keys() | unfinished, key=lambda one: one.id) if sees_vault(estate) else ():
        if principal.kind not in traits or not wanted(principal):
            continue
        item = planner.item(principal, records.get(principal))
        if item is None:
            # What could not be read is not in order; it stands among what could not be read.
            healthy += planner.seen(principal)
            continue
        items.append(item)
        # Two principals whose names look alike must not be given one secret by one plan.
        names.setdefault(item.secret_name.lower(), _reserved(item))
    items = _within_budget(sorted(items, key=_urgency), rules.max_groups_per_run)
    retirements = retirements_of(estate, records.values(), planner.target, rules, now)
    plan = Plan(
        made_at=now,
        items=tuple(items),
        retirements=tuple(one for one in retirements if wanted(one.principal)),
        healthy=healthy,
        digest="",
        orphans=tuple(one for one in orphans_of(estate, records.values()) if wanted(one.principal)),
        only=tuple(only),
        force=force,
        allow_outage=allow_outage,
        situations=tuple(one for one in situations_of(estate, records, planner, items) if wanted(one.principal)),
    )
    return replace(plan, digest=digest_of(plan))


def records_of(estate: Estate) -> Mapping[Principal, RotationRecord]:
    """Return where each principal's rotation stands. Of several records the unfinished one counts, then the newest.

    There are several when a secret was given another name: what the one under the old name left open must not be forgotten.
    """
    found: dict[Principal, tuple[bool, datetime, RotationRecord]] = {}
    for stored in estate.secrets:
        record = read_record(stored)
        if record is None:
            continue
        ranked = (record.phase is not Phase.DONE, stored.created_at or _EARLY, record)
        if record.principal not in found or ranked[:2] > found[record.principal][:2]:
            found[record.principal] = ranked
    return {principal: ranked[2] for principal, ranked in found.items()}


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


def _reserved(item: PlanItem) -> StoredSecret:
    """Return a stand-in for a secret that this plan is going to write; as a staged one it claims no principal twice."""
    tags = {TAG_PRINCIPAL: item.principal.id}
    name = item.secret_name + STAGED_SUFFIX
    return StoredSecret(name=name, version="", enabled=True, tags=tags, created_at=None, expires_at=None)


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
                cause=HeldCause.LIMIT,
                advice="It is first in line at the next run; or raise rotation.max_groups_per_run.",
            )
        elif not item.held:
            used += size
        kept.append(item)
    return kept
