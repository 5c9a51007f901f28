"""The raw ARM client: pages, effects, operations that take their time, and what each failure is called."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from rotator.azure.identity import ClockedCredential
from rotator.clients.arm import Arm
from rotator.clients.clock import SandboxClock
from rotator.clients.network import Network
from rotator.model.errors import Denied, Indeterminate, NotFound, Rejected, RemoteError, Throttled, Unavailable
from rotator.sandbox import Sandbox
from tests.contract.conftest import ARM, Sight
from tests.unit.wireserver import serving

Faults = Callable[..., None]
REGISTRIES = "2025-11-01"
GROUPS = "2025-09-01"


@pytest.fixture(scope="module")
def registry(sandbox: Sandbox) -> str:
    """The id of a registry."""
    return next(one.id for one in sandbox.world.registries.acr.values() if one.name == "contosoplatform")


def groups(arm: Arm, subscription: str) -> list[dict[str, object]]:
    path = f"/subscriptions/{subscription}/providers/Microsoft.ContainerInstance/containerGroups"
    needs = "Microsoft.ContainerInstance/containerGroups/read"
    return list(arm.pages(path, GROUPS, service="container-instances", operation="list-groups", needs=needs))


def test_every_group_is_listed(arm: Arm, sandbox: Sandbox) -> None:
    for subscription in sandbox.estate.subscriptions:
        expected = [one for one in sandbox.world.groups.by_id.values() if f"/{subscription}/" in one.id]
        assert len(groups(arm, subscription)) == len(expected)


@pytest.mark.parametrize(
    "how",
    [
        pytest.param({"status": 429, "code": "TooManyRequests", "retry_after": 7}, id="throttled"),
        pytest.param({"status": 503}, id="unavailable"),
        pytest.param({"status": 502}, id="a gateway that gave up"),
        pytest.param({"drop_before": True}, id="dropped before"),
        pytest.param({"drop_after": True}, id="dropped after"),
        pytest.param({"truncate": True}, id="half an answer"),
    ],
)
def test_a_page_that_fails_is_asked_for_again_and_none_is_missed(
    arm: Arm, sandbox: Sandbox, faults: Faults, how: dict[str, object]
) -> None:
    subscription = sandbox.estate.subscriptions[0]
    whole = [one["id"] for one in groups(arm, subscription)]
    for nth in (1, 2):
        faults({"on": "aci.*", "nth": nth, **how})
        assert [one["id"] for one in groups(arm, subscription)] == whole


@pytest.mark.parametrize(
    ("status", "expected"),
    [(429, Throttled), (503, Unavailable), (500, Unavailable), (403, Denied), (404, NotFound), (400, Rejected)],
)
def test_a_list_that_cannot_be_read_raises_and_is_never_empty(
    arm: Arm, sandbox: Sandbox, faults: Faults, status: int, expected: type[RemoteError]
) -> None:
    faults(
        {"on": "*ontainerGroups*", "status": status, "code": "SomeCode"}, {"on": "aci.*", "status": status, "code": "SomeCode"}
    )
    with pytest.raises(expected):
        groups(arm, sandbox.estate.subscriptions[0])


def test_throttles_are_waited_out_as_long_as_azure_says(
    arm: Arm, registry: str, faults: Faults, clock: SandboxClock, sight: Sight
) -> None:
    faults({"on": "acr.registries.get", "nth": 1, "status": 429, "code": "TooManyRequests", "retry_after": 40})
    started_at = clock.now()
    arm.get(registry, REGISTRIES, service="container-registry", operation="read-registry")
    assert timedelta(seconds=40) <= clock.now() - started_at < timedelta(seconds=50)
    assert sight.codes("container-registry", "read-registry") == ["429", "200"]


def test_denied_names_the_permission_that_is_missing(arm: Arm, registry: str) -> None:
    with pytest.raises(Denied) as raised:
        arm.send(
            "DELETE",
            registry,
            REGISTRIES,
            service="container-registry",
            operation="delete-registry",
            needs="Microsoft.ContainerRegistry/registries/delete",
        )
    assert raised.value.needs == "Microsoft.ContainerRegistry/registries/delete"
    assert "403 AuthorizationFailed" in str(raised.value)
    assert "Microsoft.ContainerRegistry/registries/delete is missing" in str(raised.value)
    assert raised.value.request_id


def test_what_is_not_there_is_not_found(arm: Arm, registry: str) -> None:
    with pytest.raises(NotFound):
        arm.get(f"{registry}-not", REGISTRIES, service="container-registry", operation="read-registry")


def generate(arm: Arm, registry: str, token: str, slot: str = "password2") -> dict[str, object]:
    return arm.run(
        "POST",
        f"{registry}/generateCredentials",
        REGISTRIES,
        {"tokenId": f"{registry}/tokens/{token}", "name": slot},
        service="container-registry",
        operation="generate-credentials",
        needs="Microsoft.ContainerRegistry/registries/generateCredentials/action",
    )


def test_a_post_that_is_done_at_once_ends_with_its_result(arm: Arm, registry: str) -> None:
    passwords = generate(arm, registry, "aci-web-pull")["passwords"]
    assert isinstance(passwords, list)
    assert any(one["name"] == "password2" and one.get("value") for one in passwords)


def switch(arm: Arm, registry: str, token: str, status: str) -> dict[str, object]:
    return arm.run(
        "PATCH",
        f"{registry}/tokens/{token}",
        REGISTRIES,
        {"properties": {"status": status}},
        service="container-registry",
        operation="switch-token",
        needs="Microsoft.ContainerRegistry/registries/tokens/write",
    )


def test_an_operation_that_takes_its_time_ends_with_the_resource(arm: Arm, registry: str, sight: Sight) -> None:
    token = switch(arm, registry, "aci-worker-pull", "enabled")
    assert isinstance(token["properties"], dict)
    assert token["properties"]["provisioningState"] == "Succeeded"
    assert sight.codes("container-registry", "switch-token-poll")


def test_a_lost_answer_to_a_post_is_indeterminate_and_the_post_is_not_repeated(
    arm: Arm, registry: str, faults: Faults, sight: Sight
) -> None:
    faults({"on": "acr.generateCredentials", "nth": 1, "drop_after": True})
    with pytest.raises(Indeterminate):
        generate(arm, registry, "aci-worker-pull")
    assert sight.codes("container-registry", "generate-credentials") == ["unanswered"]


def test_an_operation_that_cannot_be_watched_is_indeterminate(arm: Arm, registry: str, faults: Faults) -> None:
    faults({"on": "acr.operations.get", "status": 500})
    with pytest.raises(Indeterminate, match="could not be watched"):
        switch(arm, registry, "aci-worker-pull", "enabled")


def tagged(arm: Arm, group: str, tags: dict[str, str]) -> dict[str, object]:
    return arm.run(
        "PATCH",
        group,
        GROUPS,
        {"tags": tags},
        service="container-instances",
        operation="tag-group",
        needs="Microsoft.ContainerInstance/containerGroups/write",
    )


def test_a_patch_may_be_repeated_after_a_lost_answer(arm: Arm, sandbox: Sandbox, faults: Faults) -> None:
    group = next(one.id for one in sandbox.world.groups.by_id.values() if one.id.lower().endswith("/worker-a"))
    faults({"on": "*", "match": "worker-a", "nth": 1, "drop_after": True})
    assert tagged(arm, group, {"team": "a"})["tags"] == {"team": "a"}


def test_a_patch_of_a_group_that_is_gone(arm: Arm, sandbox: Sandbox) -> None:
    group = next(iter(sandbox.world.groups.by_id.values())).id
    with pytest.raises(NotFound):
        tagged(arm, f"{group}-gone", {})


def test_every_page_is_turned_and_a_broken_one_asked_for_again(
    credential: ClockedCredential, clock: SandboxClock, tmp_path: Path
) -> None:
    with serving(tmp_path) as wire:
        wire.answer(200, b'{"value": [{"id": 1}], "nextLink": "https://management.azure.com/x?page=2"}')
        wire.answer(200, b'{"value": [{"id": 2}], "nextLink": "https://management')
        wire.answer(200, b'{"value": [{"id": 2}], "nextLink": "https://management.azure.com:443/x?page=3"}')
        wire.answer(429, b"", retry_after="3")
        wire.answer(200, b'{"value": [{"id": 3}]}')
        arm = Arm(credential, ARM, ARM, Network(resolve={"*": wire.address}, ca_file=wire.ca_file), clock)
        items = list(arm.pages("/x", "1", service="arm", operation="list-things", query={"$filter": "a eq 'b'"}))
        assert [one["id"] for one in items] == [1, 2, 3]
        assert [one.path for one in wire.seen] == [
            "/x?%24filter=a+eq+%27b%27&api-version=1", "/x?page=2", "/x?page=2", "/x?page=3", "/x?page=3",
        ]  # fmt: skip


def test_a_link_to_another_host_is_not_followed(credential: ClockedCredential, clock: SandboxClock, tmp_path: Path) -> None:
    with serving(tmp_path) as wire:
        wire.answer(200, b'{"value": [{"id": 1}], "nextLink": "https://other.azurecr.io/steal"}')
        arm = Arm(credential, ARM, ARM, Network(resolve={"*": wire.address}, ca_file=wire.ca_file), clock)
        with pytest.raises(Rejected, match="another host"):
            list(arm.pages("/x", "1", service="arm", operation="list-things"))
        assert [one.host for one in wire.seen] == ["management.azure.com"]


def test_an_answer_that_is_no_list_is_no_empty_list(credential: ClockedCredential, clock: SandboxClock, tmp_path: Path) -> None:
    with serving(tmp_path) as wire:
        arm = Arm(credential, ARM, ARM, Network(resolve={"*": wire.address}, ca_file=wire.ca_file), clock)
        wire.answer(200, b'{"error": {"code": "Hidden"}}')
        with pytest.raises(Rejected, match="no list"):
            list(arm.pages("/x", "1", service="arm", operation="list-things"))
