"""Where a process can die, and the traps in which it does.

A boundary is a request that has an effect, or a commit of the journal, before or after it. A trap is the sandbox's fault plan: it
sees each request first, kills the process that sent it, and lets the effect happen or not; nobody is left to read an answer.
"""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from rotator.sandbox import Fault, FaultPlan
from rotator.sandbox.world import EventLog

JOURNAL = "journal"
Side = Literal["before", "after"]
SIDES: tuple[Side, Side] = ("before", "after")
# These let somebody in, or say so; no later run finds anything of them.
_PASSING = {"aws.role.assumed", "keys.listed"}
# Whichever kind rotates, one of these is its first effect.
_BEGINNINGS = {
    "vault.set",
    "aws.GetAuthorizationToken",
    "vault.update",
    "acr.tokens.patch",
    "graph.removePassword",
    "hub.tokens.delete",
    "quay.robots.regenerate",
    "acr.regenerateCredential",
}
_WRITTEN = re.compile(r"n(\d+)/([\w.]+)#(\d+)/(before|after)")


@dataclass(frozen=True, slots=True, order=True, kw_only=True)
class Boundary:
    """The `nth` request or commit of its name in a night's process, from 1; `night` counts from 0."""

    night: int
    name: str
    nth: int
    when: Side

    def __str__(self) -> str:
        return f"n{self.night}/{self.name}#{self.nth}/{self.when}"

    @classmethod
    def parse(cls, text: str) -> "Boundary":
        """Read what `str` wrote."""
        found = _WRITTEN.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} is no boundary; one is n0/vault.set#2/after")
        return cls(night=int(found[1]), name=found[2], nth=int(found[3]), when="after" if found[4] == "after" else "before")


def _nothing() -> None:
    """Do nothing."""


@dataclass(slots=True)
class Trap(FaultPlan):
    """Counts the requests of a process, notes which of them had an effect, and strikes at one of them.

    `strike_dead` ends the process that sent the request; `begin` is called when the first effect is asked for. Without a boundary
    the trap only counts.
    """

    events: EventLog | None = None
    boundary: Boundary | None = None
    strike_dead: Callable[[], None] = _nothing
    begin: Callable[[], None] = _nothing
    counts: Counter[str] = field(default_factory=Counter)
    effects: list[tuple[str, int]] = field(default_factory=list)
    _last: tuple[str, int] | None = None
    _seen: int = 0

    def __post_init__(self) -> None:
        FaultPlan.__post_init__(self)
        self._seen = len(self.events.since()) if self.events else 0

    def strike(self, *operations: str, path: str = "") -> Fault | None:
        """Let the request pass, or kill its process."""
        self.note()
        name = operations[-1]
        self.counts[name] += 1
        self._last = (name, self.counts[name])
        if name in _BEGINNINGS:
            begin, self.begin = self.begin, _nothing
            begin()
        aim = self.boundary
        if aim is not None and self._last == (aim.name, aim.nth):
            self.boundary = None
            self.strike_dead()
            return Fault(on=name, drop_before=aim.when == "before", drop_after=aim.when == "after")
        return FaultPlan.strike(self, *operations, path=path)

    def note(self) -> None:
        """Ascribe what happened since the last request to that request: requests are handled one after the other."""
        assert self.events is not None
        new = [event for event in self.events.since(self._seen) if event.kind not in _PASSING]
        self._seen = len(self.events.since())
        if new and self._last is not None:
            self.effects.append(self._last)
