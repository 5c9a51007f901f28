"""Where rotations stand that are held or not over, and what a person may decide about each. Pure.

What only the vault's older versions or a real pull can tell is looked at when a decision is carried out; it may be refused then,
with a reason, before anything is done.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from rotator.model.credential import Credential, Overlap, Principal, PrincipalKind, Traits, is_brought
from rotator.model.estate import TAG_HANDLE, Estate
from rotator.model.rotation import Choice, LiveSecret, Phase, PlanItem, Situation, Verb
from rotator.rotation.consumers import Target, bound_to, moved
from rotator.rotation.record import RotationRecord
from rotator.rotation.retirements import waiting_for
from rotator.rotation.sight import sees_consumers, sees_secrets_of, sees_vault

_LIVE = {
    Phase.INTENT: "announced; the new secret may or may not have been made",
    Phase.STAGED: "the new secret is made and not tried yet",
    Phase.VERIFIED: "the new secret works; nothing uses it yet",
    Phase.PROMOTED: "the vault gives out the new secret; groups are moving to it",
    Phase.CUTOVER: "groups are moving to the new secret",
    Phase.SOAKING: "the groups have moved; the old secret lives on until it may end",
    Phase.DONE: "over",
}


class Planning(Protocol):
    """What of the planner is needed here."""

    @property
    def traits(self) -> Mapping[PrincipalKind, Traits]:
        """The kinds' fact sheets."""
        ...

    def target(self, record: RotationRecord) -> Target:
        """Return what the groups of a rotation are moved to."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """One principal, its record and its place in the estate."""

    estate: Estate
    principal: Principal
    record: RotationRecord
    traits: Traits
    in_vault: str
    on_new: tuple[str, ...]
    waiting: tuple[str, ...]
    item: PlanItem | None

    @property
    def used(self) -> bool:
        """Whether anything may use the new secret: the vault gives it out, or a group says that it stores it."""
        return bool(self.record.handle) and (self.in_vault == self.record.handle or bool(self.on_new))

    @property
    def live(self) -> frozenset[str]:
        return frozenset(one.handle.id for one in _listed(self.estate, self.principal))


def situations_of(
    estate: Estate, records: Mapping[Principal, RotationRecord], planner: Planning, items: Iterable[PlanItem]
) -> Iterator[Situation]:
    """Yield the situation of every rotation that is not over, and of every item that is held before it began."""
    planned = {item.principal: item for item in items}
    open_ = {principal for principal, record in records.items() if record.phase is not Phase.DONE}
    held = {principal for principal, item in planned.items() if item.held}
    for principal in sorted(open_ | held, key=lambda one: one.id):
        if principal.kind not in planner.traits:
            continue
        record, item = records.get(principal), planned.get(principal)
        if record is not None and record.phase is not Phase.DONE:
            yield _under_way(estate, planner, record, item)
        elif item is not None:
            yield _not_begun(estate, item)


def images_of(estate: Estate, principal: Principal) -> tuple[str, ...]:
    """Return every image that groups pull with the principal's credential."""
    bindings = (one for group in estate.consumers.get(principal, ()) for one in bound_to(group, principal))
    return tuple(sorted({str(image) for one in bindings for image in one.images}))


def _under_way(estate: Estate, planner: Planning, record: RotationRecord, item: PlanItem | None) -> Situation:
    target = planner.target(record)
    groups = estate.consumers.get(record.principal, ())
    bound = {group.id: tuple(sorted({one.registry for one in bound_to(group, record.principal)})) for group in groups}
    on_new = tuple(group.id for group in groups if moved(group, bound[group.id], target.mark))
    stored = estate.secrets_of.get(record.principal.id)
    case = _Case(
        estate=estate,
        principal=record.principal,
        record=record,
        traits=planner.traits[record.principal.kind],
        in_vault=stored.tags.get(TAG_HANDLE, "") if stored else "",
        on_new=tuple(one.name for one in on_new),
        waiting=tuple(one.name for one in waiting_for(estate, target)),
        item=item,
    )
    why = item.held if item and item.held else record.held if record.phase is Phase.HELD else ""
    return Situation(
        rotation=record.rotation,
        principal=record.principal,
        secret_name=record.secret_name,
        phase=_phase(case),
        why=why,
        advice=item.advice if item and item.held else "",
        cause=item.cause if item and item.held else None,
        since=record.held_at if record.phase is Phase.HELD else record.cutover_at or record.issued_at,
        new=record.handle,
        old=record.old,
        in_vault=case.in_vault,
        live=_live(estate, record.principal, record),
        on_new=on_new,
        on_old=tuple(group.id for group in groups if group.id not in on_new),
        choices=(_resume(case), _roll_back(case), _abandon(case)),
    )


def _not_begun(estate: Estate, item: PlanItem) -> Situation:
    nothing = "nothing of this rotation has begun"
    stored = estate.secrets_of.get(item.principal.id)
    return Situation(
        rotation=item.rotation,
        principal=item.principal,
        secret_name=item.secret_name,
        phase="not begun",
        why=item.held,
        advice=item.advice,
        cause=item.cause,
        since=None,
        new="",
        old=item.old,
        in_vault=stored.tags.get(TAG_HANDLE, "") if stored else "",
        live=_live(estate, item.principal, None),
        on_new=(),
        on_old=tuple(one.group for one in item.consumers),
        choices=tuple(_choice(verb, item.principal, "", nothing) for verb in Verb),
    )


def _phase(case: _Case) -> str:
    record = case.record
    if record.revoke:
        return "a secret was revoked; its successor is not in use everywhere yet"
    if record.phase is not Phase.HELD:
        if record.known_as and record.phase is Phase.SOAKING:
            return "rolled back; the secret that was given up lives on until it may end"
        if record.phase is Phase.SOAKING and not record.old:
            return "the new secret is in use; groups are left that have to follow"
        said = _LIVE[record.phase]
        return f"rolling back: {said.replace('new secret', 'secret from before')}" if record.known_as else said
    if record.known_as:
        return "held in the middle of a roll-back"
    return "held; the vault gives out the new secret" if case.used else "held; nothing uses the new secret yet"


def _listed(estate: Estate, principal: Principal) -> tuple[Credential, ...]:
    """Return the living secrets that the registry lists."""
    known = estate.records.get(principal)
    listed = known.credentials or () if known else ()
    return tuple(one for one in listed if not one.expired(estate.observed_at))


def _live(estate: Estate, principal: Principal, record: RotationRecord | None) -> tuple[LiveSecret, ...]:
    return tuple(
        LiveSecret(handle=one.handle.id, role=_role(one.handle.id, record), issued_at=one.issued_at, expires_at=one.expires_at)
        for one in _listed(estate, principal)
    )


def _role(handle: str, record: RotationRecord | None) -> str:
    if record is None:
        return ""
    if handle in record.revoke:
        return "revoked"
    if handle == record.handle:
        return "to go back to" if record.known_as else "new"
    if handle in record.old:
        return "given up" if record.known_as else "old"
    return "not of this rotation"


# --- what is possible -----------------------------------------------------------------------------------------------------


def _resume(case: _Case) -> Choice:
    item = case.item
    effect, restarts = "takes it up where it stands", sum(len(wave) for wave in item.waves) if item is not None else 0
    if restarts:
        effect = f"moves {restarts} {'group' if restarts == 1 else 'groups'} more"
    elif case.record.phase is Phase.SOAKING:
        effect = "nothing to do now: the soak ends by itself"
    waits = item is not None and item.held and not (case.record.phase is Phase.HELD and item.held == case.record.held)
    return _choice(Verb.RESUME, case.principal, effect, item.held if waits and item else "", restarts)


def _roll_back(case: _Case) -> Choice:
    if case.record.known_as:
        again = _resume(case)
        return _choice(Verb.ROLL_BACK, case.principal, f"carries the roll-back on: {again.effect}", again.refused, again.restarts)
    before = f"puts {_one_of(case.record.old)} back, then ends {case.record.handle} after the soak"
    return _choice(Verb.ROLL_BACK, case.principal, before, _no_way_back(case), len(case.on_new))


def _no_way_back(case: _Case) -> str:
    """Say why a roll-back is impossible, or nothing."""
    record, estate = case.record, case.estate
    if record.revoke:
        return "the old secret was revoked"
    if case.traits.overlap is Overlap.LEASES:
        return "a lease ends by itself and cannot be had again; every group may store the newest one"
    if case.traits.overlap is Overlap.SINGLE:
        return "its new secret ended the old one at once: there is nothing to go back to, and the next run goes on"
    if not case.used:
        return "nothing uses the new secret: abandon it instead"
    if not record.old:
        return "it replaced no secret"
    if not (sees_vault(estate) and sees_secrets_of(estate, case.principal)):
        return "not everything could be read"
    if not case.live & set(record.old) and not any(is_brought(one) for one in record.old):
        return f"the old secret, {_one_of(record.old)}, has ended: expired, deleted or replaced in its slot"
    return ""


def _abandon(case: _Case) -> Choice:
    if case.record.known_as:
        return _choice(Verb.ABANDON, case.principal, f"ends {_one_of(case.record.old)} now", _not_back_yet(case))
    ends = f"ends {case.record.handle}" if case.record.handle else "ends what may have been made"
    return _choice(Verb.ABANDON, case.principal, f"{ends}; the credential stays due", _still_needed(case))


def _not_back_yet(case: _Case) -> str:
    """Say why a roll-back's bad secret cannot be ended before its soak is over, or nothing."""
    if not (sees_vault(case.estate) and sees_consumers(case.estate)):
        return "not everything could be read"
    if case.record.phase is not Phase.SOAKING:
        return "the roll-back is not complete: resume it"
    if case.waiting:
        return f"{_names(case.waiting)} may still store {_one_of(case.record.old)}"
    return ""


def _still_needed(case: _Case) -> str:
    """Say why a rotation's new secret cannot be given up, or nothing."""
    if case.record.revoke:
        return "groups wait for the successor of a revoked secret: resume it"
    if not (sees_vault(case.estate) and sees_consumers(case.estate) and sees_secrets_of(case.estate, case.principal)):
        return "not everything could be read"
    if case.traits.overlap is Overlap.SINGLE and not case.live & set(case.record.old):
        return "the old secret has ended, and its groups wait for the new one: resume it"
    if case.on_new:
        number = len(case.on_new)
        return f"{_names(case.on_new)} {'stores' if number == 1 else 'store'} the new secret: roll back first"
    if case.used or case.record.phase is Phase.SOAKING:
        return "the vault gives the new secret out: roll back first"
    return ""


def _choice(verb: Verb, principal: Principal, effect: str, refused: str, restarts: int = 0) -> Choice:
    command = f"rotator {verb.value} '{principal.id}'"
    return Choice(verb=verb, command=command, effect=effect, refused=refused, restarts=restarts)


def _one_of(handles: tuple[str, ...]) -> str:
    return handles[0] if handles else "the old secret"


def _names(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
