"""Whose a group is, also where no tag says so: the history of its resource group is asked then."""

from collections.abc import Mapping
from dataclasses import dataclass

from rotator.deployment.owners import OwnerRules, meaning
from rotator.model.arm import ArmId
from rotator.model.errors import RotatorError
from rotator.model.group import ContainerGroup
from rotator.model.tool import Tool
from rotator.ports import DeploymentHistory, TemplateDeployment

# What a resource group's deployments put, or the sentence on why that is not known.
_Read = Mapping[ArmId, TemplateDeployment] | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Whose a group is. `tool` is None where no sign was found; `unread` is the sentence on a history that could not be read.

    `by` is the deployment that told, where no tag did.
    """

    tool: Tool | None = None
    by: TemplateDeployment | None = None
    unread: str = ""

    @property
    def sentence(self) -> str:
        """Say whose it is and what that means; nothing where no sign was found."""
        if self.unread:
            return f"owner: unknown. {self.unread}"
        told = f", by the deployment {self.by.name} of {self.by.at[:10]}" if self.by else ""
        return f"owner: {self.tool}{told}. {meaning(self.tool)}" if self.tool else ""


class Owners:
    """Tags win over the history, which is read once for each resource group, and for none whose groups all carry a tag."""

    def __init__(self, rules: OwnerRules, history: DeploymentHistory) -> None:
        self._rules = rules
        self._history = history
        self._read: dict[tuple[str, str], _Read] = {}

    def of(self, group: ContainerGroup) -> Owner:
        """Return whose the group is. Never raises for a history that cannot be read: that is in the answer."""
        tool = self._rules.tool_of(group)
        if tool:
            return Owner(tool=tool)
        home = (group.id.subscription, group.id.resource_group.lower())
        if home not in self._read:
            self._read[home] = self._reading(group)
        read = self._read[home]
        if isinstance(read, str):
            return Owner(unread=read)
        by = read.get(group.id)
        return Owner(tool=Tool.BICEP, by=by) if by else Owner()

    def _reading(self, group: ContainerGroup) -> _Read:
        try:
            return self._history.deployed(group.id.subscription, group.id.resource_group)
        except RotatorError as error:
            return f"The deployments of {group.id.resource_group} could not be read: {' '.join(error.message.split())}"
