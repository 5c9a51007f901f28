"""One thing to be judged, and what is known of the estate's blind spots."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from rotator.audit.facttable import FactValue
from rotator.model.arm import ArmId
from rotator.model.estate import Estate, Unread
from rotator.model.policy import Subject

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One subject of one policy kind: where it is, what is known of it, and why the rest is not.

    `missing` gives the reason for absent facts, by name; `otherwise` is the reason for all others.
    """

    subject: Subject
    resource: str
    part: str
    subscription: str
    facts: Mapping[str, FactValue]
    missing: Mapping[str, str] = field(default_factory=dict)
    otherwise: str = "the service does not say"

    @property
    def name(self) -> str:
        """What people call it: the resource's last segment, or a principal's id, with the part."""
        title = ArmId(self.resource).name if self.resource.startswith("/") else self.resource
        return f"{title} ({self.part})" if self.part else title

    def why_missing(self, fact: str) -> str:
        """Say why a fact is absent."""
        return self.missing.get(fact, self.otherwise)


class Facts:
    """Collects facts: what is None stays absent, with the reason."""

    def __init__(self) -> None:
        self.known: dict[str, FactValue] = {}
        self.missing: dict[str, str] = {}

    def put(self, name: str, value: FactValue | None, why: str | None = None) -> None:
        """Record a fact; None leaves it absent, for the reason given."""
        if value is not None:
            self.known[name] = value
        elif why:
            self.missing[name] = why


class Sight:
    """What could not be read, looked up by kind and scope."""

    def __init__(self, estate: Estate) -> None:
        self._unread = estate.unread
        self._by_place = {(one.what, ArmId(one.scope).key): one for one in estate.unread}

    def reason(self, what: str, scope: str) -> str | None:
        """Return why one thing was not read, or None when it was."""
        found = self._by_place.get((what, ArmId(scope).key))
        return found.reason if found else None

    def any_reason(self, what: str) -> str | None:
        """Return why something of a kind was not read anywhere, or None when all of it was."""
        return next((one.reason for one in self._unread if one.what == what), None)

    def all_of(self, what: str) -> tuple[Unread, ...]:
        """Return everything of a kind that was not read."""
        return tuple(one for one in self._unread if one.what == what)


def days(duration: timedelta) -> float:
    """Write a duration in days, with fractions."""
    return duration / _DAY


def instant_text(at: datetime) -> str:
    """Write an instant as RFC 3339 in UTC."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
