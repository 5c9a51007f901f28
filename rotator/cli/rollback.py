"""`rotator roll-back`: put the old credential back."""

from typing import NoReturn

from rotator.cli.deciding import DryRun, Which, decided
from rotator.cli.options import Config, Json, Level, LogLevel, Yes
from rotator.model.rotation import Verb


def roll_back(
    principal: Which,
    *,
    config: Config = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: Json = False,
    log_level: LogLevel = Level.WARNING,
) -> NoReturn:
    """Put the old credential back into every group that left it, and end the new one after the soak."""
    decided(Verb.ROLL_BACK, principal, config, log_level, yes=yes, dry_run=dry_run, as_json=as_json)
