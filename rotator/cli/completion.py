"""`rotator completion`: the script that makes a shell complete verbs and options."""

from enum import StrEnum
from typing import Annotated

import typer


class Shell(StrEnum):
    """The shells that can be served."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"
    POWERSHELL = "powershell"


def completion(shell: Annotated[Shell, typer.Argument(help="Your shell.")]) -> None:
    """Print a shell's completion script, for example: source <(rotator completion bash)."""
    from typer.completion import get_completion_script  # type: ignore[attr-defined]  # typer's docs name it

    typer.echo(get_completion_script(prog_name="rotator", complete_var="_ROTATOR_COMPLETE", shell=shell.value))
