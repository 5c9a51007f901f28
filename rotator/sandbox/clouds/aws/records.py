"""AWS accounts: roles and access keys, sessions, repositories, and the registry passwords called leases here."""

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from rotator.sandbox.clouds.aws import rules
from rotator.sandbox.ledger import Entry

if TYPE_CHECKING:
    from rotator.sandbox.world import World

LeaseStatus = Literal["valid", "expired", "unknown"]

LEASE_TTL = timedelta(hours=12)
_BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_IDS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


@dataclass(slots=True, kw_only=True)
class Role:
    """A role that one Entra account may assume with a token for `audience`."""

    arn: str
    issuer: str
    subject: str
    audience: str
    permissions: tuple[str, ...]
    max_session: timedelta


@dataclass(slots=True, kw_only=True, repr=False)
class AccessKey:
    """An access key: of a user and for ever, or of a role's session and until `expires_at`."""

    id: str
    secret: str
    arn: str
    account: str
    permissions: tuple[str, ...]
    session_token: str | None = None
    expires_at: datetime | None = None

    def may(self, action: str) -> bool:
        """Say whether its policy allows an action."""
        return rules.allows(self.permissions, action)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Lease:
    """One ECR password, for user name AWS. It opens every registry of the account in its region and ends by itself."""

    handle: str
    password: str
    account: str
    region: str
    issued_at: datetime
    expires_at: datetime


@dataclass(slots=True, kw_only=True)
class EcrRegistry:
    """The registry of one account in one region, and its repositories by name."""

    server: str
    account: str
    region: str
    repositories: dict[str, datetime] = field(default_factory=dict)


class Aws:
    """Everything that the emulated AWS knows."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.roles: dict[str, Role] = {}
        self.registries: dict[str, EcrRegistry] = {}
        self._keys: dict[str, AccessKey] = {}
        self._leases: dict[str, Lease] = {}
        self._by_handle: dict[str, Lease] = {}
        world.ledger.judge("ecr-lease", self._judge)

    # --- what exists -----------------------------------------------------------------------------------------------

    def add_registry(self, server: str, repositories: Iterable[str] = ()) -> EcrRegistry:
        """Add <account>.dkr.ecr.<region>.amazonaws.com; ValueError for any other name."""
        account, region = rules.registry_of(server)
        registry = self.registries.setdefault(server.lower(), EcrRegistry(server=server, account=account, region=region))
        for name in repositories:
            registry.repositories.setdefault(name, self.world.now())
        return registry

    def add_role(
        self,
        arn: str,
        *,
        subject: str,
        audience: str = "api://AzureADTokenExchange",
        issuer: str | None = None,
        permissions: Iterable[str] = ("ecr:*",),
        max_session: timedelta = timedelta(hours=1),
    ) -> Role:
        """Create a role that trusts the Entra account with object id `subject`."""
        role = Role(
            arn=arn,
            issuer=issuer or self.world.entra.issuer,
            subject=subject,
            audience=audience,
            permissions=tuple(permissions),
            max_session=max_session,
        )
        self.roles[arn] = role
        return role

    def add_access_key(
        self,
        user_arn: str,
        *,
        permissions: Iterable[str] = ("ecr:*",),
        access_key_id: str | None = None,
        secret: str | None = None,
    ) -> AccessKey:
        """Create a static access key of a user, which works for ever."""
        return self._keep(
            AccessKey(
                id=access_key_id or f"AKIA{self.world.text(16, _IDS)}",
                secret=secret or self.world.text(40, _BASE64),
                arn=user_arn,
                account=user_arn.split(":")[4],
                permissions=tuple(permissions),
            )
        )

    def access_key(self, access_key_id: str) -> AccessKey | None:
        """Return an access key by id."""
        return self._keys.get(access_key_id)

    # --- issuing ---------------------------------------------------------------------------------------------------

    def open_session(self, role: Role, session_name: str, duration: timedelta) -> AccessKey:
        """Issue the temporary access key of an assumed role."""
        account, name = role.arn.split(":")[4], role.arn.rpartition("/")[2]
        return self._keep(
            AccessKey(
                id=f"ASIA{self.world.text(16, _IDS)}",
                secret=self.world.text(40, _BASE64),
                arn=f"arn:aws:sts::{account}:assumed-role/{name}/{session_name}",
                account=account,
                permissions=role.permissions,
                session_token=self.world.text(640, _BASE64),
                expires_at=self.world.now() + duration,
            )
        )

    def issue_lease(self, server: str, issued_at: datetime | None = None) -> tuple[str, datetime]:
        """Issue an ECR password without asking for rights (for seeds): (password, expires_at)."""
        account, region = rules.registry_of(server)
        lease = self.lease(account, region, issued_at=issued_at)
        return lease.password, lease.expires_at

    def lease(self, account: str, region: str, *, issued_at: datetime | None = None) -> Lease:
        """Issue an ECR password; every earlier one keeps working until its own end."""
        world = self.world
        at = issued_at or world.now()
        expires_at = at + LEASE_TTL
        content = {
            "payload": world.text(1200, _BASE64),
            "datakey": world.text(240, _BASE64),
            "version": "2",
            "type": "DATA_KEY",
            "expiration": int(expires_at.timestamp()),
        }
        lease = Lease(
            handle=f"lease-{world.text(12)}",
            password=base64.b64encode(json.dumps(content).encode()).decode(),
            account=account,
            region=region,
            issued_at=at,
            expires_at=expires_at,
        )
        self._leases[lease.password] = lease
        self._by_handle[lease.handle] = lease
        principal = f"ecr:{rules.server_of(account, region)}/AWS"
        world.issued(lease.password, "ecr-lease", principal, lease.handle, "ecr.lease.issued", expires_at)
        return lease

    # --- judging ---------------------------------------------------------------------------------------------------

    def lease_valid(self, registry: str, password: str, now: datetime) -> LeaseStatus:
        """Say what an ECR registry would answer to this password at `now`."""
        lease = self._leases.get(password)
        if lease is None or rules.server_of(lease.account, lease.region) != registry.lower():
            return "unknown"
        return "expired" if now >= lease.expires_at else "valid"

    def live(self, handle: str, now: datetime) -> bool:
        """Say whether a lease has not ended."""
        lease = self._by_handle.get(handle)
        return lease is not None and now < lease.expires_at

    def _judge(self, entry: Entry, now: datetime) -> bool:
        return self.live(entry.handle, now)

    def _keep(self, key: AccessKey) -> AccessKey:
        self._keys[key.id] = key
        self.world.ledger.record(key.secret, "aws-secret-key", key.arn, key.id)
        if key.session_token:
            self.world.ledger.record(key.session_token, "aws-session-token", key.arn, key.id)
        return key
