"""What `resume`, `roll-back` and `abandon` share: find the rotation, show it, ask, carry it out, show what came of it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from rotator.cli.exits import Exit
from rotator.cli.options import Level
from rotator.model.errors import Held
from rotator.model.rotation import RotationOutcome, Verb

if TYPE_CHECKING:
    from rotator.application import Application
    from rotator.model.estate import Estate
    from rotator.model.rotation import Situation
    from rotator.ports import Observer

Which = Annotated[
    str,
    typer.Argument(
        metavar="PRINCIPAL", help="The credential: its id, a glob that fits exactly one, or the name of its rotation (rot-...)."
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.")]

_NOTHING = {
    Verb.RESUME: "No rotation of {} is held or unfinished; there is nothing to resume.",
    Verb.ABANDON: "No rotation of {} is under way; there is nothing to give up.",
}
_AFTER = {
    Verb.ABANDON: "The credential stays due: the next run begins a new rotation. To keep it from that, take its groups out of "
    "scope, or raise rotation.max_age or lower rotation.renew_before for its kind (docs/configuration.md).",
    Verb.ROLL_BACK: "The credential stays due: once the roll-back is over, the next run begins a new rotation.",
}


def decided(verb: Verb, which: str, config: Path | None, level: Level, *, yes: bool, dry_run: bool, as_json: bool) -> NoReturn:
    """Carry out one decision and exit."""
    from rotator.cli import output, situations, tables
    from rotator.cli.confirm import confirm
    from rotator.cli.selection import one_principal
    from rotator.cli.session import opened, settings_of

    with opened(settings_of(config), level) as application:
        estate = application.estate()
        plan = application.plan(estate)
        principal = one_principal(which, estate, plan.situations)
        situation = next((one for one in application.decisions.situations(plan) if one.principal == principal), None)
        console, names = output.console(), tables.names(estate)
        if situation is None:
            _nothing(verb, principal.id, as_json=as_json)
        if not as_json:
            console.print(situations.shown([situation], names, application.clock.now()), crop=False)
        choice = situation.choice(verb)
        if choice.refused:
            raise Held(f"{verb.value} is impossible: {choice.refused}", advice=situation.advice or _instead(situation))
        outcomes: tuple[RotationOutcome, ...] = ()
        if not dry_run:
            if not as_json:
                console.print(situations.announced(choice))
            confirm(f"Do this? {choice.restarts} group restarts", yes=yes)
            outcomes = _carried_out(application, verb, situation, estate, quiet=as_json)
    if as_json:
        output.write_json({"situation": situation, "outcomes": outcomes, "unread": estate.unread})
    elif dry_run:
        console.print(situations.announced(choice))
    else:
        console.print(tables.outcomes(outcomes, names) if outcomes else "Nothing is left to do now.")
        if outcomes and verb in _AFTER:
            console.print(_AFTER[verb], style="dim")
    exit_of(outcomes, unread=bool(estate.unread))


def shown_while(
    act: "Callable[[Observer | None], Sequence[RotationOutcome]]", estate: "Estate", *, quiet: bool
) -> tuple[RotationOutcome, ...]:
    """Do something with its progress shown, unless `quiet`."""
    from rotator.cli import output, tables
    from rotator.cli.progress import RotationProgress
    from rotator.cli.steps import interruptible

    if quiet:
        with interruptible():
            return tuple(act(None))
    with interruptible(), RotationProgress(output.console(), None, tables.names(estate)) as progress:
        return tuple(act(progress))


def exit_of(outcomes: Sequence[RotationOutcome], *, unread: bool) -> NoReturn:
    """Exit as what came of it demands."""
    undone = any(one.result.undone for one in outcomes)
    raise typer.Exit(Exit.UNDONE if undone else Exit.INCOMPLETE if unread else Exit.CLEAN)


def _carried_out(
    application: "Application", verb: Verb, situation: "Situation", estate: "Estate", *, quiet: bool
) -> tuple[RotationOutcome, ...]:
    def act(progress: "Observer | None") -> Sequence[RotationOutcome]:
        return application.decisions.decide(verb, situation, estate, progress)

    return shown_while(act, estate, quiet=quiet)


def _nothing(verb: Verb, principal: str, *, as_json: bool) -> NoReturn:
    from rotator.cli import output

    if verb is Verb.ROLL_BACK:
        raise Held(
            f"no rotation of {principal} is under way: its old secret has been ended, so there is nothing to go back to",
            advice=f"A new secret helps: rotator rotate --force --only '{principal}'.",
        )
    if as_json:
        output.write_json({"situation": None, "outcomes": []})
    else:
        output.console().print(_NOTHING[verb].format(principal), markup=False, soft_wrap=True)
    raise typer.Exit(Exit.CLEAN)


def _instead(situation: "Situation") -> str:
    possible = [one.command for one in situation.choices if not one.refused]
    return f"Possible: {'; '.join(possible)}." if possible else "rotator status shows what it waits for."
