"""What several verbs show while a plan is carried out."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console

from rotator.cli import tables
from rotator.cli.progress import RotationProgress

if TYPE_CHECKING:
    from rotator.application import Application
    from rotator.service.run import Run


def carried_out(application: "Application", run: "Run", console: Console, *, quiet: bool) -> "Run":
    """Carry out a run's plan with its progress shown, then its outcomes."""
    from rotator.service.run import carry_out

    if quiet:
        with interruptible():
            return carry_out(application, run)
    with interruptible(), RotationProgress(console, run.plan, tables.names(run.estate)) as progress:
        done = carry_out(application, run, progress)
    _show(done, console)
    return done


def soaked(application: "Application", run: "Run", console: Console, *, quiet: bool) -> "list[Run]":
    """Wait on the application's clock until what a run replaced may end, and end it. Nothing else is rotated."""
    from rotator.service.run import finish

    if quiet:
        done = finish(application, run)
        return [done] if done else []
    with RotationProgress(console, None, tables.names(run.estate)) as progress:
        done = finish(application, run, progress)
    if done is None:
        console.print("[dim]Nothing soaks.[/]")
        return []
    _show(done, console)
    return [done]


@contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C end the work after what was begun, and a second one at once; the next run carries on either way."""
    told: list[int] = []

    def interrupted(number: int, frame: object) -> None:
        del frame
        if told:
            os._exit(128 + number)  # a process may end at any point; threads that still work must not keep it
        told.append(number)
        sys.stderr.write("Interrupted: what was begun is being brought to its end. Press again to stop at once.\n")
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _show(run: "Run", console: Console) -> None:
    if run.outcomes:
        console.print(tables.outcomes(run.outcomes, tables.names(run.estate)))
