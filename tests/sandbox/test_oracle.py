"""The oracle, and the machinery that a test leans on: clock, ledger, faults, control port."""

import base64
import json
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator.sandbox import Fault, FaultPlan, Sandbox
from rotator.sandbox.clock import SandboxClock
from rotator.sandbox.estates.builder import Builder
from rotator.sandbox.estates.documents import container
from rotator.sandbox.ledger import Ledger
from tests.sandbox.conftest import STARTED_AT, Run
from tests.sandbox.owner import Owner, group_body, home, trust

SERVER = "contosomain.azurecr.io"
KIND = "providers/Microsoft.ContainerInstance/containerGroups"


class Scene:
    """One group that pulls with a token's first password, which lives for ten days."""

    def __init__(self, sandbox: Sandbox, **group: object) -> None:
        self.sandbox, self.world = sandbox, sandbox.world
        self.registry = self.world.registries.servers[SERVER]
        self.world.ledger.seeding = True
        build = Builder(self.world, "test")
        self.secret = build.token(self.registry, "reader", ("team/app",), age=1, expires=10)
        place = next(iter(self.world.arm.resource_groups.values()))
        self.group = build.group(
            place, "app", [container("main", f"{SERVER}/team/app:v1", secure={"S": "the-secure-value"})],
            credentials=[self.secret.entry()], **group,  # type: ignore[arg-type]
        )  # fmt: skip
        self.world.ledger.seeding = False
        sandbox.oracle.start()
        self.token = self.registry.tokens["reader"]

    def put(self, password: str, **changes: object) -> httpx.Response:
        body = json.loads(json.dumps(self.group.document))
        body["location"] = "westeurope"
        body["properties"]["imageRegistryCredentials"][0]["password"] = password
        body["properties"].update(changes)
        return Owner(self.sandbox).call("PUT", self.group.id, body)


def test_a_rotation_by_the_book_is_no_outage(quiet: Sandbox) -> None:
    scene = Scene(quiet)
    new = scene.world.registries.issue_token(scene.registry, scene.token, "password2")
    assert scene.put(new.value).status_code == 200
    scene.token.slots["password1"].clear(scene.world.now())
    scene.world.touch(f"acr-token:{SERVER}/reader")
    scene.world.clock.advance(20 * 86400)
    report = quiet.oracle.report()
    assert report["outages"] == []
    assert report["lost_properties"] == []
    assert report["orphans"] == []
    assert report["redeploys"] == {scene.group.id.lower(): 1}
    assert report["issued"] == {f"acr-token:{SERVER}/reader": 1}


def test_an_expiry_in_the_middle_of_a_jump_is_an_outage_from_that_instant(quiet: Sandbox) -> None:
    scene = Scene(quiet)
    expires_at = scene.world.now() + timedelta(days=10)
    scene.world.clock.advance(30 * 86400)
    (outage,) = quiet.oracle.report()["outages"]
    assert outage["from"] == expires_at.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert outage["reason"] == "expired"
    assert outage["seconds"] == pytest.approx(20 * 86400, abs=2)


def test_replacing_the_slot_in_use_is_an_outage(quiet: Sandbox) -> None:
    scene = Scene(quiet)
    new = scene.world.registries.issue_token(scene.registry, scene.token, "password1")
    scene.world.clock.advance(90)
    assert scene.put(new.value).status_code == 200
    (outage,) = quiet.oracle.report()["outages"]
    assert (outage["reason"], outage["seconds"]) == ("invalid", pytest.approx(90, abs=1))


def test_a_password_that_not_every_replica_knows_is_an_outage(run: Run) -> None:
    scene = Scene(run(manners="azure"))
    scene.world.registries.issue_token(scene.registry, scene.token, "password2")
    new = scene.world.registries.issue_token(scene.registry, scene.token, "password2")
    while scene.put(new.value).status_code != 200:
        scene.world.clock.advance(1)
    judged = scene.world.registries.accepts(SERVER, "reader", new.value, "team/app", scene.world.now())
    assert judged.reason == "not-yet"  # One replica took it, another does not know it yet.
    scene.world.clock.advance(90)
    (outage,) = scene.sandbox.oracle.report()["outages"]
    assert outage["reason"] == "not-yet"
    assert 0 < outage["seconds"] < 60
    assert scene.sandbox.oracle.can_pull(scene.group.id)


def test_a_live_secret_that_nobody_holds_is_an_orphan_until_it_is_stored_or_ended(quiet: Sandbox) -> None:
    scene = Scene(quiet)
    new = scene.world.registries.issue_token(scene.registry, scene.token, "password2")
    assert [one["principal"] for one in quiet.oracle.report()["orphans"]] == [f"acr-token:{SERVER}/reader"]
    scene.world.vaults.set_secret("kv-demo", "staged", new.value)
    assert quiet.oracle.report()["orphans"] == []


def test_a_lost_property_is_reported_without_its_secret_value(quiet: Sandbox) -> None:
    scene = Scene(quiet)
    bare = json.loads(json.dumps(scene.group.document))["properties"]["containers"]
    bare[0]["properties"]["environmentVariables"] = []
    assert scene.put(scene.secret.password, containers=bare).status_code == 200
    lost = quiet.oracle.report()["lost_properties"]
    assert [one["path"] for one in lost][-1] == "containers/main/environmentVariables/S/secureValue"
    assert "the-secure-value" not in json.dumps(lost)


def test_a_stopped_group_goes_stale_and_waking_it_is_noted(quiet: Sandbox) -> None:
    scene = Scene(quiet, state="stopped")
    scene.world.clock.advance(11 * 86400)
    report = quiet.oracle.report()
    assert report["outages"] == []
    assert [one["reason"] for one in report["stale"]] == ["expired"]
    new = scene.world.registries.issue_token(scene.registry, scene.token, "password2")
    assert scene.put(new.value).status_code == 200
    report = quiet.oracle.report()
    assert report["stale"] == []
    assert report["woken"] == [{"group": scene.group.id.lower(), "was": "stopped"}]


def test_a_leak_is_found_in_every_disguise(quiet: Sandbox) -> None:
    scene = Scene(quiet)
    value = scene.secret.password
    texts = (
        value, quote(value, safe=""), json.dumps({"x": value}), base64.b64encode(f"reader:{value}".encode()).decode(),
        base64.b64encode(value.encode()).decode(), f"Basic {base64.b64encode(f'a:{value}'.encode()).decode()} x",
    )  # fmt: skip
    for text in texts:
        assert [one["handle"][:9] for one in quiet.oracle.scan(text, "log")] == ["password1"], text
    assert quiet.oracle.scan("nothing to see here") == []
    assert len(quiet.oracle.report()["leaks"]) == 1


@given(st.text(min_size=8, max_size=60), st.text(max_size=20), st.text(max_size=20))
def test_a_value_inside_base64_is_found_wherever_it_starts(value: str, before: str, after: str) -> None:
    ledger = Ledger(lambda: datetime(2026, 1, 1, tzinfo=UTC))
    ledger.record(value, "kind", "principal", "handle")
    hidden = base64.b64encode(f"{before}{value}{after}".encode()).decode()
    assert len(ledger.find_in(f"({hidden})")) == 1


def test_listeners_see_each_scheduled_instant_in_order_and_exactly() -> None:
    clock, seen = SandboxClock(STARTED_AT, frozen=True), list[datetime]()
    clock.subscribe(seen.append)
    for day in (3, 1, 2, 40):
        clock.schedule(STARTED_AT + timedelta(days=day))
    clock.advance(30 * 86400)
    assert seen == [STARTED_AT + timedelta(days=day) for day in (0, 1, 2, 3, 30)]
    with pytest.raises(ValueError, match="never runs backwards"):
        clock.advance(-1)
    clock.advance_to(STARTED_AT)
    assert clock.now() == STARTED_AT + timedelta(days=30)


def test_a_running_clock_runs_and_jumps() -> None:
    clock = SandboxClock()
    before = clock.now()
    clock.advance(3600)
    assert timedelta(hours=1) <= clock.now() - before < timedelta(hours=1, seconds=5)


def test_a_dropped_answer_is_lost_but_its_effect_is_not(quiet: Sandbox) -> None:
    scene = Scene(quiet)
    quiet.world.faults = FaultPlan.parse([{"on": "acr.generateCredentials", "nth": 1, "drop_after": True}])
    owner, path = Owner(quiet), f"{scene.registry.id}/generateCredentials"
    body = {"tokenId": f"{scene.registry.id}/tokens/reader", "name": "password2"}
    with pytest.raises(httpx.RemoteProtocolError):
        owner.call("POST", path, body)
    assert scene.token.slots["password2"].current is not None
    assert owner.call("POST", path, body).status_code == 200


def test_a_dropped_request_has_no_effect(quiet: Sandbox) -> None:
    quiet.world.faults = FaultPlan([Fault(on="aci.groups.*", nth=1, drop_before=True)])
    owner, path = Owner(quiet), f"{home(quiet)}/{KIND}/app"
    with pytest.raises(httpx.RemoteProtocolError):
        owner.call("DELETE", path)
    assert owner.call("GET", path).status_code == 404


def test_faults_answer_delay_truncate_and_remember(quiet: Sandbox) -> None:
    scene, owner = Scene(quiet), Owner(quiet)
    rules = [
        {"on": "aci.groups.get", "nth": 1, "status": 503, "retry_after": 7},
        {"on": "aci.groups.get", "nth": 2, "delay": 30},
        {"on": "aci.groups.get", "nth": 4, "stale": True},
        {"on": "aci.groups.get", "nth": 5, "truncate": True},
    ]
    quiet.world.faults = FaultPlan.parse(rules)
    first = owner.call("GET", scene.group.id)
    assert (first.status_code, first.headers["retry-after"]) == (503, "7")
    before = quiet.world.now()
    assert owner.get(scene.group.id)["tags"] == {}
    assert quiet.world.now() - before == timedelta(seconds=30)
    owner.call("PATCH", scene.group.id, {"tags": {"new": "yes"}})
    assert owner.get(scene.group.id)["tags"] == {"new": "yes"}
    assert owner.get(scene.group.id)["tags"] == {}
    with pytest.raises(httpx.RemoteProtocolError):
        owner.get(scene.group.id)


def test_a_fault_rule_with_an_unknown_word_is_refused() -> None:
    with pytest.raises(ValueError, match="dropafter"):
        FaultPlan.parse([{"on": "x", "dropafter": True}])


def test_the_control_port(quiet: Sandbox) -> None:
    with httpx.Client(base_url=quiet.control_url, verify=trust(quiet.ca_file)) as control:
        assert control.get("/health").json() == {"status": "ok"}
        before = datetime.fromisoformat(control.get("/clock").json()["now"])
        after = datetime.fromisoformat(control.post("/clock/advance", json={"seconds": 60}).json()["now"])
        assert after - before == timedelta(seconds=60)
        tomorrow = after + timedelta(days=1)
        reached = control.post("/clock/advance", json={"until": tomorrow.isoformat()}).json()["now"]
        assert datetime.fromisoformat(reached) == tomorrow
        assert control.post("/clock/advance", json={"seconds": -1}).status_code == 400
        assert control.post("/faults", json=[{"on": "aci.*", "status": 500}]).json() == {"rules": 1}
        assert Owner(quiet).call("GET", f"{home(quiet)}/{KIND}").status_code == 500
        assert control.delete("/faults").json() == {"rules": 0}
        assert control.get("/requests").json()["aci.groups.list"] == 1
        assert control.get("/oracle").json()["outages"] == []
        password = quiet.world.registries.servers[SERVER].admin["password"].current
        assert password is not None
        outside = {"server": SERVER, "username": quiet.world.registries.servers[SERVER].name, "password": password.value}
        assert control.post("/login", json=outside).json() == {"accepted": True}
        assert control.post("/login", json={**outside, "password": "wrong"}).json() == {"accepted": False}
        assert control.post("/login", json={**outside, "server": "nowhere.azurecr.io"}).status_code == 400
        found = control.post("/oracle/scan", content=f"a log line with {password.value}").json()["found"]
        assert [one["kind"] for one in found] == ["acr-admin-password"]
        assert password.value not in json.dumps(found)
        assert control.get("/summary").json()["registries"] == 1
        assert control.post("/reset").status_code == 200
        assert control.get("/requests").json() == {}
        assert control.get("/nothing").status_code == 404
        assert control.get("/events?since=0").json() == {"events": []}


def test_snapshot_and_restore_put_the_tables_back(quiet: Sandbox) -> None:
    owner, path = Owner(quiet), f"{home(quiet)}/{KIND}/app"
    Builder(quiet.world, "test").plain("docker.io", "bearer", {}, (), service="registry.docker.io", public=("library/*",))
    saved = quiet.world.snapshot()
    assert owner.call("PUT", path, group_body()).status_code == 201
    quiet.world.restore(saved)
    assert owner.call("GET", path).status_code == 404
    assert owner.call("PUT", path, group_body()).status_code == 201


# --- custody: the vault's current credential, and the end of old ones ---------------------------------------------------


def test_a_current_version_of_the_vault_that_does_not_work_is_an_outage_of_the_vault(quiet: Sandbox) -> None:
    scene = Scene(quiet)
    assert quiet.oracle.report()["vault_outages"] == []
    scene.world.vaults.set_secret("kv-demo", scene.secret.held_as, "some-other-password")
    scene.world.clock.advance(60)
    new = scene.world.registries.issue_token(scene.registry, scene.token, "password2")
    scene.world.vaults.set_secret("kv-demo", scene.secret.held_as, new.value)
    scene.world.clock.advance(60)
    (outage,) = quiet.oracle.report()["vault_outages"]
    assert outage["seconds"] == pytest.approx(60, abs=2)
    assert outage["to"]


def test_an_ended_credential_is_told_with_the_time_since_its_last_use(quiet: Sandbox) -> None:
    scene = Scene(quiet)
    new = scene.world.registries.issue_token(scene.registry, scene.token, "password2")
    assert quiet.oracle.report()["live"][f"acr-token:{SERVER}/reader"] == 2
    scene.put(new.value)
    scene.world.clock.advance(3600)
    scene.token.slots["password1"].clear(scene.world.now())
    scene.world.touch(f"acr-token:{SERVER}/reader")
    (ended,) = quiet.oracle.report()["ended"]
    assert ended["idle_seconds"] == pytest.approx(3600, abs=2)
    assert not ended["still_used"]
    scene.token.slots["password2"].clear(scene.world.now())
    scene.world.touch(f"acr-token:{SERVER}/reader")
    assert [one["still_used"] for one in quiet.oracle.report()["ended"]] == [False, True]


def test_the_machines_clock_may_be_behind_the_clouds(quiet: Sandbox) -> None:
    with httpx.Client(verify=trust(quiet.ca_file), base_url=quiet.control_url) as control:
        real = quiet.world.now()
        told = control.post("/clock/skew", json={"seconds": -300}).json()["now"]
        assert datetime.fromisoformat(told[:19] + "+00:00") - real < timedelta(seconds=-290)
        control.post("/clock/advance", json={"until": (real + timedelta(hours=1)).isoformat().replace("+00:00", "Z")})
        assert quiet.world.now() - real >= timedelta(hours=1, minutes=5), "an hour later on the machine's clock"
        assert control.post("/clock/skew", json={}).status_code == 400
        control.post("/clock/skew", json={"seconds": 0})


def test_a_garbled_answer_is_whole_on_the_wire_and_no_json(quiet: Sandbox) -> None:
    quiet.world.faults = FaultPlan([Fault(on="aci.groups.list", nth=1, garbled=True)])
    path = f"/subscriptions/{quiet.estate.subscriptions[0]}/{KIND}"
    owner = Owner(quiet)
    answer = owner.call("GET", path)
    assert answer.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        answer.json()
    assert owner.call("GET", path).json()["value"] == []
