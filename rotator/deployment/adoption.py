"""Bringing a group under management: the hidden values that nothing holds go into the vault, where every redeploy finds them."""

from collections.abc import Mapping
from dataclasses import dataclass

from rotator.deployment.trial import try_password
from rotator.model.credential import Principal
from rotator.model.errors import Held
from rotator.model.estate import TAG_FIELD, TAG_GROUP, TAG_PRINCIPAL
from rotator.model.group import Binding, ContainerGroup, Inline, WriteOnlyField, registry_password
from rotator.model.secret import Secret
from rotator.rotation.context import Context, looking
from rotator.rotation.naming import field_name_of, name_of, stranger_in


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A hidden value of a group. `source` is the place that holds it, or None; `secret_name` is where an adoption puts it.

    `principal` is there for a registry's password.
    """

    field: WriteOnlyField
    source: str | None
    secret_name: str
    principal: Principal | None = None
    binding: Binding | None = None


def gaps_of(context: Context, group: ContainerGroup) -> tuple[Gap, ...]:
    """Return every hidden value of a group, and the place that holds it if there is one."""
    by_field = {registry_password(one.registry): one for one in group.bindings if isinstance(one.source, Inline)}
    found = []
    for field in group.write_only:
        binding = by_field.get(field)
        # Only what a driver can rotate is a principal's: for the others the field's own name finds it again.
        principal = binding.principal if binding and binding.principal else None
        if principal is not None and principal.kind not in context.drivers:
            principal = None
        name = name_of(principal, context.rules) if principal else field_name_of(group.name, group.id.key, field.path)
        source = context.values.locate(group, field)
        found.append(Gap(field=field, source=source, secret_name=name, principal=principal, binding=binding))
    return tuple(found)


def examined(context: Context, group: ContainerGroup, gap: Gap, value: Secret) -> dict[str, str]:
    """Return the tags under which every later redeploy finds the value in the vault. Changes nothing.

    A registry's password is tried first. Raises VerificationFailed, and Held where the name is taken.
    """
    if gap.binding is not None:
        try_password(context.drivers, gap.binding, value, "")
    tags = {TAG_PRINCIPAL: gap.principal.id} if gap.principal else {TAG_GROUP: group.id.key, TAG_FIELD: gap.field.path}
    stranger = _stranger(context, gap, tags)
    if stranger:
        raise Held(
            f"the vault has a secret {stranger} that is somebody else's",
            advice="Give that one its tags, or choose another name with rotation.secret_names.",
        )
    return tags


def store(context: Context, gap: Gap, value: Secret, tags: Mapping[str, str]) -> None:
    """Put the value into the vault. Harmless twice."""
    looking(context, lambda: context.vault.write(gap.secret_name, value, tags=tags, expires_at=None))
    context.values.refresh()


def _stranger(context: Context, gap: Gap, tags: Mapping[str, str]) -> str:
    """Return the name of the vault's secret that stands where this one would, and is not its own; empty for none."""
    if gap.principal is not None:
        listed = {one.name.lower(): one for one in context.vault.inventory()}
        return stranger_in(gap.principal, gap.secret_name, listed, context.rules)
    known = context.vault.look(gap.secret_name)
    return known.name if known and {name: known.tags.get(name) for name in tags} != tags else ""
