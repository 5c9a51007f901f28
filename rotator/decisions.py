"""The use cases of what a person decides about one credential: resume, roll back, give up, revoke, or bring a new secret."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from datetime import datetime

from rotator.model.credential import Credential, Principal, Traits
from rotator.model.errors import RemoteError
from rotator.model.estate import Estate
from rotator.model.rotation import Plan, PlanItem, RotationOutcome, Situation, Verb
from rotator.model.secret import Secret
from rotator.ports import Observer
from rotator.rotation import imports
from rotator.rotation.context import Context
from rotator.rotation.decided import Work, brought, decide, revoked
from rotator.rotation.decisions import images_of
from rotator.rotation.durable import Journal
from rotator.rotation.plan import records_of
from rotator.rotation.revocation import Revocation, revocation_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Decisions:
    """Looks at, and carries out, what a person wants of one credential.

    `read` reads the clouds anew; `planned` plans one principal's rotation whether it is due or not. `at_work` owns the journal
    while something is changed; `remember` takes what was carried out here, what came of everything, and the plan behind it.
    """

    context: Context
    read: Callable[[], Estate]
    planned: Callable[[Estate, Principal], Plan]
    at_work: Callable[[str, Observer | None], AbstractContextManager[Journal]]
    remember: Callable[[Sequence[RotationOutcome], Sequence[RotationOutcome], Plan], None]

    def situations(self, plan: Plan) -> tuple[Situation, ...]:
        """Return where every rotation that is not over stands, and what is possible as far as the vault's versions tell."""
        return tuple(self._looked_up(one) for one in plan.situations)

    def decide(
        self, verb: Verb, situation: Situation, estate: Estate, progress: Observer | None = None
    ) -> tuple[RotationOutcome, ...]:
        """Carry out what a person decided about one rotation. Raises Held, and changes nothing, when it is impossible."""
        images = images_of(estate, situation.principal)
        return self._worked(situation.principal, lambda work: decide(work, verb, situation, images), progress)

    def revocation(
        self, estate: Estate, principal: Principal, handles: Sequence[str] = (), *, everything: bool = False
    ) -> Revocation | None:
        """Say what a revocation would do; None when there is nothing to end. Raises Held when it is impossible."""
        return revocation_of(
            estate,
            principal,
            records_of(estate).get(principal),
            self.traits_of(principal),
            self.context.rules,
            self.context.clock.now(),
            handles=handles,
            everything=everything,
            vault=self.context.vault.address,
        )

    def revoke(self, revocation: Revocation, progress: Observer | None = None) -> tuple[RotationOutcome, ...]:
        """End secrets now, then put their successor into every group. Raises what kept the secrets from being ended."""

        def again() -> Revocation | None:
            estate = self.read()
            known = estate.records.get(revocation.principal)
            live = {one.handle.id for one in known.credentials or ()} if known else set()
            left = [one for one in revocation.handles if one in live]
            return self.revocation(estate, revocation.principal, left) if left else None

        return self._worked(revocation.principal, lambda work: revoked(work, revocation, again), progress)

    def importing(self, estate: Estate, principal: Principal) -> Plan:
        """Return a plan of one item: what a secret that a person brings would be used for. Raises Held when it could not be."""
        imports.refuse_own(principal, self.traits_of(principal))
        plan = self.planned(estate, principal)
        return replace(plan, items=(imports.item_for(plan, principal),), retirements=(), orphans=(), situations=())

    def tried(self, item: PlanItem, secret: Secret, expires_at: datetime | None) -> Credential:
        """Try a secret that a person brings, and keep nothing. Raises VerificationFailed with the reason."""
        return imports.tried(self.context, item, secret, expires_at)

    def bring(
        self,
        item: PlanItem,
        credential: Credential,
        secret: Secret,
        progress: Observer | None = None,
        *,
        stage_only: bool = False,
    ) -> tuple[RotationOutcome, ...]:
        """Keep a secret that was tried, and move the groups to it, now or (`stage_only`) at the next run."""
        who = item.principal
        return self._worked(who, lambda work: brought(work, who, credential, secret, stage_only=stage_only), progress)

    def traits_of(self, principal: Principal) -> Traits:
        """Return the fact sheet of a principal's kind; Held when this version has none."""
        return self.context.driver(principal).traits

    def _looked_up(self, situation: Situation) -> Situation:
        choice = situation.choice(Verb.ROLL_BACK)
        with suppress(RemoteError):
            if not choice.refused and not self.context.version_of(situation.secret_name, situation.old):
                why = f"the vault never held the old secret, {' '.join(situation.old)}"
                choices = tuple(replace(one, refused=why) if one == choice else one for one in situation.choices)
                return replace(situation, choices=choices)
        return situation

    def _worked(
        self,
        principal: Principal,
        act: Callable[[Work], tuple[tuple[RotationOutcome, ...], Plan]],
        progress: Observer | None,
    ) -> tuple[RotationOutcome, ...]:
        with self.at_work(f"a person decides about {principal.id}", progress) as journal:
            work = Work(journal=journal, context=self.context, replan=lambda: self.planned(self.read(), principal))
            outcomes, plan = act(work)
        self.remember(work.here, outcomes, plan)
        return outcomes
