"""Moving groups away from stored secrets: what would be done, and what came of it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from rotator.model.arm import ArmId
from rotator.model.credential import Principal
from rotator.model.group import Source

MOVING, MOVED = "migrating-from:", "migrated-from:"
"""What the tag `rotator:<registry>` of a migrated group begins with; the principal that it left follows.

MOVING comes with the new registry entry, in the same PUT; MOVED once the group is seen to be healthy. So the group itself says
where its migration stands.
"""


class Goal(StrEnum):
    """What a group authenticates with afterwards."""

    MANAGED_IDENTITY = "managed-identity"
    VAULT_REFERENCE = "vault-reference"


class Step(StrEnum):
    """What a migration does to one group. FINISH: an earlier run put it, and nobody has seen yet whether it is well."""

    MOVE = "move"
    FINISH = "finish"
    LEAVE = "leave"
    HOLD = "hold"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A role that an identity needs; `scope` is a resource id, `what` the resource's name for people."""

    identity: str
    role: str
    role_name: str
    scope: str
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One registry entry of a group, before and after. `way_back` is the vault secret that holds the old password."""

    registry: str
    principal: Principal
    before: Source
    after: Source
    images: tuple[str, ...] = ()
    way_back: str = ""
    mark: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One group in a migration. `why` explains LEAVE and HOLD in a sentence, `missing` are write-only values without a source."""

    group: ArmId
    location: str
    step: Step
    changes: tuple[Change, ...] = ()
    why: str = ""
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Unused:
    """A principal that no group uses once the migration is over, and how a person ends it."""

    principal: Principal
    how: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """A migration decided in full before its first effect. `waves` lists the groups that are put, the canary first."""

    goal: Goal
    made_at: datetime
    moves: tuple[Move, ...]
    waves: tuple[tuple[ArmId, ...], ...]
    grants: tuple[Grant, ...]
    unused: tuple[Unused, ...] = ()

    @property
    def restarts(self) -> int:
        """How many groups are put, and so restarted."""
        return sum(len(wave) for wave in self.waves)

    @property
    def unconfirmed(self) -> tuple[Move, ...]:
        """The groups that an earlier run put."""
        return tuple(one for one in self.moves if one.step is Step.FINISH)


class Result(StrEnum):
    """How one group fared. LEFT and REFUSED: it is as it was; REFUSED stops the migration: the next would fare alike."""

    MOVED = "moved"
    LEFT = "left"
    REFUSED = "refused"
    ROLLED_BACK = "rolled-back"
    FAILED = "failed"
    NOT_BEGUN = "not-begun"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """What came of one group."""

    group: ArmId
    result: Result
    detail: str = ""
    code: str = ""


class Way(StrEnum):
    """The cheapest way of a group to store no secret."""

    NOTHING = "nothing"
    MANAGED_IDENTITY = "managed-identity"
    VAULT_REFERENCE = "vault-reference"
    IMPOSSIBLE = "impossible"


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """One group's cheapest way to zero secrets: the command that goes it, or why there is none."""

    group: ArmId
    way: Way
    command: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who logged in with a credential, from where, and when last."""

    address: str
    last_at: datetime
    logins: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminUse:
    """What is known about the use of a registry's admin user. `unknown` says why silence proves nothing; empty when it does."""

    registry: str
    registry_id: ArmId
    principal: Principal
    window_days: float
    groups: tuple[ArmId, ...] = ()
    callers: tuple[Caller, ...] = ()
    unknown: str = ""

    @property
    def used(self) -> bool:
        """Whether somebody is known to use it."""
        return bool(self.groups or self.callers)
