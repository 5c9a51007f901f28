"""Schedules of the real program: named, so that any one can be run again, and played in the sandbox to their end."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rotator.model.credential import Origin, PrincipalKind
from tests.crash.invariants import INVARIANTS, violations
from tests.crash.kinds import traits_of
from tests.crash.stage import IMPORT, RUN, Journal, Stage, Turn
from tests.crash.tally import Tally
from tests.crash.traps import JOURNAL, SIDES, Boundary, Trap

NIGHTS = 3
"""The rotation; the group that was stopped meanwhile; the end of the old secret. A lease is due again after them."""
_MORE_NIGHTS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Stroke:
    """One death, and what happens to the journal after it."""

    at: Boundary
    then: Journal = Journal.KEPT

    def __str__(self) -> str:
        return f"{self.at}/{self.then.value}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """The deaths of one kind's rotation, in order: `acr-token/n0/vault.set#2/after/kept+n0/journal#3/before/lost`."""

    kind: PrincipalKind
    strokes: tuple[Stroke, ...]

    def __str__(self) -> str:
        return f"{self.kind}/" + "+".join(str(one) for one in self.strokes)

    @classmethod
    def parse(cls, text: str) -> "Schedule":
        """Read what `str` wrote; ValueError when it is something else."""
        kind, _, rest = text.partition("/")
        strokes = []
        for part in rest.split("+"):
            at, _, then = part.rpartition("/")
            strokes.append(Stroke(at=Boundary.parse(at), then=Journal(then)))
        return cls(kind=PrincipalKind(kind), strokes=tuple(strokes))

    def turns(self) -> tuple[Turn, ...]:
        """Each night its deaths, then a process that lives."""
        return nights(self.kind, self.strokes, NIGHTS)


def nights(kind: PrincipalKind, strokes: Sequence[Stroke], count: int) -> tuple[Turn, ...]:
    """Return the turns of so many nights: in each its deaths, then a process that lives.

    Where a person brings the secret, the first night is theirs: what has died is carried on by an ordinary run, as far as the
    vault tells of it, and then the person tries once more.
    """
    turns: list[Turn] = []
    for night in range(count):
        brings = brought(kind) and night == 0
        verb = IMPORT if brings else RUN
        died = [one for one in strokes if one.at.night == night]
        turns += [Turn(night=night, arguments=verb, dies=one.at, then=one.then, brings=brings) for one in died]
        turns += [Turn(night=night)] if brings and died else []
        turns.append(Turn(night=night, arguments=verb, brings=brings))
    return tuple(turns)


def brought(kind: PrincipalKind) -> bool:
    """Tell whether a person brings a kind's new secrets."""
    return traits_of(kind).origin is Origin.PERSON


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """Where one kind's undisturbed rotation can die: its requests with an effect, night by night, and the journal's commits.

    `operations` are the names of all its requests.
    """

    effects: tuple[tuple[tuple[str, int], ...], ...]
    commits: tuple[int, ...]
    operations: tuple[str, ...]

    def at_effects(self) -> tuple[Boundary, ...]:
        return tuple(
            Boundary(night=night, name=name, nth=nth, when=when)
            for night, found in enumerate(self.effects)
            for name, nth in found
            for when in SIDES
        )

    def at_commits(self) -> tuple[Boundary, ...]:
        return tuple(
            Boundary(night=night, name=JOURNAL, nth=nth, when=when)
            for night, count in enumerate(self.commits)
            for nth in range(1, count + 1)
            for when in SIDES
        )


def rehearse(kind: PrincipalKind, folder: Path) -> Rehearsal:
    """Play the nights undisturbed, which must keep every promise, and return where they could have been cut."""
    with Stage.opened(folder, kind) as stage:
        stage.play(Schedule(kind=kind, strokes=()).turns(), owner(stage))
        found = violations(stage, kind, tries=1)
        assert found == [], "\n".join([*found, stage.story()])
        traps: Sequence[Trap] = [stage.traps[night] for night in range(NIGHTS)]
        return Rehearsal(
            effects=tuple(tuple(trap.effects) for trap in traps),
            commits=tuple(stage.commits[night] for night in range(NIGHTS)),
            operations=tuple(sorted({name for trap in traps for name in trap.counts})),
        )


def play(schedule: Schedule, folder: Path, tally: Tally) -> None:
    """Play a schedule to its end and ask every invariant; AssertionError tells the command that repeats it."""
    with Stage.opened(folder, schedule.kind) as stage:
        stage.play(schedule.turns(), owner(stage))
        tries = 1 + len(schedule.strokes)
        found = violations(stage, schedule.kind, tries=tries)
        for night in range(NIGHTS, NIGHTS + _MORE_NIGHTS):
            if not found:
                break
            # An interrupted night may cost the old secret one more; whatever else is wrong is still wrong then.
            stage.sandbox.world.clock.advance(stage.pause.total_seconds())
            stage.take(Turn(night=night))
            found = violations(stage, schedule.kind, tries=tries)
        tally.add(deaths=stage.deaths, faults=0, invariants=INVARIANTS, violations=len(found))
        if found:
            raise AssertionError("\n".join([*found, "", stage.story(), "", repeat(f"--crash-schedule '{schedule}'")]))


def repeat(options: str) -> str:
    """Return the command that repeats one schedule."""
    return f"again: python -m pytest tests/crash {options}"


def owner(stage: Stage) -> Callable[[int], None]:
    """Return what the group's owner does between the nights: after the first one the stopped group is started."""

    def between(night: int) -> None:
        if night == 0:
            stage.start_batch()

    return between
