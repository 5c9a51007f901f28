"""Container groups: read, put again without a loss, restarted, watched."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from azure.core.credentials import AccessToken

from rotator.azure.containergroups import ContainerGroups, Waits
from rotator.azure.groupbody import read_group
from rotator.azure.groupclient import GroupClient
from rotator.azure.pacing import WritePacer
from rotator.clients.arm import Arm
from rotator.clients.network import Network
from rotator.model.errors import Conflict, Denied, Held, Indeterminate, NotFound, Rejected
from rotator.model.group import ContainerGroup, GroupState, WriteOnlyField, registry_password
from rotator.model.secret import Secret
from tests.contract.groups.conftest import ARM, Cloud
from tests.unit.wireserver import ShownClock, serving


def dumps(document: object) -> bytes:
    return json.dumps(document).encode()


class FixedToken:
    def get_token(self, *scopes: str, **_: object) -> AccessToken:
        return AccessToken("token", 0)


TAGS = {"rotator:contosoplatform.azurecr.io": "rot-1"}


def values(cloud: Cloud, group: ContainerGroup) -> dict[WriteOnlyField, Secret]:
    return {field: cloud.values.fetch(group, field) for field in group.write_only}


def redeploy(cloud: Cloud, name: str, tags: dict[str, str] | None = None) -> None:
    group = cloud.group(name)
    cloud.platform.redeploy(group, values=values(cloud, group), tags=TAGS if tags is None else tags, usernames={})


def report(cloud: Cloud) -> dict[str, object]:
    return cloud.sandbox.oracle.report()


def test_every_group_is_listed_with_its_state(cloud: Cloud) -> None:
    found = [one for each in cloud.sandbox.estate.subscriptions for one in cloud.platform.groups(each)]
    assert {one.name for one in found} == {one.name for one in cloud.sandbox.world.groups.by_id.values()}
    assert len(found) == len({one.id for one in found})
    states = {one.name: one.state for one in found}
    assert GroupState.UNKNOWN not in states.values()
    assert states["worker-b"] is GroupState.STOPPED
    assert states["worker-backfill"] is GroupState.FINISHED
    assert states["web-frontend"] is GroupState.RUNNING


def test_a_listing_holds_few_groups_at_once(start: Callable[..., Cloud]) -> None:
    cloud = start("scale", 300)
    listing: Iterator[ContainerGroup] = cloud.platform.groups(cloud.sandbox.estate.subscriptions[0])
    next(listing)
    assert cloud.requests("aci.groups.get") <= 17
    listing.close()  # type: ignore[attr-defined]
    before = cloud.requests("aci.groups.get")
    assert cloud.requests("aci.groups.get") == before


def test_a_group_whose_state_cannot_be_read_is_listed_as_unknown_and_a_deleted_one_is_not(cloud: Cloud) -> None:
    cloud.break_(on="aci.groups.get", match="web-frontend", status=500)
    first = cloud.sandbox.estate.subscriptions[0]
    states = {one.name: one.state for one in cloud.platform.groups(first)}
    assert states["web-frontend"] is GroupState.UNKNOWN
    cloud.break_(on="aci.groups.get", match="web-frontend", status=404, code="ResourceNotFound")
    assert "web-frontend" not in {one.name for one in cloud.platform.groups(first)}


def test_a_subscription_that_may_not_be_read_is_denied(cloud: Cloud) -> None:
    cloud.break_(on="aci.groups.list", status=403, code="AuthorizationFailed")
    with pytest.raises(Denied, match="list") as caught:
        list(cloud.platform.groups(cloud.sandbox.estate.subscriptions[0]))
    assert caught.value.needs == "Microsoft.ContainerInstance/containerGroups/read"


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("web-frontend", id="secure variables and an init container"),
        pytest.param("web-api", id="a secret volume and zones"),
        pytest.param("web-internal", id="a private network"),
        pytest.param("web-preview", id="a spot group"),
        pytest.param("payments-ledger", id="a file share and a workspace"),
        pytest.param("api-gateway", id="a vault reference"),
        pytest.param("web-identity", id="a managed identity"),
        pytest.param("etl-share", id="a property of the newest api-version"),
        pytest.param("etl-hourly", id="a registry whose login server is not its name"),
        pytest.param("payments-billing", id="a service principal"),
        pytest.param("features-mixed", id="two registries"),
    ],
)
def test_a_group_that_is_put_again_loses_nothing(cloud: Cloud, name: str) -> None:
    redeploy(cloud, name)
    seen = report(cloud)
    assert seen["lost_properties"] == []
    assert list(seen["redeploys"].values()) == [1]  # type: ignore[attr-defined]
    after = cloud.group(name)
    assert after.tags.items() >= TAGS.items()
    assert after.state is GroupState.RUNNING


def test_a_group_with_what_no_version_of_this_program_knows_loses_nothing(cloud: Cloud) -> None:
    stored = cloud.sandbox.world.groups.by_id[cloud.id_of("web-frontend").key]
    stored.document["tags"] |= {"Owner": "x", "ROTATOR:contosoplatform.azurecr.io": "old"}
    stored.document["futureTop"] = {"camelCase": [1, {"deep": True}]}
    inside = stored.document["properties"]
    inside |= {
        "futureSetting": {"a": 1.5},
        "priority": "Regular",
        "dnsConfig": {"nameServers": ["10.0.0.1"], "futureOption": "x"},
    }
    inside["containers"][0]["futureField"] = "x"
    inside["containers"][0]["properties"]["futureField"] = {"b": "y"}
    inside["containers"][0]["properties"]["environmentVariables"].append({"name": "Empty", "value": ""})
    inside["imageRegistryCredentials"][0]["futureField"] = "z"
    stored.shown.clear()
    redeploy(cloud, "web-frontend")
    lost = report(cloud)["lost_properties"]
    assert [one["path"] for one in lost] == ["tags/ROTATOR:contosoplatform.azurecr.io"]  # type: ignore[attr-defined]
    after = stored.document
    assert after["futureTop"] == {"camelCase": [1, {"deep": True}]}
    assert after["properties"]["imageRegistryCredentials"][0]["futureField"] == "z"
    assert [name for name in after["tags"] if name.lower().startswith("rotator:")] == ["rotator:contosoplatform.azurecr.io"]


def test_a_redeploy_is_healthy_soon_and_was_not_before_it(cloud: Cloud) -> None:
    id_ = cloud.id_of("web-frontend")
    since = cloud.clock.now()
    assert not cloud.platform.health(id_, since).healthy
    redeploy(cloud, "web-frontend")
    for _ in range(20):
        health = cloud.platform.health(id_, since)
        if health.healthy:
            break
        assert not health.settled, health.detail
        cloud.clock.sleep(timedelta(seconds=10))
    assert health.healthy, health.detail


def test_a_field_without_a_value_holds_the_redeploy_before_anything_is_sent(cloud: Cloud) -> None:
    group = cloud.group("payments-sealed")
    known = {one: Secret("x") for one in group.write_only if "API_KEY" not in one.path}
    with pytest.raises(Held, match="API_KEY") as caught:
        cloud.platform.redeploy(group, values=known, tags=TAGS, usernames={})
    assert caught.value.missing == ("containers/sealed/environmentVariables/API_KEY/secureValue",)
    assert cloud.requests("aci.groups.put") == 0


def test_what_somebody_changed_since_the_group_was_read_stays_changed(cloud: Cloud) -> None:
    group = cloud.group("web-frontend")
    known = values(cloud, group)
    cloud.platform.tag(group, {"owner": "somebody else"})
    cloud.clock.sleep(timedelta(seconds=3))
    cloud.platform.redeploy(group, values=known, tags=TAGS, usernames={})
    assert cloud.group("web-frontend").tags["owner"] == "somebody else"


def test_a_group_that_was_read_a_moment_ago_is_put_without_reading_it_again(cloud: Cloud) -> None:
    redeploy(cloud, "web-frontend")
    assert cloud.requests("aci.groups.get") == 1
    cloud.clock.sleep(timedelta(minutes=3))
    group = cloud.group("web-frontend")
    known = values(cloud, group)
    cloud.clock.sleep(timedelta(minutes=1))
    cloud.platform.redeploy(group, values=known, tags=TAGS, usernames={})
    assert cloud.requests("aci.groups.get") == 3


@pytest.mark.parametrize(
    "rule",
    [
        pytest.param({"status": 429, "retry_after": 240}, id="a throttle"),
        pytest.param({"status": 503, "code": "ServiceUnavailable"}, id="an outage"),
        pytest.param({"status": 409, "code": "ContainerGroupTransitioning"}, id="another's deployment"),
        pytest.param({"drop_before": True}, id="a request that got lost"),
    ],
)
def test_a_group_is_read_again_before_it_is_put_a_second_time(cloud: Cloud, rule: dict[str, object]) -> None:
    group = cloud.group("web-frontend")
    known = values(cloud, group)
    cloud.break_(on="aci.groups.put", nth=1, **rule)
    sleep = cloud.clock.sleep

    def meanwhile(duration: timedelta) -> None:
        """Somebody tags the group while we wait for the second try."""
        cloud.sandbox.world.groups.by_id[group.id.key].document["tags"]["owner"] = "somebody else"
        cloud.sandbox.world.groups.by_id[group.id.key].shown.clear()
        sleep(max(duration, timedelta(seconds=3)))

    cloud.clock.sleep = meanwhile  # type: ignore[method-assign]
    cloud.platform.redeploy(group, values=known, tags=TAGS, usernames={})
    assert cloud.requests("aci.groups.put") == 2
    assert cloud.group("web-frontend").tags["owner"] == "somebody else"
    assert report(cloud)["lost_properties"] == []


def test_a_group_is_read_again_after_the_queue_for_the_write_limit(cloud: Cloud) -> None:
    group = cloud.group("web-frontend")
    known = values(cloud, group)
    pacer = WritePacer(cloud.clock, per_five_minutes=1)
    region = (group.id.subscription, group.location.lower())
    assert not pacer.claim(region)
    pacer.heed(region, {})
    started_at = cloud.clock.now()
    ContainerGroups(cloud.groups, cloud.arm, cloud.clock, pacer).redeploy(group, values=known, tags=TAGS, usernames={})
    assert cloud.clock.now() - started_at > timedelta(minutes=5)
    assert cloud.requests("aci.groups.get") == 2


def test_a_wrong_password_is_rejected_with_azures_code_and_the_group_stays_as_it_was(cloud: Cloud) -> None:
    group = cloud.group("web-frontend")
    wrong = values(cloud, group)
    wrong[WriteOnlyField("imageRegistryCredentials/contosoplatform.azurecr.io/password")] = Secret("wrong-horse-battery")
    with pytest.raises(Rejected) as caught:
        cloud.platform.redeploy(group, values=wrong, tags=TAGS, usernames={})
    assert caught.value.reason == "InaccessibleImage"
    assert "network rules" in caught.value.advice
    assert "wrong-horse" not in f"{caught.value}{caught.value.__dict__}"
    assert not report(cloud)["lost_properties"]


@pytest.mark.parametrize("fault", ["drop_before", "drop_after"])
def test_a_lost_answer_to_a_put_is_decided_by_the_groups_tag(cloud: Cloud, fault: str) -> None:
    cloud.break_(on="aci.groups.put", nth=1, **{fault: True})
    redeploy(cloud, "web-frontend")
    assert list(report(cloud)["redeploys"].values()) == [1]  # type: ignore[attr-defined]
    assert cloud.group("web-frontend").tags.items() >= TAGS.items()


def test_a_lost_answer_without_a_tag_to_tell_by_is_indeterminate(cloud: Cloud) -> None:
    cloud.break_(on="aci.groups.put", nth=1, drop_after=True)
    with pytest.raises(Indeterminate):
        redeploy(cloud, "web-frontend", tags={})
    assert cloud.requests("aci.groups.put") == 1


@pytest.mark.parametrize("status", [403, 404, 503])
def test_an_operation_that_cannot_be_watched_is_decided_by_the_groups_tag(cloud: Cloud, status: int) -> None:
    """None of these says that nothing changed: 404 would pass for a deleted group, 403 for a refused update."""
    cloud.break_(on="aci.operations.get", status=status)
    redeploy(cloud, "web-frontend")
    assert cloud.requests("aci.groups.put") == 1


def test_a_deployment_that_is_accepted_and_then_fails_is_known_to_have_changed_the_group(tmp_path: Path) -> None:
    path = "/subscriptions/s/resourceGroups/r/providers/Microsoft.ContainerInstance/containerGroups/web"
    container = {"name": "c", "properties": {"image": "demo.azurecr.io/app:1"}}
    entries = [{"server": "demo.azurecr.io", "username": "pull"}]
    body = {"id": path, "location": "here", "properties": {"containers": [container], "imageRegistryCredentials": entries}}
    failed = {"status": "Failed", "error": {"code": "InaccessibleImage", "message": "The image is not accessible."}}
    operation = {"azure-asyncoperation": "https://management.azure.com/operations/1?api-version=2018-06-01"}
    with serving(tmp_path) as wire:
        clock = ShownClock()
        network = Network(resolve={"*": f"127.0.0.1:{wire.port}"}, ca_file=wire.ca_file)
        arm = Arm(FixedToken(), ARM, ARM, network, clock)
        client = GroupClient(FixedToken(), ARM, ARM, network, clock)
        wire.answers = [(200, {}, dumps(body)), (201, operation, dumps(body)), (200, {}, dumps(failed))]
        group = read_group(body, clock.now())
        secret = {registry_password("demo.azurecr.io"): Secret("hunter2-hunter2")}
        with pytest.raises(Indeterminate, match="it failed") as caught:
            ContainerGroups(client, arm, clock, WritePacer(clock)).redeploy(group, values=secret, tags=TAGS, usernames={})
    assert [one.method for one in wire.seen] == ["GET", "PUT", "GET"]
    assert "network rules" in caught.value.advice
    assert "hunter2" not in f"{caught.value}{caught.value.advice}{caught.value.__dict__}"


def test_a_group_in_transition_is_waited_for(cloud: Cloud) -> None:
    cloud.break_(on="aci.groups.put", nth=1, status=409, code="ContainerGroupTransitioning")
    started_at = cloud.clock.now()
    redeploy(cloud, "web-frontend")
    assert cloud.clock.now() - started_at >= timedelta(seconds=10)
    assert cloud.requests("aci.groups.put") == 2


def test_a_group_that_stays_in_transition_is_a_conflict(cloud: Cloud) -> None:
    cloud.break_(on="aci.groups.put", status=409, code="ContainerGroupTransitioning")
    patient = ContainerGroups(
        cloud.groups, cloud.arm, cloud.clock, WritePacer(cloud.clock), waits=Waits(transition=timedelta(minutes=2))
    )
    group = cloud.group("web-frontend")
    with pytest.raises(Conflict):
        patient.redeploy(group, values=values(cloud, group), tags=TAGS, usernames={})
    assert 2 < cloud.requests("aci.groups.put") < 14


def test_a_full_quota_comes_with_advice(cloud: Cloud) -> None:
    cloud.break_(on="aci.groups.put", status=400, code="ContainerGroupQuotaReached")
    with pytest.raises(Rejected) as caught:
        redeploy(cloud, "web-frontend")
    assert caught.value.reason == "ContainerGroupQuotaReached"
    assert "quota" in caught.value.advice


def test_a_restart_pulls_again_and_changes_nothing(cloud: Cloud) -> None:
    since = cloud.clock.now()
    cloud.platform.restart(cloud.id_of("api-gateway"))
    cloud.clock.sleep(timedelta(minutes=2))
    assert cloud.platform.health(cloud.id_of("api-gateway"), since).healthy
    assert report(cloud)["lost_properties"] == []


def test_a_tag_is_added_without_a_restart(cloud: Cloud) -> None:
    group = cloud.group("web-frontend")
    since = cloud.clock.now()
    cloud.platform.tag(group, TAGS)
    assert cloud.group("web-frontend").tags == {**group.tags, **TAGS}
    assert not cloud.platform.health(group.id, since).healthy


def test_a_group_that_is_gone_is_not_found(cloud: Cloud) -> None:
    gone = cloud.id_of("web-frontend")
    missing = type(gone)(f"{gone.text}-gone")
    with pytest.raises(NotFound):
        cloud.platform.read(missing)
    with pytest.raises(NotFound):
        cloud.platform.health(missing, cloud.clock.now())


def test_many_redeploys_stay_within_azures_write_limits(start: Callable[..., Cloud]) -> None:
    cloud = start("scale", 120)
    groups = [one for one in cloud.platform.groups(cloud.sandbox.estate.subscriptions[0]) if one.state is GroupState.RUNNING]
    region = [one for one in groups if one.location == groups[0].location and not cloud.missing(one)]

    def put(group: ContainerGroup) -> None:
        cloud.platform.redeploy(group, values=values(cloud, group), tags=TAGS, usernames={})

    with ThreadPoolExecutor(90) as pool:
        list(pool.map(put, [*region, *region]))
    seen = report(cloud)
    # Two redeploys of one group may meet: then one of them is told to come back, which is a request more.
    assert cloud.requests("aci.groups.put") >= sum(seen["redeploys"].values()) == 2 * len(region) > 110  # type: ignore[attr-defined]
    assert seen["write_limit_violations"] == 0
    assert seen["lost_properties"] == []
