"""Tokens: where they come from, and that they end by our clock and no other."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from rotator.azure.identity import ClockedCredential, IdentityKind, token_credential
from rotator.clients.arm import Arm
from rotator.clients.clock import SandboxClock
from rotator.clients.network import Network
from rotator.model.errors import ConfigError, Rejected, RemoteError, Unavailable
from rotator.model.secret import Secret
from rotator.sandbox import Sandbox
from tests.contract.conftest import ARM, AUTHORITY, Sight

SCOPE = f"{ARM}/.default"
Faults = Callable[..., None]


def subscriptions(arm: Arm) -> list[object]:
    return list(arm.pages("/subscriptions", "2022-12-01", service="arm", operation="list-subscriptions"))


def test_a_managed_identity_gets_a_token_that_works(arm: Arm, sandbox: Sandbox) -> None:
    assert len(subscriptions(arm)) == len(sandbox.estate.subscriptions)


def test_a_token_is_kept_and_handed_out_again(credential: ClockedCredential, sight: Sight) -> None:
    first = credential.get_token(SCOPE)
    assert credential.get_token(SCOPE).token == first.token
    assert credential.get_token("https://graph.microsoft.com/.default").token != first.token
    assert sight.codes("entra", "token") == ["200", "200"]
    # azure-core must ask us each time: it would judge the end by the machine's clock.
    assert first.expires_on == 0


def test_requests_go_on_when_months_pass(arm: Arm, clock: SandboxClock, sight: Sight) -> None:
    for _ in range(5):
        assert subscriptions(arm)
        clock.sleep(timedelta(days=30))
    assert sight.codes("arm", "list-subscriptions") == ["200"] * 5
    assert len(sight.codes("entra", "token")) == 5


def test_a_token_does_not_outlive_an_hour_on_our_clock(credential: ClockedCredential, clock: SandboxClock) -> None:
    first = credential.get_token(SCOPE)
    clock.sleep(timedelta(minutes=20))
    assert credential.get_token(SCOPE).token == first.token
    clock.sleep(timedelta(minutes=31))
    assert credential.get_token(SCOPE).token != first.token


def test_a_token_that_a_service_refuses_is_replaced_once(arm: Arm, faults: Faults, sight: Sight) -> None:
    assert subscriptions(arm)
    faults({"on": "arm.subscriptions.list", "nth": 1, "status": 401, "code": "ExpiredAuthenticationToken"})
    assert subscriptions(arm)
    assert len(sight.codes("entra", "token")) == 2


def test_a_client_secret_gets_a_token_however_far_the_clock_has_run(
    sandbox: Sandbox, network: Network, clock: SandboxClock
) -> None:
    world = sandbox.world
    value = world.text(40)
    with world.lock:
        app_id = world.guid()
        principal = world.graph.add_application(app_id, "rotator-by-secret")
        world.graph.add_secret(
            app_id,
            "application",
            value=value,
            display_name="x",
            start_at=world.now() - timedelta(1),
            end_at=world.now() + timedelta(900),
        )
        role = next(one for one in world.arm.roles.values() if one.name == "Rotator")
        world.arm.assign(principal.object_id, role.id, f"/subscriptions/{sandbox.estate.subscriptions[0]}")
    credential = token_credential(
        "client-secret",
        tenant_id=sandbox.estate.tenant_id,
        client_id=app_id,
        client_secret=Secret(value),
        clock=clock,
        network=network,
        authority=AUTHORITY,
    )
    arm = Arm(credential, ARM, ARM, network, clock)
    for _ in range(4):
        assert len(subscriptions(arm)) == 1
        clock.sleep(timedelta(minutes=40))
    clock.sleep(timedelta(days=40))
    assert len(subscriptions(arm)) == 1


def test_a_wrong_client_secret_is_rejected_without_showing_it(sandbox: Sandbox, network: Network, clock: SandboxClock) -> None:
    app_id = sandbox.world.guid()
    with sandbox.world.lock:
        sandbox.world.graph.add_application(app_id, "rotator-wrong")
    credential = token_credential(
        "client-secret",
        tenant_id=sandbox.estate.tenant_id,
        client_id=app_id,
        client_secret=Secret("not-the-secret"),
        clock=clock,
        network=network,
        authority=AUTHORITY,
    )
    with pytest.raises(Rejected) as raised:
        subscriptions(Arm(credential, ARM, ARM, network, clock))
    assert raised.value.reason.startswith("AADSTS7000")
    assert "not-the-secret" not in repr(vars(raised.value))


def test_without_an_identity_on_the_host_the_configuration_is_named(
    credential: ClockedCredential, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IDENTITY_ENDPOINT", "https://127.0.0.1:1/msi/token")
    with pytest.raises(RemoteError) as raised:
        credential.get_token(SCOPE)
    assert isinstance(raised.value, Unavailable)


def test_a_client_secret_identity_needs_a_secret(network: Network, clock: SandboxClock) -> None:
    kind: IdentityKind = "client-secret"
    with pytest.raises(ConfigError):
        token_credential(kind, tenant_id="t", client_id="c", clock=clock, network=network, authority=AUTHORITY)


def test_an_outage_of_the_identity_endpoint_is_unavailable(credential: ClockedCredential, faults: Faults) -> None:
    faults({"on": "entra.identityToken", "status": 500})
    with pytest.raises(Unavailable):
        credential.get_token(SCOPE)


@pytest.mark.parametrize("kind", ["workload-identity", "azure-cli", "default"])
def test_the_other_kinds_fail_in_our_words_where_they_find_nothing(
    kind: IdentityKind, network: Network, clock: SandboxClock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sandbox: Sandbox
) -> None:
    (tmp_path / "token").write_text("assertion")
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("PATH", str(tmp_path))  # no Azure CLI and no PowerShell there
    monkeypatch.delenv("IDENTITY_ENDPOINT")
    monkeypatch.delenv("IDENTITY_HEADER")
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://127.0.0.1:1")
    credential = token_credential(
        kind,
        tenant_id=sandbox.estate.tenant_id,
        client_id=sandbox.estate.client_id,
        clock=clock,
        network=network,
        authority=AUTHORITY,
    )
    with pytest.raises(RemoteError) as raised:
        credential.get_token(SCOPE)
    assert raised.value.api == "entra"
