"""Everything that can go wrong, as types.

Code retries and reports by type, never by text. Each class has a `code` for metrics (a closed set) and an `advice` for
people. No class accepts a response body: the text of an error is written by us, so it cannot carry a secret.
"""

from datetime import timedelta
from enum import StrEnum


class RotatorError(Exception):
    """The root. `str(error)` is a sentence for people; `advice` says what to do next."""

    code = "internal"
    advice = "Run again with --log-level debug and look at the last request that was made."

    def __init__(self, message: str, *, advice: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if advice is not None:
            self.advice = advice


class ConfigError(RotatorError):
    """The operator's configuration is wrong."""

    code = "config"
    advice = "Run `rotator config check` and correct the line that it names."


class PolicyError(RotatorError):
    """A policy or waiver file is wrong. `file` and `line` say where."""

    code = "policy"
    advice = "Correct the file; `rotator config check` loads the policies without touching the cloud."

    def __init__(self, message: str, *, file: str, line: int | None = None, advice: str | None = None) -> None:
        super().__init__(f"{file}:{line}: {message}" if line else f"{file}: {message}", advice=advice)
        self.file = file
        self.line = line


class PlanChanged(RotatorError):
    """A saved plan no longer describes the estate; nothing was done."""

    code = "plan-changed"
    advice = "Make a new plan with `rotator plan`, read it, and carry that one out."


class AlreadyRunning(RotatorError):
    """Another process holds the same journal."""

    code = "already-running"
    advice = "Wait for the other process to end, or give this one a state directory of its own."


class RemoteError(RotatorError):
    """A remote API refused or failed. `api` and `operation` are closed names; `request_id` is the service's own."""

    code = "remote"
    advice = "Look the request id up in the service's activity log."

    def __init__(
        self, message: str, *, api: str, operation: str, request_id: str | None = None, advice: str | None = None
    ) -> None:
        super().__init__(message, advice=advice)
        self.api = api
        self.operation = operation
        self.request_id = request_id


class Throttled(RemoteError):
    """The service asked us to slow down. `retry_after` is its own wish, when it gave one."""

    code = "throttled"
    advice = "Nothing to do: the work is tried again later. If it stays, lower rotation.max_parallel."

    def __init__(
        self,
        message: str,
        *,
        api: str,
        operation: str,
        request_id: str | None = None,
        retry_after: timedelta | None = None,
        advice: str | None = None,
    ) -> None:
        super().__init__(message, api=api, operation=operation, request_id=request_id, advice=advice)
        self.retry_after = retry_after


class Unavailable(RemoteError):
    """The service could not be reached or is failing; nothing was done there."""

    code = "unavailable"
    advice = "Check the network path and the service's health; the work is tried again at the next run."


class Denied(RemoteError):
    """The caller lacks a permission. `needs` names it in the service's own words."""

    code = "denied"

    def __init__(self, message: str, *, api: str, operation: str, request_id: str | None = None, needs: str) -> None:
        super().__init__(
            message,
            api=api,
            operation=operation,
            request_id=request_id,
            advice=f"Grant {needs} to the identity that rotator runs as (docs/permissions.md lists them all).",
        )
        self.needs = needs


class NotFound(RemoteError):
    """The thing does not exist (any more). `reason` is the service's error code: it may be what is around it that is missing."""

    code = "not-found"
    advice = "It may have been deleted since the inventory; the next run reads again."

    def __init__(
        self,
        message: str,
        *,
        api: str,
        operation: str,
        request_id: str | None = None,
        reason: str = "",
        advice: str | None = None,
    ) -> None:
        super().__init__(message, api=api, operation=operation, request_id=request_id, advice=advice)
        self.reason = reason


class Conflict(RemoteError):
    """The thing is busy or already there: a group in transition, a name in soft delete, a concurrent directory write."""

    code = "conflict"
    advice = "Try again in a few minutes; if it stays, look for a deployment that does not end."


class Rejected(RemoteError):
    """The service understood the request and said no. `reason` is the service's error code, never its body."""

    code = "rejected"

    def __init__(
        self,
        message: str,
        *,
        api: str,
        operation: str,
        request_id: str | None = None,
        reason: str = "",
        advice: str | None = None,
    ) -> None:
        super().__init__(message, api=api, operation=operation, request_id=request_id, advice=advice)
        self.reason = reason


class Indeterminate(RemoteError):
    """The request was sent and no answer came: it may have taken effect. Look before acting again; never plainly retry."""

    code = "indeterminate"
    advice = "Nothing to do: the next step looks at what really happened."


class Refusal(StrEnum):
    """Why a registry does not let somebody pull an image, as far as its answer tells."""

    WRONG_CREDENTIAL = "wrong-credential"
    EXPIRED = "expired"
    NO_RIGHT = "no-right"
    FIREWALL = "firewall"
    NO_IMAGE = "no-image"
    INSECURE = "insecure"
    UNKNOWN = "unknown"


class VerificationFailed(RotatorError):
    """A credential could not pull an image. `refusal` is the cause, which the message gives a sentence of its own."""

    code = "verification"
    advice = "Check that the principal may read the image named; the old credential is kept."

    def __init__(self, message: str, *, advice: str | None = None, refusal: Refusal = Refusal.UNKNOWN) -> None:
        super().__init__(message, advice=advice)
        self.refusal = refusal


class CutoverFailed(RotatorError):
    """A group did not become healthy on the new credential."""

    code = "cutover"
    advice = "Look at the group's events; the old credential is kept, and was put back where that was possible."


class Held(RotatorError):
    """A person must decide. `missing` lists what is needed, for example write-only fields without a source."""

    code = "held"

    def __init__(self, message: str, *, missing: tuple[str, ...] = (), advice: str | None = None) -> None:
        super().__init__(message, advice=advice or "Decide, then run again; nothing is done until then.")
        self.missing = missing


class ReplicaLost(RotatorError):
    """This process was away for so long that another replica has taken its work over, or may have."""

    code = "replica-lost"
    advice = "Nothing is lost: the others carry on. Start this one again; it joins them as a new replica."

    def __init__(self) -> None:
        super().__init__("this process was away for too long, so that other replicas take its work over")


class Leaving(RotatorError):
    """This replica was told to stop in the middle of a run; the others carry on with what it has begun."""

    code = "leaving"
    advice = "Nothing to do."

    def __init__(self) -> None:
        super().__init__("this replica leaves in the middle of a run, which the next leader carries on")


class Fenced(BaseException):
    """This process may not act any more: its work is, or may be, another replica's by now.

    No RotatorError, and no Exception: it must end the work where it stands, like a crash. A handler that took it for a failed
    step would write it into the journal as the step's result, and would roll back what another replica is carrying out.
    """
