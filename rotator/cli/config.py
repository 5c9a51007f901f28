"""`rotator config`: look at the configuration without touching the cloud."""

from typing import TYPE_CHECKING

import typer

from rotator.cli.exits import Exit
from rotator.cli.options import Config, Json, Level, LogLevel

if TYPE_CHECKING:
    from rotator.audit.policies import Rule
    from rotator.audit.waivers import Waivers
    from rotator.settings import Settings

app = typer.Typer(help="Check the configuration, or print its schema.", no_args_is_help=True)


@app.command()
def check(*, config: Config = None, as_json: Json = False, log_level: LogLevel = Level.WARNING) -> None:
    """Load the configuration, the policies and the waivers, and run the policies' own examples; nothing is contacted."""
    from rotator.audit.policies import check_examples, load_rules
    from rotator.audit.waivers import load_waivers
    from rotator.cli.output import console, write_json
    from rotator.cli.session import settings_of

    del log_level
    settings = settings_of(config)
    rules, waivers = load_rules(settings.policies.folders), load_waivers(settings.policies.waivers_file)
    problems = [*check_examples(rules), *(f"{one.message}; it excuses nothing" for one in waivers.broken)]
    notes = _notes(rules, waivers)
    if as_json:
        policies = [rule.policy.id for rule in rules]
        examples = sum(len(rule.examples) for rule in rules)
        written = {"policies": policies, "examples": examples, "waivers": waivers.listed, "problems": problems, "notes": notes}
        write_json({"ok": not problems, **written})
    else:
        console().print(f"{'Readable' if problems else 'In order'}: {_sums(settings, rules, waivers)}.", style="green")
        for text, style in [*((one, "red") for one in problems), *((one, "yellow") for one in notes)]:
            console().print(text, style=style, markup=False, soft_wrap=True)
    raise typer.Exit(Exit.USAGE if problems else Exit.CLEAN)


@app.command()
def schema() -> None:
    """Print the JSON Schema of the configuration file, for editors."""
    import json

    from rotator.config import schema as published

    typer.echo(json.dumps(published(), indent=2))


def _notes(rules: "tuple[Rule, ...]", waivers: "Waivers") -> list[str]:
    """Return what an audit would report of waivers that can be read: those past their date, those of no known policy."""
    from rotator.audit.waivers import complaints
    from rotator.clients.clock import SystemClock

    broken = {one.message for one in waivers.broken}
    found = complaints(waivers, [rule.policy for rule in rules], SystemClock().now())
    return [sentence for _, _, _, sentence in found if sentence not in broken]


def _sums(settings: "Settings", rules: "tuple[Rule, ...]", waivers: "Waivers") -> str:
    from rotator.report.words import count

    parts = (
        count(len(settings.scope.subscriptions), "subscription"),
        f"vault {str(settings.vault.url).rstrip('/')}",
        f"{count(len(rules), 'policy', 'policies')} with {count(sum(len(rule.examples) for rule in rules), 'example')}",
        count(len(waivers.listed), "waiver"),
    )
    return ", ".join(parts)
