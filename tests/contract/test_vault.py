"""The secret store on the real Key Vault SDK."""

import traceback
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from rotator.azure.identity import ClockedCredential
from rotator.azure.vault import KeyVault
from rotator.clients.clock import SandboxClock
from rotator.clients.network import Network
from rotator.model.errors import (
    ConfigError,
    Conflict,
    Denied,
    Indeterminate,
    NotFound,
    Rejected,
    RemoteError,
    Throttled,
    Unavailable,
)
from rotator.model.estate import TAG_PRINCIPAL
from rotator.model.secret import Secret
from rotator.ports import SecretStore
from rotator.sandbox import Sandbox
from tests.contract.conftest import Sight
from tests.unit.wireserver import serving

URL = "https://kv-demo.vault.azure.net"
Faults = Callable[..., None]


@pytest.fixture(scope="module")
def estate() -> str:
    return "empty"


@pytest.fixture
def vault(credential: ClockedCredential, network: Network, clock: SandboxClock, sight: Sight) -> KeyVault:
    return KeyVault(URL, credential, network, clock, sight.observe)


def test_it_keeps_the_port(vault: KeyVault) -> None:
    store: SecretStore = vault
    assert store.address == URL


def test_what_is_written_is_found_again(vault: KeyVault, clock: SandboxClock) -> None:
    ends_at = (clock.now() + timedelta(days=90)).replace(microsecond=0)
    tags = {TAG_PRINCIPAL: "acr-token:a.azurecr.io/pull", "rotator-handle": "password1@2026-11-01T00:00:00Z"}
    made = vault.write("found-again", Secret("value-of-it"), tags=tags, expires_at=ends_at)
    assert (made.name, made.enabled, made.tags, made.expires_at) == ("found-again", True, tags, ends_at)
    assert vault.look("found-again") == made
    assert vault.read("found-again").reveal() == "value-of-it"
    assert vault.read("found-again", made.version).reveal() == "value-of-it"


def test_what_is_not_there(vault: KeyVault) -> None:
    assert vault.look("never-was") is None
    assert vault.previous("never-was", "0" * 32) is None
    with pytest.raises(NotFound):
        vault.read("never-was")


def test_versions_follow_each_other_in_time_not_in_the_order_of_their_ids(vault: KeyVault, clock: SandboxClock) -> None:
    made = []
    for number in range(4):
        made.append(vault.write("versions", Secret(f"value-{number}-of-it"), tags={}, expires_at=None))
        clock.sleep(timedelta(seconds=2))
    newest = vault.look("versions")
    assert newest is not None
    assert newest.version == made[3].version
    assert vault.previous("versions", made[3].version) == made[2]
    assert vault.previous("versions", made[1].version) == made[0]
    assert vault.previous("versions", made[0].version) is None
    vault.annotate("versions", made[2].version, tags={}, enabled=False)
    previous = vault.previous("versions", made[3].version)
    assert previous is not None
    assert previous.version == made[1].version


def test_two_versions_of_one_second_are_told_apart(vault: KeyVault, sandbox: Sandbox) -> None:
    world = sandbox.world
    for attempt in range(3):
        with world.lock:
            at = world.now()
            first = world.vaults.set_secret("kv-demo", f"tied-{attempt}", "older-value", created_at=at)
            second = world.vaults.set_secret("kv-demo", f"tied-{attempt}", "newer-value", created_at=at)
        assert first != second
        newest = vault.look(f"tied-{attempt}")
        assert newest is not None
        assert newest.version == second.rsplit("/", 1)[-1]


def test_a_disabled_newest_version_is_seen_and_passed_over_when_reading(vault: KeyVault, clock: SandboxClock) -> None:
    old = vault.write("half-disabled", Secret("older-value"), tags={}, expires_at=None)
    clock.sleep(timedelta(seconds=2))
    new = vault.write("half-disabled", Secret("newer-value"), tags={"rotator-rotation": "r1"}, expires_at=None, enabled=False)
    seen = vault.look("half-disabled")
    assert seen is not None
    assert (seen.version, seen.enabled) == (new.version, False)
    assert vault.read("half-disabled").reveal() == "older-value"
    with pytest.raises(Rejected) as raised:
        vault.read("half-disabled", new.version)
    assert raised.value.reason == "SecretDisabled"
    vault.annotate("half-disabled", old.version, tags={}, enabled=False)
    with pytest.raises(Rejected, match="Every version"):
        vault.read("half-disabled")


def test_annotating_changes_tags_and_switch_and_keeps_the_rest(vault: KeyVault, clock: SandboxClock) -> None:
    ends_at = (clock.now() + timedelta(days=30)).replace(microsecond=0)
    made = vault.write("annotated", Secret("value-of-it"), tags={"rotator-a": "1", "rotator-b": "2"}, expires_at=ends_at)
    off = vault.annotate("annotated", made.version, tags={"rotator-a": "3"}, enabled=False)
    assert (off.tags, off.enabled, off.expires_at, off.version) == ({"rotator-a": "3"}, False, ends_at, made.version)
    on = vault.annotate("annotated", made.version, tags={}, enabled=True)
    assert (on.tags, on.enabled, on.expires_at) == ({}, True, ends_at)
    untouched = vault.annotate("annotated", made.version, tags={"x": "y"})
    assert untouched.enabled
    assert vault.read("annotated").reveal() == "value-of-it"


def test_the_inventory_turns_every_page_and_brings_the_newest_tags(vault: KeyVault, sandbox: Sandbox) -> None:
    with sandbox.world.lock:
        for number in range(60):
            sandbox.world.vaults.set_secret("kv-demo", f"many-{number:02}", "value-of-it", tags={"team": "other"})
    ours = vault.write("many-ours", Secret("value-of-it"), tags={TAG_PRINCIPAL: "x"}, expires_at=None)
    listed = {one.name: one for one in vault.inventory()}
    assert sum(name.startswith("many-") for name in listed) == 61
    assert listed["many-ours"] == replace(ours, version=""), "the vault's list names no version"


def test_the_inventory_reads_no_values(vault: KeyVault, sandbox: Sandbox) -> None:
    before = sandbox.world.requests.get("vault.get", 0)
    assert list(vault.inventory())
    assert sandbox.world.requests.get("vault.get", 0) == before


def test_a_deleted_name_says_how_to_get_it_back(vault: KeyVault, sandbox: Sandbox) -> None:
    vault.write("thrown-away", Secret("value-of-it"), tags={}, expires_at=None)
    with sandbox.world.lock:
        kept = sandbox.world.vaults.vault("kv-demo")
        sandbox.world.vaults.delete(kept, kept.secrets["thrown-away"])
    assert vault.look("thrown-away") is None
    with pytest.raises(Conflict) as raised:
        vault.write("thrown-away", Secret("value-of-it"), tags={}, expires_at=None)
    assert "az keyvault secret recover" in raised.value.advice


@pytest.mark.parametrize(
    ("name", "value", "tags"),
    [
        pytest.param("under_score", "v", {}, id="a name with an underscore"),
        pytest.param("n" * 128, "v", {}, id="a name that is too long"),
        pytest.param("name", "v" * (25 * 1024 + 1), {}, id="a value beyond 25 KB"),
        pytest.param("name", "v", {f"t{number}": "x" for number in range(16)}, id="sixteen tags"),
        pytest.param("name", "v", {"t": "x" * 513}, id="a tag value that is too long"),
    ],
)
def test_what_the_vault_would_refuse_is_refused_before_it_is_sent(
    vault: KeyVault, sight: Sight, name: str, value: str, tags: dict[str, str]
) -> None:
    with pytest.raises(Rejected):
        vault.write(name, Secret(value), tags=tags, expires_at=None)
    assert sight.requests == []


def test_the_largest_tags_and_value_are_kept(vault: KeyVault) -> None:
    tags = {f"tag{number:02}" + "k" * 507: "x" * 512 for number in range(15)}
    made = vault.write("largest", Secret("v" * 25 * 1024), tags=tags, expires_at=None)
    assert made.tags == tags


def test_without_a_role_the_exact_action_is_named(nobody: ClockedCredential, network: Network, clock: SandboxClock) -> None:
    vault = KeyVault(URL, nobody, network, clock)
    attempts: list[tuple[Callable[[], object], str]] = [
        (lambda: list(vault.inventory()), "Microsoft.KeyVault/vaults/secrets/readMetadata/action"),
        (lambda: vault.look("x"), "Microsoft.KeyVault/vaults/secrets/readMetadata/action"),
        (lambda: vault.read("x"), "Microsoft.KeyVault/vaults/secrets/getSecret/action"),
        (lambda: vault.write("x", Secret("v"), tags={}, expires_at=None), "Microsoft.KeyVault/vaults/secrets/setSecret/action"),
        (lambda: vault.annotate("x", "0" * 32, tags={}), "Microsoft.KeyVault/vaults/secrets/update/action"),
    ]
    for attempt, action in attempts:
        with pytest.raises(Denied) as raised:
            attempt()
        assert raised.value.needs.startswith(action)
        assert action in raised.value.advice


def test_a_vault_that_is_not_there_is_named(credential: ClockedCredential, sandbox: Sandbox, clock: SandboxClock) -> None:
    nowhere = Network(resolve={"*.vault.azure.net": "127.0.0.1:1", "*": sandbox.address}, ca_file=sandbox.ca_file)
    vault = KeyVault("https://kv-typo.vault.azure.net", credential, nowhere, clock)
    with pytest.raises(Unavailable, match=r"https://kv-typo\.vault\.azure\.net"):
        vault.look("x")


def test_an_address_that_is_no_vault_is_a_mistake_in_the_configuration(
    credential: ClockedCredential, clock: SandboxClock, sandbox: Sandbox, tmp_path: Path
) -> None:
    with serving(tmp_path) as other:
        other.answer(401, www_authenticate='Bearer authorization="https://login.example/t", resource="https://other.example"')
        route = Network(resolve={"*": other.address}, ca_file=other.ca_file)
        with pytest.raises(ConfigError, match="does not answer as a Key Vault"):
            KeyVault("https://management.azure.com", credential, route, clock).look("x")


def test_a_lost_answer_to_a_write_is_indeterminate_and_the_version_is_there(vault: KeyVault, faults: Faults) -> None:
    vault.look("warm-up")  # so that the challenge is known and the first PUT is the write
    faults({"on": "vault.set", "nth": 1, "drop_after": True})
    with pytest.raises(Indeterminate):
        vault.write("lost", Secret("value-of-it"), tags={"rotator-rotation": "r1"}, expires_at=None)
    found = vault.look("lost")
    assert found is not None
    assert found.tags == {"rotator-rotation": "r1"}


def test_half_an_answer_to_a_write_is_indeterminate_too(vault: KeyVault, faults: Faults) -> None:
    vault.look("warm-up")
    faults({"on": "vault.set", "nth": 1, "truncate": True})
    with pytest.raises(Indeterminate):
        vault.write("halved", Secret("value-of-it"), tags={}, expires_at=None)


@pytest.mark.parametrize("how", [{"drop_after": True}, {"drop_before": True}, {"truncate": True}, {"status": 500}])
def test_reading_goes_on_after_a_failure(vault: KeyVault, faults: Faults, how: dict[str, object]) -> None:
    vault.write("goes-on", Secret("value-of-it"), tags={"rotator-a": "1"}, expires_at=None)
    faults({"on": "vault.*", "nth": 1, **how})
    assert vault.read("goes-on").reveal() == "value-of-it"
    faults({"on": "vault.*", "nth": 2, **how})
    assert any(one.name == "goes-on" for one in vault.inventory())
    faults({"on": "vault.update", "nth": 1, **how})
    current = vault.look("goes-on")
    assert current is not None
    assert vault.annotate("goes-on", current.version, tags={"rotator-a": "2"}).tags == {"rotator-a": "2"}


def test_throttles_are_waited_out_on_our_clock_and_each_is_seen(
    vault: KeyVault, faults: Faults, clock: SandboxClock, sight: Sight
) -> None:
    faults({"on": "vault.listVersions", "status": 429, "code": "Throttled", "retry_after": 20, "every": 1})
    started_at: datetime = clock.now()
    with pytest.raises(Throttled):
        vault.look("x")
    assert clock.now() - started_at >= timedelta(seconds=100)
    assert sight.codes("key-vault", "list-versions").count("429") == 6
    faults({"on": "vault.set", "nth": 1, "status": 503})
    assert vault.write("after-all", Secret("value-of-it"), tags={}, expires_at=None).enabled


def test_no_value_is_in_any_error_of_a_write(vault: KeyVault, faults: Faults, sandbox: Sandbox) -> None:
    value = sandbox.world.text(30)
    rules: list[dict[str, object]] = [
        {"status": 400, "message": f"bad value {value}"},
        {"status": 403, "message": f"bad value {value}"},
        {"drop_after": True},
        {"drop_before": True},
    ]
    for rule in rules:
        faults({"on": "vault.set", **rule})
        with pytest.raises(RemoteError) as raised:
            vault.write("sentinel", Secret(value), tags={}, expires_at=None)
        assert value not in "".join(traceback.format_exception(raised.value))
