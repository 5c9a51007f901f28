"""What a service's refusal means: from status, code and headers to one class of our error tree.

The text of our errors is our own. Of the service's answer only the error code enters it and, for codes whose message is known
to hold names alone, the first sentence: other messages quote what was sent, and that may be a password.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import TypedDict

from rotator.model.errors import (
    Conflict,
    Denied,
    Indeterminate,
    NotFound,
    Rejected,
    RemoteError,
    Throttled,
    Unavailable,
)

TITLES = {
    "arm": "Azure Resource Manager",
    "container-instances": "Azure Container Instances",
    "container-registry": "Azure Container Registry",
    "key-vault": "Key Vault",
    "network": "Azure's networks",
    "authorization": "Azure's role assignments",
    "graph": "Microsoft Graph",
    "logs": "Log Analytics",
    "entra": "Microsoft Entra",
    "registry": "the registry",
    "docker-hub": "Docker Hub",
    "github": "GitHub",
    "gitlab": "GitLab",
    "quay": "Quay",
    "ecr": "Amazon ECR",
    "sts": "AWS STS",
    "sandbox": "the sandbox",
}

# Codes whose message holds names of resources, images and actions, and nothing that a caller sent as a value.
_QUOTABLE = frozenset(
    {
        "AmbiguousImageResitryCredentialType",  # sic: Azure's spelling
        "AuthorizationFailed",
        "ContainerGroupQuotaReached",
        "ContainerGroupTransitioning",
        "InaccessibleImage",
        "InvalidContainerGroupUpdate",
        "InvalidImageRegistryCredentialType",
        "InvalidImageRegistryIdentity",
        "InvalidImageRegistryPassword",
        "OsVersionNotSupported",
        "RegistryErrorResponse",
        "ResourceGroupNotFound",
        "ResourceNotFound",
        "SubscriptionNotFound",
    }
)

# Codes that say more than their status does.
_DENIED = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "AuthorizationFailed",
        "Authorization_RequestDenied",
        "ExpiredToken",
        "ExpiredTokenException",
        "IDPRejectedClaim",
        "InsufficientAccessError",
        "InvalidClientTokenId",
        "InvalidIdentityToken",
        "UnrecognizedClientException",
    }
)
_THROTTLED = frozenset(
    {"RequestLimitExceeded", "Throttling", "ThrottlingException", "TooManyRequests", "TooManyRequestsException"}
)
_BUSY = frozenset({"ContainerGroupTransitioning", "Directory_ConcurrencyViolation", "TokenNotActive"})
# A 409 that is no conflict: the image's registry said no. A 403 that no role would change: the version is switched off.
_REFUSED = frozenset({"RegistryErrorResponse", "SecretDisabled"})
# Another 409 that is no conflict: the region has no room at the moment.
_FULL = frozenset({"ServiceUnavailable"})
_BROKEN = frozenset({500, 502, 504})

_REQUEST_IDS = ("x-ms-request-id", "request-id", "x-amzn-requestid", "x-ms-correlation-request-id", "x-request-id")
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.\-]{0,79}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The request that was refused: closed names for `api` and `operation`, `thing` in the operator's words."""

    api: str
    operation: str
    effect: bool = False
    needs: str = ""
    thing: str = ""

    @property
    def service(self) -> str:
        """The service's name for people."""
        return TITLES.get(self.api, self.api)

    @property
    def deed(self) -> str:
        """What was to be done, for example `redeploy (group web)`."""
        verb = self.operation.replace("-", " ")
        return f"{verb} ({self.thing})" if self.thing else verb


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back. Header names are in lower case; `code` is the service's innermost error code, or empty."""

    status: int
    code: str = ""
    headers: Mapping[str, str]
    sentence: str = ""

    @classmethod
    def read(cls, status: int, headers: Mapping[str, str], body: str) -> "Answer":
        """Take the code out of an error body of Azure, Microsoft Graph, a registry or AWS; keep nothing else of it."""
        lowered = {str(name).lower(): str(value) for name, value in headers.items()}
        try:
            document = json.loads(body)
        except ValueError:
            document = None
        code, sentence = told(document)
        return cls(status=status, code=code, headers=lowered, sentence=sentence)

    @property
    def request_id(self) -> str | None:
        """The service's own id of the request."""
        return next((self.headers[name] for name in _REQUEST_IDS if name in self.headers), None)

    @property
    def retry_after(self) -> timedelta | None:
        """How long the service wants us to wait."""
        return retry_after(self.headers)


class _Place(TypedDict):
    api: str
    operation: str
    request_id: str | None


def refusal(answer: Answer, asked: Asked) -> RemoteError:
    """Return the error that a refusal is. Nothing of the request or of the answer's body is kept in it."""
    code, status = answer.code, answer.status
    said = f"{asked.service} answered {status}{f' {code}' if code else ''} to {asked.deed}"
    text = f"{said}: {answer.sentence}" if answer.sentence else f"{said}."
    place = _Place(api=asked.api, operation=asked.operation, request_id=answer.request_id)
    known = _by_code(code, text, place)
    if known is not None:
        return known
    if status == 429 or code in _THROTTLED:
        return Throttled(text, **place, retry_after=answer.retry_after)
    if code in _DENIED or status in {401, 403}:
        # Azure's own sentence buries the permission in ids, and Key Vault's names none for a write.
        needs = asked.needs or f"the permission to {asked.operation.replace('-', ' ')}"
        return Denied(f"{said}: {needs} is missing.", **place, needs=needs)
    if status in {408, 503} or (status == 409 and code in _FULL) or (status in _BROKEN and not asked.effect):
        return Unavailable(text, **place)
    if status in _BROKEN:
        # A gateway that gave up or a server that broke says nothing about whether the request took effect.
        return Indeterminate(f"{text} It may have taken effect.", **place)
    if status == 404 or code.endswith("NotFoundException"):
        return NotFound(text, **place, reason=code)
    if status in {409, 412}:
        return Conflict(text, **place)
    return Rejected(text, **place, reason=code or f"http-{status}")


def _by_code(code: str, text: str, place: _Place) -> RemoteError | None:
    """Judge the codes that say more than their status does."""
    if code in _BUSY:
        return Conflict(text, **place)
    if code in _REFUSED:
        return Rejected(text, **place, reason=code)
    return None


def retry_after(headers: Mapping[str, str]) -> timedelta | None:
    """Read Retry-After (seconds or an HTTP date) and its millisecond variants; header names in lower case.

    A date is measured against the answer's own Date, so that a difference between the clocks does not matter.
    """
    for name in ("retry-after-ms", "x-ms-retry-after-ms"):
        if headers.get(name, "").isdigit():
            return timedelta(milliseconds=int(headers[name]))
    text = headers.get("retry-after", "").strip()
    if text.isdigit():
        return timedelta(seconds=int(text))
    try:
        wait = parsedate_to_datetime(text) - parsedate_to_datetime(headers["date"])
    except (KeyError, TypeError, ValueError):
        return None
    return max(wait, timedelta(0))


def told(document: object) -> tuple[str, str]:
    """Return the innermost error code of an error document, and its first sentence where that may be repeated."""
    code, message = _code_and_message(document)
    return code, _first_sentence(message) if code in _QUOTABLE else ""


def _code_and_message(document: object) -> tuple[str, str]:
    if not isinstance(document, dict):
        return "", ""
    error = document.get("error", document)
    if isinstance(error, str):  # OAuth: {"error": "invalid_client", ...}
        return _closed(error), ""
    listed = document.get("errors")
    if isinstance(listed, list) and listed:  # registries: {"errors": [{"code": ...}]}
        error = listed[0]
    if not isinstance(error, dict):
        return "", ""
    code, message = str(error.get("code") or error.get("__type") or ""), str(error.get("message") or "")
    inner = error.get("innererror") or error.get("innerError")
    while isinstance(inner, dict):
        code = str(inner.get("code") or code)
        inner = inner.get("innererror") or inner.get("innerError")
    return _closed(code.rsplit("#", 1)[-1]), message


def _closed(code: str) -> str:
    """An error code is one word; anything else is not repeated."""
    return code if _CODE.fullmatch(code) else ""


def _first_sentence(message: str) -> str:
    line = " ".join(message.split())
    sentence = re.split(r"(?<=[.!?])\s", line, maxsplit=1)[0]
    return sentence if len(sentence) <= 300 else sentence[:299] + "…"
