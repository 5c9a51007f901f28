"""Which part of the estate is looked at."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from rotator.model.arm import ArmId


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The subscriptions to read, and which of their resources count. Every condition must hold; an empty one always does.

    `resource_groups` are names or globs (`team-*`), compared without regard to case. `tags` must all be carried, their names
    without regard to case and their values exactly, as Azure compares them.
    """

    subscriptions: tuple[str, ...]
    resource_groups: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)

    def admits(self, resource: ArmId, tags: Mapping[str, str]) -> bool:
        """Say whether a resource with these tags lies within the scope."""
        folder = resource.resource_group.lower()
        if self.resource_groups and not any(fnmatchcase(folder, glob.lower()) for glob in self.resource_groups):
            return False
        carried = {name.lower(): value for name, value in tags.items()}
        return all(carried.get(name.lower()) == value for name, value in self.tags.items())
