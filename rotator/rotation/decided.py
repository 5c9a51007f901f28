"""Carrying out what a person has decided: the intent first, then what was cut off, then the rest from a fresh reading.

The order is what makes each verb safe to give twice and to kill in the middle: once its intent stands in the vault, every later
run, and the same verb again, finds it there.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from rotator.model.credential import Credential, Principal
from rotator.model.errors import Held
from rotator.model.rotation import Plan, PlanItem, RotationOutcome, Situation, Verb
from rotator.model.secret import Secret
from rotator.rotation import abandon, imports, revoke, rollback
from rotator.rotation.context import Context
from rotator.rotation.naming import marker_of
from rotator.rotation.revocation import Revocation
from rotator.rotation.workflow import finish_off


class Carrier(Protocol):
    """The journal, as far as it is needed here."""

    def carried_on(self) -> tuple[RotationOutcome, ...]:
        """Finish what an earlier process left."""
        ...

    def rotate(self, items: Sequence[PlanItem], run: str) -> tuple[RotationOutcome, ...]:
        """Carry items out."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What every decision is carried out with. `replan` reads everything anew and plans for the one principal.

    `here` gathers the outcomes that no journal remembers.
    """

    journal: Carrier
    context: Context
    replan: Callable[[], Plan]
    here: list[RotationOutcome] = field(default_factory=list)

    def noted(self, *outcomes: RotationOutcome) -> tuple[RotationOutcome, ...]:
        """Return outcomes that came about here."""
        self.here.extend(outcomes)
        return outcomes

    def rest(self, plan: Plan, rotation: str) -> tuple[RotationOutcome, ...]:
        """Carry on what the plan says of one rotation, and of no other: a decision must not begin another one."""
        context = self.context
        items = [item for item in plan.items if item.rotation == rotation]
        run = f"{context.clock.now():%Y%m%dT%H%M%S%fZ}"
        done = self.journal.rotate([item for item in items if not item.held], run)
        held = tuple(RotationOutcome.held(context.clock.now(), item) for item in items if item.held)
        return (*done, *self.noted(*held))


def decide(work: Work, verb: Verb, situation: Situation, images: Sequence[str]) -> tuple[tuple[RotationOutcome, ...], Plan]:
    """Carry out a decision; returns the outcomes and the fresh plan that they came from.

    Raises Held, and changes nothing, when the decision is impossible: what the estate alone could tell is in
    `situation.choice(verb).refused`, which is looked at once more after what was cut off has been finished.
    """
    rotation = situation.rotation
    if verb is Verb.ROLL_BACK:
        rotation = rollback.begin(work.context, situation, images).rotation
    elif verb is Verb.ABANDON:
        abandon.stop(work.context, situation)
    resumed = work.journal.carried_on()
    plan = work.replan()
    if verb is Verb.ABANDON:
        return (*resumed, *work.noted(*_given_up(work.context, plan, situation))), plan
    return (*resumed, *work.rest(plan, rotation)), plan


def revoked(
    work: Work, revocation: Revocation, again: Callable[[], Revocation | None]
) -> tuple[tuple[RotationOutcome, ...], Plan]:
    """End secrets now and put a successor into every group; returns the outcomes and the fresh plan that they came from.

    `again` says anew what is left to revoke: what an earlier process left can have gone on underneath.
    """
    context = work.context
    noted = revoke.begin(context, revocation)
    resumed = work.journal.carried_on()
    fresh = again() if resumed else None
    if fresh is not None:
        noted = revoke.begin(context, fresh)
    plan = work.replan()
    if noted is None:
        name = marker_of(revocation.principal, ("revoked", *revocation.handles))
        detail = f"revoked {' '.join(revocation.handles)}, which the vault does not give out"
        return (*resumed, *work.noted(_done(context, name, revocation.principal, detail))), plan
    ended = tuple(finish_off(context, one) for one in plan.retirements if one.revoked and one.rotation == noted.rotation)
    return (*resumed, *work.noted(*ended), *work.rest(plan, noted.rotation)), plan


def brought(
    work: Work, principal: Principal, credential: Credential, secret: Secret, *, stage_only: bool
) -> tuple[tuple[RotationOutcome, ...], Plan]:
    """Keep a secret that a person brought and that was tried, and carry its rotation on; returns the outcomes and the plan.

    Once it is staged, every later run finds it. Raises Held, and keeps nothing, when another rotation stands in the way.
    """
    resumed = work.journal.carried_on()
    plan = work.replan()
    item = imports.item_for(plan, principal)
    record = imports.kept(work.context, item, credential, secret)
    if record is None:
        detail = f"this secret is the one that {item.secret_name} holds already"
        return (*resumed, *work.noted(_done(work.context, item.rotation, principal, detail))), plan
    if stage_only:
        detail = f"{record.staged_name} holds {record.handle}; the next run goes on with it"
        return (*resumed, *work.noted(_done(work.context, record.rotation, principal, detail))), plan
    plan = work.replan()
    return (*resumed, *work.rest(plan, record.rotation)), plan


def _given_up(context: Context, plan: Plan, before: Situation) -> tuple[RotationOutcome, ...]:
    situation = next((one for one in plan.situations if one.rotation == before.rotation), None)
    if situation is None:
        return (_done(context, before.rotation, before.principal, "it is over already"),)
    refused = situation.choice(Verb.ABANDON).refused
    if refused:
        raise Held(f"{situation.principal.id}: {refused}", advice="rotator status shows where it stands.")
    retirement = next((one for one in plan.retirements if one.rotation == before.rotation), None)
    if retirement is not None:
        return (finish_off(context, replace(retirement, decided=True)),)
    detail = abandon.abandon(context, situation)
    return (_done(context, before.rotation, before.principal, detail),)


def _done(context: Context, rotation: str, principal: Principal, detail: str) -> RotationOutcome:
    return RotationOutcome.at(context.clock.now(), rotation, principal, detail=detail)
