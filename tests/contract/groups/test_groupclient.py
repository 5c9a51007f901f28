"""The container instance SDK on our transport: what it answers is Azure's own JSON, and it does nothing behind our back."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from azure.core.credentials import AccessToken
from azure.mgmt.containerinstance import models as sdk
from hypothesis import given, settings

from rotator.azure.groupclient import API_VERSION, GroupClient, document_of
from rotator.clients.network import Network
from rotator.model.arm import ArmId
from rotator.model.errors import Conflict, Denied, Indeterminate, NotFound, Rejected, Throttled, Unavailable
from tests.contract.conftest import Sight
from tests.contract.groups.conftest import ARM, Cloud
from tests.unit.test_redeploy import stored_groups
from tests.unit.wireserver import ShownClock, Wire, serving

PROVIDER = "providers/Microsoft.ContainerInstance/containerGroups"
PATH = f"/subscriptions/s/resourceGroups/rg/{PROVIDER}/web"
WEB = ArmId(PATH)
LIMIT = timedelta(minutes=40)

FUTURE: dict[str, Any] = {
    "id": PATH,
    "name": "web",
    "location": "westeurope",
    "zones": ["1"],
    "tags": {"Owner": "x", "futureTag": None},
    "systemData": {"createdAt": "2031-01-01T00:00:00.1234567Z", "futureField": 1},
    "futureTopLevel": {"camelCase": [1, {"snake_case": None}]},
    "identity": {
        "type": "SystemAssigned, UserAssigned",
        "principalId": "p",
        "userAssignedIdentities": {"/Subscriptions/S/x": {"clientId": "c", "futureField": True}},
    },
    "properties": {
        "provisioningState": "FutureState",
        "futureProperty": {"nestedCamel": {"deep": 1.5}},
        "instanceView": {"state": "Running", "events": [{"count": 1, "lastTimestamp": "2031-01-01T00:00:00.7654321Z"}]},
        "containers": [
            {
                "name": "app",
                "futureField": [],
                "properties": {
                    "image": "demo.azurecr.io/app:1",
                    "futureField": "",
                    "environmentVariables": [{"name": "A"}, {"name": "B", "value": ""}, {"name": "C", "futureSecretRef": {}}],
                    "resources": {"requests": {"memoryInGB": 1.5, "cpu": 1, "futureUnit": "x"}, "limits": None},
                    "instanceView": {"restartCount": 0, "currentState": {"startTime": "2031-01-01T00:00:00.1Z"}},
                },
            }
        ],
        "imageRegistryCredentials": [{"server": "demo.azurecr.io", "username": "u", "futureProof": {"kind": "x"}}],
        "volumes": [{"name": "v", "secret": {}}, {"name": "w", "futureKind": {"size": 9007199254740993}}],
        "ipAddress": {"ip": "1.2.3.4", "type": "FutureType", "ports": []},
        "priority": "FuturePriority",
        "extensions": None,
    },
}


class FixedToken:
    def get_token(self, *scopes: str, **_: object) -> AccessToken:
        return AccessToken("token", 0)


@dataclass(frozen=True, kw_only=True)
class Line:
    """A client, the server that it speaks to, and what its observer saw."""

    wire: Wire
    client: GroupClient
    clock: ShownClock
    sight: Sight

    def answer(self, status: int = 200, body: object = None, **headers: str) -> None:
        self.wire.answer(status, b"" if body is None else json.dumps(body).encode(), **headers)

    @property
    def asked(self) -> list[str]:
        return [f"{one.method} {one.path}" for one in self.wire.seen]


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    with serving(tmp_path) as wire:
        clock, sight = ShownClock(), Sight([])
        network = Network(resolve={"*": wire.address}, ca_file=wire.ca_file)
        client = GroupClient(FixedToken(), ARM, ARM, network, clock, sight.observe)
        yield Line(wire=wire, client=client, clock=clock, sight=sight)


def plain(value: object) -> bool:
    """Whether a value is JSON as `json.loads` would give it, down to the last leaf."""
    if type(value) is dict:
        return all(type(key) is str and plain(one) for key, one in value.items())
    if type(value) is list:
        return all(plain(one) for one in value)
    return value is None or type(value) in (str, int, float, bool)


# --- nothing is lost on the way in ---


def test_properties_of_an_api_version_to_come_survive_get_and_list_under_the_names_of_the_wire(line: Line) -> None:
    line.answer(body=FUTURE)
    line.answer(body={"value": [FUTURE, {**FUTURE, "name": "second"}]})
    got = line.client.get(WEB)
    listed = list(line.client.listed("s"))
    assert got == FUTURE
    assert listed == [FUTURE, {**FUTURE, "name": "second"}]
    assert plain(got)
    assert plain(listed)


@given(stored_groups)
@settings(max_examples=150, deadline=None)
def test_the_sdks_model_of_any_group_turns_back_into_the_groups_json(group: dict[str, Any]) -> None:
    told = document_of(sdk.ContainerGroup(group))
    assert told == group
    assert plain(told)
    assert document_of(group) == group, "the SDK may hand out what was on the wire"


def test_a_group_of_the_sandbox_reads_the_same_through_the_sdk_and_as_raw_json(cloud: Cloud) -> None:
    home = cloud.sandbox.estate.subscriptions[0]
    raw = cloud.arm.pages(f"/subscriptions/{home}/{PROVIDER}", API_VERSION, service="container-instances", operation="list")
    listed = list(cloud.groups.listed(home))
    assert len(listed) > 10
    assert listed == list(raw)
    for one in listed[:3]:
        id_ = ArmId(one["id"])
        assert cloud.groups.get(id_) == cloud.arm.get(id_.text, API_VERSION, service="container-instances", operation="read")


# --- what is sent ---


def test_every_request_names_our_api_version_also_on_the_pages_that_azure_links_to(line: Line) -> None:
    line.answer(
        body={"value": [FUTURE], "nextLink": f"{ARM}/subscriptions/s/{PROVIDER}?api-version=2018-10-01&$skiptoken=a%2Bb%3D%26c"}
    )
    line.answer(body={"value": []})
    line.answer(body=FUTURE)
    line.answer(body=FUTURE)
    line.answer(204)
    list(line.client.listed("s"))
    line.client.get(WEB)
    line.client.update_tags(WEB, {"a": "b"})
    line.client.restart(WEB, LIMIT)
    assert line.asked == [
        f"GET /subscriptions/s/{PROVIDER}?api-version={API_VERSION}",
        f"GET /subscriptions/s/{PROVIDER}?api-version={API_VERSION}&$skiptoken=a%2Bb%3D%26c",
        f"GET {PATH}?api-version={API_VERSION}",
        f"PATCH {PATH}?api-version={API_VERSION}",
        f"POST {PATH}/restart?api-version={API_VERSION}",
    ]
    assert json.loads(line.wire.seen[3].body) == {"tags": {"a": "b"}}
    assert all(one.authorization == "Bearer token" for one in line.wire.seen)


def test_requests_are_counted_under_our_names(line: Line) -> None:
    line.answer(body={"value": []})
    line.answer(body=FUTURE)
    line.answer(body=FUTURE)
    line.answer(204, location=f"{ARM}/subscriptions/s/operationResults/1?api-version=2018-06-01")
    line.answer(200)
    list(line.client.listed("s"))
    line.client.get(WEB)
    line.client.update_tags(WEB, {})
    line.client.restart(WEB, LIMIT)
    named = [("list", "200"), ("read", "200"), ("tag", "200"), ("restart", "204"), ("restart-poll", "200")]
    assert line.sight.requests == [("container-instances", operation, code) for operation, code in named]


# --- what goes wrong ---

CALLS: dict[str, Callable[[GroupClient], object]] = {
    "list": lambda client: list(client.listed("s")),
    "read": lambda client: client.get(WEB),
    "tag": lambda client: client.update_tags(WEB, {}),
    "restart": lambda client: client.restart(WEB, LIMIT),
}
calls = pytest.mark.parametrize("call", CALLS)


@calls
def test_a_throttle_is_waited_out_on_our_clock_and_by_nobody_else(line: Line, call: str) -> None:
    line.answer(429, {"error": {"code": "TooManyRequests"}}, retry_after="17")
    line.answer(204 if call == "restart" else 200, None if call == "restart" else {**FUTURE, "value": []})
    CALLS[call](line.client)
    assert len(line.wire.seen) == 2
    assert len(line.clock.slept) == 1
    assert timedelta(seconds=17) <= line.clock.slept[0] < timedelta(seconds=18)


@calls
@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (403, "AuthorizationFailed", Denied),
        (404, "ResourceNotFound", NotFound),
        (409, "ContainerGroupTransitioning", Conflict),
        (400, "InaccessibleImage", Rejected),
    ],
)
def test_a_refusal_is_ours_and_named(line: Line, call: str, status: int, code: str, error: type[Exception]) -> None:
    line.answer(status, {"error": {"code": code, "message": "No."}}, x_ms_request_id="r-1")
    with pytest.raises(error, match=f"{status} {code} to {call}") as caught:
        CALLS[call](line.client)
    assert (caught.value.api, caught.value.operation) == ("container-instances", call)  # type: ignore[attr-defined]
    assert caught.value.request_id == "r-1"  # type: ignore[attr-defined]
    assert len(line.wire.seen) == 1


@calls
def test_an_outage_that_stays_is_tried_six_times_and_no_more(line: Line, call: str) -> None:
    for _ in range(20):
        line.answer(503, {"error": {"code": "ServiceUnavailable"}})
    with pytest.raises(Unavailable):
        CALLS[call](line.client)
    assert len(line.wire.seen) == 6


@calls
def test_a_lost_answer_is_indeterminate_only_where_it_matters(line: Line, call: str) -> None:
    line.wire.lose = True
    with pytest.raises(Indeterminate if call == "restart" else Unavailable):
        CALLS[call](line.client)
    assert len(line.wire.seen) == (1 if call == "restart" else 6)


@pytest.mark.parametrize(
    "body",
    [{}, {"value": None}, {"value": {"a": 1}}, {"value": ["x"]}, {"error": {"code": "x"}}, [], "value"],
    ids=json.dumps,
)
def test_an_answer_that_is_no_list_never_passes_for_an_empty_one(line: Line, body: object) -> None:
    for _ in range(6):
        line.answer(body=body)
    with pytest.raises(Unavailable, match="could not be read"):
        list(line.client.listed("s"))


def test_a_list_that_breaks_off_raises_after_its_first_page(line: Line) -> None:
    line.answer(body={"value": [FUTURE], "nextLink": f"{ARM}/subscriptions/s/{PROVIDER}?$skiptoken=1"})
    line.answer(403, {"error": {"code": "AuthorizationFailed"}})
    listing = line.client.listed("s")
    assert next(listing) == FUTURE
    with pytest.raises(Denied):
        next(listing)


@pytest.mark.parametrize("body", [[], "x", None, 5], ids=str)
def test_a_group_that_is_no_object_is_not_read(line: Line, body: object) -> None:
    for _ in range(6):
        line.wire.answer(200, json.dumps(body).encode())
    with pytest.raises(Unavailable):
        line.client.get(WEB)


@pytest.mark.parametrize("link", ["https://evil.azurecr.io/next", "http://management.azure.com/next", f"{ARM}:8443/next"])
def test_a_link_to_another_place_is_not_followed_with_our_token(line: Line, link: str) -> None:
    line.answer(body={"value": [], "nextLink": link})
    with pytest.raises(Rejected) as caught:
        list(line.client.listed("s"))
    assert caught.value.reason == "foreign-link"
    line.answer(204, location=link)
    with pytest.raises(Indeterminate):
        line.client.restart(WEB, LIMIT)
    assert len(line.wire.seen) == 2


# --- restarts ---

RESULT = f"{ARM}/subscriptions/s/operationResults/1?api-version=2018-06-01&t=1&h=sig"


@pytest.mark.parametrize("status", [200, 202, 204])
def test_a_restart_is_watched_to_its_end_whatever_success_azure_calls_it(line: Line, status: int) -> None:
    line.answer(status, location=RESULT, **{"Azure_AsyncOperation": RESULT} if status == 200 else {})
    running = {"status": "InProgress"} if status == 200 else None
    line.answer(200 if status == 200 else 202, running, location=RESULT, retry_after="3")
    line.answer(200, {"status": "Succeeded"})
    line.answer(200, {})
    line.client.restart(WEB, LIMIT)
    assert line.asked[1] == line.asked[2] == f"GET {RESULT.removeprefix(ARM)}"
    assert line.clock.slept[1] == timedelta(seconds=3)


def test_a_restart_that_fails_later_is_rejected_with_azures_code(line: Line) -> None:
    line.answer(204, location=RESULT)
    line.answer(200, {"status": "Failed", "error": {"code": "InaccessibleImage", "message": "The image is not accessible."}})
    with pytest.raises(Rejected) as caught:
        line.client.restart(WEB, LIMIT)
    assert caught.value.reason == "InaccessibleImage"


@pytest.mark.parametrize("status", [401, 403, 404, 400, 503])
def test_a_restart_that_was_accepted_is_never_taken_for_one_that_was_refused(line: Line, status: int) -> None:
    line.answer(204, location=RESULT)
    for _ in range(6):
        line.answer(status, {"error": {"code": "ResourceNotFound" if status == 404 else "SomeCode"}})
    with pytest.raises(Indeterminate, match="could not be watched"):
        line.client.restart(WEB, LIMIT)


def test_a_restart_that_cannot_be_watched_or_does_not_end_is_indeterminate(line: Line) -> None:
    line.answer(204, location=RESULT)
    for _ in range(6):
        line.answer(503, {})
    with pytest.raises(Indeterminate):
        line.client.restart(WEB, LIMIT)
    line.answer(204, location=RESULT)
    for _ in range(30):
        line.answer(202, location=RESULT, retry_after="60")
    with pytest.raises(Indeterminate, match="not over yet"):
        line.client.restart(WEB, timedelta(minutes=5))


def test_a_throttle_that_asks_for_too_long_is_left_to_the_next_run(line: Line) -> None:
    line.answer(429, {}, retry_after="3600")
    with pytest.raises(Throttled):
        line.client.get(WEB)
    assert not line.clock.slept


def test_the_help_text_loads_no_sdk() -> None:
    code = """
import atexit, sys
sys.argv = ["rotator", "--help"]
from rotator.cli.app import main
atexit.register(lambda: print([name for name in sys.modules if name.startswith(("azure", "boto"))]))
main()
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert said.stdout.rstrip().endswith("[]")
