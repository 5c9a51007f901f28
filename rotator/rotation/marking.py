"""Groups that a roll-back finds on the secret it returns to: a tag has to say so, and nobody restarts."""

from rotator.model.estate import TAG_HANDLE, TAG_ROTATION, StoredSecret
from rotator.model.group import GROUP_TAG_PREFIX, ContainerGroup
from rotator.model.rotation import Consumer, PlanItem
from rotator.rotation.context import Context, looking
from rotator.rotation.naming import mark_of
from rotator.rotation.record import RotationRecord
from rotator.rotation.redeploy import CLOCKS_APART


def known_as(before: StoredSecret, rotation: str) -> str:
    """Return the tag of the groups that store a secret from before `rotation`: the one that its own rotation left.

    A secret that rotator did not make left none; groups to which `rotation` puts it back are tagged in that rotation's name.
    """
    return before.tags.get(TAG_ROTATION) or mark_of(rotation, before.tags.get(TAG_HANDLE, ""))


def never_left(context: Context, record: RotationRecord, consumer: Consumer, group: ContainerGroup) -> bool:
    """Whether the group is shown to store the secret that a roll-back returns to.

    Its tag says so; or it has none, and has pulled nothing since the bad secret was first given out: whoever stores another
    secret was put again for it, and pulled. A group of which that cannot be told is moved like any other, which does no harm.
    """
    if not record.known_as:
        # The old secret ended on the way back, and another had to be made: nobody stores that one yet.
        return False
    tags = {group.tags.get(GROUP_TAG_PREFIX + registry, "") for registry in consumer.registries}
    if tags <= {record.known_as, record.mark}:
        return True
    if tags != {""}:
        return False
    bad = context.version_of(record.secret_name, record.old)
    if bad is None or bad.created_at is None:
        return False
    health = context.platform.health(group.id, bad.created_at - CLOCKS_APART)
    return not health.healthy and not health.settled


def mark(context: Context, item: PlanItem, record: RotationRecord, consumer: Consumer, group: ContainerGroup) -> None:
    """Tag the group as one that stores the rotation's secret. It does not restart."""
    tags = {GROUP_TAG_PREFIX + registry: record.mark for registry in consumer.registries}
    # Writing a tag twice does what once does.
    looking(context, lambda: context.platform.tag(group, tags))
    context.tell(item.rotation, item.principal, "mark", "stores the old credential still", group=group.id)
