"""What a rotation does to one group that uses the credential. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from rotator.model.credential import Overlap, Principal, Traits
from rotator.model.estate import Estate
from rotator.model.group import (
    GROUP_TAG_PREFIX,
    MOST_TAGS,
    Absent,
    Binding,
    ContainerGroup,
    GroupState,
    Inline,
    VaultReference,
    registry_password,
)
from rotator.model.rotation import Action, Consumer
from rotator.model.tool import OwnedGroups
from rotator.rotation.rules import Rules

HAS_IT = "has the new credential already"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The secret that groups are moved to: the mark of those that store it, and where those that refer to it must look.

    `known_as` is there when groups go back to a secret: the mark of those that never left it.
    """

    principal: Principal
    mark: str
    secret_name: str
    vault: str
    known_as: str = ""

    def is_read_by(self, reference: VaultReference) -> bool:
        """Whether a vault reference follows the secret to its newest version."""
        parts = urlsplit(reference.secret_url)
        here = not self.vault or parts.netloc.lower() == urlsplit(self.vault).netloc.lower()
        return here and parts.path.strip("/").lower() == f"secrets/{self.secret_name}".lower()


def consumer_of(group: ContainerGroup, target: Target, estate: Estate, traits: Traits, rules: Rules) -> Consumer:
    """Decide between redeploying, restarting, leaving alone and holding one group.

    A stopped group, or one whose job has run to its end, is left: putting it again would start it, or run the job twice.
    """
    bindings = bound_to(group, target.principal)
    registries = tuple(sorted({one.registry for one in bindings}))
    images = tuple(sorted({str(image) for one in bindings for image in one.images}))
    inline = any(isinstance(one.source, Inline) for one in bindings)

    def decided(action: Action, why: str = "", missing: tuple[str, ...] = ()) -> Consumer:
        return Consumer(
            group=group.id,
            registries=registries,
            action=action,
            images=images,
            why=why,
            missing=missing,
            inline=inline,
            location=group.location.lower(),
        )

    if moved(group, registries, target.mark):
        return decided(Action.LEAVE, HAS_IT)
    obstacle = _obstacle(group, bindings, target)
    if obstacle:
        return decided(Action.HOLD, obstacle)
    if target.known_as and _never_left(group, registries, target):
        return decided(Action.MARK, "stores the old credential still")
    if not inline:
        return decided(*_of_reference(group, traits, rules))
    if group.state is GroupState.STOPPED:
        return decided(Action.LEAVE, "is stopped; its old credential is kept until it has been brought up to date")
    if group.state is GroupState.FINISHED:
        return decided(Action.LEAVE, "has run to its end; putting it again would run its job a second time")
    tool = estate.owned.get(group.id)
    if tool and rules.owned_groups is OwnedGroups.HOLD:
        return decided(
            Action.HOLD, f"{tool} deploys it (rotation.owned_groups: hold); rotator plan --emit {tool} writes the change"
        )
    unsourced = (field.path for field in estate.unsourced.get(group.id, ()))
    missing = (*unsourced, *_other_passwords(group, target.principal, estate))
    if missing:
        return decided(Action.HOLD, "a redeploy would lose write-only values that nothing holds", tuple(dict.fromkeys(missing)))
    return decided(Action.REDEPLOY)


def moved(group: ContainerGroup, registries: Sequence[str], mark: str) -> bool:
    """Whether the group's tags say that it stores the marked secret for all of the registries."""
    return bool(mark) and all(group.tags.get(GROUP_TAG_PREFIX + registry) == mark for registry in registries)


def _never_left(group: ContainerGroup, registries: Sequence[str], target: Target) -> bool:
    """Whether a group is not known to have moved away from the secret that a roll-back returns to.

    A tag that names it proves so. No tag, on a running group, is what a first rotation leaves; the move looks again before it
    believes it, because somebody may have deployed the group since from the vault.
    """
    tags = {group.tags.get(GROUP_TAG_PREFIX + registry, "") for registry in registries}
    if tags == {target.known_as}:
        return True
    return tags == {""} and group.state not in {GroupState.STOPPED, GroupState.FINISHED}


def keeps_old(group: ContainerGroup, target: Target) -> bool:
    """Whether the group is not shown to use the target's secret, so that the one before it must live on."""
    bindings = bound_to(group, target.principal)
    inline = [one.registry for one in bindings if isinstance(one.source, Inline)]
    astray = any(isinstance(one.source, VaultReference) and not target.is_read_by(one.source) for one in bindings)
    return astray or bool(inline and not (moved(group, inline, target.mark) or moved(group, inline, target.known_as)))


def bound_to(group: ContainerGroup, principal: Principal) -> tuple[Binding, ...]:
    """Return the group's registry entries that authenticate as the principal."""
    return tuple(one for one in group.bindings if one.principal == principal)


def _obstacle(group: ContainerGroup, bindings: Sequence[Binding], target: Target) -> str:
    """Say why the group cannot be moved by anybody but a person, or nothing."""
    for one in bindings:
        if isinstance(one.source, VaultReference) and not target.is_read_by(one.source):
            if pinned(one.source.secret_url):
                return "its vault reference names one version; point it at the secret without a version"
            return f"its vault reference names another secret than {target.secret_name}; point it there"
        if sum(other.registry == one.registry and not isinstance(other.source, Absent) for other in group.bindings) > 1:
            # Azure tells such entries apart by their position alone, so a password could land in the other's.
            return f"it has two entries for {one.registry}; remove the one that is not needed"
    if len(group.tags.keys() | {GROUP_TAG_PREFIX + one.registry for one in bindings}) > MOST_TAGS:
        return f"it has {len(group.tags)} tags, which leaves no room for the one that says what it stores; remove one"
    return ""


def _other_passwords(group: ContainerGroup, principal: Principal, estate: Estate) -> tuple[str, ...]:
    """List the passwords of the group's other registries that the vault does not hold: a redeploy needs them all."""
    return tuple(
        registry_password(one.registry).path
        for one in group.bindings
        if isinstance(one.source, Inline)
        and one.principal is not None
        and one.principal != principal
        and one.principal.id not in estate.secrets_of
    )


def _of_reference(group: ContainerGroup, traits: Traits, rules: Rules) -> tuple[Action, str]:
    if group.state in {GroupState.STOPPED, GroupState.FINISHED}:
        return Action.LEAVE, "is not running; it reads the new credential from the vault at its next start"
    if traits.overlap is Overlap.LEASES and not rules.restart_for_leases:
        return Action.LEAVE, "reads the new lease from the vault at its next start"
    return Action.RESTART, ""


def pinned(secret_url: str) -> bool:
    """Whether a Key Vault secret URL names a version: `https://<vault>/secrets/<name>/<version>`."""
    path = secret_url.split("://", 1)[-1].split("/", 1)[-1].strip("/")
    return len([part for part in path.split("/") if part]) > 2
