"""Asks before something is changed. Where nobody can be asked, only --yes is an answer."""

import sys

import typer

from rotator.cli.exits import Exit
from rotator.model.errors import ConfigError


def confirm(question: str, *, yes: bool) -> None:
    """Return when the answer is yes; end the program when it is no. Raises ConfigError where nobody can be asked."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise ConfigError("nobody is there to confirm the plan", advice="Give --yes, or run this on a terminal.")
    if not typer.confirm(question, default=False, err=True):
        raise typer.Exit(Exit.CLEAN)
