"""Secrets through azure-keyvault-secrets: the challenge, versions, soft delete, limits and rights."""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.keyvault.secrets import SecretClient

from rotator.sandbox.clouds.arm.roles import KEY_VAULT_SECRETS_OFFICER, KEY_VAULT_SECRETS_USER, READER
from rotator.sandbox.wire import Refused
from tests.sandbox.servedworld import VAULT_ID, Cloud, Reroute, served_world

URL = "https://kv-test.vault.azure.net"
VALUE = "a-value-that-nobody-else-has"


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with served_world() as served:
        yield served


@pytest.fixture
def vault(cloud: Cloud) -> SecretClient:
    """A client that may do everything."""
    cloud.allow(KEY_VAULT_SECRETS_OFFICER)
    return SecretClient(URL, cloud.credential(), **cloud.wiring)


def reader(cloud: Cloud) -> SecretClient:
    return SecretClient(URL, cloud.credential(), **cloud.wiring)


# --- values and versions ---


def test_a_secret_is_set_read_and_versioned(cloud: Cloud, vault: SecretClient) -> None:
    expires_at = datetime(2030, 1, 1, tzinfo=UTC)
    first = vault.set_secret("pull", VALUE, tags={"rotation": "r1"}, expires_on=expires_at, content_type="text/plain")
    second = vault.set_secret("pull", f"{VALUE}-2")
    assert vault.get_secret("pull").value == f"{VALUE}-2"
    old = vault.get_secret("pull", first.properties.version)
    assert (old.value, old.properties.tags, old.properties.expires_on) == (VALUE, {"rotation": "r1"}, expires_at)
    assert old.properties.content_type == "text/plain"
    versions = {one.version for one in vault.list_properties_of_secret_versions("pull")}
    assert versions == {first.properties.version, second.properties.version}
    assert cloud.world.vaults.holds(VALUE)
    owner = cloud.world.ledger.owner_of(VALUE)
    assert owner is not None
    assert (owner.kind, owner.principal) == ("vault-secret", f"secret:{URL}/secrets/pull")


def test_the_first_request_is_answered_with_a_challenge_and_carries_no_value(cloud: Cloud) -> None:
    session = requests.Session()
    session.mount("https://", Reroute(cloud.port))
    answer = session.put(f"{URL}/secrets/pull", params={"api-version": "7.4"}, verify=cloud.ca_file, timeout=5)
    assert answer.status_code == 401
    challenge = f'Bearer authorization="https://login.microsoftonline.com/{cloud.world.entra.tenant_id}", '
    assert answer.headers["WWW-Authenticate"] == challenge + 'resource="https://vault.azure.net"'


def test_a_jump_of_the_clock_does_not_leave_the_client_with_a_dead_token(cloud: Cloud, vault: SecretClient) -> None:
    vault.set_secret("pull", VALUE)
    cloud.advance(days=2)
    assert vault.get_secret("pull").value == VALUE


def test_attributes_and_tags_change_without_a_new_version(cloud: Cloud, vault: SecretClient) -> None:
    made = vault.set_secret("pull", VALUE)
    changed = vault.update_secret_properties("pull", made.properties.version, tags={"state": "promoted"}, enabled=False)
    assert (changed.tags, changed.enabled, changed.version) == ({"state": "promoted"}, False, made.properties.version)
    assert not cloud.world.vaults.holds(VALUE)


def test_a_disabled_version_cannot_be_read_but_is_still_listed(vault: SecretClient) -> None:
    vault.set_secret("pull", VALUE, enabled=False)
    with pytest.raises(HttpResponseError) as refused:
        vault.get_secret("pull")
    assert refused.value.status_code == 403
    assert refused.value.error is not None
    assert refused.value.error.innererror == {"code": "SecretDisabled"}
    assert [one.enabled for one in vault.list_properties_of_secrets()] == [False]


def test_an_expired_secret_is_still_readable(cloud: Cloud, vault: SecretClient) -> None:
    vault.set_secret("pull", VALUE, expires_on=cloud.world.now() + timedelta(minutes=1))
    cloud.advance(days=3)
    assert vault.get_secret("pull").value == VALUE


def test_listing_goes_on_over_pages_of_25(cloud: Cloud, vault: SecretClient) -> None:
    for number in range(60):
        cloud.world.vaults.set_secret("kv-test", f"name-{number:02}", f"value-of-number-{number}")
    assert [one.name for one in vault.list_properties_of_secrets()] == [f"name-{number:02}" for number in range(60)]
    # Three pages, and the challenge unless the SDK remembers one from before.
    assert cloud.world.requests["vault.list"] in (3, 4)


def test_an_address_with_a_trailing_slash_works_as_azure_cli_writes_it(cloud: Cloud) -> None:
    cloud.allow(KEY_VAULT_SECRETS_OFFICER)
    cloud.world.vaults.set_secret("kv-test", "pull", VALUE)
    token = cloud.world.entra.issue_token(cloud.principal_id, "https://vault.azure.net")
    session = requests.Session()
    session.mount("https://", Reroute(cloud.port))
    headers = {"Authorization": f"Bearer {token}"}
    answer = session.get(f"{URL}/secrets/pull/?api-version=7.4", headers=headers, verify=cloud.ca_file, timeout=5)
    assert answer.json()["value"] == VALUE


# --- soft delete ---


def test_a_deleted_name_is_taken_until_it_is_recovered(cloud: Cloud, vault: SecretClient) -> None:
    vault.set_secret("pull", VALUE)
    vault.begin_delete_secret("pull").wait()
    assert not cloud.world.vaults.holds(VALUE)
    with pytest.raises(ResourceNotFoundError):
        vault.get_secret("pull")
    with pytest.raises(HttpResponseError) as refused:
        vault.set_secret("pull", "another value")
    assert refused.value.status_code == 409
    assert "deleted but recoverable state" in str(refused.value)
    assert [one.name for one in vault.list_deleted_secrets()] == ["pull"]
    vault.begin_recover_deleted_secret("pull").wait()
    assert vault.get_secret("pull").value == VALUE
    assert cloud.world.vaults.holds(VALUE)


def test_a_purged_or_long_deleted_name_is_free_again(cloud: Cloud, vault: SecretClient) -> None:
    for name in ("one", "two"):
        vault.set_secret(name, VALUE)
        vault.begin_delete_secret(name).wait()
    vault.purge_deleted_secret("one")
    vault.set_secret("one", "a new value")
    cloud.advance(days=91)
    vault.set_secret("two", "a new value")


# --- rights ---


@pytest.mark.parametrize(
    ("role", "reads", "writes"),
    [
        (None, False, False),
        (READER, False, False),
        (KEY_VAULT_SECRETS_USER, True, False),
        (KEY_VAULT_SECRETS_OFFICER, True, True),
    ],
)
def test_a_role_decides_who_reads_and_who_writes(cloud: Cloud, role: str | None, reads: bool, writes: bool) -> None:
    cloud.world.vaults.set_secret("kv-test", "pull", VALUE)
    if role is not None:
        cloud.allow(role, VAULT_ID)
    client = reader(cloud)
    acts: list[tuple[bool, Callable[[], object]]] = [
        (reads, lambda: client.get_secret("pull")),
        (writes, lambda: client.set_secret("pull", "new value")),
    ]
    for allowed, act in acts:
        with nullcontext() if allowed else pytest.raises(HttpResponseError, match="not authorized"):
            act()


def test_a_refusal_names_the_caller_and_the_action(cloud: Cloud) -> None:
    with pytest.raises(HttpResponseError) as refused:
        reader(cloud).get_secret("pull")
    message = str(refused.value)
    assert "Action: 'Microsoft.KeyVault/vaults/secrets/getSecret/action'" in message
    assert f"oid={cloud.principal_id}" in message
    assert f"Resource: '{VAULT_ID.lower()}/secrets/pull'" in message


def test_a_reference_is_read_with_the_rights_of_its_identity(cloud: Cloud) -> None:
    uri = cloud.world.vaults.set_secret("kv-test", "pull", VALUE)
    with pytest.raises(Refused):
        cloud.world.vaults.read_as(cloud.principal_id, uri)
    cloud.allow(KEY_VAULT_SECRETS_USER, VAULT_ID)
    cloud.world.vaults.set_secret("kv-test", "pull", "newer value")
    assert cloud.world.vaults.read_as(cloud.principal_id, uri) == VALUE
    assert cloud.world.vaults.read_as(cloud.principal_id, f"{URL}/secrets/pull") == "newer value"
    for wrong in (f"{URL}/secrets/other", f"{URL}/keys/pull", "https://elsewhere.vault.azure.net/secrets/pull"):
        with pytest.raises(Refused):
            cloud.world.vaults.read_as(cloud.principal_id, wrong)


# --- limits ---


@pytest.mark.parametrize(
    ("what", "name", "value", "more"),
    [
        ("name", "no_underscores", "v", {}),
        ("value", "big", "x" * 25_601, {}),
        ("tags", "tags", "v", {"tags": {str(number): "" for number in range(16)}}),
        ("tag", "tags", "v", {"tags": {"a": "x" * 513}}),
        ("content type", "type", "v", {"content_type": "x" * 256}),
    ],
)
def test_what_is_too_large_or_misnamed_is_refused(
    vault: SecretClient, what: str, name: str, value: str, more: dict[str, Any]
) -> None:
    with pytest.raises(HttpResponseError) as refused:
        vault.set_secret(name, value, **more)
    assert refused.value.status_code == 400, what


def test_what_is_just_small_enough_is_stored(vault: SecretClient) -> None:
    tags = {f"{number:0512}": "x" * 512 for number in range(15)}
    assert vault.set_secret("a" * 127, "x" * 25_600, tags=tags).properties.tags == tags


def test_more_than_300_new_versions_in_10_seconds_are_throttled_without_a_hint_when_to_retry(cloud: Cloud) -> None:
    cloud.allow(KEY_VAULT_SECRETS_OFFICER)
    vault = reader(cloud)
    vault.set_secret("pull", VALUE)
    # The counter of the window, not 300 round trips, is what is under test.
    used = ("vault", "kv-test", "300")
    cloud.world.limits._windows[used] = (300, cloud.world.now())
    with pytest.raises(HttpResponseError) as refused:
        vault.set_secret("pull", VALUE)
    assert refused.value.status_code == 429
    assert "Retry-After" not in getattr(refused.value.response, "headers", {"Retry-After": "no response"})
    cloud.advance(seconds=10)
    vault.set_secret("pull", VALUE)


# --- vaults as resources ---


def test_a_vault_is_listed_in_arm(cloud: Cloud) -> None:
    cloud.allow(READER)
    arm = cloud.client("https://management.azure.com")
    assert arm.send("GET", VAULT_ID, api_version="2024-11-01").json()["properties"]["vaultUri"] == f"{URL}/"
    listed = arm.send("GET", f"{VAULT_ID.rpartition('/')[0]}", api_version="2024-11-01").json()
    assert [one["name"] for one in listed["value"]] == ["kv-test"]
