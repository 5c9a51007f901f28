"""The registry catalogue: Azure container registries, their repository tokens and scope maps, as Resource Manager lists them."""

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache

from azure.core.credentials import TokenCredential
from azure.mgmt.containerregistry import ContainerRegistryManagementClient
from azure.mgmt.containerregistry import models as sdk

from rotator.clients.network import Network
from rotator.clients.observed import RequestObserver, unobserved
from rotator.clients.paging import paged
from rotator.clients.pipeline import policies, scope_of
from rotator.clients.tokenslots import slot_credential
from rotator.model.arm import ArmId
from rotator.model.credential import Credential, Principal, PrincipalKind
from rotator.model.estate import PrincipalRecord, Registry
from rotator.model.image import normal_server
from rotator.ports import Clock

_API = "container-registry"
_READ_REGISTRIES = "Microsoft.ContainerRegistry/registries/read"
_READ_TOKENS = "Microsoft.ContainerRegistry/registries/tokens/read"


class AzureRegistryCatalog:
    """Reads registries and tokens through the registry SDK.

    The SDK's models are safe here, because nothing that they return is ever written back.
    """

    def __init__(
        self,
        credential: TokenCredential,
        endpoint: str,
        audience: str,
        network: Network,
        clock: Clock,
        observe: RequestObserver = unobserved,
    ) -> None:
        self._clock = clock
        transport = network.azure_transport(clock, observe)
        scope = scope_of(audience)

        def connect(subscription: str) -> ContainerRegistryManagementClient:
            return ContainerRegistryManagementClient(
                credential,
                subscription,
                base_url=endpoint,
                credential_scopes=[scope],
                policies=policies(credential, scope),
                transport=transport,
            )

        self._client = cache(connect)

    def registries(self, subscription: str) -> Iterator[Registry]:
        """Yield the registries of a subscription. One without a login server is not ready to serve anybody, and left out."""
        listing = self._client(subscription).registries.list()
        for found in paged(
            self._clock,
            listing,
            api=_API,
            operation="list-registries",
            needs=_READ_REGISTRIES,
            thing=f"subscription {subscription}",
        ):
            if found.properties is not None and found.properties.login_server:
                yield _registry(found, found.properties)

    def tokens(self, registry: Registry) -> Iterator[PrincipalRecord]:
        """Yield the repository tokens of a registry with their passwords' facts; values are never listed."""
        group, name = registry.id.resource_group, registry.name
        listing = self._client(registry.id.subscription).tokens.list(group, name)
        for token in paged(
            self._clock,
            listing,
            api=_API,
            operation="list-tokens",
            needs=_READ_TOKENS,
            thing=f"registry {registry.login_server}",
        ):
            yield _token(registry, token)


def _registry(found: sdk.Registry, facts: sdk.RegistryProperties) -> Registry:
    return Registry(
        id=ArmId(str(found.id)),
        name=str(found.name),
        login_server=normal_server(str(facts.login_server)),
        location=found.location,
        sku=str(_word(found.sku.name)) if found.sku else "",
        admin_enabled=facts.admin_user_enabled,
        anonymous_pull=facts.anonymous_pull_enabled,
        abac=_is(facts.role_assignment_mode, "AbacRepositoryPermissions"),
        public_access=_is(facts.public_network_access, "Enabled"),
        denies_by_default=_is(facts.network_rule_set.default_action, "Deny") if facts.network_rule_set else None,
        trusted_services=_is(facts.network_rule_bypass_options, "AzureServices"),
        tags=dict(found.tags or {}),
    )


def _token(registry: Registry, token: sdk.Token) -> PrincipalRecord:
    principal = Principal(
        kind=PrincipalKind.ACR_TOKEN,
        registry=registry.login_server,
        name=str(token.name),
        resource_id=registry.id.text,
    )
    facts = token.properties
    scope = ArmId(facts.scope_map_id).name if facts is not None and facts.scope_map_id else ""
    return PrincipalRecord(
        principal=principal,
        credentials=_passwords(principal, facts),
        enabled=_is(facts.status, "enabled") if facts is not None else None,
        display_name=str(token.name),
        scope=scope,
    )


def _passwords(principal: Principal, facts: sdk.TokenProperties | None) -> tuple[Credential, ...] | None:
    """Return what is known of the slots, or None when the service left them out: that is not the same as having none."""
    if facts is None or facts.credentials is None or facts.credentials.passwords is None:
        return None
    return tuple(
        slot_credential(principal, str(_word(one.name)), _utc(one.creation_time), _utc(one.expiry))
        for one in facts.credentials.passwords
    )


def _is(said: object, word: str) -> bool | None:
    """Compare what the service said, ignoring case; None when it said nothing."""
    return None if said is None else str(_word(said)).lower() == word.lower()


def _word(said: object) -> object:
    return getattr(said, "value", said)


def _utc(at: datetime | None) -> datetime | None:
    return at.astimezone(UTC) if at else None
