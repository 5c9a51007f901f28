"""Who put a group, as the history of its resource group tells, on the real wire."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from rotator.azure.deploymenthistory import AzureDeploymentHistory
from rotator.clients.arm import Arm
from rotator.deployment.owners import OwnerRules
from rotator.deployment.ownership import Owners
from rotator.model.arm import ArmId
from rotator.model.errors import Denied, NotFound
from rotator.model.tool import Tool
from rotator.ports import DeploymentHistory
from rotator.sandbox import Sandbox
from rotator.sandbox.clouds.arm.records import ResourceGroup
from tests.builders import group
from tests.contract.conftest import Sight

KIND = "Microsoft.ContainerInstance/containerGroups"
Faults = Callable[..., None]


@pytest.fixture
def history(arm: Arm) -> DeploymentHistory:
    return AzureDeploymentHistory(arm)


@pytest.fixture
def home(sandbox: Sandbox) -> ResourceGroup:
    return next(one for one in sandbox.world.arm.resource_groups.values() if one.name == "rg-payments-prod")


def names(history: DeploymentHistory, home: ResourceGroup) -> dict[str, str]:
    found = history.deployed(ArmId(home.id).subscription, home.name)
    return {resource.name: one.name for resource, one in found.items()}


def test_a_group_that_a_template_put_is_known_by_its_id_whatever_its_case(
    history: DeploymentHistory, home: ResourceGroup
) -> None:
    found = history.deployed(ArmId(home.id).subscription, home.name.upper())
    assert found[ArmId(f"{home.id}/providers/{KIND}/PAYMENTS-LEDGER".lower())].name == "payments-stack"
    assert ArmId(f"{home.id}/providers/{KIND}/payments-fraud") not in found


def test_the_newest_succeeded_deployment_counts_on_whatever_page_it_stands(
    history: DeploymentHistory, sandbox: Sandbox, home: ResourceGroup
) -> None:
    fraud, world = f"{home.id}/providers/{KIND}/payments-fraud", sandbox.world
    with world.lock:
        before = list(world.arm.deployments[home.id.lower()])
        now = world.now()
        world.arm.add_deployment(home, "old", [fraud], at=now - timedelta(days=9))
        world.arm.add_deployment(home, "newest", [fraud], at=now)
        for number in range(45):
            world.arm.add_deployment(home, f"other-{number}", [], at=now - timedelta(days=1))
        world.arm.add_deployment(home, "failed", [fraud], at=now + timedelta(hours=1), state="Failed")
        world.arm.add_deployment(home, "middle", [fraud], at=now - timedelta(days=5))
    try:
        assert names(history, home)["payments-fraud"] == "newest"
    finally:
        with world.lock:
            world.arm.deployments[home.id.lower()] = before


def test_a_history_that_nobody_may_read_is_not_an_empty_one(
    history: DeploymentHistory, home: ResourceGroup, faults: Faults
) -> None:
    faults({"on": "arm.deployments.list", "status": 403, "code": "AuthorizationFailed"})
    with pytest.raises(Denied, match=r"Microsoft\.Resources/deployments/read"):
        names(history, home)


def test_a_resource_group_that_is_gone_is_said_to_be(history: DeploymentHistory, sandbox: Sandbox) -> None:
    with pytest.raises(NotFound):
        history.deployed(sandbox.estate.subscriptions[0], "rg-gone")


def test_tags_win_and_each_history_is_read_once_and_only_when_it_is_needed(
    history: DeploymentHistory, home: ResourceGroup, sight: Sight
) -> None:
    owners = Owners(OwnerRules(tags={Tool.TERRAFORM: {"managed-by": "terraform"}}), history)
    ledger = group("payments-ledger", id_=ArmId(f"{home.id}/providers/{KIND}/payments-ledger"))
    tagged = group("payments-ledger", id_=ledger.id, tags={"managed-by": "terraform"})
    assert owners.of(tagged).tool is Tool.TERRAFORM
    assert sight.codes("resources", "list-deployments") == []
    assert owners.of(ledger).tool is Tool.BICEP
    assert "by the deployment payments-stack of 20" in owners.of(ledger).sentence
    assert owners.of(group("x", id_=ArmId(f"{home.id}/providers/{KIND}/x"))).sentence == ""
    assert len(sight.codes("resources", "list-deployments")) == 1
