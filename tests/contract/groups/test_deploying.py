"""A whole document put as a group: what is asked of the adapter when the wire, Azure or somebody else gets in the way."""

import copy
from datetime import timedelta
from typing import Any

import pytest

from rotator.azure.redeploy import writable
from rotator.deployment.slots import slots_of
from rotator.model.errors import Conflict, Held, Indeterminate, NotFound, Rejected, Throttled
from rotator.model.secret import Secret
from tests.contract.groups.conftest import Cloud

NAME = "web-frontend"


class Put:
    """One document for a group, its values, and the checks that were made before it was sent."""

    def __init__(self, cloud: Cloud, name: str = NAME, *, new: str = "") -> None:
        self.cloud, group = cloud, cloud.group(name)
        self.id = type(group.id)(f"{group.id.text}-{new}") if new else group.id
        self.document: dict[str, Any] = writable(group.body)
        self.document["tags"] = {**self.document.get("tags", {}), "rotator:deployed": f"now {new}"}
        self.values = {one.at: cloud.values.fetch(group, one.field) for one in slots_of(self.document)}
        self.checks = 0
        self.refusal: Exception | None = None

    def check(self) -> None:
        self.checks += 1
        if self.refusal and self.checks > 1:
            raise self.refusal

    def __call__(self) -> None:
        before = copy.deepcopy(self.document)
        self.cloud.platform.deploy(self.id, self.document, values=self.values, check=self.check)
        assert self.document == before, "the caller's document holds no secret afterwards"

    @property
    def puts(self) -> int:
        return self.cloud.requests("aci.groups.put")

    def arrived(self) -> bool:
        mark: str = self.document["tags"]["rotator:deployed"]
        return self.cloud.platform.read(self.id).tags.get("rotator:deployed") == mark


@pytest.fixture
def put(cloud: Cloud) -> Put:
    return Put(cloud)


def lost(cloud: Cloud) -> object:
    return cloud.sandbox.oracle.report()["lost_properties"]


def test_a_document_is_put_whole_and_loses_nothing(put: Put) -> None:
    put()
    assert (put.puts, put.checks, put.arrived()) == (1, 1, True)
    assert lost(put.cloud) == []


def test_a_new_group_is_made(cloud: Cloud) -> None:
    put = Put(cloud, new="made")
    put()
    assert put.arrived()
    assert (put.puts, put.checks) == (1, 1)


@pytest.mark.parametrize("new", ["", "made"], ids=["an update", "a new group"])
@pytest.mark.parametrize(("fault", "puts"), [("drop_before", 2), ("drop_after", 1)])
def test_a_put_without_an_answer_is_settled_by_looking_at_the_group(cloud: Cloud, fault: str, puts: int, new: str) -> None:
    put = Put(cloud, new=new)
    cloud.break_(on="aci.groups.put", nth=1, **{fault: True})
    put()
    assert put.arrived()
    assert put.puts == put.checks == puts
    assert lost(cloud) == []


def test_a_put_that_answers_with_half_a_body_is_settled_by_looking_at_the_group(put: Put) -> None:
    put.cloud.break_(on="aci.groups.put", nth=1, truncate=True)
    put()
    assert put.arrived()
    assert put.puts == 1


@pytest.mark.parametrize("status", [403, 404, 503])
def test_an_operation_that_cannot_be_watched_is_settled_by_looking_at_the_group(put: Put, status: int) -> None:
    put.cloud.break_(on="aci.operations.get", status=status)
    put()
    assert put.arrived()
    assert put.puts == 1


@pytest.mark.parametrize(
    "rule",
    [
        pytest.param({"status": 429, "retry_after": 240}, id="a throttle"),
        pytest.param({"status": 503, "code": "ServiceUnavailable"}, id="an outage"),
        pytest.param({"status": 409, "code": "ContainerGroupTransitioning"}, id="another's deployment"),
        pytest.param({"status": 412, "code": "PreconditionFailed"}, id="a condition that failed"),
        pytest.param({"drop_before": True}, id="a request that got lost"),
    ],
)
def test_the_group_is_checked_again_before_it_is_put_a_second_time(put: Put, rule: dict[str, object]) -> None:
    put.cloud.break_(on="aci.groups.put", nth=1, **rule)
    put.refusal = Held("somebody changed it")
    with pytest.raises(Held):
        put()
    assert (put.puts, put.checks) == (1, 2)
    assert not put.arrived()


def test_a_throttle_is_waited_for_as_long_as_azure_asks(put: Put) -> None:
    put.cloud.break_(on="aci.groups.put", nth=1, status=429, retry_after=240)
    started_at = put.cloud.clock.now()
    put()
    assert put.cloud.clock.now() - started_at >= timedelta(seconds=240)
    assert put.arrived()


def test_a_throttle_that_asks_for_hours_ends_the_deployment(put: Put) -> None:
    put.cloud.break_(on="aci.groups.put", status=429, retry_after=7200)
    with pytest.raises(Throttled):
        put()
    assert put.puts == 1


def test_an_operation_that_fails_is_told_apart_from_one_that_was_refused(put: Put) -> None:
    put.cloud.break_(on="aci.groups.put", outcome="operation-failed")
    with pytest.raises(Indeterminate, match="it failed"):
        put()
    assert put.arrived(), "Azure keeps the document of a deployment that failed"


@pytest.mark.parametrize(
    ("rule", "error"),
    [
        ({"status": 400, "code": "InaccessibleImage"}, Rejected),
        ({"status": 404, "code": "ResourceGroupNotFound"}, NotFound),
    ],
)
def test_a_refusal_changes_nothing(put: Put, rule: dict[str, object], error: type[Exception]) -> None:
    put.cloud.break_(on="aci.groups.put", **rule)
    with pytest.raises(error) as caught:
        put()
    assert put.puts == 1
    assert not put.arrived()
    assert getattr(caught.value, "reason", "") == rule["code"]


def test_a_group_that_stays_in_transition_is_a_conflict_in_the_end(put: Put) -> None:
    put.cloud.break_(on="aci.groups.put", status=409, code="ContainerGroupTransitioning")
    with pytest.raises(Conflict):
        put()
    assert put.puts == put.checks > 10


def test_a_wrong_password_is_refused_and_never_quoted(put: Put) -> None:
    wrong = Secret("wrong-horse-battery")
    put.values = {path: wrong if path[-1] == "password" else value for path, value in put.values.items()}
    with pytest.raises(Rejected) as caught:
        put()
    assert caught.value.reason == "InaccessibleImage"
    assert "wrong-horse" not in f"{caught.value}{caught.value.__dict__}"
