"""In which order groups move to a new credential. Pure."""

from collections.abc import Sequence

from rotator.model.arm import ArmId


def waves_of(groups: Sequence[ArmId], canaries: int, growth: int) -> tuple[tuple[ArmId, ...], ...]:
    """Split the groups into a first small wave and growing ones after it: 1, 3, 9, ... for one canary and a growth of 3.

    Every group is in exactly one wave and the order is kept, so the same plan is made from the same estate.
    """
    waves: list[tuple[ArmId, ...]] = []
    start, size = 0, canaries
    while start < len(groups):
        waves.append(tuple(groups[start : start + size]))
        start += size
        size *= growth
    return tuple(waves)
