"""Every secret value that the sandbox ever issued or planted, so that a leak can be proved."""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote, quote_plus

_SHORTEST = 8
"""Shorter values would be found everywhere by accident."""
_FEW = 500
"""Up to so many spellings, looking for one after the other is faster."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Entry:
    """One secret value. `planted` ones were there when the estate was seeded, the others have been issued since."""

    value: str
    kind: str
    principal: str
    handle: str
    issued_at: datetime
    planted: bool

    def __repr__(self) -> str:
        return f"Entry({self.kind} {self.principal} {self.handle})"


Judge = Callable[[Entry, datetime], bool]


class Ledger:
    """All secret values ever. It is asked two things: is a value in this text, and is a secret still alive."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._entries: list[Entry] = []
        self._by_value: dict[str, Entry] = {}
        self._judges: dict[str, Judge] = {}
        self._forms: dict[str, list[tuple[str, Entry]]] = {}
        self._indexed = 0
        self.seeding = True

    def record(self, value: str, kind: str, principal: str, handle: str) -> Entry:
        """Remember a value. The same value again (a vault copy of a password) keeps its first owner."""
        known = self._by_value.get(value)
        if known is not None:
            return known
        entry = Entry(value=value, kind=kind, principal=principal, handle=handle, issued_at=self._now(), planted=self.seeding)
        self._entries.append(entry)
        self._by_value[value] = entry
        return entry

    def entries(self) -> list[Entry]:
        """Return all entries, oldest first."""
        return list(self._entries)

    def issued(self) -> list[Entry]:
        """Return the entries issued since the estate was seeded."""
        return [entry for entry in self._entries if not entry.planted]

    def owner_of(self, value: str) -> Entry | None:
        """Return the entry of exactly this value."""
        return self._by_value.get(value)

    def judge(self, kind: str, judge: Judge) -> None:
        """Let a table answer whether a secret of `kind` still opens anything."""
        self._judges[kind] = judge

    def live(self, entry: Entry, now: datetime) -> bool:
        """Say whether the secret works at `now`; a kind that nobody judges counts as not live."""
        judge = self._judges.get(entry.kind)
        return judge is not None and judge(entry, now)

    def find_in(self, text: str | bytes) -> list[Entry]:
        """Return the entries whose value occurs in `text`: as it is, URL-encoded, JSON-escaped or inside base64.

        One pass over the text when there are many values: candidates are found by their first eight characters.
        """
        haystack = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
        self._index()
        forms, found = self._forms, {}
        if len(forms) <= _FEW:
            return list({entry.value: entry for pairs in forms.values() for form, entry in pairs if form in haystack}.values())
        for start in range(len(haystack) - _SHORTEST + 1):
            for form, entry in forms.get(haystack[start : start + _SHORTEST], ()):
                if haystack.startswith(form, start):
                    found[entry.value] = entry
        return list(found.values())

    def _index(self) -> None:
        for entry in self._entries[self._indexed :]:
            for form in _forms_of(entry.value):
                self._forms.setdefault(form[:_SHORTEST], []).append((form, entry))
        self._indexed = len(self._entries)


def _forms_of(value: str) -> set[str]:
    if len(value) < _SHORTEST:
        return set()
    forms = {value, quote(value, safe=""), quote(value), quote_plus(value), json.dumps(value)[1:-1]}
    raw = value.encode()
    for offset in range(3):
        # A value inside a longer base64 text starts at one of three alignments; the characters at both ends that
        # also depend on the neighbours are cut away.
        encoded = base64.b64encode(b"\0" * offset + raw).decode()
        first = (0, 2, 3)[offset]
        whole = (offset + len(raw)) * 8 // 6
        forms.add(encoded[first:whole])
        forms.add(encoded[first:whole].replace("+", "-").replace("/", "_"))
    return {form for form in forms if len(form) >= _SHORTEST}
