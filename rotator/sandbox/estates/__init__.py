"""The estates that a world can be seeded with."""

from collections.abc import Callable
from functools import partial

from rotator.sandbox.estates import demo, empty, network, one, scale
from rotator.sandbox.estates.ground import Estate
from rotator.sandbox.world import World

DEFAULT_GROUPS = 1000


def _one(kind: str, world: World, _groups: int | None) -> Estate:
    return one.seed(world, kind)


ESTATES: dict[str, Callable[[World, int | None], Estate]] = {
    "demo": lambda world, _groups: demo.seed(world),
    "empty": lambda world, _groups: empty.seed(world),
    "network": lambda world, _groups: network.seed(world),
    "scale": lambda world, groups: scale.seed(world, groups or DEFAULT_GROUPS),
    **{f"one-{kind}": partial(_one, kind) for kind in one.CREDENTIALS},
}


def seed(world: World, name: str, groups: int | None = None) -> Estate:
    """Empty the world and plant an estate; KeyError for a name that is not in ESTATES."""
    plant = ESTATES[name]
    world.clear()
    estate = plant(world, groups)
    world.ledger.seeding = False
    return estate
