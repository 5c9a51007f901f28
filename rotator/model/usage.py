"""Who has used a credential, as logs and container groups tell, and what that says about an old one."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from rotator.model.arm import ArmId

# The verification's own pulls say in the registry's log that they are ours. Whoever claims to be them only shortens the life
# of a secret that is about to end.
OWN_AGENT = "rotator-verification"


class Drain(StrEnum):
    """Whether an old credential is out of use: shown by a log, assumed for want of entries that tell, or not known."""

    PROVED = "proved"
    ASSUMED = "assumed"
    UNKNOWN = "unknown"
    IN_USE = "in-use"


class DrainRule(StrEnum):
    """What a log must say before an old secret is ended; `docs/configuration.md` says what each means."""

    REPORT = "report"
    WHEN_NOT_IN_USE = "when-not-in-use"
    ONLY_PROVED = "only-proved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What is known about the use of a principal's old secrets. `callers` are addresses; `last_seen_at` is None for never in the
    window. `early`: entries may still be on their way, so that asking again helps.
    """

    drain: Drain
    last_seen_at: datetime | None = None
    callers: tuple[str, ...] = ()
    detail: str = ""
    early: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """One login or sign-in that was not refused. `key` names the secret where the log does, else it is empty."""

    at: datetime
    address: str = ""
    key: str = ""
    agent: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Uses:
    """What a log holds of one principal.

    `complete_until`: later entries may still be on their way. `names_keys`: each entry says which secret was used.
    `unreadable` is why the log could not be asked; `unproven` why its silence would prove nothing. Both are sentences, empty
    when all is well.
    """

    complete_until: datetime
    entries: tuple[Use, ...] = ()
    names_keys: bool = False
    unreadable: str = ""
    unproven: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pull:
    """What a container's instance view says of its pulls from one registry: how many, and when the first and the last was.

    Azure keeps no more than that of each run of a group: a redeploy, a restart and a start begin anew.
    """

    group: ArmId
    registry: str
    first_at: datetime
    last_at: datetime
    count: int = 1
