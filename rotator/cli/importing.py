"""`rotator import`: take over a secret that only a person could make."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from rotator.cli.confirm import ask_hidden, confirm
from rotator.cli.deciding import DryRun, Which, exit_of, shown_while
from rotator.cli.exits import Exit
from rotator.cli.options import Config, Json, Level, LogLevel, Yes
from rotator.model.errors import ConfigError
from rotator.model.secret import Secret

if TYPE_CHECKING:
    from rotator.model.rotation import RotationOutcome
    from rotator.ports import Observer

From = Annotated[
    str, typer.Option("--from", metavar="-", help="Read the secret from standard input, one line; otherwise it is asked for.")
]
StageOnly = Annotated[bool, typer.Option("--stage-only", help="Keep it in the vault; the next run moves the groups.")]
Expires = Annotated[
    datetime | None,
    typer.Option("--expires", formats=["%Y-%m-%d"], help="When it ends, where its service does not tell.", metavar="DATE"),
]

# A vault keeps 25 kB; the longest registry password is a tenth of that.
_LONGEST = 10_000


def import_(
    principal: Which,
    *,
    source: From = "",
    expires: Expires = None,
    stage_only: StageOnly = False,
    config: Config = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: Json = False,
    log_level: LogLevel = Level.WARNING,
) -> None:
    """Bring a new secret for a credential, try it with real pulls, and move the credential's groups to it.

    Nothing is kept of a secret that does not pull. Once it is in the vault, every later run finishes what this one began.
    """
    from rotator.cli import output, tables
    from rotator.cli.selection import one_principal
    from rotator.cli.session import opened, settings_of
    from rotator.report.words import instant

    with opened(settings_of(config), log_level, verb="import") as application:
        ends = _end_of(expires, application.clock.now())
        estate = application.estate()
        console, names = output.console(), tables.names(estate)
        if estate.unread and not as_json:
            console.print(tables.unread(estate.unread))
        who = one_principal(principal, estate, application.plan(estate).situations)
        plan = application.decisions.importing(estate, who)
        (item,) = plan.items
        secret = _read(source, who.id)
        credential = application.decisions.tried(item, secret, ends)
        if not as_json:
            until = f"ends {instant(credential.expires_at)}" if credential.expires_at else "its end is not known (--expires)"
            console.print(f"{credential.handle.id} pulls every image of {who.id}; {until}.", markup=False, soft_wrap=True)
            console.print(tables.plan(plan, names, application.clock.now()))
        outcomes: tuple[RotationOutcome, ...] = ()
        if not dry_run:
            confirm(f"Keep it? {0 if stage_only else plan.restarts} group restarts", yes=yes)

            def act(progress: "Observer | None") -> "Sequence[RotationOutcome]":
                return application.decisions.bring(item, credential, secret, progress, stage_only=stage_only)

            outcomes = shown_while(act, estate, quiet=as_json)
        by_hand = application.decisions.traits_of(who).ended_by_hand
    if as_json:
        output.write_json({"credential": credential, "plan": plan, "outcomes": outcomes, "unread": estate.unread})
    elif outcomes:
        console.print(tables.outcomes(outcomes, names))
        if not item.old:
            # The vault never held the old one, so that no later run can name it.
            console.print(f"When every group has moved: {by_hand}", markup=False, soft_wrap=True)
    if dry_run:
        raise typer.Exit(Exit.INCOMPLETE if estate.unread else Exit.CLEAN)
    exit_of(outcomes, unread=bool(estate.unread))


def _end_of(day: datetime | None, now: datetime) -> datetime | None:
    """Read a day as its beginning in UTC: a secret that ends on it may end at any hour of it."""
    if day is None:
        return None
    at = day.replace(tzinfo=UTC)
    if at <= now:
        raise ConfigError(f"--expires {day:%Y-%m-%d} lies in the past", advice="Give the day on which the new secret ends.")
    return at


def _read(source: str, principal: str) -> Secret:
    """Read the secret from where no other program can see it. Raises ConfigError for what can be no password."""
    if source not in {"", "-"}:
        raise ConfigError("--from takes only -", advice="A file or an argument would leave the secret lying about.")
    if source == "-":
        text = sys.stdin.read(_LONGEST + 2)
    elif sys.stdin.isatty():
        text = ask_hidden(f"The new secret of {principal}")
    else:
        raise ConfigError("nobody is there to type the secret", advice="Give --from - and write it to standard input.")
    value = text.removesuffix("\n").removesuffix("\r")
    if not value:
        raise ConfigError("no secret came", advice="Write it to standard input as one line, or type it when asked.")
    if len(value) > _LONGEST or not value.isprintable() or value != value.strip():
        raise ConfigError(
            "what came is no password: it has several lines, blanks around it, or more than 10,000 characters",
            advice="Write the secret alone.",
        )
    return Secret(value)
