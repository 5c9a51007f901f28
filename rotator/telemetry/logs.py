"""Structured logs: JSON for machines, one readable line on a terminal, and no secret in either.

Every entry, ours and that of every library, passes one formatter, and the formatter passes the redactor last: after
tracebacks have become text, because a traceback is where a value hides best.
"""

import logging
import threading
from collections.abc import Mapping, MutableMapping
from typing import Any, TextIO

import structlog

from rotator.model.rotation import RotationEvent
from rotator.ports import Clock
from rotator.telemetry.redaction import Redactor

# Libraries that write headers, bodies or one line a request below WARNING. They stay at WARNING even when we debug: that is
# where an Authorization header would reach a file.
_LIBRARIES = (
    *("azure", "msal", "botocore", "boto3", "urllib3", "httpx", "httpcore", "requests"),
    *("asyncio", "sqlalchemy", "apscheduler", "dbos", "uvicorn", "uvicorn.error", "uvicorn.access"),
)

# These write what we say ourselves, in one sentence, and write it again for every request (an identity that is refused) or with
# a traceback (a journal that cannot be opened).
_ECHOES = ("azure.identity", "dbos")

Event = MutableMapping[str, Any]

log = structlog.get_logger("rotator.rotation")

redactor = Redactor()
"""The process's redactor: whoever gets a secret from a service may tell it (`redactor.remember(secret)`)."""


def configure(*, level: str, clock: Clock, stream: TextIO, terminal: bool | None = None) -> None:
    """Send every log entry of the process to `stream` in one form. May be called again: the last call counts.

    `terminal` chooses the readable form (by default: whether the stream is a terminal). Times are RFC 3339 in UTC, from
    `clock`, so that entries of a sandbox run carry the sandbox's time.
    """
    readable = stream.isatty() if terminal is None else terminal
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        _Time(clock),
    ]
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                _redact,
                _renderer(readable=readable, colours=readable and stream.isatty()),
            ],
        )
    )
    handler.addFilter(_worth_writing)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    _route_libraries()


def reset() -> None:
    """Write nothing from now on; for whoever closes the stream that `configure` was given."""
    logging.getLogger().handlers = [logging.NullHandler()]


def _route_libraries() -> None:
    for name in _LIBRARIES:
        logger = logging.getLogger(name)
        logger.propagate = True
        logger.handlers = []
    # DBOS adds a console handler of its own, and stops propagation, unless its logger has one already.
    logging.getLogger("dbos").addHandler(logging.NullHandler())


def _worth_writing(record: logging.LogRecord) -> bool:
    """Judge a record by its library. Not by the logger's level, which DBOS and uvicorn set to their own taste later on."""
    if record.name.startswith(_ECHOES) and not logging.getLogger("rotator").isEnabledFor(logging.DEBUG):
        return record.levelno >= logging.CRITICAL
    return record.levelno >= logging.WARNING or not record.name.startswith(_LIBRARIES)


class EventLog:
    """Logs what rotations do (this is a `rotator.ports.Observer`)."""

    def notice(self, event: RotationEvent) -> None:
        """Log one event: failures as warnings."""
        facts = {"rotation": event.rotation, "principal": event.principal.id, "step": event.step, "detail": event.detail}
        if event.group is not None:
            facts["group"] = event.group.text
        if event.ok:
            log.info("step", **facts)
        else:
            log.warning("step failed", code=event.code, **facts)


class _Time:
    """Stamps entries. A clock that logs while it is asked must not be asked again: the last instant is good enough then."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._asked = threading.local()
        self._last = ""

    def __call__(self, logger: object, method: str, event: Event) -> Event:
        del logger, method
        if not getattr(self._asked, "now", False):
            self._asked.now = True
            try:
                self._last = self._clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
            except Exception:  # noqa: BLE001, S110 - a clock that cannot be reached must not silence the error that says so
                pass
            finally:
                self._asked.now = False
        event["timestamp"] = self._last
        return event


def _redact(logger: object, method: str, event: Event) -> Mapping[str, Any]:
    del logger, method
    return {name: redactor.value(value, name) for name, value in event.items()}


def _renderer(*, readable: bool, colours: bool) -> structlog.typing.Processor:
    if readable:
        # Plain tracebacks: the rich form prints local variables, which is where values are.
        return structlog.dev.ConsoleRenderer(colors=colours, exception_formatter=structlog.dev.plain_traceback, pad_event_to=0)
    return structlog.processors.JSONRenderer(sort_keys=True)
