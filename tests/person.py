"""A person who decides about rotations in the cloud in memory, as the application lets them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from rotator.model.credential import Principal
from rotator.model.rotation import Plan, PlanItem, RotationOutcome, Situation, Verb
from rotator.rotation.context import Context
from rotator.rotation.decided import Work, decide, revoked
from rotator.rotation.decisions import images_of
from rotator.rotation.plan import make_plan, records_of
from rotator.rotation.revocation import Revocation, revocation_of
from rotator.rotation.rules import Rules
from rotator.rotation.steps import MemorySteps
from rotator.rotation.workflow import carry_out
from tests.memorycloud import TRAITS, VAULT, MemoryCloud
from tests.memoryports import context_of, estate_of
from tests.nights import RULES, Journal


@dataclass
class Person:
    """Gives verbs. `journal` is what a durable engine keeps of work that was cut off."""

    cloud: MemoryCloud
    journal: Journal = field(default_factory=Journal)
    rules: Rules = RULES

    def situation(self) -> Situation | None:
        """Look where the principal's rotation stands."""
        plan = make_plan(estate_of(self.cloud), TRAITS, self.rules, self.cloud.clock.now(), vault=VAULT)
        return next((one for one in plan.situations if one.principal == self.cloud.principal), None)

    def give(self, verb: Verb) -> tuple[RotationOutcome, ...]:
        """Give a verb, unless it is refused or nothing is under way."""
        situation = self.situation()
        if situation is None or situation.choice(verb).refused:
            return ()
        images = images_of(estate_of(self.cloud), situation.principal)
        return decide(self._work(situation.principal), verb, situation, images)[0]

    def revocation(self, handles: Sequence[str] = (), *, everything: bool = False) -> Revocation | None:
        """Ask what a revocation would do."""
        estate = estate_of(self.cloud)
        principal = self.cloud.principal
        return revocation_of(
            estate,
            principal,
            records_of(estate).get(principal),
            TRAITS[principal.kind],
            self.rules,
            self.cloud.clock.now(),
            handles=handles,
            everything=everything,
            vault=VAULT,
        )

    def revoke(self, handles: Sequence[str] = (), *, everything: bool = False) -> tuple[RotationOutcome, ...]:
        """Revoke, if there is anything to revoke."""
        found = self.revocation(handles, everything=everything)
        if found is None:
            return ()
        self.cloud.leaked |= {one.value for one in self.cloud.issued if one.handle.id in found.handles}
        return revoked(self._work(found.principal), found, lambda: self._again(found))[0]

    def _again(self, before: Revocation) -> Revocation | None:
        live = {one.handle.id for one in self.cloud.live(before.principal)}
        left = [one for one in before.handles if one in live]
        return self.revocation(left) if left else None

    def _work(self, principal: Principal) -> Work:
        context = context_of(self.cloud, self.rules)

        def replan() -> Plan:
            now = self.cloud.clock.now()
            return make_plan(estate_of(self.cloud), TRAITS, self.rules, now, vault=VAULT, only=[principal.id], force=True)

        return Work(journal=_Carrier(self.journal, context), context=context, replan=replan)


class _Carrier:
    def __init__(self, journal: Journal, context: Context) -> None:
        self._journal, self._context = journal, context

    def carried_on(self) -> tuple[RotationOutcome, ...]:
        outcomes = []
        while self._journal.pending:
            item, steps = self._journal.pending[0]
            outcomes.append(carry_out(MemorySteps(steps), self._context, item))
            self._journal.pending.pop(0)
        return tuple(outcomes)

    def rotate(self, items: Sequence[PlanItem], run: str) -> tuple[RotationOutcome, ...]:
        del run
        outcomes = []
        for item in items:
            self._journal.pending.append((item, {}))
            outcomes.append(carry_out(MemorySteps(self._journal.pending[-1][1]), self._context, item))
            self._journal.pending.pop()
        return tuple(outcomes)
