"""The fourth phase: groups move to the new credential in waves, and back when one does not become healthy."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta

from rotator.model.arm import ArmId
from rotator.model.errors import Conflict, CutoverFailed, Held, Indeterminate, NotFound, RotatorError
from rotator.model.estate import TAG_HANDLE
from rotator.model.group import GROUP_TAG_PREFIX, ContainerGroup, GroupState, WriteOnlyField
from rotator.model.rotation import Action, Consumer, PlanItem
from rotator.model.secret import Secret
from rotator.rotation.consumers import moved
from rotator.rotation.context import Context
from rotator.rotation.record import RotationRecord

_HEALTH_PAUSE = timedelta(seconds=10)
_TRANSITION_PAUSE = timedelta(seconds=15)
_TRANSITION_TRIES = 20

MOVED, LEFT, FAILED = "moved", "left", "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """How one group fared. `changed` says whether Azure accepted an update, so that there is something to put back."""

    group: str
    result: str
    changed: bool = False
    detail: str = ""
    code: str = ""


def cutover(
    context: Context, item: PlanItem, record: RotationRecord, wave: Sequence[ArmId], missing: Sequence[str]
) -> tuple[Move, ...]:
    """Move the groups of one wave, some at a time, and wait until each is healthy. Raises nothing that one group caused."""
    consumers = {one.group: one for one in item.consumers}
    with ThreadPoolExecutor(max_workers=context.rules.max_parallel, thread_name_prefix="cutover") as pool:
        return tuple(pool.map(lambda group: move(context, item, record, consumers[group], missing), wave))


def move(context: Context, item: PlanItem, record: RotationRecord, consumer: Consumer, missing: Sequence[str]) -> Move:
    """Move one group to the new credential, unless its tags say that it has been moved; then wait for its health."""
    name = consumer.group.text
    gone = sorted(set(consumer.images) & set(missing))
    if gone:
        detail = f"{gone[0]} does not exist in its registry: the group could not start again with any credential"
        context.tell(item.rotation, item.principal, "redeploy", group=consumer.group, error=Held(detail))
        return Move(group=name, result=LEFT, detail=detail, code=Held.code)
    changed = False
    try:
        with context.claims.claim(consumer.group):
            group = _settled(context, consumer.group)
            why = _leave(group, consumer)
            if why:
                context.tell(item.rotation, item.principal, "redeploy", f"left: {why}", group=consumer.group)
                return Move(group=name, result=LEFT, detail=why)
            since = context.clock.now()
            if not moved(group, consumer.registries, item.rotation):
                _apply(context, item, record, consumer, group)
                changed = True
                context.tell(item.rotation, item.principal, consumer.action.value, group=consumer.group)
                _await_health(context, consumer.group, since - timedelta(seconds=1))
            context.tell(item.rotation, item.principal, "health", "healthy", group=consumer.group)
        return Move(group=name, result=MOVED, changed=changed)
    except NotFound:
        context.tell(item.rotation, item.principal, "redeploy", "left: deleted since the plan", group=consumer.group)
        return Move(group=name, result=LEFT, detail="deleted since the plan")
    except Held as error:
        context.tell(item.rotation, item.principal, "redeploy", group=consumer.group, error=error)
        return Move(group=name, result=LEFT, detail=error.message, code=error.code)
    except RotatorError as error:
        context.tell(item.rotation, item.principal, "redeploy", group=consumer.group, error=error)
        perhaps = changed or isinstance(error, Indeterminate)
        return Move(group=name, result=FAILED, changed=perhaps, detail=error.message, code=error.code)


def roll_back(context: Context, item: PlanItem, record: RotationRecord, moves: Sequence[Move]) -> tuple[str, ...]:
    """Put the old credential back into the groups that failed; returns the ids of those for which that worked.

    Impossible when the vault never held the old value: a first rotation. Then the group keeps the new credential, which
    was verified, and a person decides.
    """
    consumers = {one.group.text: one for one in item.consumers}
    failed = [consumers[one.group] for one in moves if one.result == FAILED and one.changed]
    old = _old_value(context, record) if failed else None
    if old is None:
        return ()
    back = []
    for consumer in failed:
        try:
            with context.claims.claim(consumer.group):
                group = _settled(context, consumer.group)
                _redeploy(context, group, consumer.registries, old, {GROUP_TAG_PREFIX + one: "" for one in consumer.registries})
            back.append(consumer.group.text)
            context.tell(item.rotation, item.principal, "roll-back", "the old credential is back", group=consumer.group)
        except RotatorError as error:
            context.tell(item.rotation, item.principal, "roll-back", group=consumer.group, error=error)
    return tuple(back)


def _settled(context: Context, group: ArmId) -> ContainerGroup:
    """Read a group, waiting while somebody else's deployment is under way."""
    for _ in range(_TRANSITION_TRIES):
        found = context.platform.read(group)
        if found.state is not GroupState.TRANSITIONING:
            return found
        context.clock.sleep(_TRANSITION_PAUSE)
    raise Conflict(f"{group.name} stays in transition", api="container-instances", operation="read")


def _leave(group: ContainerGroup, consumer: Consumer) -> str:
    """Say why the group must be left alone although the plan wanted to move it, or nothing."""
    if not any(one.registry in consumer.registries for one in group.bindings):
        return "no longer uses this registry"
    if group.state is GroupState.STOPPED:
        return "was stopped since the plan"
    if group.state is GroupState.FINISHED:
        return "ran to its end since the plan"
    return ""


def _apply(context: Context, item: PlanItem, record: RotationRecord, consumer: Consumer, group: ContainerGroup) -> None:
    tags = {GROUP_TAG_PREFIX + registry: item.rotation for registry in consumer.registries}
    if consumer.action is Action.RESTART:
        context.platform.restart(group.id)
        # After the restart, not before: the tag states that the group has read the new secret.
        context.platform.tag(group, tags)
        return
    new = _new_value(context, record)
    _redeploy(context, group, consumer.registries, new, tags, username=record.username)


def _redeploy(
    context: Context,
    group: ContainerGroup,
    registries: Sequence[str],
    password: Secret,
    tags: dict[str, str],
    username: str = "",
) -> None:
    ours = {f"imageRegistryCredentials/{registry}/password" for registry in registries}
    values: dict[WriteOnlyField, Secret] = {
        field: password if field.path in ours else context.values.fetch(group, field) for field in group.write_only
    }
    usernames = dict.fromkeys(registries, username) if username else {}
    context.platform.redeploy(group, values=values, tags=tags, usernames=usernames)


def _await_health(context: Context, group: ArmId, since: datetime) -> None:
    deadline = context.clock.now() + context.rules.health_timeout
    while True:
        health = context.platform.health(group, since)
        if health.healthy:
            return
        if health.settled or context.clock.now() >= deadline:
            raise CutoverFailed(f"{group.name} is not healthy on the new credential: {health.detail}")
        context.clock.sleep(_HEALTH_PAUSE)


def _new_value(context: Context, record: RotationRecord) -> Secret:
    current = context.vault.look(record.secret_name)
    if current is None or current.tags.get(TAG_HANDLE) != record.handle:
        raise Held(
            f"{record.secret_name} no longer holds the secret of this rotation: somebody wrote another version",
            advice="Find out who; two programs that write one secret cannot both be right.",
        )
    return context.vault.read(record.secret_name, current.version)


def _old_value(context: Context, record: RotationRecord) -> Secret | None:
    current = context.vault.look(record.secret_name)
    before = context.vault.previous(record.secret_name, current.version) if current else None
    if before is None or before.tags.get(TAG_HANDLE, "") not in record.old:
        return None
    return context.vault.read(record.secret_name, before.version)
