"""`rotator version`."""

import typer

from rotator import __version__
from rotator.cli.options import Json


def version(*, as_json: Json = False) -> None:
    """Print the version."""
    if as_json:
        from rotator.cli.output import write_json

        write_json({"version": __version__})
    else:
        typer.echo(f"rotator {__version__}")
