"""Runs of the rotation against a cloud in memory, night after night, as the application does them."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest

from rotator.model.credential import Overlap, PrincipalKind
from rotator.model.errors import RotatorError
from rotator.model.estate import StoredSecret
from rotator.model.rotation import Phase, Plan, PlanItem, RotationOutcome
from rotator.ports import Clock, Json, Steps
from rotator.rotation.context import Context
from rotator.rotation.finish import end_orphan
from rotator.rotation.plan import make_plan
from rotator.rotation.record import read_record
from rotator.rotation.rules import Rules
from rotator.rotation.steps import MemorySteps
from rotator.rotation.workflow import carry_out, finish_off
from tests.memorycloud import AWS, PRINCIPALS, SECRETS, TRAITS, VAULT, Crash, Fault, Issued, MemoryCloud
from tests.memoryports import context_of, estate_of, hold_in_vault

RULES = Rules(
    max_parallel=1,
    verify_pulls=2,
    soak=timedelta(hours=24),
    renew_before={PrincipalKind.ECR: timedelta(hours=6)},
    outage_windows={"*": "0 * * * * for 1h"},
    secret_names={principal.id: name for principal, name in SECRETS.items()},
)
NIGHT = timedelta(hours=24, minutes=1)
NEW = timedelta(days=60)  # after so long the credential that a rotation made is due itself


@dataclass
class Journal:
    """What a durable engine keeps of work that was cut off: the item as it was planned, and the steps that had ended."""

    pending: list[tuple[PlanItem, dict[str, Json]]] = field(default_factory=list)

    def begin(self, item: PlanItem) -> dict[str, Json]:
        """Write down that work begins; returns where its steps are kept."""
        self.pending.append((item, {}))
        return self.pending[-1][1]

    def end(self) -> None:
        """Write down that the work that was begun first is over."""
        self.pending.pop(0)


@dataclass(frozen=True)
class Skewed:
    """A machine's clock that differs from the clouds'."""

    clouds: Clock
    skew: timedelta

    def now(self) -> datetime:
        return self.clouds.now() + self.skew

    def sleep(self, duration: timedelta) -> None:
        self.clouds.sleep(duration)


@dataclass(frozen=True)
class Machine:
    """The process that works: how it carries an item out, what it reaches the world through, how wrong its clock is.

    A test that breaks the product on purpose replaces one of them.
    """

    carry: Callable[[Steps, Context, PlanItem], RotationOutcome] = carry_out
    change: Callable[[Context], Context] = lambda context: context
    skew: timedelta = timedelta(0)

    def reaches(self, cloud: MemoryCloud, rules: Rules, writer: str) -> Context:
        context = self.change(context_of(cloud, rules, writer))
        return replace(context, clock=Skewed(context.clock, self.skew)) if self.skew else context


def expiring_cloud(overlap: Overlap = Overlap.TWO_SLOTS, groups: int = 5) -> MemoryCloud:
    """A principal whose secret is due, in the vault and in some groups."""
    cloud = MemoryCloud(overlap=overlap)
    old = plant_due(cloud, overlap)
    for number in range(groups):
        cloud.add_group(f"web-{number}", old)
    hold_in_vault(cloud, old)
    return cloud


def plant_due(cloud: MemoryCloud, overlap: Overlap) -> Issued:
    if overlap is Overlap.LEASES:
        return cloud.plant(age=timedelta(hours=7), ttl=timedelta(hours=12), principal=AWS)
    return cloud.plant("password1", age=timedelta(days=80), ttl=timedelta(days=90), principal=PRINCIPALS[overlap])


def plan_of(cloud: MemoryCloud, *unread: str, force: bool = False, rules: Rules = RULES) -> Plan:
    """Plan from a fresh reading in which `unread` could not be read."""
    return make_plan(estate_of(cloud, *unread), TRAITS, rules, cloud.clock.now(), force=force, vault=VAULT)


def run(
    cloud: MemoryCloud,
    journal: Journal | None = None,
    *,
    force: bool = False,
    plan: Plan | None = None,
    rules: Rules = RULES,
    writer: str = "here",
    machine: Machine = Machine(),
) -> list[RotationOutcome]:
    """One run: what was cut off goes on, what waits for its end is ended, what is due is rotated."""
    context, journal = machine.reaches(cloud, rules, writer), journal or Journal()
    plan = plan or make_plan(estate_of(cloud), TRAITS, rules, context.clock.now(), force=force, vault=VAULT)
    outcomes, resumed = [], set()
    while journal.pending:
        item, steps = journal.pending[0]
        outcomes.append(machine.carry(MemorySteps(steps), context, item))
        resumed.add(item.principal)
        journal.end()
    for handle in plan.orphans:
        try:
            end_orphan(context, handle)
        except RotatorError:
            continue
    now = context.clock.now()
    due = [one for one in plan.retirements if one.due(now) and one.principal not in resumed]
    outcomes += [finish_off(context, one) for one in due]
    for item in plan.items:
        if not item.held and item.principal not in resumed:
            outcomes.append(machine.carry(MemorySteps(journal.begin(item)), context, item))
            journal.end()
    return outcomes


def nights(
    cloud: MemoryCloud,
    *,
    keeps_journal: bool,
    count: int = 7,
    step: timedelta = NIGHT,
    evening: Callable[[int], None] = lambda _: None,
    rules: Rules = RULES,
) -> int:
    """Run again and again; returns how often the process died. A person takes up what is held the night after."""
    journal, died = Journal(), 0
    for number in range(count):
        evening(number)
        cloud.watch("waiting")
        try:
            held = any(item.held for item in plan_of(cloud, rules=rules).items)
            run(cloud, journal, force=held, rules=rules)
        except Crash:
            died += 1
            if not keeps_journal:
                journal = Journal()
            continue
        cloud.clock.sleep(step)
    cloud.watch("the last night")
    return died


def assert_good_end(cloud: MemoryCloud, overlaps: Sequence[Overlap] = (), *, in_time: bool = True) -> None:
    """Nobody was out; one secret of each principal lives, the vault's current one; every group uses it; nothing is open.

    `in_time` may be False where so many runs fail that a lease runs out between them.
    """
    assert cloud.outages == []
    assert cloud.ran_out == [] or not in_time
    for overlap in overlaps or (cloud.overlap,):
        principal = PRINCIPALS[overlap]
        newest = cloud.vault[SECRETS[principal]][-1]
        assert newest.secret.enabled
        assert cloud.accepts(principal, newest.value), "the vault's current version works"
        if overlap is not Overlap.LEASES:
            assert [one.value for one in cloud.live(principal)] == [newest.value], "one secret lives, the vault's"
        for group in cloud.groups.values():
            for binding in group.bindings:
                if binding.principal == principal:
                    assert cloud.stored(binding) == newest.value, f"{group.name} uses it"
        staged = cloud.vault[f"{SECRETS[principal]}--staged"][-1].secret
        record = read_record(staged)
        assert record is not None
        assert record.phase is Phase.DONE
        assert not staged.enabled


def edit_tags(cloud: MemoryCloud, name: str, change: Callable[[dict[str, str]], dict[str, str]]) -> StoredSecret:
    """Somebody changes the tags of a secret's newest version by hand."""
    newest = cloud.vault[name][-1]
    newest.secret = replace(newest.secret, tags=change(dict(newest.secret.tags)))
    return newest.secret


def die_after(cloud: MemoryCloud, effect: str) -> Journal:
    """Run until the effect of that name, or the first whose name begins so, and die; returns the journal of the dead process."""
    trial = rehearsed(cloud)
    number = trial.index(effect) if effect in trial else [name.startswith(effect) for name in trial].index(True)
    cloud.faults = {cloud.effects + number + 1: Fault.CRASH_AFTER}
    journal = Journal()
    with pytest.raises(Crash):
        run(cloud, journal)
    return journal


def rehearsed(cloud: MemoryCloud) -> list[str]:
    """Name the effects of a run, in order, without doing it."""
    copy, names = deepcopy(cloud), list[str]()
    effect = copy.effect

    def named(what: str) -> object:
        names.append(what)
        return effect(what)

    copy.effect = named  # type: ignore[method-assign,assignment]
    run(copy)
    return names
