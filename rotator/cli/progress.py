"""What a rotation is doing, while it does it: a few calm lines on a terminal, one plain line an event elsewhere."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import RLock
from types import TracebackType
from typing import Self

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Column, Table
from rich.text import Text

from rotator.model.arm import ArmId
from rotator.model.rotation import Plan, RotationEvent
from rotator.report.words import called, count, lasting, place

_MOVES = {"redeploy", "restart", "health"}
_LAST = {"soak", "retire", "close", "rotation"}
# An event says what has ended; a person wants to know what is being done.
_NEXT = {
    "announce": "making a secret",
    "issue": "writing the vault",
    "stage": "trying the new secret",
    "verify": "writing the vault",
    "promote": "moving groups",
}
_SHOWN = 8


@dataclass(slots=True)
class _Course:
    """How far one rotation is."""

    name: str
    groups: int
    doing: str = ""
    about: str = ""
    started_at: datetime | None = None
    ended: bool = False
    moved: set[ArmId] = field(default_factory=set)


class RotationProgress:
    """Shows the events of a plan's rotations on a console (this is a `rotator.ports.Observer`). A context manager.

    On a terminal: one line with the sums, and one for each rotation that is under way; what has ended is only counted.
    """

    def __init__(self, console: Console, plan: Plan | None, known: Mapping[str, str]) -> None:
        self._console = console
        self._known = known
        self._lock = RLock()
        self._courses = {
            item.rotation: _Course(called(item.principal, known), sum(len(wave) for wave in item.waves))
            for item in (plan.due if plan else ())
        }
        self._heard: tuple[datetime, float] | None = None
        self._spinner = Spinner("dots")
        self._live = Live(self, console=console, transient=True, refresh_per_second=8, get_renderable=lambda: self)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._live.stop()

    def notice(self, event: RotationEvent) -> None:
        """Show one event."""
        with self._lock:
            if self._console.is_terminal:
                self._follow(event)
            if not (self._console.is_terminal and event.ok):
                self._line(event)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the lines as they are now."""
        del console, options
        with self._lock:
            running = [one for one in self._courses.values() if one.started_at is not None and not one.ended]
            lines: list[RenderableType] = [self._sums(len(running))]
            if running:
                lines.append(self._rows(running[:_SHOWN]))
            if len(running) > _SHOWN:
                lines.append(Text(f"   and {len(running) - _SHOWN} more", style="dim"))
        yield Group(*lines)

    def _follow(self, event: RotationEvent) -> None:
        course = self._courses.get(event.rotation)
        if course is None:  # the end of an earlier rotation, or one that an earlier process left
            course = self._courses[event.rotation] = _Course(called(event.principal, self._known), 0)
        self._heard = event.at, self._console.get_time()
        course.started_at = course.started_at or event.at
        course.doing = _NEXT.get(event.step, course.doing or event.step)
        course.about = f"{event.step} {place(event.group.text)}" if event.group else ""
        if event.group is not None and event.step in _MOVES and event.ok:
            course.moved.add(event.group)
        course.ended = event.step in _LAST or (not event.ok and event.group is None)

    def _sums(self, running: int) -> Text:
        courses = self._courses.values()
        ended, groups = sum(1 for one in courses if one.ended), sum(one.groups for one in courses)
        if not courses:
            said = "waiting for the end of the soak"
        elif ended == len(courses):
            said = "all done, looking again"
        else:
            said = f"{ended} of {count(len(courses), 'rotation')} done, {running} under way"
            said += f", {sum(len(one.moved) for one in courses)} of {count(groups, 'group')} moved" if groups else ""
        spinner = self._spinner.render(self._console.get_time())
        return Text.assemble(" ", spinner if isinstance(spinner, Text) else "", " ", said)

    def _rows(self, running: Sequence[_Course]) -> Table:
        """Return the rows in columns that stay where they are while rotations come and go."""
        names = max(len(one.name) for one in self._courses.values())
        grid = Table.grid(
            Column(width=1), Column(width=names), Column(width=21), Column(width=12), Column(width=7), padding=(0, 1)
        )
        grid.add_column(no_wrap=True, overflow="ellipsis", style="dim")
        for one in running:
            moved = f"{len(one.moved)}/{count(one.groups, 'group')}" if one.groups else ""
            grid.add_row("", Text(one.name, style="bold"), one.doing, moved, lasting(self._lasted(one)), one.about)
        return grid

    def _lasted(self, course: _Course) -> timedelta:
        """Return how long a rotation has run: by the events' clock, carried on from the last event by the terminal's."""
        if self._heard is None or course.started_at is None:
            return timedelta(0)
        at, heard = self._heard
        return max(at - course.started_at, timedelta(0)) + timedelta(seconds=self._console.get_time() - heard)

    def _line(self, event: RotationEvent) -> None:
        where = f" {place(event.group.text)}" if event.group else ""
        detail = f": {event.detail}" if event.detail else ""
        name = called(event.principal, self._known)
        style = "" if event.ok else "red"
        self._console.print(Text(f"{event.at:%H:%M:%S} {name} {event.step}{where}{detail}", style=style), soft_wrap=True)
