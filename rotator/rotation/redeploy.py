"""Putting one group again: what changes is given, every other value stays, and nobody is put on a password that is refused."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta

from rotator.model.arm import ArmId
from rotator.model.credential import Credential, Handle, Principal
from rotator.model.errors import Conflict, CutoverFailed, Held, Indeterminate, Throttled, Unavailable, VerificationFailed
from rotator.model.group import ContainerGroup, GroupState, Inline, Source, WriteOnlyField, registry_password
from rotator.model.image import ImageReference
from rotator.model.secret import Secret
from rotator.rotation.context import Context
from rotator.rotation.verify import pull_all

CLOCKS_APART = timedelta(seconds=10)
"""Pulls are timed by Azure's clock and updates by ours."""

_HEALTH_PAUSE = timedelta(seconds=10)
_TRANSITION_PAUSE = timedelta(seconds=15)
_TRANSITION_TRIES = 20


def settled(context: Context, group: ArmId) -> ContainerGroup:
    """Read a group, waiting while somebody else's deployment is under way. Raises NotFound for one that is gone."""
    for _ in range(_TRANSITION_TRIES):
        found = context.platform.read(group)
        if found.state is not GroupState.TRANSITIONING:
            return found
        context.clock.sleep(_TRANSITION_PAUSE)
    raise Conflict(f"{group.name} stays in transition", api="container-instances", operation="read")


def at_rest(group: ContainerGroup) -> str:
    """Say why putting the group again would start what shall not run, or nothing."""
    if group.state is GroupState.STOPPED:
        return "was stopped since the plan"
    return "ran to its end since the plan" if group.state is GroupState.FINISHED else ""


def filled(
    context: Context,
    group: ContainerGroup,
    new: Mapping[WriteOnlyField, Secret],
    *,
    replaced: Collection[str] = (),
) -> dict[WriteOnlyField, Secret]:
    """Return `new` with the group's other values; the passwords of `replaced` registry entries are not looked for.

    Raises Held when a value cannot be found, or is a password that its registry does not accept: putting it into the group would
    be an outage of our own making.
    """
    ours = {*new, *map(registry_password, replaced)}
    values = {**new, **{field: context.values.fetch(group, field) for field in group.write_only if field not in ours}}
    for binding in group.bindings:
        field = registry_password(binding.registry)
        if not isinstance(binding.source, Inline) or field in ours or field not in values:
            continue
        refused = refusal_of(context, binding.source.username, values[field], binding.images)
        if refused is not None:
            raise Held(
                f"the group needs the password that the vault holds for {binding.source.username} too, and with it"
                f" {refused.message}",
                advice=refused.advice,
            )
    return values


def put(
    context: Context,
    group: ContainerGroup,
    values: Mapping[WriteOnlyField, Secret],
    tags: Mapping[str, str],
    *,
    usernames: Mapping[str, str] | None = None,
    entries: Mapping[str, Source] | None = None,
) -> None:
    """Put the group; returns when Azure has taken it, whatever became of it then. Any error means that it is as it was."""
    try:
        context.platform.redeploy(group, values=values, tags=tags, usernames=usernames or {}, entries=entries)
    except Indeterminate:
        # The tags travelled with the passwords: they are there together or not at all.
        present = context.platform.read(group.id).tags
        if any(present.get(name) != value for name, value in tags.items()):
            raise


def await_health(context: Context, group: ArmId, since: datetime, *, meanwhile: Callable[[], None] = lambda: None) -> None:
    """Return when the group's containers run on what was pulled after `since`; CutoverFailed when they do not in time.

    `meanwhile` is called before each look.
    """
    deadline = context.clock.now() + context.rules.health_timeout
    while True:
        meanwhile()
        try:
            health = context.platform.health(group, since)
            detail, over = health.detail, health.settled
            if health.healthy:
                return
        except (Throttled, Unavailable) as error:
            # Not to see a group is no reason to put it again.
            detail, over = error.message, False
        if over or context.clock.now() >= deadline:
            raise CutoverFailed(f"{group.name} is not healthy after it was put: {detail}")
        context.clock.sleep(_HEALTH_PAUSE)


def accepted(context: Context, username: str, secret: Secret, images: Sequence[ImageReference]) -> bool:
    """Whether a registry lets the user pull the images with this password. Raises as `refusal_of` does."""
    return refusal_of(context, username, secret, images) is None


def refusal_of(
    context: Context, username: str, secret: Secret, images: Sequence[ImageReference], expires_at: datetime | None = None
) -> VerificationFailed | None:
    """Return why a registry does not let the user pull the images with this password; None when it does.

    Raises Held for one that does not exist: that proves nothing against the password, but Azure would refuse the group.
    """
    # Pulling is the same for every kind of credential, so any driver can try any password.
    driver = next(iter(context.drivers.values()))
    anybody = Principal(kind=driver.kind, registry="-", name=username)
    credential = Credential(handle=Handle(principal=anybody, id=""), username=username, expires_at=expires_at)
    try:
        missing = pull_all(driver, credential, secret, images)
    except VerificationFailed as error:
        return error
    if missing:
        raise gone(str(min(missing)))
    return None


def gone(image: str) -> Held:
    """Return why a group with an image that is no more is not put."""
    return Held(
        f"{image} does not exist in its registry: the group could not start again with any credential",
        advice="Push the image, or correct its name in the group.",
    )
