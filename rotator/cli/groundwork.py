"""What must be in order on this machine before anything is asked of a cloud; each fault is one sentence."""

import os
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from rotator.model.errors import ConfigError

if TYPE_CHECKING:
    from rotator.settings import Settings
    from rotator.settings.running import State

_SQLITE = b"SQLite format 3\x00"


def check(settings: "Settings") -> None:
    """Raise ConfigError for files and addresses that the settings name and that cannot be used."""
    _check_authorities(settings.network.ca_file)
    _check_addresses(settings)
    _check_state(settings.state)


def _check_authorities(file: Path | None) -> None:
    if file is None:
        return
    try:
        ssl.create_default_context(cafile=str(file))
    except ssl.SSLError:
        raise ConfigError(
            f"network.ca_file: {file} holds no certificate", advice="Name a PEM file, which begins with BEGIN CERTIFICATE."
        ) from None
    except OSError as error:
        raise ConfigError(
            f"network.ca_file: {file} cannot be read: {error.strerror}",
            advice="Name a PEM file of certificates, or leave the setting out to trust the system's.",
        ) from None


def _check_addresses(settings: "Settings") -> None:
    from rotator.clients.network import Network

    for host, address in settings.network.resolve.items():
        try:
            Network(resolve={"*": address}).address_of("host")
        except ValueError as error:
            raise ConfigError(f"network.resolve: {host}: {error}", advice="For example: 10.0.0.4:443") from None


def _check_state(state: "State") -> None:
    directory = state.folder
    advice = "Name a folder that can be written in state.directory, or make this one so."
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"state.directory: {directory} cannot be made: {error.strerror}", advice=advice) from None
    if not os.access(directory, os.W_OK | os.X_OK):
        raise ConfigError(f"state.directory: {directory} cannot be written to", advice=advice)
    # The vault holds the truth, so what is said of both files is true: either may be moved away.
    files = {
        state.history_file: "the evidence in it is lost, and the new log says so",
        state.journal_file: "the vault says where each rotation stands",
    }
    for file, why in files.items():
        try:
            with file.open("rb") as content:
                begin = content.read(len(_SQLITE))
        except FileNotFoundError:
            continue
        except OSError as error:
            raise ConfigError(f"{file} cannot be read: {error.strerror}", advice=advice) from None
        if begin not in (b"", _SQLITE):
            raise ConfigError(f"{file} is damaged: it is no SQLite database", advice=f"Move it away and run again; {why}.")
