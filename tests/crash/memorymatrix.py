"""A whole rotation in the cloud in memory, cut at any of its boundaries: thousands of schedules in the time of one real process.

A boundary lies before and after each effect, and before and after each row of the journal. They are counted through the nights,
over all processes, so that a set of numbers is a schedule.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from random import Random

import pytest

from rotator.model.credential import Overlap, PrincipalKind
from rotator.model.group import GroupState
from rotator.model.rotation import Phase, PlanItem
from rotator.ports import Json
from rotator.rotation.record import read_record
from rotator.rotation.rules import Rules
from tests import nights
from tests.crash.kinds import traits_of
from tests.crash.stage import Journal as Then
from tests.memorycloud import PRINCIPALS, SECRETS, START, Crash, MemoryCloud
from tests.memoryports import hold_in_vault
from tests.nights import RULES, Machine, plant_due

INVARIANTS = 13
_SOON = timedelta(hours=1)
# The lease that is due ends five hours after the beginning, and the owner starts the stopped group with it.
_LEASE_NIGHT = timedelta(minutes=30)


def overlap_of(kind: PrincipalKind) -> Overlap:
    """Return how a kind's secrets overlap; the test fails when the cloud in memory does not know that."""
    overlap = traits_of(kind).overlap
    if overlap not in PRINCIPALS:
        pytest.fail(
            f"{kind.value} has a driver whose secrets overlap as {overlap.value!r}, which the cloud in memory does not know: "
            "nothing shows that its rotation survives a crash. Teach it to tests/memorycloud.py (PRINCIPALS, TRAITS) and to "
            "tests/memoryports.py.",
            pytrace=False,
        )
    return overlap


@dataclass
class Ticks:
    """Counts the boundaries that were passed, and ends the process at some of them."""

    deaths: frozenset[int] = frozenset()
    names: list[str] = field(default_factory=list)

    def tick(self, name: str) -> None:
        self.names.append(name)
        if len(self.names) in self.deaths:
            raise Crash(name)


@dataclass
class TickingCloud(MemoryCloud):
    """The cloud in memory; each effect has a boundary on either side."""

    ticks: Ticks = field(default_factory=Ticks)

    @contextmanager
    def effect(self, what: str) -> Iterator[None]:
        self.ticks.tick(f"before {what}")
        with MemoryCloud.effect(self, what):
            yield
        self.ticks.tick(f"after {what}")


class Rows(dict[str, Json]):
    """The steps of one rotation; each row has a boundary on either side."""

    def __init__(self, journal: "TickingJournal", rows: dict[str, Json]) -> None:
        super().__init__(rows)
        self._journal = journal

    def __setitem__(self, name: str, result: Json) -> None:
        with self._journal.write(f"row {name}"):
            self._journal.texts.append(repr(result))
            super().__setitem__(name, result)


@dataclass
class TickingJournal(nights.Journal):
    """The journal, its older states, and every text that was ever in it."""

    ticks: Ticks = field(default_factory=Ticks)
    older: list[list[tuple[PlanItem, dict[str, Json]]]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    @contextmanager
    def write(self, what: str) -> Iterator[None]:
        self.ticks.tick(f"before {what}")
        self.older.append([(item, dict(rows)) for item, rows in self.pending])
        yield
        self.ticks.tick(f"after {what}")

    def begin(self, item: PlanItem) -> dict[str, Json]:
        with self.write("row of the beginning"):
            self.texts.append(repr(item))
            self.pending.append((item, Rows(self, {})))
        return self.pending[-1][1]

    def end(self) -> None:
        with self.write("row of the end"):
            self.pending.pop(0)

    def put_back(self, number: int) -> None:
        """Become what it was before its `number`-th write (0: empty)."""
        kept = self.older[number - 1] if number else []
        self.pending = [(item, Rows(self, dict(rows))) for item, rows in kept]


@dataclass(frozen=True, slots=True, kw_only=True)
class Play:
    """One schedule: the boundaries at which a process dies, and what happens to the journal then.

    `back` says how many writes older the journal is that is put back.
    """

    overlap: Overlap
    deaths: frozenset[int] = frozenset()
    then: Then = Then.KEPT
    back: int = 1

    def __str__(self) -> str:
        at = ", ".join(str(one) for one in sorted(self.deaths))
        return f"{self.overlap.value}: dies at {at or 'no boundary'}, journal {self.then.value} (back {self.back})"


@dataclass
class Played:
    """What came of a schedule."""

    cloud: TickingCloud
    journal: TickingJournal
    outcomes: list[str]
    died: int
    out_after_a_run: list[str] = field(default_factory=list)

    @property
    def boundaries(self) -> list[str]:
        return self.cloud.ticks.names


def whole_cloud(overlap: Overlap, ticks: Ticks) -> TickingCloud:
    """Two groups that store the due secret, one that reads it from the vault, and a stopped one."""
    cloud = TickingCloud(overlap=overlap, ticks=ticks)
    due = plant_due(cloud, overlap)
    for name in ("api", "web"):
        cloud.add_group(name, due)
    cloud.add_group("reader", due, reads=SECRETS[PRINCIPALS[overlap]])
    cloud.add_group("batch", due, state=GroupState.STOPPED)
    hold_in_vault(cloud, due)
    return cloud


def start_batch(cloud: MemoryCloud) -> None:
    key, group = next((key, one) for key, one in cloud.groups.items() if one.name == "batch")
    cloud.groups[key] = replace(group, state=GroupState.RUNNING)


def play(schedule: Play, machine: Machine = Machine()) -> Played:  # noqa: B008 - a value that never changes
    """Play the nights: the rotation, a group that is started meanwhile, the end of the old secret."""
    ticks = Ticks(schedule.deaths)
    cloud, journal = whole_cloud(schedule.overlap, ticks), TickingJournal(ticks=ticks)
    leases = schedule.overlap is Overlap.LEASES
    played = Played(cloud, journal, [], 0)
    night = 0
    # Work that is taken up from an older journal may cost a night: the plan of that night leaves its principal alone.
    while night < (3 if leases else 5) + played.died:
        if night == 1:
            start_batch(cloud)
        _night(played, schedule, machine)
        cloud.clock.sleep(_LEASE_NIGHT if leases else nights.NIGHT)
        cloud.watch("the night")
        night += 1
    return played


def _night(played: Played, schedule: Play, machine: Machine) -> None:
    """One run, begun again by a new process whenever one dies."""
    while True:
        try:
            played.outcomes += [repr(one) for one in nights.run(played.cloud, played.journal, rules=RULES, machine=machine)]
        except Crash:
            played.died += 1
            if schedule.then is Then.LOST:
                played.journal.put_back(0)
            elif schedule.then is Then.OLDER:
                played.journal.put_back(max(0, len(played.journal.older) - schedule.back))
            elif schedule.then is Then.CLOCK_BACK:
                machine = replace(machine, skew=-timedelta(minutes=4))
            continue
        # Work that is taken up from an older journal may cost a run, here as for every kind.
        if schedule.then is not Then.OLDER and (
            out := [
                one.name
                for one in played.cloud.groups.values()
                if one.state is GroupState.RUNNING and played.cloud.cannot_pull(one)
            ]
        ):
            played.out_after_a_run.append(f"{', '.join(out)} could not pull when a run was over")
        return


def violations(played: Played, rules: Rules = RULES) -> list[str]:
    """Return a sentence for each promise that was broken."""
    cloud, tries = played.cloud, 1 + played.died
    found = [f"{name}: {listed}" for name in ("outages", "ran_out", "dead_current") if (listed := getattr(cloud, name))]
    made = [one for one in cloud.issued if one.made_at >= START]
    if len(made) > tries:
        found.append(f"{len(made)} secrets were made, {tries} at most were needed")
    moves = Counter((*cloud.redeploys, *cloud.restarts))
    found += [f"{name} was moved {count} times for one rotation" for name, count in moves.items() if count > tries]
    found += _ended_badly(played, rules)
    found += _unrest(cloud)
    found += played.out_after_a_run
    texts = "".join((*played.journal.texts, *played.outcomes, repr(cloud.events), _tags(cloud)))
    found += [f"the value of {one.handle.id} was written down" for one in cloud.issued if one.value in texts]
    return found


def _ended_badly(played: Played, rules: Rules) -> Iterator[str]:
    cloud = played.cloud
    for one in cloud.issued:
        ended, used = cloud.ended_at.get(one.value), cloud.last_used.get(one.value)
        if ended is None or used is None or one.value in cloud.replaced:
            continue
        if ended - used < rules.soak - timedelta(minutes=5):
            yield f"{one.handle.id} was ended {ended - used} after its last use"
        if ended - used > rules.soak + nights.NIGHT * (1 + played.died) + _SOON:
            yield f"{one.handle.id} was ended {ended - used} after its last use, which is late"


def _unrest(cloud: MemoryCloud) -> Iterator[str]:
    newest = cloud.vault[cloud.secret_name][-1]
    if not newest.secret.enabled or not cloud.accepts(cloud.principal, newest.value):
        yield "the vault's current version does not work"
    if cloud.overlap is not Overlap.LEASES and [one.value for one in cloud.live()] != [newest.value]:
        yield f"live are {[one.handle.id for one in cloud.live()]}, not the vault's current one alone"
    for group in cloud.groups.values():
        if any(cloud.stored(binding) != newest.value for binding in group.bindings):
            yield f"{group.name} does not present the vault's current version"
    staged = cloud.vault.get(f"{cloud.secret_name}--staged")
    record = read_record(staged[-1].secret) if staged else None
    if staged is None or record is None or record.phase is not Phase.DONE or staged[-1].secret.enabled:
        yield "the record does not say that the rotation is over"


def _tags(cloud: MemoryCloud) -> str:
    vault = [one.secret.tags for versions in cloud.vault.values() for one in versions]
    return repr((vault, [group.tags for group in cloud.groups.values()]))


def chances(seed: int, overlap: Overlap, boundaries: int) -> Play:
    """Draw a schedule of up to four deaths."""
    chance = Random(f"{seed} {overlap}")  # noqa: S311 - a schedule that can be repeated
    deaths = frozenset(chance.randint(1, boundaries + 20) for _ in range(chance.randint(1, 4)))
    return Play(overlap=overlap, deaths=deaths, then=chance.choice(list(Then)), back=chance.randint(0, 9))
