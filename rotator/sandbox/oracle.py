"""The oracle: watches a world and says, for every instant, whether each group could have pulled its images."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from rotator.sandbox.custody import ENDABLE, NEVER_EMPTY, Custody
from rotator.sandbox.ledger import Entry
from rotator.sandbox.wire import Document, rfc3339
from rotator.sandbox.world import World

_OWNED = ENDABLE
_LOSABLE = ENDABLE - NEVER_EMPTY
_LEASES = frozenset({"ecr-lease", "registry-refresh-token"})
_Principal: TypeAlias = str


@dataclass(slots=True, kw_only=True)
class _Watched:
    """What is known of one group."""

    group: str
    principals: frozenset[_Principal]
    ok: bool
    idle: bool
    reason: str
    host: str
    since: datetime
    broken_at_start: bool
    repaired_at: datetime | None = None


@dataclass(slots=True, kw_only=True)
class _Outage:
    group: str
    registry: str
    reason: str
    from_at: datetime
    to_at: datetime | None = None
    announced: bool = False

    def document(self, now: datetime) -> Document:
        end = self.to_at or now
        return {
            "group": self.group,
            "from": rfc3339(self.from_at),
            "to": rfc3339(self.to_at) if self.to_at else None,
            "seconds": round((end - self.from_at).total_seconds(), 3),
            "registry": self.registry,
            "reason": self.reason,
        }


class Oracle:
    """Judges a group again only when one of its principals, or the group itself, has changed.

    A group could pull at an instant when every replica of each registry would have accepted the credential stored in
    it, for every private image; WorldOptions.vault_references says which value counts for a vault reference. Groups that
    could not when the watch began are listed apart; once repaired they count like all others. Stopped groups and finished
    jobs need their credential at their next start only: they are stale, not out.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self._watched: dict[str, _Watched] = {}
        self._users: dict[_Principal, set[str]] = {}
        self._outages: list[_Outage] = []
        self._open: dict[str, _Outage] = {}
        self._leaks: dict[tuple[str, str], Document] = {}
        self._custody = Custody(world)
        self._announced: frozenset[_Principal] = frozenset()
        world.clock.subscribe(self._tick)
        self.start()

    def start(self) -> None:
        """Begin to watch the world as it is now, and forget what was."""
        with self.world.lock:
            self._watched, self._users, self._outages, self._open, self._leaks = {}, {}, [], {}, {}
            now = self.world.now()
            self.world.due(now)
            self._custody.start(now)
            for group_id in self.world.groups.by_id:
                self._judge(group_id, now, starting=True)

    def announce(self, *principals: str) -> None:
        """List outages of these principals' groups, from now on, as announced: their kind replaces a secret in its place.

        Everything else stays an outage, and what an announced one may last is for the test to say.
        """
        with self.world.lock:
            self._announced = frozenset(one.lower() for one in principals)

    def scan(self, text: str | bytes, source: str = "") -> list[Document]:
        """Look for every secret ever issued in a text; what is found is a leak. Values are never returned."""
        with self.world.lock:
            found = [
                {"kind": entry.kind, "principal": entry.principal, "handle": entry.handle, "source": source}
                for entry in self.world.ledger.find_in(text)
            ]
            for leak in found:
                self._leaks[(leak["principal"] + leak["handle"], source)] = leak
            return found

    def report(self) -> Document:
        """Return everything that is known, as JSON."""
        world = self.world
        with world.lock:
            world.clock.advance(0)
            now = world.now()
            outages = [outage.document(now) for outage in self._outages if not outage.announced]
            orphans, loose = self._unowned(now)
            watched = self._watched.values()
            return {
                "now": rfc3339(now),
                "outage_seconds": round(sum(outage["seconds"] for outage in outages), 3),
                "outages": outages,
                "announced": [outage.document(now) for outage in self._outages if outage.announced],
                "broken_at_start": [
                    {"group": one.group, "reason": one.reason} for one in watched
                    if one.broken_at_start and one.repaired_at is None
                ],
                "repaired": [
                    {"group": one.group, "at": rfc3339(one.repaired_at)} for one in watched if one.repaired_at is not None
                ],
                "stale": [
                    {"group": one.group, "since": rfc3339(one.since), "registry": one.host, "reason": one.reason}
                    for one in watched if one.idle and not one.ok
                ],
                "troubled": [
                    {"group": key, "outcome": group.run.outcome}
                    for key, group in world.groups.by_id.items() if group.run.outcome
                ],
                "woken": list(world.groups.woken),
                "deleted": sorted(world.groups.deleted),
                "lost_properties": list(world.groups.losses),
                "orphans": orphans,
                "loose_leases": loose,
                **self._custody.report(now),
                "leaks": list(self._leaks.values()),
                "redeploys": dict(Counter(self._facts("group.put", "group", created=False))),
                "restarts": dict(Counter(self._facts("group.restart", "group"))),
                "refused_deploys": dict(Counter(self._facts("group.put.refused", "code"))),
                "issued": dict(Counter(entry.principal for entry in world.ledger.issued() if entry.kind in _OWNED | _LEASES)),
                "write_limit_violations": world.groups.violations,
                "requests": dict(sorted(world.requests.items())),
            }  # fmt: skip

    def can_pull(self, group_id: str) -> bool:
        """Say whether a group can pull now."""
        with self.world.lock:
            self.world.clock.advance(0)
            return self._watched[group_id.lower()].ok

    # --- watching ---

    def _tick(self, at: datetime) -> None:
        changed = self.world.due(at)
        if not changed:
            return
        groups: set[str] = set()
        for key in changed:
            if key.startswith("group:"):
                groups.add(key.removeprefix("group:"))
            else:
                groups |= self._users.get(key, set())
        for group_id in groups:
            self._judge(group_id, at)
        # After the groups: what one of them let go of in this very instant is not in use any more.
        self._custody.tick(changed, at)

    def _judge(self, group_id: str, at: datetime, *, starting: bool = False) -> None:
        group = self.world.groups.by_id.get(group_id)
        known = self._watched.get(group_id)
        if group is None:
            self._forget(group_id, at)
            return
        self._custody.group(group_id, group, at)
        judged = self.world.groups.could_pull(group, at)
        idle = group.idle(at)
        principals = frozenset(self.world.groups.principals(group))
        if known is None:
            known = self._watched[group_id] = _Watched(
                group=group_id, principals=frozenset(), ok=judged.ok, idle=idle, reason=judged.reason, host=judged.host,
                since=at, broken_at_start=starting and not judged.ok,
            )  # fmt: skip
        if principals != known.principals:
            self._index(known, principals)
        if judged.ok != known.ok:
            known.since = at
        if judged.ok and known.broken_at_start and known.repaired_at is None:
            known.repaired_at = at
        if not judged.ok:
            known.reason, known.host = judged.reason, judged.host
        known.ok, known.idle = judged.ok, idle
        excused = known.broken_at_start and known.repaired_at is None
        self._account(known, at, out=not judged.ok and not idle and not excused)

    def _account(self, known: _Watched, at: datetime, *, out: bool) -> None:
        """Open or close the group's outage."""
        current = self._open.get(known.group)
        if out and current is None:
            outage = _Outage(group=known.group, registry=known.host, reason=known.reason, from_at=at)
            outage.announced = bool({one.lower() for one in known.principals} & self._announced)
            self._open[known.group] = outage
            self._outages.append(outage)
        elif not out and current is not None:
            current.to_at = at
            del self._open[known.group]

    def _index(self, known: _Watched, principals: frozenset[_Principal]) -> None:
        for principal in known.principals - principals:
            self._users[principal].discard(known.group)
        for principal in principals - known.principals:
            self._users.setdefault(principal, set()).add(known.group)
        known.principals = principals

    def _forget(self, group_id: str, at: datetime) -> None:
        self._custody.group(group_id, None, at)
        known = self._watched.pop(group_id, None)
        if known is not None:
            self._index(known, frozenset())
            self._account(known, at, out=False)

    # --- secrets ---

    def _unowned(self, now: datetime) -> tuple[list[Document], list[Document]]:
        """Return the live secrets issued since the start that neither the vault nor a group holds; leases apart."""
        world = self.world
        orphans: list[Document] = []
        loose: list[Document] = []
        stored: set[str] | None = None
        for entry in world.ledger.issued():
            if entry.kind not in _LOSABLE | _LEASES or not world.ledger.live(entry, now) or world.vaults.holds(entry.value):
                continue
            stored = self._stored() if stored is None else stored
            if entry.value not in stored:
                (loose if entry.kind in _LEASES else orphans).append(_unowned_document(entry))
        return orphans, loose

    def _stored(self) -> set[str]:
        found = set()
        for group in self.world.groups.by_id.values():
            for held in self.world.groups.credentials(group.document, group.values).values():
                found.add(held.password)
        return found

    def _facts(self, kind: str, fact: str, **wanted: object) -> list[str]:
        return [
            str(event.facts[fact])
            for event in self.world.events.of(kind)
            if all(event.facts.get(key) == value for key, value in wanted.items())
        ]


def _unowned_document(entry: Entry) -> Document:
    return {
        "kind": entry.kind,
        "principal": entry.principal,
        "handle": entry.handle,
        "issued_at": rfc3339(entry.issued_at),
    }
