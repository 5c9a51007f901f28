"""What putting a file would do to a group, before anything is done."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rotator.azure.groupbody import read_group
from rotator.deployment.difference import Difference
from rotator.deployment.slots import without_values
from rotator.deployment.template import Template
from rotator.model.arm import ArmId
from rotator.model.estate import StoredSecret
from rotator.model.group import ContainerGroup, GroupState


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """`document` is what will be put, with the tags that it will carry and without a secret.

    `current` is None for a group that does not exist. `stored` are the vault's versions that the references stand for, by name.
    `sources` says in a tag which versions those are (`rotator.deployment.origin`). `owner` is the tool that somebody else
    deploys the group with, as a sentence. `since` is set where an earlier run put exactly this and nothing is left to put: the
    instant of that run.
    """

    template: Template
    group: ArmId
    document: Mapping[str, Any]
    current: ContainerGroup | None
    difference: Difference
    stored: Mapping[str, StoredSecret]
    sources: str
    owner: str = ""
    since: datetime | None = None

    @property
    def starts(self) -> bool:
        """Whether it starts a group that does not run now: one that was stopped, or whose job is done."""
        return self.current is not None and self.current.state in {GroupState.STOPPED, GroupState.FINISHED}

    @property
    def refused(self) -> bool:
        """Whether it is not carried out as the file stands."""
        return bool(self.difference.recreate or self.difference.lost)

    @property
    def has_own_identity(self) -> bool:
        """Whether the running group has an identity that is deleted with it."""
        return self.current is not None and self.current.system_assigned

    def group_at(self, now: datetime) -> ContainerGroup:
        """Return the group that the file describes."""
        return read_group({**without_values(self.document), "id": self.group.text}, now)
