"""Exit statuses, so that a pipeline can tell what happened without reading."""

from enum import IntEnum, StrEnum

from rotator.model.errors import (
    AlreadyRunning,
    ConfigError,
    CutoverFailed,
    Held,
    Leaving,
    PlanChanged,
    PolicyError,
    RemoteError,
    ReplicaLost,
    RotatorError,
    VerificationFailed,
)
from rotator.model.estate import Estate
from rotator.model.policy import Audit, Severity


class Exit(IntEnum):
    """The larger, the more it matters; several reasons give the largest."""

    CLEAN = 0
    FINDINGS = 1
    USAGE = 2
    INCOMPLETE = 3
    UNDONE = 4
    BUG = 70


INTERRUPTED = 130
"""A person pressed Ctrl-C: 128 and the number of the signal, as shells have it."""


class Threshold(StrEnum):
    """From which severity on a finding makes the exit status 1."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    INFO = "info"
    NEVER = "never"


def of_audit(estate: Estate, audit: Audit, threshold: Threshold) -> Exit:
    """Judge an audit: what could not be seen outweighs what was found, because nothing is known about it."""
    if estate.unread or any(_reaches(one.severity, threshold) for one in audit.unknown()):
        return Exit.INCOMPLETE
    return Exit.FINDINGS if any(_reaches(one.severity, threshold) for one in audit.open()) else Exit.CLEAN


def of_error(error: RotatorError) -> Exit:
    """Judge an error that ended the command."""
    match error:
        case ConfigError() | PolicyError() | PlanChanged():
            return Exit.USAGE
        case Held() | VerificationFailed() | CutoverFailed() | AlreadyRunning() | ReplicaLost() | Leaving():
            return Exit.UNDONE
        case RemoteError():
            return Exit.INCOMPLETE
        case _:
            return Exit.BUG


def _reaches(severity: Severity, threshold: Threshold) -> bool:
    return threshold is not Threshold.NEVER and severity.rank <= Severity(threshold.value).rank
