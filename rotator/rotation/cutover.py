"""The fourth phase: groups move to the new credential in waves, and back when one does not become healthy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from pydantic import TypeAdapter

from rotator.model.arm import ArmId
from rotator.model.errors import Held, NotFound, Rejected, RotatorError
from rotator.model.estate import TAG_HANDLE, StoredSecret
from rotator.model.group import GROUP_TAG_PREFIX, Absent, ContainerGroup, ManagedIdentity, registry_password
from rotator.model.image import ImageReference
from rotator.model.rotation import Action, Consumer, PlanItem
from rotator.model.secret import Secret
from rotator.ports import Errand, Json
from rotator.rotation import marking
from rotator.rotation.consumers import moved
from rotator.rotation.context import Context, Where, looking
from rotator.rotation.inaccessible import INACCESSIBLE, explained
from rotator.rotation.naming import handle_of
from rotator.rotation.record import TAG_USERNAME, RotationRecord
from rotator.rotation.redeploy import CLOCKS_APART, accepted, at_rest, await_health, filled, gone, put, settled
from rotator.rotation.tenure import keep

MOVED, MARKED, LEFT, FAILED = "moved", "marked", "left", "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """How one group fared.

    FAILED: it was changed and is not well, so that there is something to put back and the rotation stops. LEFT: it is as it was,
    with a `code` when that was not its owner's doing. MARKED: it stored the secret already, and its tags say so now.
    """

    group: str
    result: str
    detail: str = ""
    code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What whoever moves one group must know. `item` has that group for its only consumer."""

    item: PlanItem
    record: RotationRecord
    missing: tuple[str, ...]


_TASK = TypeAdapter(Task)
_MOVE = TypeAdapter(Move)


def errands_of(item: PlanItem, record: RotationRecord, wave: Sequence[ArmId], missing: Sequence[str]) -> tuple[Errand, ...]:
    """Make an errand of each group of a wave. It carries that group alone: a plan of hundreds would be copied for each."""
    consumers = {one.group: one for one in item.consumers}

    def argument(group: ArmId) -> Json:
        alone = replace(item, consumers=(consumers[group],), waves=())
        written: Json = _TASK.dump_python(Task(item=alone, record=record, missing=tuple(missing)), mode="json")
        return written

    return tuple(
        Errand(key=group.key, place=f"{group.subscription}/{consumers[group].location}", argument=argument(group))
        for group in wave
    )


def run_errand(context: Context, argument: Json) -> Json:
    """Move the group that an errand names; returns the move as JSON."""
    context.trail.taken()  # what this thread asked for an earlier errand is no part of this one
    task = _TASK.validate_python(argument)
    [consumer] = task.item.consumers
    written: Json = _MOVE.dump_python(move(context, task.item, task.record, consumer, task.missing), mode="json")
    return written


def move(context: Context, item: PlanItem, record: RotationRecord, consumer: Consumer, missing: Sequence[str]) -> Move:
    """Move one group to the new credential, unless its tags say that it has been moved; then wait for its health."""
    lost = sorted(set(consumer.images) & set(missing))
    if lost:
        return _left(context, item, consumer, error=gone(lost[0]))
    changed = False
    try:
        keep(context, record)
        with context.claims.claim(consumer.group):
            try:
                group = settled(context, consumer.group)
            except NotFound:
                return _left(context, item, consumer, "deleted since the plan")
            if consumer.action is Action.MARK and marking.never_left(context, record, consumer, group):
                marking.mark(context, item, record, consumer, group)
                return Move(group=consumer.group.text, result=MARKED)
            why = _leave(group, consumer, record)
            if why:
                return _left(context, item, consumer, why)
            since = record.issued_at or context.clock.now()
            changed = moved(group, consumer.registries, record.mark)
            if not changed:
                since = context.clock.now()
                version = _apply(context, item, record, consumer, group)
                changed = True
                where = Where(handle=record.handle, secret=record.secret_name, version=version)
                context.tell(item.rotation, item.principal, _deed(consumer).value, group=consumer.group, where=where)
            # Also when an earlier try moved it: that one may have died before it saw that the group is not well.
            await_health(context, consumer.group, since - CLOCKS_APART, meanwhile=partial(keep, context, record))
            context.tell(
                item.rotation, item.principal, "health", "healthy", group=consumer.group, where=Where(handle=record.handle)
            )
        return Move(group=consumer.group.text, result=MOVED)
    except RotatorError as error:
        if not changed:
            return _left(context, item, consumer, error=error)
        context.tell(
            item.rotation, item.principal, "redeploy", group=consumer.group, error=error, where=Where(handle=record.handle)
        )
        return Move(group=consumer.group.text, result=FAILED, detail=error.message, code=error.code)


def roll_back(
    context: Context, item: PlanItem, record: RotationRecord, moves: Sequence[Move], missing: Sequence[str]
) -> tuple[str, ...]:
    """Put the old credential back into the groups that failed; returns the ids of those for which that worked.

    Impossible when the vault never held the old value (a first rotation), when the old secret is no longer accepted, and for a
    group that reads from the vault. Such a group keeps the new credential, which was verified, and a person decides.
    """
    consumers = {one.group.text: one for one in item.consumers}
    failed = [consumers[one.group] for one in moves if one.result == FAILED]
    back = []
    for consumer in failed:
        if consumer.action is not Action.REDEPLOY:
            _not_back(context, item, consumer, "it reads the vault, which holds the new secret")
            continue
        try:
            with context.claims.claim(consumer.group):
                group = settled(context, consumer.group)
                before = context.version_of(record.secret_name, record.old)
                old = _old_value(context, item, record, consumer, missing, before)
                if before is None or old is None:
                    _not_back(context, item, consumer, "the vault has no old secret that still works")
                    continue
                known_as = marking.known_as(before, record.rotation)
                tags = {GROUP_TAG_PREFIX + one: known_as for one in consumer.registries}
                _redeploy(context, item, consumer, group, old, tags, username=before.tags.get(TAG_USERNAME, ""))
            back.append(consumer.group.text)
            where = Where(handle=before.tags.get(TAG_HANDLE, ""), secret=before.name, version=before.version)
            context.tell(
                item.rotation, item.principal, "roll-back", "the old credential is back", group=consumer.group, where=where
            )
        except RotatorError as error:
            context.tell(item.rotation, item.principal, "roll-back", group=consumer.group, error=error)
    return tuple(back)


def _not_back(context: Context, item: PlanItem, consumer: Consumer, why: str) -> None:
    error = Held(f"{consumer.group.name} keeps the new credential: {why}")
    context.tell(item.rotation, item.principal, "roll-back", group=consumer.group, error=error)


def _left(context: Context, item: PlanItem, consumer: Consumer, why: str = "", *, error: RotatorError | None = None) -> Move:
    context.tell(item.rotation, item.principal, "redeploy", f"left: {why}", group=consumer.group, error=error)
    if error is None:
        return Move(group=consumer.group.text, result=LEFT, detail=why)
    return Move(group=consumer.group.text, result=LEFT, detail=error.message, code=error.code)


def _leave(group: ContainerGroup, consumer: Consumer, record: RotationRecord) -> str:
    """Say why the group must be left alone although the plan wanted to move it, or nothing."""
    wanted = (record.username or record.principal.name).lower()
    known = {wanted}
    if record.slot and wanted == record.slot.lower():
        # Where each slot is a user of its own, a group that is still to be moved presents another.
        known |= {handle_of(record.principal, one).slot.lower() for one in record.old}
    for registry in consumer.registries:
        sources = [one.source for one in group.bindings if one.registry == registry]
        users = {one.username.strip().lower() for one in sources if not isinstance(one, Absent | ManagedIdentity)}
        if not users or not users <= known:
            return f"no longer logs in to {registry} as {wanted}"
    return at_rest(group)


def _apply(context: Context, item: PlanItem, record: RotationRecord, consumer: Consumer, group: ContainerGroup) -> str:
    """Give the group the new secret; returns the vault's version that it now stores, or has read."""
    tags = {GROUP_TAG_PREFIX + registry: record.mark for registry in consumer.registries}
    version = _new_version(context, record)
    if _deed(consumer) is not Action.RESTART:
        new = context.vault.read(record.secret_name, version)
        _redeploy(context, item, consumer, group, new, tags, username=record.username)
        return version
    # Restarting twice, or writing a tag twice, does what once does.
    looking(context, lambda: context.platform.restart(group.id))
    # After the restart, not before: the tag states that the group has read the new secret.
    looking(context, lambda: context.platform.tag(group, tags))
    return version


def _redeploy(
    context: Context,
    item: PlanItem,
    consumer: Consumer,
    group: ContainerGroup,
    password: Secret,
    tags: Mapping[str, str],
    username: str = "",
) -> None:
    """Put the group with a password, and a user name where it changes, for the consumer's registries. Raises as `put` does."""
    values = filled(context, group, {registry_password(one): password for one in consumer.registries})
    try:
        put(context, group, values, tags, usernames=dict.fromkeys(consumer.registries, username) if username else {})
    except Rejected as error:
        if error.reason != INACCESSIBLE:
            raise
        raise explained(context, item, group, values, username, error) from error


def _deed(consumer: Consumer) -> Action:
    """What moves the group: one that was to be marked and turns out to have been started since is moved like any other."""
    if consumer.action is not Action.MARK:
        return consumer.action
    return Action.REDEPLOY if consumer.inline else Action.RESTART


def _new_version(context: Context, record: RotationRecord) -> str:
    """Return the version that consumers read; Held unless it is this rotation's and they can read it."""
    current = context.vault.look(record.secret_name)
    if current is None or current.tags.get(TAG_HANDLE) != record.handle:
        raise Held(
            f"{record.secret_name} no longer holds the secret of this rotation: somebody wrote another version",
            advice="Find out who; two programs that write one secret cannot both be right.",
        )
    if not current.enabled:
        raise Held(f"{record.secret_name} is disabled: nobody could read it", advice="Enable its newest version.")
    return current.version


def _old_value(
    context: Context,
    item: PlanItem,
    record: RotationRecord,
    consumer: Consumer,
    missing: Sequence[str],
    before: StoredSecret | None,
) -> Secret | None:
    """Return the old value if the vault has it and it still works: what has expired must not be put into a group."""
    if before is None:
        return None
    old = context.vault.read(record.secret_name, before.version)
    images = [ImageReference.parse(text) for text in consumer.images if text not in missing]
    username = before.tags.get(TAG_USERNAME) or record.username or item.principal.name
    return old if accepted(context, username, old, images) else None
