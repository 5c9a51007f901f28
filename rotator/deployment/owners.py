"""Groups that another tool deploys: how they are recognised, what that means, and the change as text for that tool. Pure."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from rotator.model.credential import PrincipalKind
from rotator.model.group import GROUP_TAG_PREFIX, ContainerGroup, Inline
from rotator.model.rotation import Action, Plan, PlanItem, Retirement
from rotator.model.tool import Tool
from rotator.rotation.consumers import bound_to
from rotator.rotation.naming import handle_of, mark_of


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnerRules:
    """For each tool the tags, name to glob of the value, of which one marks a group as the tool's. Letter case is ignored."""

    tags: Mapping[Tool, Mapping[str, str]]

    def tool_of(self, group: ContainerGroup) -> Tool | None:
        """Return the tool whose tag the group carries, or None: a group without such a tag may still belong to one."""
        present = {name.lower(): value.lower() for name, value in group.tags.items()}
        for tool, wanted in self.tags.items():
            for name, pattern in wanted.items():
                value = present.get(name.lower())
                if value is not None and value not in {"false", "no"} and fnmatchcase(value, pattern.lower()):
                    return tool
        return None


# hashicorp/terraform-provider-azurerm#30679: every change of a container group's registry credentials is ForceNew.
_MEANS: Mapping[str, str] = {
    Tool.TERRAFORM: (
        "Its next apply would undo a change made here, and recreate the group for it;"
        ' add lifecycle { ignore_changes = [image_registry_credential, tags["rotator:<registry>"]] }'
    ),
    Tool.BICEP: "Its next deployment puts the group as its file has it; let the file read the vault (getSecret)",
}


def meaning(tool: Tool) -> str:
    """Say what it means that a group belongs to a tool."""
    return _MEANS[tool]


def emitted(plan: Plan, groups: Sequence[ContainerGroup], tool: Tool, vault: str) -> str:
    """Return text for a person to paste: which attribute of which group takes which vault secret. Holds no value.

    `groups` are those that are meant; a group that a plan would redeploy and that is not among them is left out. One that has not
    followed a rotation yet gets the tag too that tells rotator that it has.
    """
    wanted = {one.id: one for one in groups}
    moved = {one.rotation for one in plan.retirements}
    blocks = [
        block
        for item in plan.items
        for consumer in item.consumers
        if consumer.group in wanted and consumer.action in {Action.REDEPLOY, Action.HOLD} and item.rotation not in moved
        for block in _blocks(tool, wanted[consumer.group].name, consumer.registries, item, "", vault)
    ]
    for one in plan.retirements:
        mark = mark_of(one.rotation, one.handle)
        for group in (wanted[waiting] for waiting in one.waiting_for if waiting in wanted):
            inline = {entry.registry for entry in bound_to(group, one.principal) if isinstance(entry.source, Inline)}
            blocks += _blocks(tool, group.name, sorted(inline), one, mark, vault)
    return "\n".join(dict.fromkeys(blocks)) if blocks else f"// nothing is due for a group that is known to be {tool}'s\n"


def _user(item: PlanItem | Retirement) -> str:
    """Return whose password the vault gives out: of a pair of robots the one whose turn it is."""
    if item.principal.kind is not PrincipalKind.QUAY_PAIR:
        return item.principal.name
    return item.slot if isinstance(item, PlanItem) else handle_of(item.principal, item.handle).slot


def _blocks(
    tool: Tool, group: str, registries: Sequence[str], item: PlanItem | Retirement, mark: str, vault: str
) -> Iterator[str]:
    name = re.sub(r"[^0-9A-Za-z]+", "_", item.secret_name)
    vault_name = vault.split("://", 1)[-1].split(".", 1)[0]
    user = _user(item)
    for registry in registries:
        if tool is Tool.TERRAFORM:
            yield (
                f"// container group {group}. Terraform keeps the value in its state; protect that.\n"
                f'data "azurerm_key_vault_secret" "{name}" {{\n'
                f'  name         = "{item.secret_name}"\n'
                f"  key_vault_id = var.key_vault_id // {vault}\n"
                "}\n"
                "// in its azurerm_container_group:\n"
                "image_registry_credential {\n"
                f'  server   = "{registry}"\n'
                f'  username = "{user}"\n'
                f"  password = data.azurerm_key_vault_secret.{name}.value\n"
                "}\n" + (f'tags = {{ "{GROUP_TAG_PREFIX}{registry}" = "{mark}" }} // beside its others\n' if mark else "")
            )
        else:
            yield (
                f"// container group {group}. getSecret fills a secure parameter of a module, and nothing else.\n"
                f"resource vault 'Microsoft.KeyVault/vaults@2023-07-01' existing = {{ name: '{vault_name}' }}\n"
                "// where its module is called:\n"
                f"params: {{ {name}: vault.getSecret('{item.secret_name}') }}\n"
                "// in the module: @secure() param, and among imageRegistryCredentials:\n"
                f"{{ server: '{registry}', username: '{user}', password: {name} }}\n"
                + (f"tags: {{ '{GROUP_TAG_PREFIX}{registry}': '{mark}' }} // beside its others\n" if mark else "")
            )
