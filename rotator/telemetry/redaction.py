"""Takes secrets out of text: by the values this process has seen, and by the shapes that services give their secrets.

This is the last line, not the first. A value lives in `Secret`, which gives no text; this catches what a library, or a
mistake of ours, writes anyway.
"""

import re
from collections import deque
from collections.abc import Mapping
from threading import Lock

from rotator.model.secret import Secret

REDACTED = "[redacted]"
_SHORTEST = 8
_REMEMBERED = 1024

_NAMES = (
    r"password|passwd|pwd|secret|client_secret|secretvalue|securevalue|token|access_token|refresh_token|api_?key"
    r"|accountkey|sharedkey|workspacekey|storageaccountkey|authorization|signature|sig"
)
_SENSITIVE_KEY = re.compile(rf"^(?:{_NAMES})$", re.IGNORECASE)

# Shapes that the services document or that their scanners look for. Each is anchored on something that ordinary text lacks.
_SHAPES = tuple(
    re.compile(shape)
    for shape in (
        r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*",  # JSON web tokens: Entra, ACR, ECR presigned
        r"[A-Za-z0-9+/]{42}\+ACR[A-Za-z0-9]{6}",  # ACR token and admin passwords, identifiable form
        r"[A-Za-z0-9_~.-]{3}\dQ~[A-Za-z0-9_~.-]{31,34}",  # Entra client secrets
        r"[A-Za-z0-9+/]{76}[A-Za-z0-9+/]{10}==",  # storage account and workspace shared keys
        r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",  # AWS access keys
        r"\bgl(?:pat|dt|cbt|rt|soat)-[A-Za-z0-9_-]{20,}",  # GitLab
        r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,})",  # GitHub
        r"\bdckr_(?:pat|oat)_[A-Za-z0-9_-]{20,}",  # Docker Hub
        r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
    )
)
_BEFORE_VALUE = (
    re.compile(r"((?:Bearer|Basic)\s+)[A-Za-z0-9+/=._~-]{20,}", re.IGNORECASE),
    # No hyphen before the name: `acr-token:demo.azurecr.io/pull` names a principal and must stay readable.
    re.compile(rf"""(["']?(?<![\w-])(?:{_NAMES})["']?\s*[:=]\s*["']?)(?!\[redacted\])[^\s"'&,;}}]{{4,}}""", re.IGNORECASE),
    re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s:/@]+:)[^\s@/]+(?=@)", re.IGNORECASE),
)


class Redactor:
    """Replaces secrets in text and in structured values. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._known: deque[Secret] = deque(maxlen=_REMEMBERED)

    def remember(self, secret: Secret) -> None:
        """Take this value out of every later text, whatever its shape. The value stays inside its `Secret`."""
        if len(secret.reveal()) >= _SHORTEST:
            with self._lock:
                self._known.append(secret)

    def text(self, text: str) -> str:
        """Return the text without secrets."""
        with self._lock:
            known = tuple(self._known)
        for secret in known:
            text = text.replace(secret.reveal(), REDACTED)
        for shape in _SHAPES:
            text = shape.sub(REDACTED, text)
        for pattern in _BEFORE_VALUE:
            text = pattern.sub(rf"\1{REDACTED}", text)
        return text

    def value(self, value: object, name: str = "") -> object:
        """Return a value of a log entry without secrets: text cleaned, containers walked, a `Secret` refused by its type."""
        if isinstance(value, Secret):
            return REDACTED
        if name and _SENSITIVE_KEY.match(name) and value not in (None, "", True, False):
            return REDACTED
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, bytes):
            return self.text(value.decode(errors="replace"))
        if isinstance(value, Mapping):
            return {self.text(str(key)): self.value(inner, str(key)) for key, inner in value.items()}
        if isinstance(value, (list, tuple, set, frozenset)):
            return [self.value(inner) for inner in value]
        if value is None or isinstance(value, (bool, int, float)):
            return value
        return self.text(repr(value) if isinstance(value, BaseException) else _told(value))


def _told(value: object) -> str:
    try:
        return str(value)
    except TypeError:  # an object that holds a Secret and formats it
        return REDACTED
