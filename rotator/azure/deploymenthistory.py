"""The history of a resource group's template deployments, as Resource Manager keeps it: the newest 800, each with its resources.

Shapes: the REST reference of Microsoft.Resources, Deployments - List By Resource Group (learn.microsoft.com/rest/api/resources).
"""

from collections.abc import Mapping

from rotator.azure.writeonly import objects, part
from rotator.clients.arm import Arm
from rotator.model.arm import ArmId
from rotator.ports import TemplateDeployment

_VERSION = "2024-11-01"


class AzureDeploymentHistory:
    """Keeps `rotator.ports.DeploymentHistory`. One request a page."""

    def __init__(self, arm: Arm) -> None:
        self._arm = arm

    def deployed(self, subscription: str, resource_group: str) -> Mapping[ArmId, TemplateDeployment]:
        """Return for each resource the newest succeeded deployment that put it."""
        listed = self._arm.pages(
            f"/subscriptions/{subscription}/resourcegroups/{resource_group}/providers/Microsoft.Resources/deployments",
            _VERSION,
            service="resources",
            operation="list-deployments",
            needs="Microsoft.Resources/deployments/read",
            thing=f"resource group {resource_group}",
        )
        found: dict[ArmId, TemplateDeployment] = {}
        for one in listed:
            inside = part(one, "properties")
            if str(inside.get("provisioningState", "")).lower() != "succeeded":
                continue
            made = TemplateDeployment(name=str(one.get("name", "")), at=str(inside.get("timestamp", "")))
            for output in objects(inside.get("outputResources")):
                resource = ArmId(str(output.get("id", "")))
                # All instants are written in the same form, in UTC, so their texts are in their order.
                if resource not in found or found[resource].at < made.at:
                    found[resource] = made
        return found
