"""The last look before the one effect that cannot be undone: making a secret that ends the old one at once.

Whatever could fail afterwards is tried here, while nobody is out yet. What runs later must get through, whatever it takes.
"""

from collections.abc import Sequence

from rotator.model.credential import Credential, Handle
from rotator.model.errors import Held, NotFound, VerificationFailed
from rotator.model.estate import TAG_HANDLE
from rotator.model.group import GroupState, registry_password
from rotator.model.rotation import Action, Consumer, PlanItem
from rotator.rotation.context import Context
from rotator.rotation.outages import announced, next_window, takes_at_least
from rotator.rotation.record import TAG_USERNAME, RotationRecord
from rotator.rotation.verify import pull_all


def last_look(context: Context, item: PlanItem, live: Sequence[Credential], found: RotationRecord | None) -> str:
    """Return the handle of the living secret that is about to be replaced; empty when there is none.

    Raises Held when it is not the one that was planned, when none of its images exists, or when a group could not be moved:
    nothing has happened then. Raises Throttled or Unavailable for a registry that does not answer. Nothing is asked once the
    old secret is dead: a secret that was made and lost has ended it, and waiting would help nobody.
    """
    now = context.clock.now()
    alive = [one.handle.id for one in live if not one.expired(now)]
    # Of several only the driver can tell which one it will replace; it names that one first.
    target = alive[0] if alive else ""
    if item.revoke or (found is not None and found.rotation == item.rotation and not set(item.old) & set(alive)):
        return target
    if set(alive) - set(item.old):
        raise Held(
            f"{item.principal.id}: {target} was made by somebody else since the plan; nothing was made",
            advice="Find out what the groups use, then run again.",
        )
    _in_time(context, item)
    _old_one_pulls(context, item)
    for consumer in item.consumers:
        if consumer.action in {Action.REDEPLOY, Action.RESTART}:
            _can_be_moved(context, consumer)
    return target


def _in_time(context: Context, item: PlanItem) -> None:
    """Ask once more whether the outage is announced: other rotations, or a person's answer, may have come before this one."""
    rules, now = context.rules, context.clock.now()
    takes = takes_at_least(context.driver(item.principal).traits, rules, item)
    if item.in_window and not announced(rules.outage_windows, item.principal, now, takes):
        begins = next_window(rules.outage_windows, item.principal, now)
        raise Held(
            f"{item.principal.id}: its window is over, or too little is left of it; nothing was made",
            advice=f"The next one begins {begins:%a %Y-%m-%d %H:%M} UTC." if begins else "",
        )


def _old_one_pulls(context: Context, item: PlanItem) -> None:
    """Ask the registry for every image with the old secret, where the vault holds it: it must be up, and the images be there.

    Its refusal is no obstacle: the groups are out already, and a new secret is what helps.
    """
    stored = context.version_of(item.secret_name, item.old)
    if stored is None or not item.images:
        return
    credential = Credential(
        handle=Handle(principal=item.principal, id=stored.tags[TAG_HANDLE]),
        username=stored.tags.get(TAG_USERNAME) or item.principal.name,
    )
    secret = context.vault.read(item.secret_name, stored.version)
    try:
        missing = pull_all(context.driver(item.principal), credential, secret, item.images)
    except VerificationFailed:
        return
    if len(missing) == len(item.images):
        raise Held(f"{item.principal.id}: {min(missing)} does not exist any more, so nothing could prove a new secret")


def _can_be_moved(context: Context, consumer: Consumer) -> None:
    try:
        group = context.platform.read(consumer.group)
    except NotFound:
        return
    if group.state is GroupState.TRANSITIONING:
        raise Held(f"{group.name} is being deployed by somebody else, and would be out until that is over; nothing was made")
    if consumer.inline and group.state in {GroupState.STOPPED, GroupState.FINISHED}:
        raise Held(f"{group.name} does not run any more, and could not start again afterwards; nothing was made")
    bound = {registry_password(one) for one in consumer.registries}
    for field in group.write_only if consumer.action is Action.REDEPLOY else ():
        if field not in bound and context.values.locate(group, field) is None:
            raise Held(
                f"{group.name} could not be put again: nothing holds {field.path}; nothing was made", missing=(field.path,)
            )
