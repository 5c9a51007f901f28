"""`rotator export`: a running group as the file that would deploy it."""

from typing import Annotated

import typer

from rotator.cli.options import Config, Level, LogLevel

Group = Annotated[str, typer.Argument(help="The group's name or resource id.", show_default=False)]


def export(group: Group, *, config: Config = None, log_level: LogLevel = Level.WARNING) -> None:
    """Write a group's YAML to standard output, with references instead of secrets."""
    from rotator.cli.session import opened, settings_of

    with opened(settings_of(config), log_level, verb="export") as application:
        deployments = application.deployments
        text = deployments.export(deployments.group(group, deployments.read()))
    typer.echo(text, nl=False)
