"""The registry catalogue on the real registry SDK."""

from collections.abc import Callable

import pytest

from rotator.azure.identity import ClockedCredential
from rotator.azure.registries import AzureRegistryCatalog
from rotator.clients.clock import SandboxClock
from rotator.clients.network import Network
from rotator.model.errors import Denied, NotFound, RemoteError, Throttled, Unavailable
from rotator.model.estate import Registry
from rotator.ports import RegistryCatalog
from rotator.sandbox import Sandbox
from tests.contract.conftest import ARM, Sight

Faults = Callable[..., None]


@pytest.fixture
def catalog(credential: ClockedCredential, network: Network, clock: SandboxClock, sight: Sight) -> RegistryCatalog:
    return AzureRegistryCatalog(credential, ARM, ARM, network, clock, sight.observe)


def all_of(catalog: RegistryCatalog, sandbox: Sandbox) -> dict[str, Registry]:
    return {one.name: one for each in sandbox.estate.subscriptions for one in catalog.registries(each)}


def test_every_registry_with_its_facts(catalog: RegistryCatalog, sandbox: Sandbox) -> None:
    found = all_of(catalog, sandbox)
    assert sorted(found) == sorted(one.name for one in sandbox.world.registries.acr.values())
    # A login server carries a hash when its name is scoped; it is never derived from the name.
    assert found["contosodata"].login_server.startswith("contosodata-")
    assert found["contosoml"].abac is True
    assert found["contosoplatform"].abac is False
    assert found["contosolegacy"].admin_enabled is True
    assert found["contosoplatform"].admin_enabled is False
    assert found["contosoplatform"].public_access is True
    assert found["contosoplatform"].anonymous_pull is False
    assert found["contosoplatform"].sku
    assert found["contosoplatform"].location == "westeurope"


def test_what_the_service_leaves_out_is_unknown_and_not_off(catalog: RegistryCatalog, sandbox: Sandbox) -> None:
    world = sandbox.world
    with world.lock:
        ml = next(one for one in world.registries.acr.values() if one.name == "contosoml")
        kept = dict(ml.properties)
        ml.properties.update({"roleAssignmentMode": None, "anonymousPullEnabled": None, "publicNetworkAccess": None})
    try:
        found = all_of(catalog, sandbox)["contosoml"]
    finally:
        with world.lock:
            ml.properties.clear()
            ml.properties.update(kept)
    assert (found.abac, found.anonymous_pull, found.public_access) == (None, None, None)


def test_the_tokens_of_a_registry(catalog: RegistryCatalog, sandbox: Sandbox) -> None:
    platform = all_of(catalog, sandbox)["contosoplatform"]
    tokens = {one.principal.name: one for one in catalog.tokens(platform)}
    world = sandbox.world.registries.servers[platform.login_server]
    assert sorted(tokens) == sorted(one.name for one in world.tokens.values())
    web = tokens["aci-web-pull"]
    assert web.principal.id == f"acr-token:{platform.login_server}/aci-web-pull"
    assert web.principal.resource_id == platform.id.text
    assert (web.enabled, web.scope) == (True, "aci-web-pull-map")
    assert web.credentials is not None
    (only,) = web.credentials
    assert only.handle.slot == "password1"
    assert only.issued_at is not None
    assert only.handle.id == f"password1@{only.issued_at:%Y-%m-%dT%H:%M:%SZ}"
    assert only.expires_at is not None
    ledger = tokens["aci-ledger-pull"]
    assert ledger.credentials is not None
    assert ledger.credentials[0].expires_at is None


def test_the_handles_are_those_that_the_vault_was_given(catalog: RegistryCatalog, sandbox: Sandbox) -> None:
    platform = all_of(catalog, sandbox)["contosoplatform"]
    tagged = {
        version.tags["rotator-principal"]: version.tags["rotator-handle"]
        for secret in sandbox.world.vaults.vault("kv-demo").secrets.values()
        for version in (secret.current,)
        if "rotator-principal" in version.tags
    }
    for record in catalog.tokens(platform):
        if record.principal.id in tagged:
            assert tagged[record.principal.id] in {one.handle.id for one in record.credentials or ()}


@pytest.mark.parametrize(
    "how",
    [
        {"status": 429, "code": "TooManyRequests", "retry_after": 5},
        {"status": 503},
        {"drop_before": True},
        {"drop_after": True},
        {"truncate": True},
    ],
)
@pytest.mark.parametrize("nth", [1, 2])
def test_a_page_that_fails_is_asked_for_again_and_none_is_missed(
    catalog: RegistryCatalog, sandbox: Sandbox, faults: Faults, how: dict[str, object], nth: int
) -> None:
    faults({"on": "acr.*", "nth": nth, **how})
    found = all_of(catalog, sandbox)
    assert len(found) == len(sandbox.world.registries.acr)
    faults({"on": "acr.*", "nth": nth, **how})
    platform = found["contosoplatform"]
    assert len(list(catalog.tokens(platform))) == len(sandbox.world.registries.servers[platform.login_server].tokens)


@pytest.mark.parametrize(("status", "expected"), [(429, Throttled), (503, Unavailable), (403, Denied), (404, NotFound)])
def test_a_catalogue_that_cannot_be_read_is_no_empty_one(
    catalog: RegistryCatalog, sandbox: Sandbox, faults: Faults, status: int, expected: type[RemoteError]
) -> None:
    platform = all_of(catalog, sandbox)["contosoplatform"]
    faults({"on": "acr.*", "status": status, "code": "SomeCode"})
    with pytest.raises(expected):
        list(catalog.registries(sandbox.estate.subscriptions[0]))
    with pytest.raises(expected):
        list(catalog.tokens(platform))


def test_without_a_permission_it_is_named(
    nobody: ClockedCredential, catalog: RegistryCatalog, network: Network, clock: SandboxClock, sandbox: Sandbox, faults: Faults
) -> None:
    faults({"on": "acr.*", "status": 403, "code": "AuthorizationFailed"})
    with pytest.raises(Denied) as raised:
        list(catalog.registries(sandbox.estate.subscriptions[0]))
    assert raised.value.needs == "Microsoft.ContainerRegistry/registries/read"
