"""What must hold whatever happened: the promises, asked of the sandbox's oracle and of the estate's own tables."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from rotator.model.credential import Overlap, PrincipalKind, RetireMode
from rotator.sandbox import Sandbox
from rotator.sandbox.clouds.registries.passwords import REGENERATED
from rotator.sandbox.wire import Document
from tests.crash.kinds import traits_of
from tests.crash.stage import NIGHT, SOAK, Stage

_EMPTY = ("outages", "vault_outages", "lost_properties", "orphans", "woken", "deleted", "leaks", "stale")
INVARIANTS = 15
"""How many questions `violations` asks."""
# The owner's start and the operations of a night take minutes; nobody's old secret lives on for another night.
_LATE = timedelta(hours=1)
# A rounded instant, and an answer that was delayed by a fault.
_AT_ONCE = timedelta(minutes=2)


def violations(stage: Stage, kind: PrincipalKind, *, tries: int, rests: bool = True) -> list[str]:
    """Return a sentence for each promise that was broken.

    `tries` is how often the work may have been begun anew: 1, and one more for each death or fault. Every retry may make one
    secret and move a group once. `rests`: the estate must have come to rest; a group was away for good otherwise.
    """
    stage.scan()
    # What was made anew in a slot reaches the last replica only then; the password before it lives that long.
    stage.sandbox.world.clock.advance(REGENERATED.total_seconds())
    report = _announced(stage.sandbox.oracle.report(), kind)
    found = [f"{name}: {report[name]}" for name in _EMPTY if report[name]]
    found += _too_often(report, tries)
    single = traits_of(kind).overlap is Overlap.SINGLE
    found += _ended_otherwise(stage.sandbox, report) if single else _ended_badly(report, tries)
    if report["write_limit_violations"]:
        found.append("more groups were put than Azure allows")
    if rests:
        found += _unrest(stage.sandbox, report, kind)
    return found


def _announced(report: Document, kind: PrincipalKind) -> Document:
    """Leave out what is announced of a kind whose new secret ends the old one at once, as long as it ends with its night."""
    if traits_of(kind).overlap is not Overlap.SINGLE:
        return report
    late = [one for one in report["announced"] if one["to"] is None or one["seconds"] > NIGHT.total_seconds()]
    vault = [one for one in report["vault_outages"] if one["to"] is None or one["seconds"] > NIGHT.total_seconds()]
    return {**report, "outages": [*report["outages"], *late], "vault_outages": vault}


def _too_often(report: Document, tries: int) -> Iterator[str]:
    for principal, count in report["issued"].items():
        # An admin user's old password is ended by making it anew.
        if count > tries * (2 if principal.startswith("acr-admin:") else 1):
            yield f"{count} secrets were made for {principal}, {tries} at most were needed"
    moved: dict[str, int] = {}
    for table in ("redeploys", "restarts"):
        for group, count in report[table].items():
            moved[group] = moved.get(group, 0) + count
    for group, count in moved.items():
        if count > tries:
            yield f"{group.rsplit('/', 1)[-1]} was redeployed {count} times for one rotation"


def _ended_badly(report: Document, tries: int) -> Iterator[str]:
    """An old credential lives for the soak after the last group has let go of it, and not for nights longer."""
    latest = SOAK + _LATE + NIGHT * (tries + 1)
    for ended in report["ended"]:
        idle = ended["idle_seconds"]
        if ended["still_used"]:
            yield f"{ended['handle']} was ended while a group used it"
        elif idle is not None and idle < SOAK.total_seconds():
            yield f"{ended['handle']} was ended {idle:.0f} s after its last use; the soak is {SOAK}"
        elif idle is not None and idle > latest.total_seconds():
            yield f"{ended['handle']} was ended {idle:.0f} s after its last use, which is late"


def _ended_otherwise(sandbox: Sandbox, report: Document) -> Iterator[str]:
    """Of a kind with one secret at a time nothing ends one but the making of the next, and nothing is announced but that."""
    with sandbox.world.lock:
        made = [entry.issued_at for entry in sandbox.world.ledger.issued()]
    for ended in report["ended"]:
        at = datetime.fromisoformat(ended["ended_at"])
        if not any(abs(at - one) < _AT_ONCE for one in made):
            yield f"{ended['handle']} was ended at {at}, when no successor was made"
    begun = [(one["group"], datetime.fromisoformat(one["from"])) for one in report["announced"]]
    for group, at in begun:
        if not any(timedelta(0) <= at - one + _AT_ONCE < _AT_ONCE * 2 for one in made):
            yield f"{group} could not pull from {at} on, when no secret was made"


def _unrest(sandbox: Sandbox, report: Document, kind: PrincipalKind) -> Iterator[str]:
    """At rest one secret lives, the vault's current version; every group presents it."""
    # Both passwords of an admin user always live: ending one puts another there.
    alive = 2 if kind is PrincipalKind.ACR_ADMIN else 1
    if traits_of(kind).retire is RetireMode.EXPLICIT and any(count != alive for count in report["live"].values()):
        yield f"not {alive} secrets live: {report['live']}"
    with sandbox.world.lock:
        vault = next(iter(sandbox.world.vaults.all()))
        name = next(secret for secret in vault.secrets if secret.startswith("pull-") and not secret.endswith("--staged"))
        current = sandbox.world.vaults.current(vault.name, name)
        issued = {entry.value for entry in sandbox.world.ledger.issued()}
        if current is None or not current.enabled or current.value not in issued:
            yield "the vault's current version is not the new credential"
            return
        for group in sandbox.world.groups.by_id.values():
            if group.idle(sandbox.world.now()) and traits_of(kind).overlap is Overlap.LEASES:
                continue
            if sandbox.world.groups.presented(group) != {current.value}:
                yield f"{group.name} does not present the vault's current version"
        staged = sandbox.world.vaults.current(vault.name, f"{name}--staged")
        if staged is not None and staged.enabled:
            yield "the staged copy is still switched on"
