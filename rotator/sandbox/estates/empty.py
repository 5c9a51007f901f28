"""An estate with the ground only: one subscription, one resource group, a vault, a workspace and one registry."""

from rotator.sandbox.estates.builder import Builder
from rotator.sandbox.estates.ground import Estate
from rotator.sandbox.world import World


def seed(world: World) -> Estate:
    """Plant the ground."""
    build = Builder(world, "empty")
    subscription = build.subscription("Contoso Empty")
    home = world.arm.add_resource_group(subscription, "rg-main", "westeurope")
    build.vault(home)
    workspace = build.workspace(home, "law-main")
    build.registry(home, "contosomain", ("team/app",), admin=True, workspace=workspace)
    return build.finish(home, (subscription,), workspace)
