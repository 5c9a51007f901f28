"""What a rotation is doing, while it does it: live on a terminal, plain lines elsewhere."""

from collections.abc import Mapping
from threading import Lock
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn
from rich.text import Text

from rotator.model.rotation import Plan, RotationEvent
from rotator.report.words import place

_MOVES = {"redeploy", "restart", "left"}


class RotationProgress:
    """Shows the events of a plan's rotations on a console (this is a `rotator.ports.Observer`). A context manager."""

    def __init__(self, console: Console, plan: Plan, known: Mapping[str, str]) -> None:
        self._console = console
        self._known = known
        self._lock = Lock()
        self._tasks: dict[str, TaskID] = {}
        self._seen: dict[str, set[str]] = {}
        self._bars = Progress(
            SpinnerColumn(finished_text="✓"),
            TextColumn("{task.description}", justify="left"),
            BarColumn(bar_width=14),
            MofNCompleteColumn(),
            TextColumn("[dim]{task.fields[step]}"),
            console=console,
            disable=not console.is_terminal,
        )
        for item in plan.due:
            groups = sum(len(wave) for wave in item.waves)
            name = known.get(item.principal.id, item.principal.name)
            self._tasks[item.rotation] = self._bars.add_task(name, total=groups or 1, step="waiting", start=False)

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bars.stop()

    def notice(self, event: RotationEvent) -> None:
        """Show one event."""
        with self._lock:
            if not self._console.is_terminal:
                self._line(event)
                return
            task = self._tasks.get(event.rotation)
            if task is not None:
                self._advance(task, event)
            if not event.ok:
                self._line(event)

    def _advance(self, task: TaskID, event: RotationEvent) -> None:
        self._bars.start_task(task)
        seen = self._seen.setdefault(event.rotation, set())
        if event.group is not None and event.step in _MOVES and event.ok:
            seen.add(event.group.key)
        step = f"{event.step} {place(event.group.text)}" if event.group else event.step
        self._bars.update(task, completed=len(seen), step=step if event.ok else f"{step} failed")
        if event.step in ("soak", "retire") and event.ok and not seen:
            self._bars.update(task, completed=1)

    def _line(self, event: RotationEvent) -> None:
        name = self._known.get(event.principal.id, event.principal.name)
        where = f" {place(event.group.text)}" if event.group else ""
        detail = f": {event.detail}" if event.detail else ""
        style = "" if event.ok else "red"
        self._console.print(Text(f"{event.at:%H:%M:%S} {name} {event.step}{where}{detail}", style=style), soft_wrap=True)
