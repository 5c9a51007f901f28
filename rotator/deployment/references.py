"""What stands in a file where a secret belongs: `${vault:name}`, and what it is replaced with. Pure."""

import base64
import re
from dataclasses import dataclass
from enum import StrEnum

from rotator.azure.writeonly import Form
from rotator.deployment.slots import Path, Slot

_REFERENCE = re.compile(r"\$\{(vault|storage-keys|workspace-keys):([0-9A-Za-z-]{1,127})\}")
_LOOKS_LIKE_ONE = re.compile(r"\$\{\s*(vault|storage-keys|workspace-keys)\b")
UNKNOWN = "${vault:?}"
"""What an export writes for a value that no place holds."""


class Holder(StrEnum):
    """Who holds a value: the vault, or the service that made it and tells it again."""

    VAULT = "vault"
    STORAGE = "storage-keys"
    WORKSPACE = "workspace-keys"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """One reference in a document: `at` is where it stands, `slot` the hidden value that it is, or is a part of."""

    holder: Holder
    name: str
    at: Path
    slot: Slot

    def __str__(self) -> str:
        return f"{self.holder}:{self.name}"

    @property
    def whole(self) -> bool:
        """Whether it stands for the whole hidden value, not for one file or setting in it."""
        return self.at == self.slot.at

    def encoded(self, value: str) -> str:
        """Return a value as it stands in the document: Azure takes the files of a secret volume in base64."""
        if self.slot.form is Form.FILES and not self.whole:
            return base64.b64encode(value.encode()).decode()
        return value


def read_reference(text: object, path: Path, slot: Slot) -> Reference | None:
    """Return the reference that a text is, or None."""
    found = _REFERENCE.fullmatch(text) if isinstance(text, str) else None
    return Reference(holder=Holder(found[1]), name=found[2], at=path, slot=slot) if found else None


def written(source: str | None) -> str:
    """Return the reference to a place as the value sources name it (`vault:name`); UNKNOWN for none."""
    text = f"${{{source}}}" if source else UNKNOWN
    return text if _REFERENCE.fullmatch(text) else UNKNOWN


def looks_like_one(text: str) -> bool:
    """Whether a text has something in it that was meant for a reference."""
    return bool(_LOOKS_LIKE_ONE.search(text))
