"""Groups that another tool deploys: how they are recognised, what that means, and the change as text for that tool. Pure."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from rotator.model.group import ContainerGroup
from rotator.model.rotation import Action, PlanItem
from rotator.model.tool import Tool


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


def emitted(items: Sequence[PlanItem], groups: Sequence[ContainerGroup], tool: Tool, vault: str) -> str:
    """Return text for a person to paste: which attribute of which group takes which vault secret. Holds no value.

    `groups` are those that are meant; a group that a plan would redeploy and that is not among them is left out.
    """
    wanted = {one.id: one.name for one in groups}
    blocks = [
        block
        for item in items
        for consumer in item.consumers
        if consumer.group in wanted and consumer.action in {Action.REDEPLOY, Action.HOLD}
        for block in _blocks(tool, wanted[consumer.group], consumer.registries, item, vault)
    ]
    return "\n".join(dict.fromkeys(blocks)) if blocks else f"// nothing is due for a group that is known to be {tool}'s\n"


def _blocks(tool: Tool, group: str, registries: Sequence[str], item: PlanItem, vault: str) -> Iterator[str]:
    name = re.sub(r"[^0-9A-Za-z]+", "_", item.secret_name)
    vault_name = vault.split("://", 1)[-1].split(".", 1)[0]
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
                f'  username = "{item.principal.name}"\n'
                f"  password = data.azurerm_key_vault_secret.{name}.value\n"
                "}\n"
            )
        else:
            yield (
                f"// container group {group}. getSecret fills a secure parameter of a module, and nothing else.\n"
                f"resource vault 'Microsoft.KeyVault/vaults@2023-07-01' existing = {{ name: '{vault_name}' }}\n"
                "// where its module is called:\n"
                f"params: {{ {name}: vault.getSecret('{item.secret_name}') }}\n"
                "// in the module: @secure() param, and among imageRegistryCredentials:\n"
                f"{{ server: '{registry}', username: '{item.principal.name}', password: {name} }}\n"
            )
