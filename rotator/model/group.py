"""Container groups and the ways in which they authenticate to registries."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from rotator.model.arm import ArmId
from rotator.model.credential import Principal
from rotator.model.image import ImageReference
from rotator.model.usage import Pull


@dataclass(frozen=True, slots=True)
class Inline:
    """A user name and a write-only password stored in the group."""

    username: str


@dataclass(frozen=True, slots=True)
class VaultReference:
    """A user name, and a password that Azure reads from the vault at deployment, start and restart."""

    username: str
    secret_url: str
    identity: str


@dataclass(frozen=True, slots=True)
class ManagedIdentity:
    """A user-assigned identity named in the registry entry. `attached` says whether the group carries it at all."""

    identity: str
    attached: bool


@dataclass(frozen=True, slots=True)
class Absent:
    """No registry entry for a registry that an image comes from: Azure pulls anonymously."""


Source = Inline | VaultReference | ManagedIdentity | Absent


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """One registry entry of one group, and the principal that it authenticates as (None: unknown or none needed)."""

    group: ArmId
    registry: str
    source: Source
    images: tuple[ImageReference, ...] = ()
    principal: Principal | None = None


@dataclass(frozen=True, slots=True, order=True)
class WriteOnlyField:
    """A value that Azure keeps and never returns, found by its absence.

    `path` is its address inside the group, without the list positions that may shift:
    `containers/web/environmentVariables/DB_PASSWORD/secureValue`, `volumes/certs/secret`,
    `imageRegistryCredentials/demo.azurecr.io/password`, `diagnostics/logAnalytics/workspaceKey`.
    """

    path: str


def registry_password(registry: str) -> WriteOnlyField:
    """Return the field that holds the password of a registry entry; `registry` is the normalised server."""
    return WriteOnlyField(f"imageRegistryCredentials/{registry}/password")


class GroupState(StrEnum):
    """Whether a group's containers are meant to be running. UNKNOWN: only the list was read."""

    RUNNING = "running"
    STOPPED = "stopped"
    FINISHED = "finished"
    FAILED = "failed"
    TRANSITIONING = "transitioning"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class SuspectValue:
    """A place in a group's readable text that looks as if it held a secret. The value itself is not kept.

    `path` is as for `WriteOnlyField`; `why` names the rule that saw it.
    """

    path: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerGroup:
    """One container group as it was read at `observed_at`.

    `body` is Azure's raw JSON, kept whole so that a property this program does not know survives a redeploy; it may hold
    what people wrote in plain text, so it is never stored, logged or reported. `pulls` is empty where only the list was read.
    """

    id: ArmId
    location: str
    tags: Mapping[str, str]
    state: GroupState
    provisioning_state: str
    restart_policy: str
    os_type: str
    bindings: tuple[Binding, ...]
    write_only: tuple[WriteOnlyField, ...]
    identities: tuple[str, ...]
    system_assigned: bool
    suspects: tuple[SuspectValue, ...]
    private_network: bool
    observed_at: datetime
    body: Mapping[str, Any] = field(repr=False, compare=False)
    pulls: tuple[Pull, ...] = ()

    @property
    def subnets(self) -> tuple[ArmId, ...]:
        """The subnets that the group is put into; none for a group on the public network."""
        properties = self.body.get("properties")
        listed = properties.get("subnetIds") if isinstance(properties, Mapping) else None
        found = [one.get("id") for one in listed if isinstance(one, Mapping)] if isinstance(listed, list) else []
        return tuple(ArmId(one) for one in found if isinstance(one, str) and one)

    @property
    def name(self) -> str:
        """The group's name."""
        return self.id.name


# The name of the tag that a cutover leaves on a group is this prefix and the registry's host; its value names the rotation and
# the very secret that the group now stores. It is how a repeated step sees that it has been here before.
GROUP_TAG_PREFIX = "rotator:"

# Azure refuses a resource with more (learn.microsoft.com/azure/azure-resource-manager/management/tag-resources).
MOST_TAGS = 50
