"""What the operator chose for migrations: `rotator.settings.rotation` says what each means."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from rotator.model.arm import ArmId


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """The identities to move to, and how patiently. `identities` is by login server or resource group, in lower case."""

    identity: str = ""
    identities: Mapping[str, str] = field(default_factory=dict)
    vault_id: str = ""
    role_wait: timedelta = timedelta(minutes=5)
    role_limit: timedelta = timedelta(minutes=15)
    admin_window: timedelta = timedelta(days=30)

    def identity_for(self, group: ArmId, registry: str) -> str:
        """Return the identity that a group shall pull from a registry with; empty when none is named."""
        by_group = self.identities.get(group.resource_group.lower(), "")
        return self.identities.get(registry, "") or by_group or self.identity
