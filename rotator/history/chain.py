"""The evidence's chain: how a record is written, hashed and checked. Pure.

A record is a JSON object. Its canonical form is RFC 8785's: keys sorted, no spaces, UTF-8, and in strings only `"`, `\\` and the
control characters escaped. It holds texts, whole numbers, booleans, lists and objects; never a fraction, whose spelling languages
disagree about. `seq` counts from 1 without a gap, `prev` is the hash of the record before it (64 zeros before the first), and

    hash = lower-case hexadecimal SHA-256 of the canonical form of the record, which holds `seq` and `prev`, without `hash`

An export is the canonical form of each record with its `hash`, one a line. So whoever changes a record must change every hash
after it, and the last of them stands in the vault too.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TextIO

from rotator.ports import Json

GENESIS = "0" * 64
"""What the first record is chained to."""
CONTINUES = "log-continues"
"""The step of a first record that follows on from a log which is not here."""
GAP = "log-gap"
"""The step of a record which says that others could not be written."""
LONGEST_LINE = 1 << 20
_MOST = 200
"""Flaws and notices that are listed; the rest is counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The last record of a log, or of the part of it that somebody has seen. `at` is the record's instant, as it is written."""

    seq: int
    hash: str
    at: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One record as it was found. `wrong` says what is wrong with it alone: it cannot be read, or its hash is another's.

    `seq` is None when it cannot be read; then only `wrong` means anything.
    """

    seq: int | None
    at: str = ""
    step: str = ""
    detail: str = ""
    prev: str = ""
    hash: str = ""
    wrong: str = ""


class Damage(StrEnum):
    """What was done to a log."""

    CHANGED = "changed"
    REMOVED = "removed"
    REORDERED = "reordered"
    CUT_OFF = "cut off"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flaw:
    """One broken place: the number of the record, and what is wrong there."""

    seq: int
    damage: Damage
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """What the check of a log found.

    `notices` are what an auditor must know and what nobody did: a log that begins after a lost one, records that could not be
    written. `vault` is the newest head that the log was compared with, None without one; `unanchored` counts the records after
    it. `unshown` counts the flaws that are not listed.
    """

    records: int
    first_at: str
    head: Head | None
    flaws: tuple[Flaw, ...]
    notices: tuple[str, ...]
    vault: Head | None
    unanchored: int = 0
    unshown: int = 0

    @property
    def intact(self) -> bool:
        """Whether nothing was changed, removed, reordered or cut off, as far as this check can see."""
        return not self.flaws


def canonical(fields: Mapping[str, Json]) -> str:
    """Return the canonical form; ValueError for what has none: fractions that are no number, and broken text."""
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    text.encode()  # half a surrogate pair is not text
    return text


def hash_of(body: str) -> str:
    """Return the hash of a record's canonical form."""
    return hashlib.sha256(body.encode()).hexdigest()


def exported(body: str, digest: str) -> str:
    """Return a stored record as a line of an export, without the end of the line."""
    return canonical({**json.loads(body), "hash": digest})


def stored_link(seq: int, body: str, digest: str) -> Link:
    """Read a record as the database keeps it: its number, its canonical form and its hash."""
    fields = _read(body)
    if fields is None:
        return Link(seq=None, wrong="its text is no record")
    link = _link(fields, body, digest)
    if fields["seq"] != seq:
        return Link(seq=seq, at=link.at, step=link.step, prev=link.prev, hash=digest, wrong=f"it says that it is {link.seq}")
    return link


def read_links(stream: TextIO) -> Iterator[Link]:
    """Read an export, one record a line. What is no record becomes a link that says so; an empty last line is none."""
    line = stream.readline(LONGEST_LINE)
    while line:
        yield _from_line(line.removesuffix("\n"))
        line = stream.readline(LONGEST_LINE)


def _from_line(line: str) -> Link:
    whole = _read(line)
    digest = whole.pop("hash", None) if whole is not None else None
    if whole is None or not isinstance(digest, str):
        return Link(seq=None, wrong="the line is no record")
    try:
        body = canonical(whole)
        if line != canonical({**whole, "hash": digest}):
            body = ""  # other spellings of one record: a reader could see another value than the one that was hashed
    except ValueError:
        body = ""
    return _link(whole, body, digest)


def _link(fields: dict[str, Json], body: str, digest: str) -> Link:
    try:
        right = hash_of(body) == digest
    except ValueError:
        right = False
    seq = fields["seq"]
    return Link(
        seq=seq if isinstance(seq, int) else None,
        at=str(fields["at"]),
        step=str(fields["step"]),
        detail=str(fields.get("detail", "")),
        prev=str(fields["prev"]),
        hash=digest,
        wrong="" if right else "its content is not what was hashed",
    )


def _read(text: str) -> dict[str, Json] | None:
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(fields, dict) or type(fields.get("seq")) is not int:
        return None
    return fields if all(isinstance(fields.get(name), str) for name in ("at", "step", "prev")) else None


def examine(links: Iterable[Link], *, heads: Sequence[Head] = (), after: Head | None = None) -> Examination:
    """Check a chain in the order in which it is given, in one pass and with little memory.

    `heads` are what the vault says of the log: records that it must hold. `after` is the record that the first link must follow,
    where the records before it were checked already.
    """
    walk = _Walk(after, {one.seq for one in heads})
    for link in links:
        walk.step(link)
    walk.end(heads)
    newest = max(heads, key=lambda one: one.seq, default=None)
    last = walk.last
    return Examination(
        records=walk.records,
        first_at=walk.first_at,
        head=last,
        flaws=tuple(sorted(walk.flaws, key=lambda one: one.seq)),
        notices=tuple(walk.notices),
        vault=newest,
        unanchored=max(last.seq - newest.seq, 0) if last and newest else 0,
        unshown=walk.unshown,
    )


@dataclass(slots=True)
class _Walk:
    """One pass over a chain: the record with the highest number so far, and what was found wrong."""

    last: Head | None
    wanted: set[int]
    records: int = 0
    first_at: str = ""
    first: Link | None = None
    flaws: list[Flaw] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    unshown: int = 0
    missing: list[tuple[int, int]] = field(default_factory=list)
    late: set[int] = field(default_factory=set)
    found: dict[int, str] = field(default_factory=dict)

    def step(self, link: Link) -> None:
        self.records += 1
        if link.seq is None:
            seq = self.last.seq + 1 if self.last else 1
            self._flaw(seq, Damage.UNREADABLE, link.wrong)
            self.last = Head(seq=seq, hash="")
            return
        if self.first is None:
            self.first, self.first_at = link, link.at
        if link.wrong:
            self._flaw(link.seq, Damage.CHANGED, link.wrong)
        if link.step == GAP:
            self._notice(f"record {link.seq}: {link.detail}")
        if link.seq in self.wanted:
            self.found.setdefault(link.seq, link.hash)
        if self.last is not None and link.seq <= self.last.seq:
            self._out_of_place(link.seq, self.last.seq)
            return
        if self.last is None:
            self._begin(link, link.seq)
        else:
            self._follow(link, link.seq, self.last)
        self.last = Head(seq=link.seq, hash=link.hash, at=link.at)

    def end(self, heads: Sequence[Head]) -> None:
        for begin, stop in self.missing:
            elsewhere = sum(1 for one in self.late if begin <= one <= stop)
            if elsewhere < stop - begin + 1:
                detail = _numbers(begin, stop) + " missing" + (f"; {elsewhere} of them stand elsewhere" if elsewhere else "")
                self._flaw(begin, Damage.REMOVED, detail)
        # What is gone at the end is gone once, however many heads stood there.
        ends = [one for one in heads if self.last is None or one.seq > self.last.seq]
        within = [one for one in heads if one not in ends]
        for head in (*dict.fromkeys(within), *sorted(ends, key=lambda one: one.seq)[-1:]):
            self._compare(head)

    def _begin(self, link: Link, seq: int) -> None:
        if link.step == CONTINUES and seq > 1:
            self._notice(f"{_numbers(1, seq - 1)} not in this log: {link.detail}")
        elif seq > 1:
            self.missing.append((1, seq - 1))
        elif link.prev != GENESIS:
            self._flaw(seq, Damage.CHANGED, "it is the first, and chained to another record")

    def _follow(self, link: Link, seq: int, last: Head) -> None:
        if seq > last.seq + 1:
            self.missing.append((last.seq + 1, seq - 1))
        elif last.hash and link.prev != last.hash:
            self._flaw(last.seq, Damage.CHANGED, f"record {seq} is chained to another record {last.seq}")

    def _out_of_place(self, seq: int, last: int) -> None:
        absent = any(begin <= seq <= stop for begin, stop in self.missing) and seq not in self.late
        self.late.add(seq)
        detail = f"it stands after record {last}" if absent else f"it is there twice, once more after record {last}"
        self._flaw(seq, Damage.REORDERED, detail)

    def _compare(self, head: Head) -> None:
        known = self.found.get(head.seq)
        if known is not None:
            if known != head.hash:
                self._flaw(head.seq, Damage.CHANGED, "the vault remembers another record of this number: the log was rewritten")
        elif self.last is None:
            self._notice(f"the log is empty, while the vault knows of record {head.seq}: a new database, or all was removed")
        elif head.seq > self.last.seq:
            ends = f"the vault knows of record {head.seq}, the log ends at {self.last.seq}"
            self._flaw(self.last.seq + 1, Damage.CUT_OFF, ends)
        elif self.first is not None and self.first.seq == head.seq + 1 and self.first.prev != head.hash:
            self._flaw(head.seq + 1, Damage.CHANGED, f"the vault remembers another record {head.seq} than it is chained to")

    def _flaw(self, seq: int, damage: Damage, detail: str) -> None:
        if len(self.flaws) < _MOST:
            self.flaws.append(Flaw(seq=seq, damage=damage, detail=detail))
        else:
            self.unshown += 1

    def _notice(self, sentence: str) -> None:
        if len(self.notices) < _MOST:
            self.notices.append(sentence)


def _numbers(begin: int, stop: int) -> str:
    return f"record {begin} is" if begin == stop else f"records {begin} to {stop} are"
