"""Vaults, their secrets and the versions of each. Soft delete is always on, as it is in Azure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from rotator.sandbox.clouds.keyvault import rules
from rotator.sandbox.wire import Refused

if TYPE_CHECKING:
    from rotator.sandbox.world import World


@dataclass(slots=True, kw_only=True, repr=False)
class SecretVersion:
    """One version of a secret. `expires_at` and `not_before_at` inform only: an expired secret is still readable."""

    name: str
    version: str
    value: str
    content_type: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    enabled: bool = True
    expires_at: datetime | None = None
    not_before_at: datetime | None = None
    created_at: datetime
    updated_at: datetime


@dataclass(slots=True, kw_only=True)
class Secret:
    """A name with its versions, oldest first. `deleted_at` is set while it lies in soft delete."""

    name: str
    versions: list[SecretVersion] = field(default_factory=list)
    deleted_at: datetime | None = None

    @property
    def current(self) -> SecretVersion:
        """The newest version, which a read without a version gets, even when it is disabled."""
        return self.versions[-1]

    def version(self, version: str) -> SecretVersion | None:
        """Return one version; the empty text means the newest."""
        if not version:
            return self.current
        return next((one for one in self.versions if one.version == version.lower()), None)


@dataclass(slots=True, kw_only=True)
class Vault:
    """A vault. `host` is its DNS name, `resource_id` the scope of its role assignments."""

    name: str
    host: str
    resource_id: str
    location: str
    retention: timedelta
    tags: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, Secret] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)

    def secret_id(self, name: str, version: str = "", collection: str = "secrets") -> str:
        """Return the address of a secret or of one version."""
        return f"https://{self.host}/{collection}/{name}" + (f"/{version}" if version else "")


class Vaults:
    """All vaults, by name and by host."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self._by_name: dict[str, Vault] = {}
        self._holders: dict[str, int] = {}

    # --- finding ---------------------------------------------------------------------------------------------------

    def all(self) -> Iterable[Vault]:
        """Return every vault."""
        return self._by_name.values()

    def vault(self, name: str) -> Vault:
        """Return a vault by name; KeyError when there is none."""
        return self._by_name[name.lower()]

    def of_host(self, host: str) -> Vault | None:
        """Return the vault of a Host header; the bare loopback address means the only vault, if there is just one."""
        bare = host.partition(":")[0].lower()
        if bare in ("127.0.0.1", "localhost"):
            return next(iter(self._by_name.values())) if len(self._by_name) == 1 else None
        return next((vault for vault in self._by_name.values() if vault.host == bare), None)

    def current(self, vault: str, name: str) -> SecretVersion | None:
        """Return the newest version of a secret that is not deleted."""
        secret = self.vault(vault).secrets.get(name.lower())
        return None if secret is None or secret.deleted_at else secret.current

    def holds(self, value: str) -> bool:
        """Say whether an enabled version of a secret that is not deleted has exactly this value."""
        return self._holders.get(value, 0) > 0

    # --- changing --------------------------------------------------------------------------------------------------

    def add_vault(
        self,
        name: str,
        resource_id: str,
        location: str = "westeurope",
        *,
        suffix: str = "vault.azure.net",
        retention_days: int = 90,
    ) -> Vault:
        """Create a vault."""
        vault = Vault(
            name=name,
            host=f"{name}.{suffix}".lower(),
            resource_id=resource_id,
            location=location,
            retention=timedelta(days=retention_days),
        )
        self._by_name[name.lower()] = vault
        return vault

    def set_secret(
        self,
        vault: str,
        name: str,
        value: str,
        *,
        tags: Mapping[str, str] | None = None,
        content_type: str | None = None,
        expires_at: datetime | None = None,
        not_before_at: datetime | None = None,
        created_at: datetime | None = None,
        enabled: bool = True,
    ) -> str:
        """Store a new version without asking for rights; return its versioned address."""
        holder, world = self.vault(vault), self.world
        at = created_at or world.now()
        version = SecretVersion(
            name=name,
            version=f"{world.rng.getrandbits(128):032x}",
            value=value,
            content_type=content_type,
            tags=dict(tags or {}),
            enabled=enabled,
            expires_at=expires_at,
            not_before_at=not_before_at,
            created_at=at,
            updated_at=at,
        )
        secret = holder.secrets.setdefault(name.lower(), Secret(name=name))
        secret.versions.append(version)
        self._count(version, 1)
        # A value that a registry issued keeps that registry as its owner in the ledger.
        world.ledger.record(value, "vault-secret", f"secret:{holder.secret_id(name)}", version.version)
        self._changed(holder, name, "vault.secret.set", version=version.version)
        return holder.secret_id(name, version.version)

    def update(
        self,
        vault: Vault,
        version: SecretVersion,
        *,
        enabled: bool | None = None,
        tags: Mapping[str, str] | None = None,
        content_type: str | None = None,
        expires_at: datetime | None = None,
        not_before_at: datetime | None = None,
    ) -> None:
        """Change attributes and tags of one version; None leaves a part as it is."""
        if enabled is not None and enabled != version.enabled:
            self._count(version, -1)
            version.enabled = enabled
            self._count(version, 1)
        version.tags = dict(tags) if tags is not None else version.tags
        version.content_type = content_type or version.content_type
        version.expires_at = expires_at or version.expires_at
        version.not_before_at = not_before_at or version.not_before_at
        version.updated_at = self.world.now()
        self._changed(vault, version.name, "vault.secret.updated", version=version.version, enabled=version.enabled)

    def delete(self, vault: Vault, secret: Secret) -> None:
        """Put a secret into soft delete: unreadable, its name taken until it is recovered or purged."""
        secret.deleted_at = self.world.now()
        vault.deleted.add(secret.name.lower())
        for version in secret.versions:
            self._count(version, -1)
        self._changed(vault, secret.name, "vault.secret.deleted")

    def recover(self, vault: Vault, secret: Secret) -> None:
        """Take a secret out of soft delete with all its versions."""
        secret.deleted_at = None
        vault.deleted.discard(secret.name.lower())
        for version in secret.versions:
            self._count(version, 1)
        self._changed(vault, secret.name, "vault.secret.recovered")

    def purge(self, vault: Vault, secret: Secret) -> None:
        """End a deleted secret for good."""
        vault.secrets.pop(secret.name.lower(), None)
        vault.deleted.discard(secret.name.lower())
        self._changed(vault, secret.name, "vault.secret.purged")

    def sweep(self, vault: Vault) -> None:
        """Purge what has lain in soft delete longer than the vault's retention."""
        now = self.world.now()
        for secret in [vault.secrets[name] for name in vault.deleted]:
            if secret.deleted_at and now >= secret.deleted_at + vault.retention:
                self.purge(vault, secret)

    # --- references ------------------------------------------------------------------------------------------------

    def read_as(self, identity_principal_id: str, secret_uri: str) -> str:
        """Return the value behind a secret's address as an identity reads it; Refused when it may not or cannot."""
        parts = urlsplit(secret_uri)
        vault = self.of_host(parts.netloc)
        path = [part for part in parts.path.split("/") if part]
        if vault is None or len(path) not in (2, 3) or path[0].lower() != "secrets":
            raise rules.not_found(secret_uri)
        name, version = path[1], path[2] if len(path) == 3 else ""
        self.demand(vault, identity_principal_id, "getSecret/action", name)
        return rules.readable(vault.secrets.get(name.lower()), name, version).value

    def demand(self, vault: Vault, principal_id: str, action: str, name: str = "") -> None:
        """Refuse with Key Vault's own text when the account may not perform a data action on the vault's secrets."""
        full = f"Microsoft.KeyVault/vaults/secrets/{action}"
        scope = f"{vault.resource_id}/secrets/{name}" if name else vault.resource_id
        if not self.world.arm.allowed_data_action(principal_id, full, scope):
            raise self._forbidden(vault, principal_id, full, scope)

    def _forbidden(self, vault: Vault, principal_id: str, action: str, scope: str) -> Refused:
        principal = self.world.graph.service_principal(principal_id)
        caller = f"appid={principal.app_id if principal else ''};oid={principal_id};iss={self.world.entra.issuer}"
        return rules.forbidden(caller, action, scope, vault.name, vault.location)

    def _count(self, version: SecretVersion, by: int) -> None:
        if version.enabled:
            self._holders[version.value] = self._holders.get(version.value, 0) + by

    def _changed(self, vault: Vault, name: str, kind: str, **facts: object) -> None:
        self.world.touch(f"secret:{vault.secret_id(name)}".lower())
        if not self.world.ledger.seeding:
            self.world.events.append(kind, vault=vault.name, name=name, **facts)
