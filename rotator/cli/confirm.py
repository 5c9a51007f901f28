"""Asks a person. Where nobody can be asked, only --yes is an answer."""

import sys
from collections.abc import Callable
from typing import TypeVar

import typer

from rotator.cli.exits import INTERRUPTED, Exit
from rotator.model.errors import ConfigError

Answer = TypeVar("Answer")


def confirm(question: str, *, yes: bool) -> None:
    """Return when the answer is yes; end the program when it is no. Raises ConfigError where nobody can be asked."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise ConfigError("nobody is there to confirm the plan", advice="Give --yes, or run this on a terminal.")
    if not _answer(lambda: typer.confirm(question, default=False, err=True)):
        raise typer.Exit(Exit.CLEAN)


def ask_hidden(question: str) -> str:
    """Return what a person types, which the terminal does not show; empty for nothing. Ends the program at Ctrl-C."""
    return _answer(lambda: str(typer.prompt(question, default="", hide_input=True, show_default=False, err=True)))


def _answer(ask: Callable[[], Answer]) -> Answer:
    try:
        return ask()
    except typer.Abort:
        # Not "Aborted." with status 1: that is the status of findings.
        typer.echo("\nInterrupted: nothing was done with this.", err=True)
        raise typer.Exit(INTERRUPTED) from None
