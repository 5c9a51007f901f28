"""The secret store: Azure Key Vault, the truth about which secret is current."""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import TypeVar

from azure.core.credentials import TokenCredential
from azure.core.paging import ItemPaged
from azure.keyvault.secrets import SecretClient, SecretProperties

from rotator.clients.failures import translated
from rotator.clients.network import Network
from rotator.clients.observed import RequestObserver, unobserved
from rotator.clients.paging import paged
from rotator.clients.retry import retried
from rotator.model.errors import ConfigError, Conflict, NotFound, Rejected
from rotator.model.estate import StoredSecret
from rotator.model.secret import Secret
from rotator.ports import Clock

_API = "key-vault"
_DISABLED = "SecretDisabled"
# Key Vault's limits (documented under "About Azure Key Vault secrets"): a write beyond them is refused after the secret exists
# at its registry, so they are checked before.
_NAME = re.compile(r"[0-9a-zA-Z-]{1,127}")
_MOST_TAGS = 15
_LONGEST_TAG = 512
_LARGEST_VALUE = 25 * 1024

Result = TypeVar("Result")


class KeyVault:
    """One vault. Safe to share between threads. Throttled and unavailable requests are tried again on our clock."""

    def __init__(
        self,
        url: str,
        credential: TokenCredential,
        network: Network,
        clock: Clock,
        observe: RequestObserver = unobserved,
    ) -> None:
        self._url = url.rstrip("/")
        self._clock = clock
        self._client = SecretClient(
            vault_url=self._url,
            credential=credential,
            transport=network.azure_transport(clock, observe),
            retry_total=0,
        )

    @property
    def address(self) -> str:
        """The vault's URL."""
        return self._url

    def inventory(self) -> Iterator[StoredSecret]:
        """Yield every secret with its newest version's tags. The vault's list names no version, so `version` is empty."""
        listing = self._paged(self._client.list_properties_of_secrets(), "list-secrets", "its secrets")
        yield from (_stored(one) for one in listing)

    def look(self, name: str) -> StoredSecret | None:
        """Return the newest version of one secret, enabled or not; None when there is none. Reads no value."""
        return self._newest(name, self._versions(name))

    def read(self, name: str, version: str = "") -> Secret:
        """Return the value of a version, or of the newest enabled one. NotFound, or Rejected when it is disabled."""
        try:
            return self._value(name, version)
        except Rejected as error:
            if error.reason != _DISABLED or version:
                raise
        enabled = self._newest(name, [one for one in self._versions(name) if one.enabled])
        if enabled is None:
            raise Rejected(
                f"Every version of secret {name} in {self._url} is disabled.",
                api=_API,
                operation="read-secret",
                reason=_DISABLED,
                advice="Enable the version that consumers should read.",
            )
        return self._value(name, enabled.version)

    def previous(self, name: str, before: str) -> StoredSecret | None:
        """Return the newest enabled version older than version `before`, or None."""
        versions = self._versions(name)
        bound = next((one for one in versions if one.version == before), None)
        if bound is None:
            return None
        older = [one for one in versions if one.enabled and one.version != before and not _later(one, bound)]
        return max(older, key=_order, default=None)

    def write(
        self,
        name: str,
        secret: Secret,
        *,
        tags: Mapping[str, str],
        expires_at: datetime | None,
        enabled: bool = True,
    ) -> StoredSecret:
        """Add a version. Raises Conflict when the name is soft-deleted, Indeterminate when no answer came.

        Raises Rejected, before anything is sent, for a name, a value or tags beyond the vault's limits.
        """
        value = secret.reveal()
        _check(name, value, tags)

        def work() -> StoredSecret:
            made = self._client.set_secret(name, value, enabled=enabled, expires_on=expires_at, tags=dict(tags))
            return _stored(made.properties)

        try:
            return self._ask(work, "write-secret", name, needs="setSecret", effect=True)
        except Conflict as error:
            deleted = f"{self._url}/deletedsecrets/{name}"
            raise Conflict(
                f"Secret {name} cannot be written to {self._url}: a deleted secret of that name is kept for recovery.",
                api=_API,
                operation="write-secret",
                request_id=error.request_id,
                advice=f"Recover it (az keyvault secret recover --id {deleted}) or purge it, and run again.",
            ) from None

    def annotate(self, name: str, version: str, *, tags: Mapping[str, str], enabled: bool | None = None) -> StoredSecret:
        """Replace the tags of a version, and its enabled switch when given; the value stays. Harmless twice."""
        _check(name, "", tags)

        def work() -> StoredSecret:
            return _stored(self._client.update_secret_properties(name, version, tags=dict(tags), enabled=enabled))

        return self._ask(work, "annotate-secret", name, needs="update")

    def _value(self, name: str, version: str) -> Secret:
        def work() -> Secret:
            value = self._client.get_secret(name, version or None).value
            if value is None:
                raise NotFound(f"Secret {name} in {self._url} has no value.", api=_API, operation="read-secret")
            return Secret(value)

        return self._ask(work, "read-secret", name, needs="getSecret")

    def _versions(self, name: str) -> list[StoredSecret]:
        listing = self._client.list_properties_of_secret_versions(name)
        try:
            return [_stored(one) for one in self._paged(listing, "list-versions", name)]
        except NotFound:
            return []

    def _newest(self, name: str, versions: list[StoredSecret]) -> StoredSecret | None:
        """Choose the newest. Creation times are whole seconds; where two share one, ask the vault which it takes for current."""
        if not versions:
            return None
        newest = max(versions, key=_order)
        tied = [one for one in versions if one.created_at == newest.created_at]
        if len(tied) == 1:
            return newest
        current = self._ask(lambda: self._current(name, tied), "read-secret", name, needs="getSecret")
        return next((one for one in tied if one.version == current), newest)

    def _current(self, name: str, tied: list[StoredSecret]) -> str:
        """Return the version that the vault serves without being asked for one; its value is dropped unread."""
        try:
            with translated(api=_API, operation="read-secret", thing=f"{name} in {self._url}"):
                return str(self._client.get_secret(name).properties.version)
        except Rejected as error:
            if error.reason != _DISABLED:
                raise
            # The current one is disabled, so it is among the disabled of those that share the second.
            return max((one for one in tied if not one.enabled), key=_order, default=tied[0]).version

    def _ask(self, work: Callable[[], Result], operation: str, name: str, *, needs: str, effect: bool = False) -> Result:
        def once() -> Result:
            try:
                with translated(
                    api=_API,
                    operation=operation,
                    effect=effect,
                    needs=_data_action(needs),
                    thing=f"{name} in {self._url}",
                ):
                    return work()
            except ValueError:
                # Raised by the SDK when the sign-in challenge names another service than the vault's.
                raise self._no_vault() from None

        return retried(self._clock, once, key=name)

    def _paged(self, listing: ItemPaged[SecretProperties], operation: str, name: str) -> Iterator[SecretProperties]:
        try:
            yield from paged(
                self._clock,
                listing,
                api=_API,
                operation=operation,
                needs=_data_action("readMetadata"),
                thing=f"{name} in {self._url}",
            )
        except ValueError:
            raise self._no_vault() from None

    def _no_vault(self) -> ConfigError:
        return ConfigError(
            f"{self._url} does not answer as a Key Vault.",
            advice="Correct vault.url; it is the vault's URI on its overview page in the portal.",
        )


def _data_action(verb: str) -> str:
    return f"Microsoft.KeyVault/vaults/secrets/{verb}/action (in the role Key Vault Secrets Officer)"


def _stored(found: SecretProperties) -> StoredSecret:
    return StoredSecret(
        name=str(found.name),
        version=found.version or "",
        enabled=found.enabled is not False,
        tags=dict(found.tags or {}),
        created_at=found.created_on,
        expires_at=found.expires_on,
    )


def _order(one: StoredSecret) -> tuple[float, str]:
    return (one.created_at.timestamp() if one.created_at else 0.0, one.version)


def _later(one: StoredSecret, other: StoredSecret) -> bool:
    return _order(one)[0] > _order(other)[0]


def _check(name: str, value: str, tags: Mapping[str, str]) -> None:
    """Refuse what the vault would refuse. The sentences name sizes, never values."""
    wrong = ""
    if not _NAME.fullmatch(name):
        wrong = "a name may hold letters, digits and hyphens, 127 at most"
    elif len(value.encode()) > _LARGEST_VALUE:
        wrong = "a value may hold 25 KB at most"
    elif len(tags) > _MOST_TAGS:
        wrong = f"{len(tags)} tags are more than the {_MOST_TAGS} that a version may have"
    else:
        long = next((key for key, text in tags.items() if max(len(key), len(text)) > _LONGEST_TAG), "")
        wrong = f"tag {long[:40]} is longer than {_LONGEST_TAG} characters" if long else ""
    if wrong:
        raise Rejected(
            f"Secret {name[:127]} cannot be kept in Key Vault: {wrong}.",
            api=_API,
            operation="write-secret",
            reason="BadParameter",
        )
