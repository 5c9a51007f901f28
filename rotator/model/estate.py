"""What one reading of the clouds found: the input of the audit and of the plan."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from rotator.model.arm import ArmId
from rotator.model.credential import Credential, Principal
from rotator.model.group import ContainerGroup, WriteOnlyField
from rotator.model.network import Networks
from rotator.model.tool import Tool


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """One Azure container registry. None means that the service did not say.

    `rules_deny`: its network rules refuse every address that they do not list. `trusted_services`: they let Azure's own services
    past. `endpoints` are its approved private endpoints.
    """

    id: ArmId
    name: str
    login_server: str
    location: str
    sku: str
    admin_enabled: bool | None
    anonymous_pull: bool | None
    abac: bool | None
    public_access: bool | None
    tags: Mapping[str, str] = field(default_factory=dict)
    rules_deny: bool | None = None
    trusted_services: bool | None = None
    endpoints: tuple[ArmId, ...] | None = None

    @property
    def closed(self) -> bool | None:
        """Whether somebody on the public network is refused: it is off there, or its rules let only listed addresses in."""
        if self.public_access is False or self.rules_deny is True:
            return True
        return None if self.public_access is None or self.rules_deny is None else False


@dataclass(frozen=True, slots=True, kw_only=True)
class PrincipalRecord:
    """One principal as its service knows it. `credentials` is None when it could not be read, which is not the same as none.

    `enabled` is None where the service has no such switch. `display_name` and `scope` (a scope map's name) are for people.
    """

    principal: Principal
    credentials: tuple[Credential, ...] | None
    enabled: bool | None = None
    display_name: str = ""
    scope: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSecret:
    """The newest version of one vault secret, without its value."""

    name: str
    version: str
    enabled: bool
    tags: Mapping[str, str]
    created_at: datetime | None
    expires_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """Something that could not be read. It makes verdicts unknown, never clean.

    `scope` is a subscription id, a resource id, an application id or the vault's address; `what` is a closed name such as
    `container-groups`, `registries`, `tokens`, `applications`, `vault`; `code` is the error's code; `reason` is a sentence.
    """

    scope: str
    what: str
    code: str
    reason: str
    advice: str = ""


@dataclass(frozen=True, kw_only=True)
class Estate:
    """One reading. `unsourced` lists, for each group that has any, the write-only fields whose value was found nowhere
    (registry passwords of principals that this program can rotate are not among them: a rotation brings its own).
    `bystanders` are groups outside the scope's filters that authenticate as somebody within: nobody moves them, and what they
    store must live on. `owned` has the tool of each group whose tags name one.
    """

    observed_at: datetime
    subscriptions: tuple[str, ...]
    groups: tuple[ContainerGroup, ...]
    registries: tuple[Registry, ...]
    records: Mapping[Principal, PrincipalRecord]
    secrets: tuple[StoredSecret, ...]
    unsourced: Mapping[ArmId, tuple[WriteOnlyField, ...]]
    unread: tuple[Unread, ...]
    bystanders: tuple[ContainerGroup, ...] = ()
    networks: Networks = field(default_factory=Networks)
    owned: Mapping[ArmId, Tool] = field(default_factory=dict)

    @cached_property
    def consumers(self) -> Mapping[Principal, tuple[ContainerGroup, ...]]:
        """The groups bound to each principal, in the order of their ids."""
        found: dict[Principal, list[ContainerGroup]] = {}
        for group in sorted(self.groups, key=lambda one: one.id):
            for binding in group.bindings:
                if binding.principal is not None:
                    listed = found.setdefault(binding.principal, [])
                    if not listed or listed[-1] is not group:
                        listed.append(group)
        return {principal: tuple(groups) for principal, groups in found.items()}

    @cached_property
    def secrets_of(self) -> Mapping[str, StoredSecret]:
        """For each principal's id the vault secret that holds its credential, by the tag `rotator-principal`.

        Staged secrets are not among them: consumers never read those.
        """
        return {
            stored.tags[TAG_PRINCIPAL]: stored
            for stored in self.secrets
            if TAG_PRINCIPAL in stored.tags and not stored.name.endswith(STAGED_SUFFIX)
        }

    @cached_property
    def registry_of(self) -> Mapping[str, Registry]:
        """Registries by login server, in lower case. A login server is never derived from a name."""
        return {registry.login_server.lower(): registry for registry in self.registries}


STAGED_SUFFIX = "--staged"
"""A new secret waits under its consumers' name with this suffix until it is verified."""

TAG_PRINCIPAL = "rotator-principal"
TAG_HANDLE = "rotator-handle"
TAG_ROTATION = "rotator-rotation"
TAG_ISSUED = "rotator-issued"
TAG_RESOURCE = "rotator-resource"
TAG_GROUP = "rotator-group"
TAG_FIELD = "rotator-field"
