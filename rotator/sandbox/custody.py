"""The oracle's second look, at the credentials themselves: does the vault's current one work, and when did an old one end.

What a rotation is judged by beyond the groups' own luck: at every instant whoever reads the vault must get a credential that
works, and an old one may end only some time after the last group has let go of it.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from rotator.sandbox.ledger import Entry
from rotator.sandbox.wire import Document, rfc3339

if TYPE_CHECKING:
    from rotator.sandbox.clouds.containergroups.records import Group
    from rotator.sandbox.world import World

ENDABLE = frozenset(
    {
        "acr-token-password", "acr-admin-password", "docker-hub-token", "entra-app-secret", "github-token",
        "gitlab-access-token", "gitlab-deploy-token", "quay-robot-token", "third-party-password",
    }
)  # fmt: skip
NEVER_EMPTY = frozenset({"acr-admin-password", "quay-robot-token"})
"""Kinds whose place is never empty, and tells its secret to whoever manages it: one that nobody uses is no orphan."""
_PULLING = ENDABLE | {"ecr-lease"}


@dataclass(slots=True, kw_only=True)
class _Current:
    """A secret of the vault that held a live pull credential when the watch began, and must from then on."""

    vault: str
    name: str
    principal: str
    dead_since: datetime | None = None


class Custody:
    """Told by the oracle of every change, at its instant. Leases end by themselves and are not among what was ended."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.start(world.now())

    def start(self, at: datetime) -> None:
        """Begin with the world as it is now, and forget what was."""
        self._currents: dict[str, _Current] = {}
        self._by_principal: dict[str, list[_Current]] = {}
        self._dead: list[Document] = []
        self._presented: dict[str, frozenset[str]] = {}
        self._users: Counter[str] = Counter()
        self._let_go: dict[str, datetime] = {}
        self._alive: dict[str, dict[str, Entry]] = {}
        self._known = 0
        self._ended: list[Document] = []
        self._learn(at)
        for vault in self.world.vaults.all():
            for name in vault.secrets:
                self._adopt(vault.name, name, vault.secret_id(name), at)

    def group(self, group_id: str, group: "Group | None", at: datetime) -> None:
        """Note what a group would present to its registries now; None for a group that is gone."""
        presents = frozenset() if group is None else self.world.groups.presented(group)
        before = self._presented.get(group_id, frozenset())
        if presents == before:
            return
        self._presented[group_id] = presents
        self._users.update(presents - before)
        for value in before - presents:
            self._users[value] -= 1
            if not self._users[value]:
                self._let_go[value] = at

    def tick(self, changed: set[str], at: datetime) -> None:
        """Look at what the changed principals and secrets stand for."""
        self._learn(at)
        for key in changed:
            touched = [self._currents[key]] if key in self._currents else self._by_principal.get(key, [])
            for current in touched:
                self._judge(current, at)
            if key in self._alive:
                self._end(self._alive[key], at)

    def report(self, now: datetime) -> Document:
        """Return what was seen; `still_used` tells that a group presented a credential when it ended."""
        current = [self._outage(one, one.dead_since, None, now) for one in self._currents.values() if one.dead_since]
        live = {principal: len(alive) for principal, alive in sorted(self._alive.items()) if alive}
        return {"vault_outages": [*self._dead, *current], "ended": list(self._ended), "live": live}

    # --- the vault ---

    def _adopt(self, vault: str, name: str, uri: str, at: datetime) -> None:
        version = self.world.vaults.current(vault, name)
        entry = self.world.ledger.owner_of(version.value) if version and version.enabled else None
        if entry is None or entry.kind not in _PULLING or not self._works(entry.principal, entry.value, at):
            return
        current = _Current(vault=vault, name=name, principal=entry.principal)
        self._currents[f"secret:{uri}".lower()] = current
        self._by_principal.setdefault(entry.principal.lower(), []).append(current)

    def _judge(self, current: _Current, at: datetime) -> None:
        version = self.world.vaults.current(current.vault, current.name)
        if version is not None:
            self._follow(current, version.value)
        works = version is not None and version.enabled and self._works(current.principal, version.value, at)
        if works and current.dead_since is not None:
            self._dead.append(self._outage(current, current.dead_since, at, at))
            current.dead_since = None
        elif not works and current.dead_since is None:
            current.dead_since = at

    def _follow(self, current: _Current, value: str) -> None:
        """Watch the user whom the value belongs to: of two that take turns it is the other one by now."""
        entry = self.world.ledger.owner_of(value)
        if entry is not None and entry.kind in _PULLING and entry.principal != current.principal:
            current.principal = entry.principal
            self._by_principal.setdefault(entry.principal.lower(), []).append(current)

    def _works(self, principal: str, value: str, at: datetime) -> bool:
        kind, _, rest = principal.partition(":")
        server, _, name = rest.partition("/")
        if kind == "entra-app":
            return self.world.graph.secret_valid(name, value, at) == "valid"
        return self.world.registries.accepts(server, name, value, "", at).everywhere

    def _outage(self, current: _Current, since: datetime, to: datetime | None, now: datetime) -> Document:
        return {
            "secret": current.name,
            "principal": current.principal,
            "from": rfc3339(since),
            "to": rfc3339(to) if to else None,
            "seconds": round(((to or now) - since).total_seconds(), 3),
        }

    # --- the old ones ---

    def _learn(self, at: datetime) -> None:
        """Take note of credentials that were issued since the last look."""
        entries = self.world.ledger.entries()
        for entry in entries[self._known :]:
            if entry.kind in ENDABLE and self.world.ledger.live(entry, at):
                self._alive.setdefault(entry.principal.lower(), {})[entry.value] = entry
        self._known = len(entries)

    def _end(self, alive: dict[str, Entry], at: datetime) -> None:
        for value, entry in list(alive.items()):
            if self.world.ledger.live(entry, at):
                continue
            del alive[value]
            let_go = self._let_go.get(value)
            still_used = self._users[value] > 0
            self._ended.append(
                {
                    "principal": entry.principal,
                    "handle": entry.handle,
                    "ended_at": rfc3339(at),
                    "still_used": still_used,
                    "idle_seconds": round((at - let_go).total_seconds(), 3) if let_go and not still_used else None,
                }
            )
