"""Deployments that Azure accepts and that go wrong afterwards, as the fault plan orders them."""

import json
from datetime import timedelta

import httpx
import pytest

from rotator.sandbox import FaultPlan, Sandbox
from rotator.sandbox.clouds.registries.records import PlainRegistry
from rotator.sandbox.wire import Document
from tests.sandbox.conftest import Run
from tests.sandbox.owner import Owner, group_body, home, trust

KIND = "providers/Microsoft.ContainerInstance/containerGroups"


class Deployed:
    """A group that is put while a fault rule is in force."""

    def __init__(self, sandbox: Sandbox, *, policy: str = "Always", put: bool = True, **rule: object) -> None:
        self.sandbox, self.owner = sandbox, Owner(sandbox)
        sandbox.world.registries.add_plain(PlainRegistry(host="docker.io", kind="bearer", public=("library/*",)))
        self.path = f"{home(sandbox)}/{KIND}/app"
        self.body = group_body(restartPolicy=policy)
        if put:
            sandbox.world.faults = FaultPlan.parse([{"on": "aci.groups.*", **rule}])
            self.operation = self.put()

    def put(self) -> str:
        answer = self.owner.call("PUT", self.path, self.body)
        assert answer.status_code in (200, 201), answer.text
        return answer.headers["azure-asyncoperation"].removeprefix("https://management.azure.com")

    def status(self) -> Document:
        return self.owner.get(self.operation)

    def look(self) -> tuple[str, str, Document]:
        """Return the provisioning state, the group's state, and the container's instance view."""
        shown = self.owner.get(self.path)["properties"]
        return shown["provisioningState"], shown["instanceView"]["state"], shown["containers"][0]["properties"]["instanceView"]

    def later(self, **span: float) -> None:
        self.sandbox.world.clock.advance(timedelta(**span).total_seconds())
        self.owner = Owner(self.sandbox)  # with a token that has not ended meanwhile


def events(view: Document) -> dict[str, int]:
    return {event["name"]: event["count"] for event in view["events"]}


def test_a_crash_loop_looks_as_it_does_in_azure(quiet: Sandbox) -> None:
    app = Deployed(quiet, outcome="crash-loop")
    app.later(seconds=3)
    assert app.status()["status"] == "Succeeded"
    provisioning, state, view = app.look()
    assert (provisioning, state) == ("Succeeded", "Running")
    assert view["currentState"] == {"state": "Waiting", "detailStatus": "CrashLoopBackOff: Back-off restarting failed"}
    assert (view["previousState"]["exitCode"], view["restartCount"]) == (1, 0)
    assert events(view) == {"Pulling": 1, "Pulled": 1, "Created": 1, "Started": 1, "BackOff": 1}
    app.later(days=30)
    view = app.look()[2]
    # 10, 20, 40, 80, 160 and from then on 300 seconds between two starts.
    assert view["restartCount"] == pytest.approx(30 * 86400 / 300, rel=0.01)
    assert quiet.oracle.report()["troubled"] == [{"group": app.path.lower(), "outcome": "crash-loop"}]


def test_a_job_that_crashes_is_not_started_again(quiet: Sandbox) -> None:
    app = Deployed(quiet, policy="Never", outcome="crash-loop")
    app.later(seconds=3)
    provisioning, state, view = app.look()
    assert (provisioning, state, view["currentState"]["exitCode"]) == ("Succeeded", "Failed", 1)


def test_a_pull_that_fails_late_is_given_up_after_half_an_hour(quiet: Sandbox) -> None:
    app = Deployed(quiet, outcome="pull-back-off")
    app.later(minutes=29)
    assert app.status()["status"] == "Pending"
    provisioning, state, view = app.look()
    assert (provisioning, state, view["currentState"]["state"]) == ("Pending", "Pending", "Waiting")
    assert view["currentState"]["detailStatus"].startswith("ImagePullBackOff")
    assert [(event["name"], event["type"]) for event in view["events"]] == [
        ("Pulling", "Normal"), ("Failed", "Warning"), ("BackOff", "Normal")
    ]  # fmt: skip
    assert app.owner.call("PUT", app.path, app.body).json()["error"]["code"] == "ContainerGroupTransitioning"
    app.later(minutes=2)
    status = app.status()
    assert (status["status"], status["error"]["code"]) == ("Failed", "InaccessibleImage")
    assert app.look()[:2] == ("Failed", "Pending")


def test_an_operation_fails_with_the_code_of_the_rule(quiet: Sandbox) -> None:
    app = Deployed(quiet, outcome="operation-failed", code="ServiceUnavailable", message="No capacity in this region.")
    assert app.status()["error"] == {"code": "ServiceUnavailable", "message": "No capacity in this region."}
    assert app.look()[:2] == ("Failed", "Pending")
    quiet.world.faults = FaultPlan()
    app.put()
    assert app.look()[:2] == ("Succeeded", "Running")
    assert quiet.oracle.report()["troubled"] == []


def test_an_operation_that_never_ends_keeps_the_group_in_transition(quiet: Sandbox) -> None:
    app = Deployed(quiet, outcome="never-ends")
    app.later(days=30)
    assert app.status()["status"] == "Pending"
    assert app.look()[:2] == ("Pending", "Pending")
    assert app.owner.call("POST", f"{app.path}/restart").status_code == 409


def test_a_restart_can_go_wrong_too(quiet: Sandbox) -> None:
    app = Deployed(quiet, put=False)
    app.put()
    quiet.world.faults = FaultPlan.parse([{"on": "aci.groups.restart", "outcome": "pull-back-off"}])
    answer = app.owner.call("POST", f"{app.path}/restart")
    location = answer.headers["location"].removeprefix("https://management.azure.com")
    assert app.owner.call("GET", location).status_code == 202
    app.later(minutes=31)
    failed = app.owner.call("GET", location)
    assert (failed.status_code, failed.json()["error"]["code"]) == (400, "InaccessibleImage")


@pytest.mark.parametrize(
    ("match", "state"), {"containerGroups/a*": "Failed", "containerGroups/b*": "Succeeded", "/app": "Failed"}.items()
)
def test_a_rule_may_be_about_some_groups_only(quiet: Sandbox, match: str, state: str) -> None:
    assert Deployed(quiet, outcome="operation-failed", match=match).look()[0] == state


def test_an_unknown_outcome_is_refused() -> None:
    with pytest.raises(ValueError, match="outcome is one of crash-loop, pull-back-off"):
        FaultPlan.parse([{"on": "aci.groups.put", "outcome": "explodes"}])


def test_trouble_can_be_ordered_over_the_control_port(run: Run) -> None:
    sandbox = run()
    client = httpx.Client(base_url=sandbox.control_url, verify=trust(sandbox.ca_file))
    plan = [{"on": "aci.groups.put", "outcome": "crash-loop"}]
    assert client.post("/faults", content=json.dumps(plan)).json() == {"rules": 1}
    refused = client.post("/faults", content=json.dumps([{"on": "*", "outcome": "explodes"}]))
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "InvalidFaults")
