"""What the containers of an emulated group have written: a start, heartbeats and an end, by the world's clock."""

import httpx
import pytest
from azure.mgmt.containerinstance import ContainerInstanceManagementClient

from rotator.sandbox import Sandbox
from rotator.sandbox.clouds.arm.roles import ACR_PULL
from rotator.sandbox.faults import FaultPlan
from tests.sandbox.conftest import Run
from tests.sandbox.owner import Owner, group_body, home, sdk_options
from tests.sandbox.test_containergroups import IMAGE, admin_entry, path, public


def logs(owner: Owner, *, container: str = "main", version: str = "2025-09-01", **query: object) -> httpx.Response:
    asked = "".join(f"&{name}={value}" for name, value in query.items())
    return owner.call("GET", f"{path(owner.sandbox)}/containers/{container}/logs?api-version={version}{asked}")


def lines(owner: Owner, *, container: str = "main", version: str = "2025-09-01", **query: object) -> list[str]:
    response = logs(owner, container=container, version=version, **query)
    assert response.status_code == 200, response.text
    assert response.json().keys() == {"content"}
    content: str = response.json()["content"]
    return content.splitlines()


def later(owner: Owner, seconds: float) -> None:
    """Let time pass; the owner logs in again, whose token may have ended meanwhile."""
    owner.sandbox.world.clock.advance(seconds)
    owner.token = owner.sandbox.world.entra.issue_token(owner.principal_id, "https://management.azure.com")


def code(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


def put(owner: Owner, **properties: object) -> None:
    assert owner.call("PUT", path(owner.sandbox), group_body("nginx:1.27", **properties)).status_code == 201


def test_a_running_container_has_said_that_it_started_and_that_it_lives(quiet: Sandbox) -> None:
    owner = public(quiet)
    put(owner)
    assert lines(owner) == ["Started nginx:1.27."]
    later(owner, 25 * 60)
    assert lines(owner) == ["Started nginx:1.27.", "Alive for 10 minutes.", "Alive for 20 minutes."]
    assert lines(owner, version="2018-10-01", container="MAIN") == lines(owner)


def test_tail_and_timestamps_are_heeded_by_the_real_sdk(run: Run) -> None:
    sandbox = run()
    owner = public(sandbox)
    put(owner)
    later(owner, 25 * 60)
    client = ContainerInstanceManagementClient(**sdk_options(owner))
    shown = client.containers.list_logs("rg-main", "app", "main", tail=2, timestamps=True).content
    assert shown == "2026-11-02T09:10:00Z Alive for 10 minutes.\n2026-11-02T09:20:00Z Alive for 20 minutes.\n"
    assert len(lines(owner, tail=100)) == 3


@pytest.mark.parametrize("tail", ["0", "-1", "two", "9" * 5000])
def test_a_tail_that_is_no_positive_number_is_refused(quiet: Sandbox, tail: str) -> None:
    owner = public(quiet)
    put(owner)
    assert code(logs(owner, tail=tail)) == (400, "InvalidParameter")


def test_a_log_keeps_its_last_thousand_lines(quiet: Sandbox) -> None:
    owner = public(quiet)
    put(owner)
    later(owner, 90 * 24 * 3600)
    found = lines(owner)
    assert (len(found), found[-1]) == (1000, "Alive for 129600 minutes.")
    assert lines(owner, tail=5000) == found


def test_before_the_start_there_is_no_log_and_a_restart_begins_another(run: Run) -> None:
    sandbox = run(manners="azure")
    owner = public(sandbox)
    put(owner)
    refused = logs(owner)
    assert code(refused) == (404, "ContainerLogNotAvailable")
    assert "'main' in container group 'app' is not available yet" in refused.json()["error"]["message"]
    later(owner, 3600)
    assert len(lines(owner)) > 3
    assert owner.call("POST", f"{path(sandbox)}/restart").status_code == 204
    assert code(logs(owner)) == (404, "ContainerLogNotAvailable")
    later(owner, 60)
    assert lines(owner) == ["Started nginx:1.27."]


def test_what_never_pulled_has_no_log(quiet: Sandbox) -> None:
    quiet.world.faults = FaultPlan.parse([{"on": "aci.groups.put", "outcome": "pull-back-off"}])
    owner = public(quiet)
    put(owner)
    later(owner, 7200)
    assert code(logs(owner)) == (404, "ContainerLogNotAvailable")


def test_the_log_of_a_stopped_group_ends_with_the_stop(quiet: Sandbox) -> None:
    owner = public(quiet)
    put(owner)
    later(owner, 15 * 60)
    assert owner.call("POST", f"{path(quiet)}/stop").status_code == 204
    later(owner, 3600)
    assert lines(owner) == ["Started nginx:1.27.", "Alive for 10 minutes.", "Ended with exit code 0."]


def test_the_log_of_a_job_and_of_what_runs_before_it_ends_by_itself(quiet: Sandbox) -> None:
    owner = public(quiet)
    put(owner, restartPolicy="Never", initContainers=[{"name": "first", "properties": {"image": "busybox:1"}}])
    later(owner, 3600)
    assert lines(owner) == ["Started nginx:1.27.", "Ended with exit code 0."]
    assert lines(owner, container="first") == ["Started busybox:1.", "Ended with exit code 0."]


def test_the_log_of_a_crash_loop_is_that_of_its_last_try(quiet: Sandbox) -> None:
    quiet.world.faults = FaultPlan.parse([{"on": "aci.groups.put", "outcome": "crash-loop"}])
    owner = public(quiet)
    put(owner)
    later(owner, 3600)
    found = lines(owner, timestamps="true")
    state = owner.get(path(quiet))["properties"]["containers"][0]["properties"]["instanceView"]["previousState"]
    assert found == [f"{state['startTime']} Started nginx:1.27.", f"{state['finishTime']} Ended with exit code 1."]


def test_an_unknown_container_or_group_is_not_found(quiet: Sandbox) -> None:
    owner = public(quiet)
    assert code(logs(owner)) == (404, "ResourceNotFound")
    put(owner)
    assert code(logs(owner, container="other")) == (404, "ContainerNotFound")


def test_who_may_not_read_groups_may_not_read_logs(quiet: Sandbox) -> None:
    owner = public(quiet)
    put(owner)
    stranger = quiet.world.guid()
    principal = quiet.world.graph.add_application(stranger, "stranger").object_id
    quiet.world.arm.assign(principal, ACR_PULL, home(quiet))
    owner.token = quiet.world.entra.issue_token(principal, "https://management.azure.com")
    assert code(logs(owner)) == (403, "AuthorizationFailed")


def test_no_secret_is_written(quiet: Sandbox) -> None:
    owner, held = Owner(quiet), admin_entry(quiet)
    body = group_body(IMAGE, imageRegistryCredentials=[held])
    body["properties"]["containers"][0]["properties"]["environmentVariables"] = [
        {"name": "KEY", "secureValue": "the-secure-value"}
    ]
    assert owner.call("PUT", path(quiet), body).status_code == 201
    later(owner, 7200)
    text = logs(owner, timestamps="true").text
    assert IMAGE in text
    assert held["password"] not in text
    assert "the-secure-value" not in text
