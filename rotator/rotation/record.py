"""Where a rotation stands, as the tags of its staged secret say.

The vault is the truth and the journal a convenience: everything that another process needs to carry on after this one has
died is in these tags. Key Vault allows 15 tags of 512 characters; tags are readable with the list of secrets, so nothing
here is secret.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from rotator.model.credential import Principal
from rotator.model.estate import (
    STAGED_SUFFIX,
    TAG_HANDLE,
    TAG_ISSUED,
    TAG_PRINCIPAL,
    TAG_RESOURCE,
    TAG_ROTATION,
    StoredSecret,
)
from rotator.model.rotation import Phase

TAG_PHASE = "rotator-phase"
TAG_SLOT = "rotator-slot"
TAG_OLD = "rotator-old"
TAG_CUTOVER = "rotator-cutover"
TAG_SOAK_UNTIL = "rotator-soak-until"
TAG_HELD = "rotator-held"
TAG_USERNAME = "rotator-username"
_TAG_LIMIT = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationRecord:
    """One rotation's state. `version` is that of the staged secret which carries it; `old` are the handles to retire."""

    rotation: str
    principal: Principal
    phase: Phase
    secret_name: str
    version: str = ""
    slot: str = ""
    handle: str = ""
    username: str = ""
    issued_at: datetime | None = None
    expires_at: datetime | None = None
    old: tuple[str, ...] = ()
    cutover_at: datetime | None = None
    soak_until: datetime | None = None
    held: str = ""

    @property
    def staged_name(self) -> str:
        """The name of the staged secret."""
        return self.secret_name + STAGED_SUFFIX

    @property
    def has_value(self) -> bool:
        """Whether the staged secret holds a real value, or did until it was promoted."""
        return bool(self.handle)

    def tags(self) -> dict[str, str]:
        """Write the record; empty parts are left out."""
        written = {
            TAG_PRINCIPAL: self.principal.id,
            TAG_RESOURCE: self.principal.resource_id,
            TAG_ROTATION: self.rotation,
            TAG_PHASE: self.phase.value,
            TAG_SLOT: self.slot,
            TAG_HANDLE: self.handle,
            TAG_USERNAME: self.username,
            TAG_ISSUED: write_instant(self.issued_at),
            TAG_OLD: " ".join(self.old),
            TAG_CUTOVER: write_instant(self.cutover_at),
            TAG_SOAK_UNTIL: write_instant(self.soak_until),
            TAG_HELD: self.held[:_TAG_LIMIT],
        }
        return {name: value for name, value in written.items() if value}


def read_record(stored: StoredSecret) -> RotationRecord | None:
    """Read the record of a staged secret; None when its tags are not one of ours, or are no longer legible."""
    tags = stored.tags
    if not stored.name.endswith(STAGED_SUFFIX) or TAG_PHASE not in tags or TAG_ROTATION not in tags:
        return None
    try:
        named = Principal.parse(tags[TAG_PRINCIPAL])
        return RotationRecord(
            rotation=tags[TAG_ROTATION],
            principal=Principal(
                kind=named.kind, registry=named.registry, name=named.name, resource_id=tags.get(TAG_RESOURCE, "")
            ),
            phase=Phase(tags[TAG_PHASE]),
            secret_name=stored.name.removesuffix(STAGED_SUFFIX),
            version=stored.version,
            slot=tags.get(TAG_SLOT, ""),
            handle=tags.get(TAG_HANDLE, ""),
            username=tags.get(TAG_USERNAME, ""),
            issued_at=read_instant(tags, TAG_ISSUED),
            expires_at=stored.expires_at,
            old=tuple(tags.get(TAG_OLD, "").split()),
            cutover_at=read_instant(tags, TAG_CUTOVER),
            soak_until=read_instant(tags, TAG_SOAK_UNTIL),
            held=tags.get(TAG_HELD, ""),
        )
    except (KeyError, ValueError):
        # Somebody edited the tags. Treated as no record: the registry's own list still shows what is live.
        return None


def write_instant(at: datetime | None) -> str:
    """Write an instant as RFC 3339 in UTC, or an empty text."""
    return "" if at is None else at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def read_instant(tags: Mapping[str, str], name: str) -> datetime | None:
    """Read an instant that `write_instant` wrote; ValueError when it is something else."""
    text = tags.get(name, "")
    return datetime.fromisoformat(text) if text else None
