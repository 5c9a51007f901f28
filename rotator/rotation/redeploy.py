"""Putting one group again with a new password for some of its registries, and every other value as it was."""

from collections.abc import Mapping, Sequence

from rotator.model.credential import Credential, Handle
from rotator.model.errors import Held, Indeterminate, Rejected, VerificationFailed
from rotator.model.group import Binding, ContainerGroup, Inline, WriteOnlyField
from rotator.model.image import ImageReference
from rotator.model.rotation import Consumer, PlanItem
from rotator.model.secret import Secret
from rotator.rotation.context import Context
from rotator.rotation.inaccessible import INACCESSIBLE, explained
from rotator.rotation.verify import pull_all


def redeploy(
    context: Context,
    item: PlanItem,
    consumer: Consumer,
    group: ContainerGroup,
    password: Secret,
    tags: Mapping[str, str],
    username: str = "",
) -> None:
    """Put the group with `password` for the consumer's registries; returns when Azure has taken it, whatever became of it then.

    Raises Held when another value cannot be found, or is a password that its registry does not accept: putting it into the group
    would be an outage of our own making. Any other error means that the group is as it was.
    """
    ours = {f"imageRegistryCredentials/{registry}/password" for registry in consumer.registries}
    values: dict[WriteOnlyField, Secret] = {
        field: password if field.path in ours else context.values.fetch(group, field) for field in group.write_only
    }
    for binding in group.bindings:
        path = WriteOnlyField(f"imageRegistryCredentials/{binding.registry}/password")
        if isinstance(binding.source, Inline) and path.path not in ours and path in values:
            _try(context, item, binding, binding.source.username, values[path])
    usernames = dict.fromkeys(consumer.registries, username) if username else {}
    try:
        context.platform.redeploy(group, values=values, tags=tags, usernames=usernames)
    except Rejected as error:
        if error.reason != INACCESSIBLE:
            raise
        raise explained(context, item, group, values, username, error) from error
    except Indeterminate:
        # The tags travelled with the passwords: they are there together or not at all.
        present = context.platform.read(group.id).tags
        if any(present.get(name) != value for name, value in tags.items()):
            raise


def accepted(context: Context, item: PlanItem, username: str, secret: Secret, images: Sequence[ImageReference]) -> bool:
    """Whether a registry lets the user pull the images with this password; one that does not exist proves nothing against it."""
    credential = Credential(handle=Handle(principal=item.principal, id=""), username=username)
    try:
        # Pulling is the same for every kind of credential, so any driver can try any password.
        pull_all(context.driver(item.principal), credential, secret, images)
    except VerificationFailed:
        return False
    return True


def _try(context: Context, item: PlanItem, binding: Binding, username: str, secret: Secret) -> None:
    if not accepted(context, item, username, secret, binding.images):
        raise Held(
            f"{binding.registry} does not accept the password that the vault holds for {username}, which the group needs too",
            advice="Put the right one into the vault, or rotate that credential first.",
        )
