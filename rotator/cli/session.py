"""Opens the application that a verb works with, and closes it."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from rotator.cli.options import Level

if TYPE_CHECKING:
    from rotator.application import Application
    from rotator.settings import Settings

DEFAULT_FILE = Path("rotator.yaml")


def settings_of(config: Path | None, given: Mapping[str, str] | None = None) -> "Settings":
    """Return the settings of the file that was named, of rotator.yaml, or of the environment alone. Raises ConfigError.

    `given` replaces the environment.
    """
    from rotator.config import environment, load
    from rotator.settings import ENVIRONMENT_PREFIX

    if config is None and not DEFAULT_FILE.exists() and f"{ENVIRONMENT_PREFIX}TENANT_ID" in environment():
        return load(None, given)
    return load(config or DEFAULT_FILE, given)


@contextmanager
def opened(settings: "Settings", level: Level, log_to: TextIO | None = None, verb: str = "") -> "Iterator[Application]":
    """Yield the application of some settings, with the logs going to standard error or to `log_to`.

    `verb` is what the evidence names as the reason for what is done.
    """
    from rotator import wiring
    from rotator.cli import groundwork
    from rotator.telemetry import logs

    groundwork.check(settings)
    application = wiring.build(settings, observers=(logs.EventLog(),), verb=verb)
    try:
        logs.configure(level=level.value, clock=application.clock, stream=log_to or sys.stderr)
        with application.metrics.waiting.watched():
            yield application
    finally:
        application.close()
        logs.reset()
