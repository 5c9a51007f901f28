"""Whom a registry authenticates, and what is known about the secrets that prove it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType


class PrincipalKind(StrEnum):
    """What sort of thing a registry authenticates.

    One kind has one fact sheet (`Traits`), so that what overlaps differently is a kind of its own: GITLAB is a personal, project
    or group access token, QUAY one robot account, QUAY_PAIR two robots that are used in turn and count as one principal.
    """

    ACR_TOKEN = "acr-token"
    ACR_ADMIN = "acr-admin"
    ACR_REFRESH_TOKEN = "acr-refresh-token"
    ENTRA_APP = "entra-app"
    ECR = "ecr"
    DOCKER_HUB = "docker-hub"
    DOCKER_HUB_ORG = "docker-hub-org"
    GHCR = "ghcr"
    GITLAB = "gitlab"
    GITLAB_DEPLOY_TOKEN = "gitlab-deploy-token"
    QUAY = "quay"
    QUAY_PAIR = "quay-pair"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Whom a registry authenticates.

    `registry` is the normalised login server; for a service principal, which several registries may know, it is `entra`.
    `name` is the user name that is presented, in lower case for GUIDs. `resource_id` is where the principal is managed
    (the ARM id of a token's registry); it is a hint and no part of the identity.
    """

    kind: PrincipalKind
    registry: str
    name: str
    resource_id: str = field(default="", compare=False)

    @property
    def id(self) -> str:
        """A stable text, such as `acr-token:demo.azurecr.io/pull`: in tags, metrics, the journal and reports."""
        return f"{self.kind}:{self.registry}/{self.name}"

    @classmethod
    def parse(cls, text: str) -> "Principal":
        """Read what `id` wrote; raises ValueError for anything else."""
        kind, colon, rest = text.partition(":")
        registry, slash, name = rest.partition("/")
        if not (colon and slash and registry and name):
            raise ValueError(f"{text!r} is no principal id; it has the form kind:registry/name")
        return cls(kind=PrincipalKind(kind), registry=registry, name=name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Handle:
    """Names ONE live secret of a principal and never holds its value.

    `id` is what the service itself can find the secret by: `password1@2026-11-01T00:00:00Z` for a slot of an ACR token
    (the creation time makes the next secret in the same slot another handle), `application/<keyId>` or
    `servicePrincipal/<keyId>` for a service principal, `lease@<expiry>` for ECR. `marker` is the rotation that issued it,
    where the service lets us say so.
    """

    principal: Principal
    id: str
    slot: str = ""
    marker: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """What is known about one secret. Instants are aware UTC; None means that the service does not say or has none.

    `hint` is the part of the value that the service itself shows (Microsoft Graph: the first three characters).
    """

    handle: Handle
    username: str
    issued_at: datetime | None = None
    expires_at: datetime | None = None
    hint: str = ""

    def expired(self, now: datetime) -> bool:
        """Whether the secret has ended by itself at `now`."""
        return self.expires_at is not None and self.expires_at <= now


_BROUGHT = ("sha256:", "brought@")


def is_brought(handle: str) -> bool:
    """Whether a handle names a secret that a person brought: no service's list can tell which one it is, and none ends by it.

    `sha256:` is followed by a token's fingerprint, `brought@` by the instant at which any other secret was brought.
    """
    return handle.startswith(_BROUGHT)


class Overlap(StrEnum):
    """How many secrets of one principal may live at once."""

    TWO_SLOTS = "two-slots"
    MANY = "many"
    LEASES = "leases"
    SINGLE = "single"


class RetireMode(StrEnum):
    """How a secret ends: the driver ends it, its time runs out, or a person must end it at a service that offers no way."""

    EXPLICIT = "explicit"
    BY_ITSELF = "by-itself"
    BY_PERSON = "by-person"


class Origin(StrEnum):
    """Who makes a new secret: the service, when the driver asks; or a person, who brings it with `rotator import`."""

    SERVICE = "service"
    PERSON = "person"


NAMED_SLOTS: Mapping[PrincipalKind, tuple[str, ...]] = MappingProxyType(
    {PrincipalKind.ACR_TOKEN: ("password1", "password2"), PrincipalKind.ACR_ADMIN: ("password", "password2")}
)
"""The slots of kinds that always have the same. Those of a pair of robots are the robots."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """A driver's fact sheet.

    `propagation` is how long a new secret may need until every replica of the service accepts it; verification waits and repeats
    within `propagation_limit`. `lease_ttl` is set when the service alone decides how long a secret lives. `listed` is whether
    the service lists a principal's secrets: where it does not, only the vault tells which one is in use. `ends` is whether the
    service dates its secrets: tells when one was made, and gives it an end. `slots` are the names of the two where there are
    two; without names those that are listed count, because none is ever empty. `slot_is_user`: each slot is a user of its own,
    set aside for rotator, so that the idle one may always be filled, and the user name changes with every rotation.
    `made_by_hand` and `ended_by_hand` tell a person, in a sentence each, where a secret is made and where the old one is ended.
    """

    overlap: Overlap
    retire: RetireMode
    propagation: timedelta
    propagation_limit: timedelta
    lease_ttl: timedelta | None = None
    origin: Origin = Origin.SERVICE
    listed: bool = True
    ends: bool = True
    slots: tuple[str, ...] = NAMED_SLOTS[PrincipalKind.ACR_TOKEN]
    slot_is_user: bool = False
    made_by_hand: str = "Make a new password or token for it where its registry keeps its users."
    ended_by_hand: str = "End the old one where its registry keeps its users."
