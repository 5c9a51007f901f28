"""Each remote operation and everything that can go wrong with it, as rules of the sandbox's fault plan."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from rotator.model.credential import Overlap, PrincipalKind
from rotator.sandbox import FaultPlan
from tests.crash.invariants import INVARIANTS, violations
from tests.crash.kinds import traits_of
from tests.crash.schedule import Rehearsal, Stroke, brought, nights, owner, repeat
from tests.crash.stage import IMPORT, RUN, Journal, Stage, Turn
from tests.crash.tally import Tally
from tests.crash.traps import Boundary

Rule = Mapping[str, Any]

FAULTS: Mapping[str, Rule] = {
    "refused": {"drop_before": True},
    "lost": {"drop_after": True},
    "time-out before": {"drop_before": True, "delay": 100.0},
    "time-out after": {"drop_after": True, "delay": 100.0},
    "reset": {"truncate": True},
    "garbled": {"garbled": True},
    "401": {"status": 401, "code": "Unauthorized"},
    "403": {"status": 403, "code": "Forbidden"},
    "404": {"status": 404, "code": "NotFound"},
    "409": {"status": 409, "code": "ContainerGroupTransitioning"},
    "412": {"status": 412, "code": "PreconditionFailed"},
    "429": {"status": 429, "code": "TooManyRequests"},
    "429 with Retry-After": {"status": 429, "code": "TooManyRequests", "retry_after": 7},
    "500": {"status": 500, "code": "InternalServerError"},
    "503": {"status": 503, "code": "ServiceUnavailable"},
    "stale": {"stale": True},
    "operation fails": {"outcome": "operation-failed"},
    "operation never ends": {"outcome": "never-ends"},
    "crash loop": {"outcome": "crash-loop"},
    "pull back-off": {"outcome": "pull-back-off"},
}
_LATE = ("aci.groups.put", "aci.groups.restart")
WHEN: Mapping[str, Rule] = {"once": {"nth": 1}, "later": {"nth": 2}, "always": {}, "at random": {"probability": 0.3}}
CALM_NIGHTS = 3
_MORE_NIGHTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One kind's rotation whose first night has one fault at one operation."""

    kind: PrincipalKind
    operation: str
    fault: str
    when: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.operation}, {self.fault}, {self.when}"

    def plan(self) -> FaultPlan:
        return FaultPlan.parse([{"on": self.operation, **FAULTS[self.fault], **WHEN[self.when]}], seed=1)


def cells(kind: PrincipalKind, rehearsal: Rehearsal) -> Iterator[Cell]:
    """Yield the whole matrix of a kind; the late ends of operations belong to those that have any, stale answers to reads."""
    for operation in rehearsal.operations:
        for fault, rule in FAULTS.items():
            if ("outcome" in rule and operation not in _LATE) or (
                "stale" in rule and not operation.endswith((".get", "Versions"))
            ):
                continue
            for when in WHEN:
                yield Cell(kind=kind, operation=operation, fault=fault, when=when)


def play_disturbed(
    kind: PrincipalKind, folder: Path, turns: Sequence[Turn], faults: Mapping[int, FaultPlan], tally: Tally, again: str
) -> None:
    """Take the disturbed turns, then calm nights with a person who takes up what is held; ask every invariant."""
    with Stage.opened(folder, kind) as stage:
        stage.faults, leases = faults, traits_of(kind).overlap is Overlap.LEASES
        stage.play(turns, owner(stage))
        night = max(turn.night for turn in turns) + 1
        stage.mend()
        for number in range(night, night + CALM_NIGHTS + _MORE_NIGHTS):
            stage.sandbox.world.clock.advance(stage.pause.total_seconds())
            stage.take(Turn(night=number, arguments=_taken_up(stage)))
            if brought(kind) and number == night:
                stage.take(Turn(night=number, arguments=IMPORT, brings=True))  # the person tries once more
            tries = 1 + stage.deaths + stage.struck + (number // 3 if leases else 0)  # a lease is due again three nights later
            found = violations(stage, kind, tries=tries)
            if number >= night + CALM_NIGHTS - 1 and not found:
                break
        tally.add(deaths=stage.deaths, faults=stage.struck, invariants=INVARIANTS, violations=len(found))
        if found:
            raise AssertionError("\n".join([*found, "", stage.story(), "", again]))


def _taken_up(stage: Stage) -> tuple[str, ...]:
    held = stage.held()
    return (*RUN, "--only", held, "--force") if held else RUN


def play_cell(cell: Cell, folder: Path, tally: Tally) -> None:
    """Play one cell of the matrix."""
    again = f"the cell is {cell}\n{repeat('--crash-full -k test_each_fault_at_each_operation')}"
    play_disturbed(cell.kind, folder, nights(cell.kind, (), 1), {0: cell.plan()}, tally, again)


def mixture(seed: int, kind: PrincipalKind, rehearsal: Rehearsal) -> tuple[tuple[Turn, ...], dict[int, FaultPlan]]:
    """Draw one to three deaths and up to four faults in the first two nights."""
    chance = Random(f"{seed} of {kind}")  # noqa: S311 - a schedule that can be repeated
    boundaries: Sequence[Boundary] = (*rehearsal.at_effects(), *rehearsal.at_commits())
    early = [one for one in boundaries if one.night <= 1]
    deaths = sorted(chance.sample(early, chance.randint(1, 3)), key=lambda one: one.night)
    strokes = [Stroke(at=one, then=chance.choice(list(Journal))) for one in deaths]
    matrix = list(cells(kind, rehearsal))
    faults = {}
    for night in (0, 1):
        drawn = chance.sample(matrix, chance.randint(0, 4))
        rules = [rule for cell in drawn for rule in cell.plan().rules]
        faults[night] = FaultPlan(rules, seed)
    return nights(kind, strokes, 2), faults
