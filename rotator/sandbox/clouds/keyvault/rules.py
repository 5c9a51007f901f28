"""What a vault accepts, and the exact words in which it refuses. Pure."""

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from rotator.sandbox.wire import Document, Refused, Window, refuse

if TYPE_CHECKING:
    from rotator.sandbox.clouds.keyvault.records import Secret, SecretVersion

PAGE = 25
CREATES = Window(limit=300, span=timedelta(seconds=10))
OTHERS = Window(limit=4000, span=timedelta(seconds=10))

_NAME = re.compile(r"[0-9a-zA-Z-]{1,127}")
_LARGEST_VALUE = 25 * 1024
_LONGEST_CONTENT_TYPE = 255
_MOST_TAGS = 15
_LONGEST_TAG = 512
_FIELDS = frozenset({"value", "tags", "contentType", "attributes"})
_ATTRIBUTES = frozenset({"enabled", "exp", "nbf"})
# What a client may send back unchanged from an earlier answer.
_READ_ONLY_ATTRIBUTES = frozenset({"created", "updated", "recoveryLevel", "recoverableDays"})


def bad(message: str) -> Refused:
    """Build the refusal of a wrong parameter."""
    return refuse(400, "BadParameter", message)


def not_found(name: str) -> Refused:
    """Build the refusal of a secret that is not there."""
    return refuse(
        404,
        "SecretNotFound",
        f"A secret with (name/id) {name} was not found in this key vault. If you recently deleted this secret you may be "
        "able to recover it using the correct recovery command. For help resolving this issue, please see "
        "https://go.microsoft.com/fwlink/?linkid=2125182",
    )


def deleted_not_found(name: str) -> Refused:
    """Build the refusal of a secret that is not in soft delete."""
    return refuse(404, "SecretNotFound", f"Deleted Secret not found: {name}")


def still_deleted(name: str) -> Refused:
    """Build the refusal of a name that soft delete still holds."""
    return refuse(
        409,
        "Conflict",
        f"Secret {name} is currently in a deleted but recoverable state, and its name cannot be reused; in this state, "
        "the secret can only be recovered or purged.",
        innererror={"code": "ObjectIsDeletedButRecoverable"},
    )


def forbidden(caller: str, action: str, scope: str, vault: str, location: str) -> Refused:
    """Build the refusal of a caller without the role."""
    message = "\r\n".join(
        (
            "Caller is not authorized to perform action on resource.",
            "If role assignments, deny assignments or role definitions were changed recently, please observe propagation time.",
            f"Caller: {caller}",
            f"Action: '{action}'",
            f"Resource: '{scope.lower()}'",
            "Assignment: (not found)",
            "DenyAssignmentId: null",
            "DecisionReason: null",
            f"Vault: {vault};location={location}",
            "",
        )
    )
    return refuse(403, "Forbidden", message, innererror={"code": "ForbiddenByRbac"})


def readable(secret: "Secret | None", name: str, version: str) -> "SecretVersion":
    """Return the version whose value may be read, or refuse: missing, deleted or disabled."""
    found = None if secret is None or secret.deleted_at else secret.version(version)
    if found is None:
        raise not_found(f"{name}/{version}" if version else name)
    if not found.enabled:
        raise refuse(
            403, "Forbidden", "Operation get is not allowed on a disabled secret.", innererror={"code": "SecretDisabled"}
        )
    return found


def check_name(name: str) -> None:
    """Refuse a name that Key Vault does not allow."""
    if not _NAME.fullmatch(name):
        raise bad(f"The request URI contains an invalid name: {name}")


def check_body(body: Document, *, value_demanded: bool) -> None:
    """Refuse a body that sets too much, or that no client would send."""
    unknown = sorted(set(body) - _FIELDS - {"id"})
    if unknown:
        raise bad(f"Property {unknown[0]} is not allowed.")
    value = body.get("value")
    if value_demanded and not isinstance(value, str):
        raise bad("The parameter value is not specified.")
    if not value_demanded and value is not None:
        raise bad("The value of a secret version cannot be changed.")
    if isinstance(value, str) and len(value.encode()) > _LARGEST_VALUE:
        raise bad(f"The secret value exceeds the maximum size of {_LARGEST_VALUE} bytes.")
    if len(body.get("contentType") or "") > _LONGEST_CONTENT_TYPE:
        raise bad(f"The content type exceeds {_LONGEST_CONTENT_TYPE} characters.")
    _check_tags(body.get("tags") or {})
    unknown = sorted(set(body.get("attributes") or {}) - _ATTRIBUTES - _READ_ONLY_ATTRIBUTES)
    if unknown:
        raise bad(f"Attribute {unknown[0]} is not allowed.")


def _check_tags(tags: Document) -> None:
    if len(tags) > _MOST_TAGS:
        raise bad(f"A secret cannot have more than {_MOST_TAGS} tags.")
    for name, value in tags.items():
        if not isinstance(value, str) or len(name) > _LONGEST_TAG or len(value) > _LONGEST_TAG:
            raise bad(f"Tag {name[:40]} is not a text of at most {_LONGEST_TAG} characters.")


def instant(attributes: Document, name: str) -> datetime | None:
    """Read a time attribute: whole seconds since 1970."""
    seconds = attributes.get(name)
    if seconds is None:
        return None
    if not isinstance(seconds, int) or isinstance(seconds, bool):
        raise bad(f"Attribute {name} is not a number of seconds.")
    return datetime.fromtimestamp(seconds, UTC)
