"""`rotator adopt`: put a group's hidden values where every later redeploy finds them."""

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from rotator.cli.confirm import ask_hidden
from rotator.cli.exits import Exit
from rotator.cli.export import Group
from rotator.cli.options import Config, Level, LogLevel
from rotator.model.errors import ConfigError, RotatorError

if TYPE_CHECKING:
    from rotator.deployment.adoption import Gap
    from rotator.model.secret import Secret

From = Annotated[
    str, typer.Option("--from", help="Read the values from the group's own YAML, or from field path: value; - for stdin.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only list the fields, and what holds them.")]


def adopt(
    group: Group, *, config: Config = None, given_in: From = "", dry_run: DryRun = False, log_level: LogLevel = Level.WARNING
) -> None:
    """Store the values that Azure never shows and nothing holds, so that redeploys lose nothing. Changes no group."""
    from rotator.cli.deploy import text_of
    from rotator.cli.output import console, fill
    from rotator.cli.session import opened, settings_of
    from rotator.deployment.given import read_given
    from rotator.report.words import count

    width = console().width

    def say(gap: "Gap", what: str, *, err: bool = False) -> None:
        typer.echo(fill(f"{gap.field.path}\n    {what}", width, 4), err=err)

    given = read_given(text_of(given_in), "stdin" if given_in == "-" else given_in) if given_in else None
    with opened(settings_of(config), log_level, verb="adopt") as application:
        deployments = application.deployments
        found = deployments.group(group, deployments.read())
        if owner := deployments.owner(found):
            typer.echo(fill(owner, width, 4))
        gaps = deployments.gaps(found)
        for one in gaps:
            if one.source:
                say(one, f"held by {one.source}")
        _check_given(given, gaps)
        missing = 0
        for one in gaps:
            if one.source:
                continue
            value = None if dry_run else given.get(one.field.path) if given is not None else _asked(one)
            if not value:
                missing += 1
                say(one, f"missing; it goes to vault:{one.secret_name}")
                continue
            try:
                say(one, f"stored in vault:{deployments.adopt(found, one, value)}")
            except RotatorError as error:
                missing += 1
                say(one, f"not stored: {error.message}", err=True)
    typer.echo(f"{found.name}: {count(len(gaps), 'hidden value')}, {missing} missing")
    raise typer.Exit(Exit.UNDONE if missing else Exit.CLEAN)


def _check_given(given: "Mapping[str, Secret] | None", gaps: "tuple[Gap, ...]") -> None:
    known = {one.field.path for one in gaps}
    unknown = len(given.keys() - known) if given else 0
    if unknown:
        # Their names are not said: in a mapping written the wrong way round they are the values.
        raise ConfigError(
            f"{unknown} of the given values are for no hidden field of the group",
            advice="rotator adopt --dry-run lists the fields.",
        )


def _asked(gap: "Gap") -> "Secret | None":
    from rotator.model.secret import Secret

    if not sys.stdin.isatty():
        raise ConfigError(f"{gap.field.path} is missing, and nobody is there to ask", advice="Give --from FILE, or --from -.")
    value = ask_hidden(f"{gap.field.path} (empty: skip)")
    return Secret(value) if value else None
