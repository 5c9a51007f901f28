"""What a registry consists of: tokens, scope maps, users and the grants it issued."""

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import Literal

from rotator.sandbox.clouds.registries.passwords import Format, Slot
from rotator.sandbox.wire import Document

ZERO_GUID = "00000000-0000-0000-0000-000000000000"
GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
REFRESH_TTL = timedelta(hours=3)
SYSTEM_SCOPE_MAPS = {
    "_repositories_pull": ["repositories/*/content/read"],
    "_repositories_pull_metadata_read": ["repositories/*/content/read", "repositories/*/metadata/read"],
    "_repositories_push": ["repositories/*/content/read", "repositories/*/content/write"],
    "_repositories_admin": [
        f"repositories/*/{right}"
        for right in ("content/read", "content/write", "content/delete", "metadata/read", "metadata/write")
    ],
}


@dataclass(slots=True, kw_only=True)
class ScopeMap:
    """What a token may do: actions like `repositories/team/app/content/read`, with wildcards."""

    name: str
    actions: list[str]
    created_at: datetime
    description: str = ""
    system: bool = False

    def grants(self, repository: str, right: str) -> bool:
        """Say whether it grants `right` ("content/read") on a repository."""
        return any(fnmatchcase(f"repositories/{repository}/{right}", action) for action in self.actions)


@dataclass(slots=True, kw_only=True)
class Token:
    """A repository token with its two password slots."""

    name: str
    scope_map: str
    created_at: datetime
    active_at: datetime
    status: str = "enabled"
    slots: dict[str, Slot] = field(default_factory=lambda: {"password1": Slot(), "password2": Slot()})


@dataclass(slots=True, kw_only=True)
class Registry:
    """An Azure container registry. `properties` holds what clients set and the sandbox does not interpret."""

    id: str
    name: str
    location: str
    login_server: str
    created_at: datetime
    sku: str = "Premium"
    admin_enabled: bool = False
    properties: Document = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    identity: Document | None = None
    updating_until: datetime | None = None
    repositories: dict[str, set[str]] = field(default_factory=dict)
    tokens: dict[str, Token] = field(default_factory=dict)
    scope_maps: dict[str, ScopeMap] = field(default_factory=dict)
    admin: dict[str, Slot] = field(default_factory=lambda: {"password": Slot(), "password2": Slot()})
    password_format: Format = "long"

    @property
    def abac(self) -> bool:
        """Whether repository permissions come from ABAC roles, where AcrPull counts for nothing."""
        return str(self.properties.get("roleAssignmentMode", "")).lower() == "abacrepositorypermissions"

    @property
    def anonymous(self) -> bool:
        """Whether anybody may pull."""
        return bool(self.properties.get("anonymousPullEnabled"))

    @property
    def open_to_all(self) -> bool:
        """Whether no firewall stands before it."""
        return self.admits("")

    def admits(self, client_ip: str) -> bool:
        """Say whether the firewall lets an address in."""
        if str(self.properties.get("publicNetworkAccess", "Enabled")).lower() == "disabled":
            return False
        rules = self.properties.get("networkRuleSet") or {}
        if str(rules.get("defaultAction", "Allow")).lower() != "deny":
            return True
        return any(str(rule.get("value")) == client_ip for rule in rules.get("ipRules") or [])


@dataclass(slots=True, kw_only=True)
class PlainRegistry:
    """A registry of another party: users with passwords, and repositories of which some are public."""

    host: str
    kind: Literal["bearer", "basic", "ecr"]
    realm: str = ""
    service: str = ""
    users: dict[str, Slot] = field(default_factory=dict)
    repositories: dict[str, set[str]] = field(default_factory=dict)
    public: tuple[str, ...] = ()

    def is_public(self, repository: str) -> bool:
        """Say whether anybody may pull the repository."""
        return any(fnmatchcase(repository, glob) for glob in self.public)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Grant:
    """An access or refresh token that a registry issued."""

    server: str
    identity: str
    access: tuple[tuple[str, tuple[str, ...]], ...]
    expires_at: datetime
    principal_id: str = ""
