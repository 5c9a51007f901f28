"""Errors as people should meet them: one sentence, one piece of advice, no traceback."""

import logging
import sys
import traceback

from rotator.cli.exits import Exit, of_error
from rotator.cli.output import fill
from rotator.model.errors import RotatorError


def tell(error: RotatorError) -> Exit:
    """Write an error of ours to standard error and return the exit status that it deserves."""
    _write("error:", error.message, error.advice)
    _trace(error, always=False)
    return of_error(error)


def tell_bug(error: Exception) -> Exit:
    """Write an error that nobody foresaw. Its traceback is shown, redacted: without it, nobody could mend it."""
    _write("error:", f"this is a bug in rotator: {type(error).__name__}", "Report it with the lines below; they hold no secret.")
    _trace(error, always=True)
    return Exit.BUG


def _write(label: str, message: str, advice: str) -> None:
    from rich.console import Console
    from rich.text import Text

    from rotator.telemetry.redaction import Redactor

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    # A terminal would break a line in the middle of a word. What is longer than a line (an id to copy) stays in one piece.
    width = console.width if console.is_terminal else sys.maxsize
    clean = Redactor().text
    told = fill(f"{label} {clean(message)}", width)
    console.print(Text.assemble((label, "bold red"), told.removeprefix(label)))
    if advice:
        console.print(Text(fill(clean(advice), width), style="dim"))


def _trace(error: Exception, *, always: bool) -> None:
    if always or logging.getLogger("rotator").isEnabledFor(logging.DEBUG):
        from rotator.telemetry.redaction import Redactor

        sys.stderr.write(Redactor().text("".join(traceback.format_exception(error))))
