"""`rotator config`: look at the configuration without touching the cloud."""

import typer

from rotator.cli.exits import Exit
from rotator.cli.options import Config, Json, Level, LogLevel

app = typer.Typer(help="Check the configuration, or print its schema.", no_args_is_help=True)


@app.command()
def check(*, config: Config = None, as_json: Json = False, log_level: LogLevel = Level.WARNING) -> None:
    """Load the configuration, the policies and the waivers; nothing is contacted."""
    from rotator.cli.output import console, write_json
    from rotator.cli.session import settings_of
    from rotator.report.words import count
    from rotator.wiring import rulebook

    del log_level
    settings = settings_of(config)
    rules = rulebook(settings)
    listed, broken = rules.waivers.listed, rules.waivers.broken
    if as_json:
        write_json({"ok": not broken, "policies": [policy.id for policy in rules.policies], "waivers": listed, "broken": broken})
    else:
        vault = str(settings.vault.url).rstrip("/")
        sentence = f"{count(len(settings.scope.subscriptions), 'subscription')}, vault {vault}"
        sentence += f", {count(len(rules.policies), 'policy', 'policies')}, {count(len(listed), 'waiver')}"
        console().print(f"{'In order' if not broken else 'Readable'}: {sentence}.", style="" if broken else "green")
        for one in broken:
            console().print(f"A waiver is broken and excuses nothing: {one.message}", style="red", markup=False)
    raise typer.Exit(Exit.USAGE if broken else Exit.CLEAN)


@app.command()
def schema() -> None:
    """Print the JSON Schema of the configuration file, for editors."""
    import json

    from rotator.config import schema as published

    typer.echo(json.dumps(published(), indent=2))
