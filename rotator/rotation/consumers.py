"""What a rotation does to one group that uses the credential. Pure."""

from rotator.model.credential import Overlap, Principal, Traits
from rotator.model.estate import Estate
from rotator.model.group import GROUP_TAG_PREFIX, Binding, ContainerGroup, GroupState, Inline, VaultReference
from rotator.model.rotation import Action, Consumer
from rotator.rotation.rules import Rules


def consumer_of(
    group: ContainerGroup, principal: Principal, rotation: str, estate: Estate, traits: Traits, rules: Rules
) -> Consumer:
    """Decide between redeploying, restarting, leaving alone and holding one group.

    A stopped group, or one whose job has run to its end, is left: putting it again would start it, or run the job twice.
    """
    bindings = tuple(one for one in group.bindings if one.principal == principal)
    registries = tuple(sorted({one.registry for one in bindings}))
    images = tuple(sorted({str(image) for one in bindings for image in one.images}))
    inline = any(isinstance(one.source, Inline) for one in bindings)

    def decided(action: Action, why: str = "", missing: tuple[str, ...] = ()) -> Consumer:
        return Consumer(
            group=group.id, registries=registries, action=action, images=images, why=why, missing=missing, inline=inline
        )

    if moved(group, registries, rotation):
        return decided(Action.LEAVE, "has the new credential already")
    if not inline:
        return decided(*_of_reference(bindings, group, traits, rules))
    if group.state is GroupState.STOPPED:
        return decided(Action.LEAVE, "is stopped; its old credential is kept until it has been brought up to date")
    if group.state is GroupState.FINISHED:
        return decided(Action.LEAVE, "has run to its end; putting it again would run its job a second time")
    missing = (*(field.path for field in estate.unsourced.get(group.id, ())), *_other_passwords(group, principal, estate))
    if missing:
        return decided(Action.HOLD, "a redeploy would lose write-only values that nothing holds", tuple(dict.fromkeys(missing)))
    return decided(Action.REDEPLOY)


def moved(group: ContainerGroup, registries: tuple[str, ...], rotation: str) -> bool:
    """Whether the group's tags say that it stores this rotation's credential for all of the registries."""
    return all(group.tags.get(GROUP_TAG_PREFIX + registry) == rotation for registry in registries)


def _other_passwords(group: ContainerGroup, principal: Principal, estate: Estate) -> tuple[str, ...]:
    """List the passwords of the group's other registries that the vault does not hold: a redeploy needs them all."""
    return tuple(
        f"imageRegistryCredentials/{one.registry}/password"
        for one in group.bindings
        if isinstance(one.source, Inline)
        and one.principal is not None
        and one.principal != principal
        and one.principal.id not in estate.secrets_of
    )


def _of_reference(bindings: tuple[Binding, ...], group: ContainerGroup, traits: Traits, rules: Rules) -> tuple[Action, str]:
    versioned = [one for one in bindings if isinstance(one.source, VaultReference) and pinned(one.source.secret_url)]
    if versioned:
        return Action.HOLD, "its vault reference names one version; point it at the secret without a version"
    if group.state in {GroupState.STOPPED, GroupState.FINISHED}:
        return Action.LEAVE, "is not running; it reads the new credential from the vault at its next start"
    if traits.overlap is Overlap.LEASES and not rules.restart_for_leases:
        return Action.LEAVE, "reads the new lease from the vault at its next start"
    return Action.RESTART, ""


def pinned(secret_url: str) -> bool:
    """Whether a Key Vault secret URL names a version: `https://<vault>/secrets/<name>/<version>`."""
    path = secret_url.split("://", 1)[-1].split("/", 1)[-1].strip("/")
    return len([part for part in path.split("/") if part]) > 2
