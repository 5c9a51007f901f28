"""One small estate in the sandbox, and the real program in processes of its own that are killed there.

A schedule is a list of turns: what a person or a scheduler runs, at which boundary it dies, what happens to the journal then.
Other verbs than the nightly run are turns with other arguments.
"""

import os
import re
import shutil
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import cache
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path

from rotator.model.credential import Overlap, PrincipalKind
from rotator.sandbox import FaultPlan, Sandbox, SandboxOptions
from rotator.sandbox.wire import Document
from tests.crash.kinds import estate_of, traits_of
from tests.crash.traps import JOURNAL, Boundary, Trap
from tests.crash.victim import PRELOADED, Orders, live
from tests.sandbox.owner import Owner

STARTED_AT = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
SOAK = timedelta(hours=2)  # the sandbox's settings
NIGHT = SOAK + timedelta(minutes=10)
RUN = ("rotate", "--yes", "--json", "--log-level", "debug", "--metrics-file", "metrics.prom")
IMPORT = ("import", "*", "--from", "-", *RUN[1:5])
_LONGEST = 600.0  # for a hang, not for a slow machine
_BUG = 70
STATE = "state"


class Journal(Enum):
    """What happens to the machine's memory, or its clock, between a death and the next process."""

    KEPT = "kept"
    LOST = "lost"
    OLDER = "older"
    CLOCK_BACK = "clock-back"


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One process: what it runs, where it dies (None: it ends), and what happens to the journal after that.

    `night` is the number of the night, in which the clock stands at its beginning; several turns may share one. `brings`: a
    person writes the new secret to its standard input.
    """

    night: int = 0
    arguments: tuple[str, ...] = RUN
    dies: Boundary | None = None
    then: Journal = Journal.KEPT
    brings: bool = False


@dataclass
class Stage:
    """A sandbox with one due credential, and all that the program wrote there. Use as a context: `with Stage.opened(...)`."""

    sandbox: Sandbox
    folder: Path
    deaths: int = 0
    reached: list[str] = field(default_factory=list)
    traps: dict[int, Trap] = field(default_factory=dict)
    all_traps: list[Trap] = field(default_factory=list)
    commits: dict[int, int] = field(default_factory=dict)
    statuses: list[int] = field(default_factory=list)
    faults: Mapping[int, FaultPlan] = field(default_factory=dict)
    pause: timedelta = NIGHT
    brought: str = ""
    _leaks: list[Document] = field(default_factory=list)

    @classmethod
    @contextmanager
    def opened(cls, folder: Path, kind: PrincipalKind, *, seed: int = 1) -> Iterator["Stage"]:
        """Seed the kind's estate in an empty folder."""
        (folder / "tmp").mkdir(parents=True)
        options = SandboxOptions(directory=folder, estate=estate_of(kind), seed=seed, started_at=STARTED_AT)
        with Sandbox(options) as sandbox:
            if traits_of(kind).overlap is Overlap.SINGLE:
                groups = sandbox.world.groups
                sandbox.oracle.announce(*{one for group in groups.by_id.values() for one in groups.principals(group)})
            yield cls(sandbox, folder)

    # --- playing ---

    def play(self, turns: Iterable[Turn], between: Callable[[int], None] = lambda _: None) -> None:
        """Take the turns; `between` is called with each night's number after its last turn, before the clock moves on."""
        last = 0
        for turn in turns:
            for night in range(last, turn.night):
                between(night)
                self.sandbox.world.clock.advance(self.pause.total_seconds())
            last = turn.night
            self.take(turn)
        between(last)

    def take(self, turn: Turn) -> None:
        """Run one process to its end, or to its death."""
        calm = self.faults.get(turn.night, FaultPlan())
        aim = turn.dies if turn.dies and turn.dies.name != JOURNAL else None
        orders = self._orders(turn)
        trap = Trap(calm.rules, calm.seed, events=self.sandbox.world.events, boundary=aim)
        orders.seen.unlink(missing_ok=True)
        process: BaseProcess = _context().Process(target=live, args=(orders,))
        trap.begin = self.keep_copy
        trap.strike_dead = lambda: self._kill(process)
        self.sandbox.world.faults = trap
        try:
            process.start()
            process.join(_LONGEST)
            assert process.exitcode is not None, f"{turn} did not end in {_LONGEST} seconds"
        finally:
            process.kill()
            trap.note()
            self.sandbox.world.faults = FaultPlan()
        self._took(turn, trap, orders, process.exitcode)

    def _took(self, turn: Turn, trap: Trap, orders: Orders, status: int) -> None:
        self.traps.setdefault(turn.night, trap)
        self.all_traps.append(trap)
        self.commits.setdefault(turn.night, len(orders.seen.read_text().split()) if orders.seen.exists() else 0)
        self.statuses.append(status)
        self.sandbox.skew = timedelta(0)
        if turn.dies is not None and status == -signal.SIGKILL:
            self.deaths += 1
            self.reached.append(str(turn.dies))
            self._after(turn.then)
        else:
            said = self.written("output.txt")
            assert 0 <= status != _BUG, f"{turn.arguments[0]} ended with {status}: {said[-3000:]}"
            assert "an error that should not happen" not in said, said[-3000:]

    def _after(self, then: Journal) -> None:
        """Do to the journal, or to the clock, what the turn says."""
        self.scan()
        state = self.folder / STATE
        if then in {Journal.LOST, Journal.OLDER}:
            shutil.rmtree(state, ignore_errors=True)
        if then is Journal.OLDER and (self.folder / "older").exists():
            shutil.copytree(self.folder / "older", state)
        if then is Journal.CLOCK_BACK:
            self.sandbox.skew = -timedelta(minutes=5)

    def _kill(self, process: BaseProcess) -> None:
        """End the process that waits for the sandbox's answer; first look at what the machine shows of it."""
        for name in ("cmdline", "environ"):
            shown = Path(f"/proc/{process.pid}/{name}")
            if shown.exists():
                self._look(shown.read_bytes(), name)
        process.kill()

    def keep_copy(self) -> None:
        """Copy the program's memory as it is when it begins to act: a backup that may be put back later."""
        if (self.folder / STATE).exists():
            shutil.copytree(self.folder / STATE, self.folder / "older", dirs_exist_ok=True)

    def made_by_person(self) -> str:
        """Return the new secret that a person has made where the service lets only a person make one; always the same."""
        world = self.sandbox.world
        if not self.brought:
            with world.lock:
                entry = next(one for one in world.ledger.entries() if one.principal.startswith("plain:"))
                host, _, user = entry.principal.removeprefix("plain:").partition("/")
                ends = world.now() + timedelta(days=90)
                made = (
                    world.github.make(user, expires_at=ends) if host == "ghcr.io" else world.registries.add_password(host, user)
                )
                self.brought = made.value
        return self.brought

    def start_batch(self) -> None:
        """The owner starts the stopped group."""
        group = next(one for one in self.sandbox.world.groups.by_id.values() if one.name == "batch")
        answer = Owner(self.sandbox).call("POST", f"{group.id}/start")
        assert answer.status_code in {202, 204}, answer.text
        self.sandbox.world.clock.advance(120)

    # --- looking ---

    def mend(self) -> None:
        """Azure, or the group's owner, puts an end to what a fault made of a deployment."""
        world = self.sandbox.world
        with world.lock:
            for group in world.groups.by_id.values():
                if group.run.outcome:
                    group.run = world.groups.new_run(group.document, world.now(), timedelta(0))
                    group.busy_until = world.now()

    def held(self) -> str:
        """Return the id of the principal whose rotation waits for a person, as the vault's tags say; empty for none."""
        with self.sandbox.world.lock:
            for vault in self.sandbox.world.vaults.all():
                for name in vault.secrets:
                    found = self.sandbox.world.vaults.current(vault.name, name)
                    if found is not None and found.tags.get("rotator-phase") == "held":
                        return found.tags["rotator-principal"]
        return ""

    @property
    def struck(self) -> int:
        """How many faults have struck."""
        return sum(sum(trap.struck.values()) for trap in self.all_traps)

    def scan(self) -> None:
        """Look for secrets in every file that the program wrote, temporary ones too."""
        mine = {"ca.pem", "rotator.yaml", "commits.txt"}
        for file in sorted(self.folder.rglob("*")):
            if file.is_file() and file.name not in mine:
                self._look(file.read_bytes(), file.name)

    def _look(self, content: bytes, source: str) -> None:
        self._leaks += self.sandbox.oracle.scan(content, source)

    @property
    def leaks(self) -> Sequence[Document]:
        return self._leaks

    def written(self, name: str) -> str:
        file = self.folder / name
        return file.read_text("utf-8", "replace") if file.exists() else ""

    def story(self) -> str:
        """What really happened, in order, and what the program said of it; without secret values."""
        events = [f"{one.at:%d %H:%M:%S} {one.kind} {_facts(one.facts)}" for one in self.sandbox.world.events.since()]
        said = [
            _shortened(line) for line in self.written("output.txt").splitlines() if '"step"' in line or "error" in line.lower()
        ]
        return "\n".join(["what happened:", *events, "what the program said:", *said[-60:]])

    def _orders(self, turn: Turn) -> Orders:
        at_commit = turn.dies is not None and turn.dies.name == JOURNAL
        inherited = ("PATH", "HOME", "LANG", "PYTHONPATH", "VIRTUAL_ENV")
        environment = {name: os.environ[name] for name in inherited if name in os.environ}  # noqa: TID251
        return Orders(
            folder=self.folder,
            arguments=turn.arguments,
            environment={**environment, **self.sandbox.environment, "TMPDIR": str(self.folder / "tmp")},
            commit=turn.dies.nth if turn.dies is not None and at_commit else 0,
            after=turn.dies is not None and turn.dies.when == "after",
            stdin=self.made_by_person() if turn.brings else "",
        )


@cache
def _context() -> ForkServerContext:
    """Return the fork server's context; the server starts with the first process and imports the program once."""
    context = ForkServerContext()
    context.set_forkserver_preload(list(PRELOADED))
    return context


def _shortened(line: str) -> str:
    """Leave out of a line of the log what is the same in all."""
    for same in ('"event": "step", ', '"level": "info", ', '"logger": "rotator.rotation", '):
        line = line.replace(same, "")
    return re.sub(r'"(principal|rotation)": "[^"]*", |/subscriptions/[^"]*/', "", line)[:200]


def _facts(facts: Mapping[str, object]) -> str:
    return " ".join(f"{name}={str(value).rsplit('/', 1)[-1]}" for name, value in facts.items())
