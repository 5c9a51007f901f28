"""`rotator resume`: take up a rotation that is held, where it stands."""

from typing import NoReturn

from rotator.cli.deciding import DryRun, Which, decided
from rotator.cli.options import Config, Json, Level, LogLevel, Yes
from rotator.model.rotation import Verb


def resume(
    principal: Which,
    *,
    config: Config = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: Json = False,
    log_level: LogLevel = Level.WARNING,
) -> NoReturn:
    """Move the rest of the groups to the new credential, where a held or unfinished rotation stands."""
    decided(Verb.RESUME, principal, config, log_level, yes=yes, dry_run=dry_run, as_json=as_json)
