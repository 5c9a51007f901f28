"""Tokens of apps and of managed identities, asked for by azure-identity."""

import base64
import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
import requests
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import ClientSecretCredential, CredentialUnavailableError, ManagedIdentityCredential

from rotator.sandbox.clouds.graph.records import REPLICAS
from rotator.sandbox.wire import Refused
from tests.sandbox.servedworld import APP_ID, Cloud, served_world

ARM = "https://management.azure.com/.default"
IDENTITY = {
    "client_id": "33333333-3333-4333-8333-333333333333",
    "principal_id": "44444444-4444-4444-8444-444444444444",
    "resource_id": "/subscriptions/s/resourcegroups/rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id",
}


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with served_world() as served:
        yield served


@pytest.fixture
def identity(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """A managed identity, and the environment that App Service gives its processes."""
    cloud.world.entra.register_identity(name="id", **IDENTITY)
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{cloud.base}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", cloud.world.entra.identity_header)
    return cloud


def claims_of(token: str) -> dict[str, object]:
    payload = token.split(".")[1]
    decoded: dict[str, object] = json.loads(base64.urlsafe_b64decode(payload + "=="))
    return decoded


def test_a_client_secret_is_exchanged_for_a_token_with_the_claims_azure_writes(cloud: Cloud) -> None:
    token = cloud.credential().get_token(ARM)
    claims = claims_of(token.token)
    assert claims["aud"] == "https://management.azure.com"
    assert (claims["appid"], claims["oid"], claims["tid"]) == (APP_ID, cloud.principal_id, cloud.world.entra.tenant_id)
    assert claims["iss"] == f"https://sts.windows.net/{cloud.world.entra.tenant_id}/"
    caller = cloud.world.entra.caller_of(token.token, "arm")
    assert (caller.object_id, caller.app_id, caller.name) == (cloud.principal_id, APP_ID, "robot")


def test_the_bare_address_with_a_double_slash_scope_works_as_azure_cli_uses_it(cloud: Cloud) -> None:
    credential = ClientSecretCredential(
        cloud.world.entra.tenant_id,
        APP_ID,
        "sec8Q~the-secret-of-the-app-under-test-0001",
        authority=cloud.base,
        disable_instance_discovery=True,
        connection_verify=cloud.ca_file,
    )
    token = credential.get_token(f"{cloud.base}//.default").token
    assert cloud.world.entra.caller_of(token, "arm").app_id == APP_ID


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"secret": "wrong8Q~secret"}, "AADSTS7000215"),
        ({"app_id": "99999999-9999-4999-8999-999999999999"}, "AADSTS700016"),
        ({"tenant": "88888888-8888-4888-8888-888888888888"}, "Unable to get authority configuration"),
    ],
)
def test_a_wrong_credential_gets_azures_own_error_number(cloud: Cloud, wrong: dict[str, str], code: str) -> None:
    with pytest.raises((ClientAuthenticationError, ValueError), match=code):
        cloud.credential(**wrong).get_token(ARM)


def test_a_token_request_to_another_tenant_gets_azures_own_error_number(cloud: Cloud) -> None:
    url = f"{cloud.base}/88888888-8888-4888-8888-888888888888/oauth2/v2.0/token"
    answer = requests.post(url, data={"grant_type": "client_credentials"}, verify=cloud.ca_file, timeout=5)
    assert (answer.status_code, answer.json()["error_codes"]) == (400, [90002])


def test_an_expired_secret_is_told_apart_from_a_wrong_one(cloud: Cloud) -> None:
    cloud.advance(days=366)
    with pytest.raises(ClientAuthenticationError, match="AADSTS7000222"):
        cloud.credential().get_token(ARM)


def test_a_disabled_app_cannot_sign_in(cloud: Cloud) -> None:
    principal = cloud.world.graph.service_principal_by_app_id(APP_ID)
    assert principal is not None
    cloud.world.graph.set_enabled(principal, enabled=False)
    with pytest.raises(ClientAuthenticationError, match="AADSTS7000112"):
        cloud.credential().get_token(ARM)


def test_a_new_secret_reaches_the_replicas_one_by_one_within_18_seconds(cloud: Cloud) -> None:
    world = cloud.world
    application = world.graph.application_by_app_id(APP_ID)
    assert application is not None
    issued = world.graph.add_password(application, "new", end_at=world.now() + timedelta(days=30))
    with pytest.raises(ClientAuthenticationError, match="AADSTS7000215"):
        cloud.credential(issued.secret).get_token(ARM)
    first, last = min(issued.effective_at), max(issued.effective_at)
    known = [world.graph.secret_valid(APP_ID, issued.secret, first, replica=one) for one in range(REPLICAS)]
    assert sorted(known) == ["not-yet", "not-yet", "valid"]
    assert last - issued.added_at <= timedelta(seconds=18)
    cloud.advance(seconds=18)
    assert world.graph.secret_valid(APP_ID, issued.secret, world.now()) == "valid"
    assert cloud.credential(issued.secret).get_token(ARM).token


def test_a_token_is_refused_after_its_end_with_a_challenge_that_makes_sdks_fetch_a_new_one(cloud: Cloud) -> None:
    token = cloud.credential().get_token(ARM).token
    cloud.advance(minutes=91)
    with pytest.raises(Refused) as refused:
        cloud.world.entra.caller_of(token, "arm")
    assert refused.value.code == "ExpiredAuthenticationToken"
    assert 'error="insufficient_claims"' in refused.value.reply.headers["WWW-Authenticate"]


@pytest.mark.parametrize("service", ["graph", "vault", "logs"])
def test_a_token_for_one_service_opens_no_other(cloud: Cloud, service: str) -> None:
    token = cloud.credential().get_token(ARM).token
    with pytest.raises(Refused) as refused:
        cloud.world.entra.caller_of(token, service)
    assert refused.value.reply.status == 401


def test_a_forged_token_is_refused(cloud: Cloud) -> None:
    header, payload, signature = cloud.credential().get_token(ARM).token.split(".")
    claims = claims_of(f"{header}.{payload}.")
    forged = base64.urlsafe_b64encode(json.dumps({**claims, "oid": "somebody else"}).encode()).decode().rstrip("=")
    for token in (f"{header}.{forged}.{signature}", "not a token", ""):
        with pytest.raises(Refused):
            cloud.world.entra.caller_of(token, "arm")


def test_every_token_is_in_the_ledger(cloud: Cloud) -> None:
    token = cloud.credential().get_token(ARM).token
    found = cloud.world.ledger.find_in(f"Authorization: Bearer {token}")
    assert [entry.kind for entry in found] == ["access-token"]


def test_a_managed_identity_gets_a_token_for_24_hours(identity: Cloud) -> None:
    credential = ManagedIdentityCredential(client_id=IDENTITY["client_id"], connection_verify=identity.ca_file)
    token = credential.get_token("https://vault.azure.net/.default")
    claims = claims_of(token.token)
    assert claims["oid"] == IDENTITY["principal_id"]
    assert claims["aud"] == "https://vault.azure.net"
    assert abs(token.expires_on - identity.world.now().timestamp() - 86400) < 5
    assert identity.world.entra.caller_of(token.token, "vault").object_id == IDENTITY["principal_id"]


def test_without_a_client_id_the_first_identity_answers(identity: Cloud) -> None:
    token = ManagedIdentityCredential(connection_verify=identity.ca_file).get_token(ARM)
    assert claims_of(token.token)["oid"] == IDENTITY["principal_id"]


def test_an_unknown_identity_or_a_wrong_header_is_refused(identity: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    stranger = ManagedIdentityCredential(
        client_id="77777777-7777-4777-8777-777777777777", connection_verify=identity.ca_file, retry_total=0
    )
    with pytest.raises((ClientAuthenticationError, CredentialUnavailableError), match="No User Assigned"):
        stranger.get_token(ARM)
    monkeypatch.setenv("IDENTITY_HEADER", "guessed")
    guess = ManagedIdentityCredential(client_id=IDENTITY["client_id"], connection_verify=identity.ca_file, retry_total=0)
    with pytest.raises((ClientAuthenticationError, CredentialUnavailableError)):
        guess.get_token(ARM)


def test_a_snapshot_brings_back_the_directory_and_its_tokens_stay_readable(cloud: Cloud) -> None:
    world = cloud.world
    token = world.entra.issue_token(cloud.principal_id, "https://management.azure.com")
    before = world.snapshot()
    world.graph.add_application("55555555-5555-4555-8555-555555555555", "later")
    world.restore(before)
    assert world.graph.application_by_app_id("55555555-5555-4555-8555-555555555555") is None
    assert world.graph.application_by_app_id(APP_ID) is not None
    assert world.entra.caller_of(token, "arm").app_id == APP_ID
