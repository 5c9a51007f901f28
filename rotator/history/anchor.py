"""The evidence's head in the vault: what a log must still hold, kept where whoever can write the database cannot write.

The head stands in the tags of one secret, replaced after each run: one request, and no new version each time. Tags keep no past,
so whoever may write the vault could turn them back; the value of a version, though, can never be changed, nor one version be
deleted alone. So once a month the head is written as a new version, and a check compares the log with all of them.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta

from rotator.history.chain import Head
from rotator.model.errors import Held, NotFound
from rotator.model.estate import StoredSecret
from rotator.model.secret import Secret
from rotator.ports import Clock, SecretStore

TAG_SEQ = "rotator-evidence-seq"
TAG_HASH = "rotator-evidence-hash"
TAG_AT = "rotator-evidence-at"
CHECKPOINT = timedelta(days=30)
"""How old the newest version may be before the head is written as another one: a vault's backup takes 500 versions."""

_VALUE = re.compile(r"rotator evidence: record (\d{1,18}) has the hash ([0-9a-f]{64}) and was written at (\S{1,40})")


class VaultAnchor:
    """Keeps a log's head in the vault's secret `name`. It is never moved backwards."""

    def __init__(self, vault: SecretStore, name: str, clock: Clock) -> None:
        self._vault = vault
        self._clock = clock
        self.name = name

    def read(self) -> Head | None:
        """Return the head that the vault has, None when there is none. Held when somebody has made it illegible."""
        stored = self._vault.look(self.name)
        return None if stored is None else self._head(stored.tags)

    def among(self, secrets: Iterable[StoredSecret]) -> Head | None:
        """Find the head in a listing of the vault; None when there is none. Held when it is illegible."""
        stored = next((one for one in secrets if one.name.lower() == self.name.lower()), None)
        return None if stored is None else self._head(stored.tags)

    def heads(self) -> tuple[Head, ...]:
        """Return every head that the vault has ever been given as a version, and the newest. Held when one is illegible."""
        newest = self._vault.look(self.name)
        if newest is None:
            return ()
        return (self._head(newest.tags), *(self._checkpoint(one) for one in self._versions(newest)))

    def move(self, head: Head, holds: Callable[[Head], bool]) -> None:
        """Make `head` the vault's, unless it has a newer one.

        `holds` says whether the log has a record. Raises Held, and moves nothing, when the log lacks what the vault knows of: to
        move on would make a rewritten log look whole.
        """
        stored = self._vault.look(self.name)
        known = None if stored is None else self._head(stored.tags)
        if known is not None and (not holds(known) or known.seq >= head.seq):
            if holds(known):
                return
            raise Held(
                f"the vault's {self.name} knows of record {known.seq} of the evidence, which this log does not have",
                advice="Run rotator evidence verify: the log was changed or cut off, or another log is kept for this vault.",
            )
        tags = {TAG_SEQ: str(head.seq), TAG_HASH: head.hash, TAG_AT: head.at}
        made = stored.created_at if stored is not None else None
        if stored is None or made is None or self._clock.now() - made >= CHECKPOINT:
            self._vault.write(self.name, Secret(_sentence(head)), tags=tags, expires_at=None)
        else:
            self._vault.annotate(self.name, stored.version, tags=tags)

    def _versions(self, newest: StoredSecret) -> Iterator[StoredSecret]:
        seen: set[str] = set()
        found: StoredSecret | None = newest
        # Versions of one second may each call the other the one before.
        while found is not None and found.version not in seen:
            seen.add(found.version)
            if found.enabled:
                yield found
            found = self._vault.previous(self.name, found.version)

    def _checkpoint(self, version: StoredSecret) -> Head:
        try:
            value = self._vault.read(self.name, version.version)
        except NotFound:
            raise self._illegible() from None
        found = _VALUE.fullmatch(value.reveal())
        if found is None:
            raise self._illegible()
        return Head(seq=int(found[1]), hash=found[2], at=found[3])

    def _head(self, tags: Mapping[str, str]) -> Head:
        seq, digest = tags.get(TAG_SEQ, ""), tags.get(TAG_HASH, "")
        if not re.fullmatch(r"[0-9]{1,18}", seq) or not re.fullmatch(r"[0-9a-f]{64}", digest):
            raise self._illegible()
        return Head(seq=int(seq), hash=digest, at=tags.get(TAG_AT, "")[:40])

    def _illegible(self) -> Held:
        return Held(
            f"the vault's secret {self.name} does not name a record of the evidence: somebody has changed it",
            advice="Find out who in the vault's own log, and give its newest version the tags that it had.",
        )


def _sentence(head: Head) -> str:
    """Write a head as a value. A sentence, so that no part of the log is the value of a secret."""
    return f"rotator evidence: record {head.seq} has the hash {head.hash} and was written at {head.at}"
