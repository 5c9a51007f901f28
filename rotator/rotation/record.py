"""Where a rotation stands, as the tags of its staged secret say.

The vault is the truth and the journal a convenience: everything that another process needs to carry on after this one has
died is in these tags. Key Vault allows 15 tags of 512 characters; tags are readable with the list of secrets, so nothing
here is secret.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from rotator.model.credential import Principal
from rotator.model.errors import Held
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
from rotator.rotation.naming import mark_of, rotation_of

TAG_PHASE = "rotator-phase"
TAG_SLOT = "rotator-slot"
TAG_OLD = "rotator-old"
TAG_REPLACES = "rotator-replaces"
TAG_CUTOVER = "rotator-cutover"
TAG_SOAK_UNTIL = "rotator-soak-until"
TAG_HELD = "rotator-held"
TAG_USERNAME = "rotator-username"
TAG_WRITER = "rotator-writer"
_PROMOTED = (TAG_PRINCIPAL, TAG_RESOURCE, TAG_HANDLE, TAG_USERNAME, TAG_ISSUED, TAG_SLOT, TAG_OLD)
TAG_REVOKE = "rotator-revoke"
TAG_KNOWN_AS = "rotator-known-as"
_TAG_LIMIT = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationRecord:
    """One rotation's state. `version` is that of the staged secret which carries it; `old` are the handles to retire.

    `replaces` is what the slot held when it was announced that it will be filled; `issued_at` is then the announcement's instant.
    `writer` is the installation that wrote the record, `touched_at` when it last did.
    `revoke` are handles that a person wants ended now. `known_as` is there for a roll-back only: the tag of the groups that
    never left the secret which it returns to.
    """

    rotation: str
    principal: Principal
    phase: Phase
    secret_name: str
    version: str = ""
    slot: str = ""
    replaces: str = ""
    handle: str = ""
    username: str = ""
    issued_at: datetime | None = None
    expires_at: datetime | None = None
    old: tuple[str, ...] = ()
    cutover_at: datetime | None = None
    soak_until: datetime | None = None
    held: str = ""
    writer: str = ""
    touched_at: datetime | None = None
    held_at: datetime | None = None
    revoke: tuple[str, ...] = ()
    known_as: str = ""

    @property
    def staged_name(self) -> str:
        """The name of the staged secret."""
        return self.secret_name + STAGED_SUFFIX

    @property
    def mark(self) -> str:
        """The tag of the groups that store this rotation's secret."""
        return mark_of(self.rotation, self.handle)

    def tags(self) -> dict[str, str]:
        """Write the record; empty parts are left out. Raises Held when there are more old secrets than a tag can name."""
        old, revoke = " ".join(self.old), " ".join(self.revoke)
        if max(len(old), len(revoke)) > _TAG_LIMIT:
            raise Held(
                f"{self.principal.id}: its {len(self.old)} old secrets are too many to keep track of",
                advice="Start, redeploy or delete the groups that still store them; rotator plan names these.",
            )
        written = {
            TAG_PRINCIPAL: self.principal.id,
            TAG_RESOURCE: self.principal.resource_id,
            TAG_ROTATION: self.rotation,
            TAG_PHASE: self.phase.value,
            TAG_SLOT: self.slot,
            TAG_HANDLE: self.handle,
            TAG_USERNAME: self.username,
            TAG_ISSUED: write_instant(self.issued_at),
            TAG_REPLACES: self.replaces,
            TAG_OLD: old,
            TAG_REVOKE: revoke,
            TAG_KNOWN_AS: self.known_as,
            TAG_WRITER: f"{self.writer} {write_instant(self.touched_at)}" if self.writer else "",
        }
        # A version may have 15 tags, so each says only what its phase needs.
        if self.phase is Phase.HELD:
            written[TAG_HELD] = f"{write_instant(self.held_at)} {self.held}".strip()[:_TAG_LIMIT]
        else:
            written[TAG_CUTOVER] = write_instant(self.cutover_at)
            written[TAG_SOAK_UNTIL] = write_instant(self.soak_until)
        return {name: value for name, value in written.items() if value}


def read_record(stored: StoredSecret) -> RotationRecord | None:
    """Read the record of a staged secret; None when its tags are not one of ours, or are no longer legible."""
    tags = stored.tags
    if not stored.name.endswith(STAGED_SUFFIX) or TAG_PHASE not in tags or TAG_ROTATION not in tags:
        return None
    return _read(stored, tags, version=stored.version)


def read_promoted(stored: StoredSecret) -> RotationRecord | None:
    """Read what the consumers' own secret says of the rotation that made it; None when it says nothing legible.

    For the day on which somebody has edited the staged secret's tags, or deleted it, in the middle of a rotation.
    """
    mark = stored.tags.get(TAG_ROTATION)
    rotation = rotation_of(mark or "")
    if mark != mark_of(rotation, stored.tags.get(TAG_HANDLE, "")):
        return None
    kept = {name: stored.tags[name] for name in _PROMOTED if name in stored.tags}
    return _read(stored, {**kept, TAG_ROTATION: rotation, TAG_PHASE: Phase.PROMOTED.value})


def promoted_tags(record: RotationRecord) -> dict[str, str]:
    """Write what `read_promoted` reads: the tags of the version that consumers read."""
    written = record.tags()
    return {TAG_ROTATION: record.mark, **{name: written[name] for name in _PROMOTED if name in written}}


def _read(stored: StoredSecret, tags: Mapping[str, str], version: str = "") -> RotationRecord | None:
    writer, _, touched = tags.get(TAG_WRITER, "").partition(" ")
    held_at, held = _read_held(tags.get(TAG_HELD, ""))
    try:
        return RotationRecord(
            rotation=tags[TAG_ROTATION],
            principal=_principal(tags),
            phase=Phase(tags[TAG_PHASE]),
            secret_name=stored.name.removesuffix(STAGED_SUFFIX),
            version=version,
            slot=tags.get(TAG_SLOT, ""),
            replaces=tags.get(TAG_REPLACES, ""),
            handle=tags.get(TAG_HANDLE, ""),
            username=tags.get(TAG_USERNAME, ""),
            issued_at=read_instant(tags, TAG_ISSUED),
            expires_at=stored.expires_at,
            old=tuple(tags.get(TAG_OLD, "").split()),
            cutover_at=read_instant(tags, TAG_CUTOVER),
            soak_until=read_instant(tags, TAG_SOAK_UNTIL),
            held=held,
            held_at=held_at,
            revoke=tuple(tags.get(TAG_REVOKE, "").split()),
            known_as=tags.get(TAG_KNOWN_AS, ""),
            writer=writer,
            touched_at=datetime.fromisoformat(touched) if touched else None,
        )
    except (KeyError, ValueError):
        # Somebody edited the tags. Treated as no record: the registry's own list still shows what is live.
        return None


def _principal(tags: Mapping[str, str]) -> Principal:
    named = Principal.parse(tags[TAG_PRINCIPAL])
    return Principal(kind=named.kind, registry=named.registry, name=named.name, resource_id=tags.get(TAG_RESOURCE, ""))


def _read_held(text: str) -> tuple[datetime | None, str]:
    """Take the instant off a reason; those of earlier versions have none."""
    first, _, rest = text.partition(" ")
    try:
        return (datetime.fromisoformat(first), rest) if first.endswith("Z") else (None, text)
    except ValueError:
        return None, text


def write_instant(at: datetime | None) -> str:
    """Write an instant as RFC 3339 in UTC, or an empty text."""
    return "" if at is None else at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def read_instant(tags: Mapping[str, str], name: str) -> datetime | None:
    """Read an instant that `write_instant` wrote; ValueError when it is something else."""
    text = tags.get(name, "")
    return datetime.fromisoformat(text) if text else None
