"""What one principal needs: nothing, a new rotation, an open one carried on, or a person. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from rotator.model.credential import Origin, Overlap, Principal, PrincipalKind, Traits, is_brought
from rotator.model.errors import Held
from rotator.model.estate import TAG_HANDLE, TAG_ROTATION, Estate, PrincipalRecord, StoredSecret
from rotator.model.rotation import Action, HeldCause, Phase, PlanItem, Reason
from rotator.rotation.consumers import Target, consumer_of
from rotator.rotation.due import current_credential, due_at, reasons_of
from rotator.rotation.naming import by_hand, mark_of, marker_of, name_of, rotation_of
from rotator.rotation.obstacles import obstacle
from rotator.rotation.outages import Outages
from rotator.rotation.record import RotationRecord, read_promoted
from rotator.rotation.retirements import any_live, waiting_for
from rotator.rotation.rules import Rules
from rotator.rotation.sight import sees_consumers, sees_secrets_of
from rotator.rotation.slots import free_slot
from rotator.rotation.waves import waves_of

# Phases after which a rotation is not finished and must be carried on, whether or not the credential is due again.
OPEN = frozenset({Phase.INTENT, Phase.STAGED, Phase.VERIFIED, Phase.PROMOTED, Phase.CUTOVER, Phase.HELD})
_BY_TIME = {Reason.EXPIRED, Reason.EXPIRING, Reason.TOO_OLD}


@dataclass(frozen=True, slots=True, kw_only=True)
class Planner:
    """Makes items from one reading of the estate. `names` are the vault's names, in lower case, with what they hold."""

    estate: Estate
    traits: Mapping[PrincipalKind, Traits]
    rules: Rules
    now: datetime
    vault: str
    names: Mapping[str, StoredSecret]
    force: bool
    allow_outage: bool = False

    def item(self, principal: Principal, record: RotationRecord | None) -> PlanItem | None:
        """Return the principal's item, or None when it needs nothing."""
        return _One(self, principal, record).item()

    def seen(self, principal: Principal) -> bool:
        """Whether the service could be asked about the principal's secrets, where it has to be."""
        return not self.traits[principal.kind].listed or sees_secrets_of(self.estate, principal)

    def target(self, record: RotationRecord) -> Target:
        """Return what the groups of a rotation are moved to."""
        mark = record.mark if record.handle else ""
        return Target(
            principal=record.principal,
            mark=mark,
            secret_name=record.secret_name,
            vault=self.vault,
            known_as=record.known_as,
        )


class _One:
    """One principal's case; a class only to spare every function the same arguments."""

    def __init__(self, plan: Planner, principal: Principal, record: RotationRecord | None) -> None:
        self._plan, self._rules, self._now, self._estate = plan, plan.rules, plan.now, plan.estate
        self._traits = plan.traits[principal.kind]
        self._known: PrincipalRecord | None = plan.estate.records.get(principal)
        self._principal = self._known.principal if self._known else principal
        self._stored: StoredSecret | None = plan.estate.secrets_of.get(principal.id)
        self._record = record or self._forgotten()
        in_use = self._stored.tags.get(TAG_HANDLE, "") if self._stored else ""
        if is_brought(in_use) or (self._record is not None and self._record.phase in OPEN and is_brought(self._record.handle)):
            # Whatever the service lists, it cannot tell which of them a person brought.
            self._traits = replace(self._traits, listed=False)
        self._current = current_credential(self._principal, self._known, self._stored, self._traits, self._rules, self._now)

    def item(self) -> PlanItem | None:
        item = self._needed()
        if item is None or self._traits.overlap is not Overlap.SINGLE:
            return item
        plan = self._plan
        outages = Outages(traits=self._traits, rules=plan.rules, now=plan.now, allowed=plan.allow_outage)
        return outages.decide(item, self._record, self._known)

    def _needed(self) -> PlanItem | None:
        record = self._record
        if record is not None and record.phase in OPEN:
            return self._carried_on(record)
        reasons = self._reasons()
        if record is not None and record.phase is Phase.SOAKING and any_live(record.old, self._known, self._now):
            return self._beside_old(record, reasons)
        late = self._carried_on(record) if record is not None and record.phase is Phase.SOAKING else None
        if late is not None and not _BY_TIME & set(reasons) and (_to_do(late) or (late := _cut_off(late))):
            return late
        left_alone = self._principal.kind is PrincipalKind.ACR_ADMIN and self._principal.registry not in self._rules.admin_users
        if left_alone:
            # Whoever asks for it is told why not; every night's plan need not say again what the audit says.
            return self._anew(reasons) if self._plan.force else None
        # Whoever asks is told; of others the vault alone can tell whether they are due.
        if not reasons or (self._traits.listed and not self._plan.force and not self._plan.seen(self._principal)):
            return None
        if reasons == (Reason.OUT_OF_STEP,) and self._stored is not None:
            return self._worth_while(self._in_step(self._stored))
        return self._worth_while(self._anew(reasons))

    # --- the cases ------------------------------------------------------------------------------------------------

    def _carried_on(self, record: RotationRecord) -> PlanItem | None:
        groups = self._estate.consumers.get(self._principal, ())
        if not groups and (not sees_consumers(self._estate) or self._known is None):
            # Whose groups could not be seen cannot be verified; whose principal is gone needs nothing any more.
            return None
        why = Reason.REVOKED if record.revoke else Reason.ROLLED_BACK if record.known_as else Reason.UNFINISHED
        item = self._decided((why,), self._plan.target(record), record.rotation, record.old, record.slot)
        item = replace(item, replaces=record.replaces, revoke=record.revoke)
        if record.revoke:
            # Its groups have no working secret: nothing is gained by trying it on one of them first.
            item = replace(item, waves=tuple(filter(None, (tuple(group for wave in item.waves for group in wave),))))
        # A lease does not wait for a person: the others' run out within hours. So it goes on, behind the group that failed. Nor
        # does what follows a revocation, or the making of a secret that has ended the old one: all its groups are out.
        waits = self._traits.overlap not in {Overlap.LEASES, Overlap.SINGLE} and not record.revoke
        if record.phase is Phase.HELD and waits and not self._plan.force and not item.held:
            promoted = self._stored is not None and self._stored.tags.get(TAG_HANDLE) == record.handle
            return replace(
                item,
                held=record.held or "held by an earlier run",
                cause=HeldCause.UNHEALTHY_GROUP if promoted else HeldCause.VERIFICATION,
                advice=f"Mend the cause, then: rotator resume '{self._principal.id}'. rotator status shows what else helps.",
            )
        return item

    def _beside_old(self, record: RotationRecord, reasons: tuple[Reason, ...]) -> PlanItem | None:
        """Decide while an old secret still lives for groups that could not be moved: a third needs a place of its own."""
        due = bool(_BY_TIME & set(reasons))
        # A person who asks has a secret in hand, for which no place need be free.
        due = due or (self._plan.force and self._traits.origin is Origin.PERSON)
        if due and self._traits.overlap is Overlap.MANY:
            # The next rotation takes the old secrets over, and ends them all when nobody stores one any more.
            item = self._anew(reasons)
            return self._worth_while(replace(item, old=tuple(dict.fromkeys((*item.old, *record.old)))))
        late = self._carried_on(record)
        if late is not None and _to_do(late):
            return late
        names = ", ".join(group.name for group in waiting_for(self._estate, self._plan.target(record)))
        if not due or late is None or not names:
            # Where no group keeps the old secret alive, its soak ends by itself, and the slot is free then.
            return None
        return replace(
            late,
            reasons=reasons,
            held=f"it is due, but both passwords are in use: the old one is still stored in {names}",
            cause=HeldCause.NO_FREE_SLOT,
            advice="Start or redeploy these groups so that they can be moved, or delete them, before the new password ends too.",
        )

    def _unseen(self, item: PlanItem) -> PlanItem:
        """Hold what the service could not be asked about: it would not be told to make another one either."""
        takes = self._plan.traits[self._principal.kind].overlap is Overlap.MANY
        instead = f"; or bring one that was made by hand: rotator import '{self._principal.id}'" if takes else ""
        held = f"{self._principal.id} could not be read, so no new secret can be made"
        advice = f"See what could not be read at the top of the audit{instead}."
        return replace(item, held=held, cause=HeldCause.UNREAD, advice=advice)

    def _in_step(self, stored: StoredSecret) -> PlanItem:
        """Give groups that store another lease the one that the vault holds; nobody else restarts, and none is made."""
        mark = stored.tags.get(TAG_ROTATION, "")
        rotation = rotation_of(mark)
        if mark != mark_of(rotation, stored.tags.get(TAG_HANDLE, "")):
            return self._anew((Reason.OUT_OF_STEP,))
        target = Target(principal=self._principal, mark=mark, secret_name=stored.name, vault=self._plan.vault)
        return self._decided((Reason.OUT_OF_STEP,), target, rotation, (), "")

    def _anew(self, reasons: tuple[Reason, ...]) -> PlanItem:
        replaced = (self._current.credential.handle.id,) if self._current.credential else ()
        old = () if self._traits.overlap is Overlap.LEASES else replaced
        name = self._stored.name if self._stored else name_of(self._principal, self._rules)
        target = Target(principal=self._principal, mark="", secret_name=name, vault=self._plan.vault)
        item = self._decided(reasons, target, marker_of(self._principal, replaced), old, None)
        seen = self._plan.seen(self._principal) or (item.held and item.cause is not HeldCause.UNREAD)
        return item if seen else self._unseen(item)

    # --- what they are decided from -------------------------------------------------------------------------------

    def _forgotten(self) -> RotationRecord | None:
        """Find a rotation whose own record is gone by what the consumers' secret says, while its old secret still lives."""
        found = read_promoted(self._stored) if self._stored else None
        if found is None or not any_live(found.old, self._known, self._now):
            return None
        return found

    def _reasons(self) -> tuple[Reason, ...]:
        reasons = reasons_of(self._current, self._traits, self._rules, self._principal, self._now)
        if not reasons and self._out_of_step():
            reasons = (Reason.OUT_OF_STEP,)
        return reasons or ((Reason.REQUESTED,) if self._plan.force else ())

    def _out_of_step(self) -> bool:
        """Whether a running group stores a lease that is not shown to be the vault's.

        Leases cannot be listed, so a stored one that the vault does not know of ends without anybody having been told.
        """
        if self._traits.overlap is not Overlap.LEASES or self._stored is None:
            return False
        mark = self._stored.tags.get(TAG_ROTATION, "")
        target = Target(principal=self._principal, mark=mark, secret_name=self._stored.name, vault=self._plan.vault)
        groups = self._estate.consumers.get(self._principal, ())
        consumers = (consumer_of(group, target, self._estate, self._traits, self._rules) for group in groups)
        return any(one.action is Action.REDEPLOY for one in consumers)

    def _decided(
        self, reasons: tuple[Reason, ...], target: Target, rotation: str, old: tuple[str, ...], slot: str | None
    ) -> PlanItem:
        """Write the item down; `slot` is None where a free one must be found."""
        held, advice, cause = obstacle(
            self._estate, self._plan.names, self._principal, target.secret_name, self._traits, self._rules
        )
        if slot is None and self._traits.overlap is Overlap.TWO_SLOTS and not held and self._known is not None:
            told = self._rules.slots.get(self._principal.id, "")
            try:
                slot = free_slot(self._principal.id, self._traits, self._known.credentials or (), self._current, told, self._now)
            except Held as error:
                held, advice, cause = error.message, error.advice, HeldCause.NO_FREE_SLOT
        groups = self._estate.consumers.get(self._principal, ())
        consumers = tuple(consumer_of(group, target, self._estate, self._traits, self._rules) for group in groups)
        moving = [one.group for one in consumers if one.action in {Action.REDEPLOY, Action.RESTART}]
        return PlanItem(
            rotation=rotation,
            principal=self._principal,
            reasons=reasons,
            secret_name=target.secret_name,
            slot=slot or "",
            ttl=None if self._traits.lease_ttl else self._rules.ttl_of(self._principal.kind),
            old=old,
            consumers=consumers,
            waves=waves_of(moving, self._rules.canaries, self._rules.wave_growth),
            due_at=due_at(self._current, self._rules, self._principal),
            expires_at=self._current.credential.expires_at if self._current.credential else None,
            replaces=_in_slot(self._known, slot or ""),
            held=held,
            advice=advice,
            cause=cause,
        )

    def _worth_while(self, item: PlanItem) -> PlanItem | None:
        """Drop an item that could move no group, and hold it when a group waits for a person.

        A secret that nobody can be given would only age in the vault, and fill a slot.
        """
        stuck = [one for one in item.consumers if one.action is Action.HOLD]
        reads_vault = any(one.action is Action.LEAVE and not one.inline for one in item.consumers)
        if item.waves or item.held or reads_vault:
            return self._by_hand(item)
        if not stuck:
            return None
        return replace(
            item,
            held=f"none of its groups can be moved: {stuck[0].group.name}: {stuck[0].why}",
            cause=HeldCause.GROUPS,
            advice=f"Put what is missing into the vault: {', '.join(stuck[0].missing)}" if stuck[0].missing else stuck[0].why,
        )

    def _by_hand(self, item: PlanItem) -> PlanItem:
        """Hold what needs a new secret that nobody but a person can make."""
        if self._traits.origin is not Origin.PERSON or item.held:
            return item
        held = "a person has to make its new secret"
        return replace(item, held=held, cause=HeldCause.PERSON, advice=by_hand(self._traits, item.principal))


def _cut_off(item: PlanItem) -> PlanItem | None:
    """Hold the item for its groups that only a person can move, now that what they store has ended; None when there is none."""
    stuck = [one for one in item.consumers if one.action is Action.HOLD]
    if not stuck:
        return None
    names = ", ".join(one.group.name for one in stuck)
    held = f"the old secret has ended, and nothing shows that {names} left it: {stuck[0].why}"
    advice = f"Put what is missing into the vault: {', '.join(stuck[0].missing)}" if stuck[0].missing else ""
    return replace(item, held=held, cause=HeldCause.GROUPS, advice=advice)


def _to_do(item: PlanItem) -> bool:
    """Whether a group can be moved now, or told what it stores."""
    return bool(item.waves or item.marked)


def _in_slot(known: PrincipalRecord | None, slot: str) -> str:
    listed = known.credentials or () if known and slot else ()
    return next((one.handle.id for one in listed if one.handle.slot == slot), "")
