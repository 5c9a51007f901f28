"""`rotator deploy`: put a group from a file that holds references instead of secrets."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from rotator.cli.confirm import confirm
from rotator.cli.exits import INTERRUPTED, Exit
from rotator.cli.options import Config, Json, Level, LogLevel, Yes
from rotator.model.errors import ConfigError

File = Annotated[str, typer.Option("--file", "-f", help="The group's YAML, as for az container create --file; - for stdin.")]
ResourceGroup = Annotated[str, typer.Option("--resource-group", "-g", help="Where a new group is made, or which one is meant.")]
Subscription = Annotated[str, typer.Option("--subscription", help="Needed where the scope has several.")]
WhatIf = Annotated[bool, typer.Option("--what-if", help="Only say what would change.")]


def deploy(
    *,
    file: File,
    config: Config = None,
    resource_group: ResourceGroup = "",
    subscription: Subscription = "",
    what_if: WhatIf = False,
    yes: Yes = False,
    as_json: Json = False,
    log_level: LogLevel = Level.WARNING,
) -> None:
    """Deploy a group. Secrets come from the vault, and are tried before anything is changed."""
    from rotator.cli import output
    from rotator.cli.deploying import preview, told
    from rotator.cli.session import opened, settings_of

    text = text_of(file)
    with opened(settings_of(config), log_level, verb="deploy") as application:
        deployments = application.deployments
        made = deployments.prepare(
            text, "stdin" if file == "-" else file, resource_group=resource_group, subscription=subscription
        )
        if not as_json:
            console = output.console()
            console.print(preview(made, console.width), soft_wrap=True)
        if what_if:
            if as_json:
                output.write_json(told(made, done=False))
            raise typer.Exit(Exit.UNDONE if made.refused else Exit.CLEAN)
        if not made.refused and made.since is None:
            confirm(f"Deploy {made.group.name}?", yes=yes)
        try:
            deployments.deploy(made)
        except KeyboardInterrupt:
            what = f"it looks at {made.group.name} first, and does nothing twice"
            typer.echo(f"\nInterrupted. Run the same command again: {what}.", err=True)
            raise typer.Exit(INTERRUPTED) from None
    if as_json:
        output.write_json(told(made, done=True))
        return
    typer.echo(f"{made.group.name} {'is as the file says' if made.since else 'is deployed'}, and healthy.")


def text_of(file: str) -> str:
    """Return the text of a file, or of standard input for `-`. Raises ConfigError."""
    if file == "-":
        return sys.stdin.read()
    try:
        return Path(file).read_text(encoding="utf-8")
    except OSError as error:
        why = f"{file} cannot be read: {error.strerror}"
    except UnicodeDecodeError:
        why = f"{file} is no text"
    raise ConfigError(why, advice="Name a YAML file, or - for standard input.")
