"""The secret that manages others: what a driver asks another party's service with."""

from collections.abc import Callable

from rotator.model.errors import ConfigError, NotFound
from rotator.model.secret import Secret


def managing_secret(secret_of: Callable[[str], Secret], name: str, setting: str) -> Secret:
    """Read it from the vault. ConfigError when it is not there: a principal must not look gone because a setting is wrong."""
    try:
        return secret_of(name)
    except NotFound:
        raise ConfigError(
            f"{setting} names the vault's secret {name}, which does not exist",
            advice=f"Put the secret that manages the tokens into the vault under this name, or correct {setting}.",
        ) from None
