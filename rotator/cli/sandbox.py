"""`rotator sandbox`: the emulated clouds, in a process of their own."""

import contextlib
import errno
import json
import shlex
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rotator.cli import control
from rotator.cli.control import DIRECTORY, STATE_FILE, state_of
from rotator.cli.options import Json
from rotator.model.errors import ConfigError

if TYPE_CHECKING:
    from rotator.sandbox.faults import FaultPlan
    from rotator.sandbox.serve import Sandbox

app = typer.Typer(
    help="Run Azure, AWS and the registries in this machine, to try everything without an account.", no_args_is_help=True
)

Directory = Annotated[Path, typer.Option("--directory", "-d", help="Where its files are written.", file_okay=False)]
Estate = Annotated[str, typer.Option("--estate", help="What the clouds hold: demo, empty or scale.")]
Groups = Annotated[int | None, typer.Option("--groups", min=1, help="How many container groups, for the estate `scale`.")]
Seed = Annotated[int, typer.Option("--seed", help="Chance begins here: the same seed makes the same world.")]
Faults = Annotated[Path | None, typer.Option("--faults", help="A plan of faults, as JSON or YAML.", exists=True, dir_okay=False)]


@app.command()
def up(
    *,
    directory: Directory = DIRECTORY,
    estate: Estate = "demo",
    groups: Groups = None,
    seed: Seed = 1,
    faults: Faults = None,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0: any free port.")] = 0,
    as_json: Json = False,
) -> None:
    """Start the emulated clouds and serve them until interrupted."""
    from rotator.cli.output import console, write_json

    sandbox = prepared(directory, estate=estate, groups=groups, seed=seed, faults=faults, port=port)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a container's stop ends it as Ctrl-C does
    state = directory / STATE_FILE
    with contextlib.suppress(KeyboardInterrupt), running(sandbox):
        written = {"address": sandbox.address, "control": sandbox.control_url, "environment": environment_of(sandbox)}
        _write_state(state, written)
        if as_json:
            write_json(written)
        else:
            show = console()
            show.print(f"The clouds answer at https://{sandbox.address}, the controls at {sandbox.control_url}.", soft_wrap=True)
            show.print(f'In another shell: eval "$(rotator sandbox env --directory {directory})"; rotator audit', soft_wrap=True)
        signal.pause()
    state.unlink(missing_ok=True)


@app.command()
def env(
    *,
    directory: Directory = DIRECTORY,
    azure_cli: Annotated[bool, typer.Option("--azure-cli", help="Also point az and aws at it, and log in with az.")] = False,
    as_json: Json = False,
) -> None:
    """Print the variables that point a shell at a running sandbox."""
    variables, login = dict(state_of(directory)["environment"]), ""
    if azure_cli:
        from rotator.cli import azurecli

        more, login = azurecli.profile(directory)
        variables |= more
    if as_json:
        typer.echo(json.dumps(variables, indent=2))
        return
    for name, value in variables.items():
        typer.echo(f"export {name}={shlex.quote(value)}")
    if login:
        typer.echo(login)


app.command("oracle")(control.oracle)
app.command("clock")(control.clock)


def prepared(directory: Path, *, estate: str, groups: int | None, seed: int, faults: Path | None, port: int = 0) -> "Sandbox":
    """Return a sandbox that is not started yet; ConfigError for an estate or a fault plan that cannot be."""
    from rotator.sandbox.estates import ESTATES
    from rotator.sandbox.serve import Sandbox, SandboxOptions

    if estate not in ESTATES:
        raise ConfigError(f"there is no estate {estate!r}", advice=f"Name one of: {', '.join(ESTATES)}.")
    return Sandbox(
        SandboxOptions(
            directory=directory.resolve(), estate=estate, groups=groups, seed=seed, faults=_faults(faults, seed), port=port
        )
    )


@contextlib.contextmanager
def running(sandbox: "Sandbox") -> "Iterator[Sandbox]":
    """Run a sandbox until the block ends; ConfigError where its port is taken or its directory cannot be written."""
    try:
        sandbox.start()
    except OSError as error:
        sandbox.stop()
        taken = error.errno == errno.EADDRINUSE
        what = f"port {sandbox.options.port} is in use" if taken else f"{sandbox.options.directory}: {error.strerror}"
        advice = "Name another one with --port, or leave it out." if taken else "Name another folder with --directory."
        raise ConfigError(f"the sandbox cannot start: {what}", advice=advice) from None
    try:
        yield sandbox
    finally:
        sandbox.stop()


def _faults(file: Path | None, seed: int) -> "FaultPlan | None":
    from yaml import MarkedYAMLError

    from rotator.sandbox.faults import FaultPlan

    advice = "docs/sandbox.md lists what a fault plan may hold."
    if file is None:
        return None
    try:
        return FaultPlan.load(file, seed)
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{file}:{line}: this is no YAML: {error.problem}", advice=advice) from None
    except json.JSONDecodeError as error:
        raise ConfigError(f"{file}:{error.lineno}: this is no JSON: {error.msg}", advice=advice) from None
    except ValueError as error:
        raise ConfigError(f"{file}: {error}", advice=advice) from None
    except (TypeError, KeyError, AttributeError):
        raise ConfigError(f"{file} holds no list of fault rules", advice=advice) from None
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}", advice=advice) from None


def environment_of(sandbox: "Sandbox") -> dict[str, str]:
    """Return the variables that point rotator, and Azure's SDKs below it, at a started sandbox."""
    return {"ROTATOR_CONFIG": str(sandbox.options.directory / "rotator.yaml"), **sandbox.environment}


def _write_state(file: Path, written: Mapping[str, object]) -> None:
    partly = file.with_suffix(".part")
    partly.write_text(json.dumps(written, indent=2), encoding="utf-8")
    partly.replace(file)  # whoever waits for the file finds it whole
