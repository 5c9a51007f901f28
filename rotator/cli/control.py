"""Talks to a running sandbox: `rotator sandbox oracle` and `rotator sandbox clock`, by its control port."""

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from rotator.cli.exits import Exit
from rotator.cli.options import Json
from rotator.model.errors import ConfigError

STATE_FILE = "sandbox.json"
CLI_FOLDER = "azure-cli"
DIRECTORY = Path(".rotator-sandbox")

Directory = Annotated[Path, typer.Option("--directory", "-d", help="Where the sandbox's files are.", file_okay=False)]
Texts = Annotated[
    list[Path] | None,
    typer.Argument(help="Files to search for secrets, beside those of the sandbox's directory.", exists=True, dir_okay=False),
]
Advance = Annotated[str | None, typer.Option("--advance", help="Turn the clock on first: 2h, 1d, 90s.", metavar="DURATION")]


def oracle(texts: Texts = None, *, directory: Directory = DIRECTORY, as_json: Json = False) -> None:
    """Ask a running sandbox what really happened: outages, lost properties, leaks, orphans. Exit 4 for a broken promise."""
    from rotator.cli import output, tables
    from rotator.report.document import proof

    control = Control(directory)
    # What `az` and `aws` keep for themselves is not the rotator's to answer for.
    mine = (file for file in sorted(directory.rglob("*")) if file.is_file() and CLI_FOLDER not in file.parts)
    files = [*mine, *(texts or ())]
    for file in files:
        control.post("/oracle/scan", content=_content(file), source=str(file))
    measured = control.get("/oracle")
    verdict = proof(measured, len(files))
    if as_json:
        output.write_json(measured)
    else:
        output.console().print(tables.verdict(verdict))
        for sentence in _broken(measured):
            output.console().print(sentence, style="red", markup=False, soft_wrap=True)
    raise typer.Exit(Exit.CLEAN if verdict.kept else Exit.UNDONE)


def _broken(measured: Mapping[str, Any]) -> list[str]:
    """Say what broke each promise: which group, which secret, where."""
    from rotator.report.words import place

    return [
        *(
            f"{place(one['group'])} could not pull from {one['registry']} for {one['seconds']:g} s: {one['reason']}"
            for one in measured["outages"]
        ),
        *(f"{place(one['group'])} lost {one['path']}" for one in measured["lost_properties"]),
        *(f"{one['kind']} of {one['principal']} found in {one['source']}" for one in measured["leaks"]),
        *(f"nobody owns {one['handle']} of {one['principal']}" for one in measured["orphans"]),
    ]


def clock(*, advance: Advance = None, directory: Directory = DIRECTORY, as_json: Json = False) -> None:
    """Say what time it is in a running sandbox, and turn its clock on."""
    from rotator.cli import output
    from rotator.configtext import parse_duration

    control = Control(directory)
    if advance is not None:
        try:
            seconds = parse_duration(advance).total_seconds()
        except ValueError as error:
            raise ConfigError(f"--advance {advance}: {error}", advice="For example: --advance 2h") from None
        control.post("/clock/advance", content=json.dumps({"seconds": seconds}).encode())
    now = datetime.fromisoformat(str(control.get("/clock")["now"]))
    if as_json:
        output.write_json({"now": now})
    else:
        output.console().print(f"{now:%Y-%m-%d %H:%M:%S} UTC")


def state_of(directory: Path) -> Mapping[str, Any]:
    """Return what a running sandbox wrote about itself; ConfigError when none runs in the directory."""
    try:
        written: Mapping[str, Any] = json.loads((directory / STATE_FILE).read_text(encoding="utf-8"))
    except OSError:
        raise ConfigError(f"no sandbox runs in {directory}", advice=_start(directory)) from None
    except ValueError:
        raise ConfigError(f"{directory / STATE_FILE} is no file of a sandbox", advice=_start(directory)) from None
    return written


class Control:
    """The control port of the sandbox that runs in a directory. Raises ConfigError when none does."""

    def __init__(self, directory: Path) -> None:
        from datetime import timedelta

        from rotator.clients.network import Network

        self._directory = directory
        self._url = str(state_of(directory)["control"])
        self._client = Network(ca_file=directory / "ca.pem").http_client(timedelta(seconds=30))

    def get(self, path: str) -> Mapping[str, Any]:
        """Return the answer to a question."""
        return self._ask("GET", path)

    def post(self, path: str, *, content: bytes, source: str = "") -> Mapping[str, Any]:
        """Send something and return the answer."""
        return self._ask("POST", path, content=content, params={"source": source} if source else {})

    def _ask(self, method: str, path: str, **more: Any) -> Mapping[str, Any]:  # noqa: ANN401 - httpx's own arguments
        import httpx

        try:
            answer: Mapping[str, Any] = self._client.request(method, self._url + path, **more).raise_for_status().json()
        except (httpx.HTTPError, OSError, ValueError):
            raise ConfigError(
                f"the sandbox of {self._directory} no longer answers at {self._url}", advice=_start(self._directory)
            ) from None
        return answer


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"{file} cannot be read: {error.strerror}", advice="What cannot be searched may hold a secret."
        ) from None


def _start(directory: Path) -> str:
    return f"Start one with: rotator sandbox up --directory {directory}"
