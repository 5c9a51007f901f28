"""Instants as the services' JSON has them: RFC 3339, whole seconds, UTC where we write them."""

from datetime import UTC, datetime


def instant_of(text: object) -> datetime | None:
    """Read an instant, or a date, which stands for its midnight UTC; None for none."""
    if not isinstance(text, str) or not text:
        return None
    # Python reads up to six digits of a fraction and ignores the seventh that Azure writes.
    found = datetime.fromisoformat(text)
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def text_of(at: datetime) -> str:
    """Write an instant, such as `2026-11-01T00:00:00Z`."""
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
