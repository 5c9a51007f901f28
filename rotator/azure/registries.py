"""The registry catalogue: Azure container registries, their repository tokens and scope maps, as Resource Manager lists them."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from azure.core.credentials import TokenCredential
from azure.mgmt.containerregistry import ContainerRegistryManagementClient

from rotator.azure.groupbody import instant_of
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

    The SDK's models are safe here, because nothing that they return is ever written back. They are read as the JSON objects that
    they also are: by attribute, one that is read while another thread first uses its class may come as a plain dictionary.
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
            if _section(found, "properties").get("loginServer"):
                yield _registry(found)

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


def _registry(found: Mapping[str, Any]) -> Registry:
    facts = _section(found, "properties")
    return Registry(
        id=ArmId(str(found["id"])),
        name=str(found["name"]),
        login_server=normal_server(str(facts["loginServer"])),
        location=str(found.get("location", "")),
        sku=str(_section(found, "sku").get("name") or ""),
        admin_enabled=facts.get("adminUserEnabled"),
        anonymous_pull=facts.get("anonymousPullEnabled"),
        abac=_is(facts.get("roleAssignmentMode"), "AbacRepositoryPermissions"),
        public_access=_is(facts.get("publicNetworkAccess"), "Enabled"),
        tags=dict(found.get("tags") or {}),
        rules_deny=_rules_deny(facts),
        trusted_services=_is(facts.get("networkRuleBypassOptions"), "AzureServices"),
        endpoints=_endpoints(facts),
    )


def _rules_deny(facts: Mapping[str, Any]) -> bool | None:
    # Only the Premium SKU has network rules, and shows none for the others (facts of the registry's own documents).
    rules = _section(facts, "networkRuleSet")
    return _is(rules.get("defaultAction"), "Deny") if rules else False


def _endpoints(facts: Mapping[str, Any]) -> tuple[ArmId, ...] | None:
    listed = facts.get("privateEndpointConnections")
    if listed is None:
        return None
    approved = []
    for one in listed:
        inside = _section(one, "properties")
        state, endpoint = _section(inside, "privateLinkServiceConnectionState"), _section(inside, "privateEndpoint")
        if endpoint.get("id") and _is(state.get("status"), "Approved"):
            approved.append(ArmId(str(endpoint["id"])))
    return tuple(approved)


def _token(registry: Registry, token: Mapping[str, Any]) -> PrincipalRecord:
    principal = Principal(
        kind=PrincipalKind.ACR_TOKEN,
        registry=registry.login_server,
        name=str(token["name"]),
        resource_id=registry.id.text,
    )
    facts = _section(token, "properties")
    scope_map = facts.get("scopeMapId")
    return PrincipalRecord(
        principal=principal,
        credentials=_passwords(principal, _section(facts, "credentials").get("passwords")),
        enabled=_is(facts.get("status"), "enabled"),
        display_name=principal.name,
        scope=ArmId(str(scope_map)).name if scope_map else "",
    )


def _passwords(principal: Principal, listed: Sequence[Mapping[str, Any]] | None) -> tuple[Credential, ...] | None:
    """Return what is known of the slots, or None when the service left them out: that is not the same as having none."""
    if listed is None:
        return None
    return tuple(
        slot_credential(principal, str(one["name"]), instant_of(one.get("creationTime")), instant_of(one.get("expiry")))
        for one in listed
    )


def _section(holder: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = holder.get(name)
    return found if isinstance(found, Mapping) else {}


def _is(said: object, word: str) -> bool | None:
    """Compare what the service said, ignoring case; None when it said nothing."""
    return None if said is None else str(said).lower() == word.lower()
