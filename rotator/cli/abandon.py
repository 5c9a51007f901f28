"""`rotator abandon`: give up a rotation whose new secret nobody uses."""

from typing import NoReturn

from rotator.cli.deciding import DryRun, Which, decided
from rotator.cli.options import Config, Json, Level, LogLevel, Yes
from rotator.model.rotation import Verb


def abandon(
    principal: Which,
    *,
    config: Config = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: Json = False,
    log_level: LogLevel = Level.WARNING,
) -> NoReturn:
    """End a new secret that nobody uses, and close its rotation."""
    decided(Verb.ABANDON, principal, config, log_level, yes=yes, dry_run=dry_run, as_json=as_json)
