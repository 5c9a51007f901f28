"""Bodies of the real service, where the folder with them is there: accepted, and answered property for property."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from rotator.sandbox import Sandbox
from rotator.sandbox.clouds.registries.images import canonical_host, parse_image
from rotator.sandbox.clouds.registries.passwords import REPLICAS, Password
from rotator.sandbox.clouds.registries.records import PlainRegistry, Registry
from rotator.sandbox.wire import Document
from tests.sandbox.owner import Owner

DATA = Path(__file__).parents[3] / "shared" / "data"
RECORDED = DATA / "recorded-bodies"
EXAMPLES = DATA / "arm-examples"
pytestmark = pytest.mark.skipif(not RECORDED.is_dir(), reason="the folder of recorded bodies is not there")

# What differs from one deployment to the next, or between platforms of different years.
_VOLATILE = ("instanceView", "ip", "fqdn", "principalId", "clientId", "tenantId", "provisioningState", "creationDate")
_ID = re.compile(
    r"/subscriptions/(?P<subscription>[^/]+)/resource[gG]roups/(?P<group>[^/]+)/providers/(?P<kind>[^/]+/[^/]+)/(?P<name>[^/?]+)"
)


def recorded(pattern: str) -> list[Path]:
    return sorted(RECORDED.glob(pattern)) if RECORDED.is_dir() else []


def by_recording(paths: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", paths, ids=lambda path: path.stem[:90])


def load(path: Path) -> tuple[Document, str, str]:
    """Return body, path and api-version of a recording."""
    document = json.loads(path.read_text("utf-8"))
    address, _, query = str(document["_provenance"]["uri"]).partition("?")
    version = re.search(r"api-version=([^&]+)", query)
    return document["body"], "/" + address.split("/", 3)[3], version[1] if version else ""


def leaves(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Return the properties of a body that must come back; names of maps compare without case."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key not in _VOLATILE and item is not None:
                yield from leaves(item, f"{path}/{key.lower()}")
        yield path, "{}"
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from leaves(item, f"{path}/{position}")
        yield path, "[]"
    else:
        yield path, value.lower() if isinstance(value, str) else value


def assert_answers(ours: object, theirs: object) -> None:
    """Every property of the real answer is in ours, with the same value."""
    mine = dict(leaves(ours))
    missing = {path: value for path, value in leaves(theirs) if mine.get(path, "(absent)") != value}
    assert not missing, f"{missing}\n{json.dumps(ours)[:3000]}"


class World:
    """A sandbox in which everything that a body names is there."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.world = sandbox.world
        self.subscriptions: set[str] = set()
        self.world.registries.add_plain(
            PlainRegistry(host="docker.io", kind="bearer", realm="x", service="registry.docker.io", public=("*",))
        )

    def ground(self, path: str, location: str = "westus") -> None:
        found = re.match(r"/subscriptions/([^/]+)/resource[gG]roups/([^/]+)", path)
        assert found
        if found[1] not in self.subscriptions:
            self.subscriptions.add(found[1])
            self.world.arm.add_subscription(found[1], "recorded")
            self.sandbox.estate.subscriptions.append(found[1])
        self.world.arm.add_resource_group(found[1], found[2], location)

    def plant(self, body: Document) -> None:
        """Add the identities, registries and passwords that a container group's body names."""
        for resource_id in (body.get("identity") or {}).get("userAssignedIdentities") or {}:
            found = _ID.match(resource_id)
            assert found
            self.ground(resource_id)
            self.world.arm.add_identity(self.world.arm.resource_group(found["subscription"], found["group"]), found["name"])
        images = [parse_image(str(one["properties"]["image"])) for one in body["properties"].get("containers") or []]
        for entry in body["properties"].get("imageRegistryCredentials") or []:
            host = canonical_host(entry["server"])
            registry = self.world.registries.servers.get(host) or self.registry(host)
            registry.repositories |= {one.repository: {one.reference} for one in images if one.host == host}
            slot, now = registry.admin["password"], self.world.now()
            slot.passwords = [Password(value=entry["password"], created_at=now, expires_at=None, effective=(now,) * REPLICAS)]

    def registry(self, host: str) -> Registry:
        name = host.partition(".")[0]
        return self.world.registries.add(
            Registry(id=f"/planted/{name}", name=name, location="westus", login_server=host, created_at=self.world.now(),
                     admin_enabled=True)
        )  # fmt: skip


@pytest.fixture
def world(quiet: Sandbox) -> World:
    return World(quiet)


@by_recording(recorded("cg_req_put_*"))
def test_a_recorded_request_is_accepted_and_answered_as_it_was(world: World, path: Path) -> None:
    body, address, version = load(path)
    world.ground(address)
    world.plant(body)
    response = Owner(world.sandbox).call("PUT", address, body, version=version)
    answers = {found.name.split("_")[3]: found for found in RECORDED.glob(path.name.replace("cg_req_put_", "cg_resp_put_*_"))}
    if "400" in answers:
        assert response.status_code == 400
        assert response.json() == load(answers["400"])[0]
        return
    assert response.status_code == 201, response.text
    if "201" in answers:
        assert_answers(response.json(), load(answers["201"])[0])


def _groups(body: Document) -> list[Document]:
    return list(body["value"]) if "value" in body else [body]


def _as_request(body: Document) -> Document:
    """Turn an answer into the request that its client must have sent: the write-only fields filled in."""
    text = json.dumps(body)
    request: Document = json.loads(text)
    for entry in request["properties"].get("imageRegistryCredentials") or []:
        entry["password"] = "planted-password-1"
    if "containers" not in request["properties"]:
        request["properties"]["containers"] = []
    return request


@by_recording(recorded("cg_resp_get_200_*") + recorded("cg_resp_put_201_*"))
def test_a_recorded_answer_is_what_the_sandbox_answers_for_the_same_group(world: World, path: Path) -> None:
    body, _, version = load(path)
    for answer in _groups(body):
        request = _as_request(answer)
        world.ground(answer["id"])
        world.plant(request)
        owner = Owner(world.sandbox)
        response = owner.call("PUT", answer["id"], request, version=version)
        assert response.status_code == 201, response.text
        if answer.get("identity") == {"type": "None"}:
            del answer["identity"]
        assert_answers(owner.get(answer["id"], version=version), answer)


@by_recording(recorded("acr_registry_*") + recorded("acr_scopemaps_re*"))
def test_a_recorded_registry_body_is_accepted_or_answered(world: World, path: Path) -> None:
    body, address, version = load(path)
    found = _ID.match(address)
    if found is None or "registries" not in found["kind"]:
        pytest.skip("no body of a registry")
    world.ground(address)
    owner, sent = Owner(world.sandbox), "_req_" in path.name
    registry = found[0]
    create = {"location": "westus", "sku": {"name": "Premium"}, "properties": {"adminUserEnabled": False}}
    if "/scopeMaps/" in address:
        assert owner.call("PUT", registry, create, version=version).status_code == 200
        if "error" in body:
            assert owner.call("GET", address, version=version).json() == body
            return
        response = owner.call("PUT", address, {"properties": body["properties"]}, version=version)
    elif "operationStatuses" in address:
        pytest.skip("the status of an operation")
    else:
        if "_patch_" in path.name:
            assert owner.call("PUT", registry, create, version=version).status_code == 200
        response = owner.call("PATCH" if "_patch_" in path.name else "PUT", registry, body, version=version)
    assert response.status_code in (200, 201), response.text
    if not sent and "properties" in body:
        for policy in (body["properties"].get("policies") or {}).values():
            policy.pop("lastUpdatedTime", None)
        body["properties"].pop("status", None)
        if (body.get("identity") or {}).get("type") == "None":
            del body["identity"]
        assert_answers(response.json(), body)


@by_recording(recorded("acr_tokens_*") + recorded("acr_generatecredentials_*"))
def test_a_recorded_token_body_is_accepted_or_answered(world: World, path: Path) -> None:
    body, address, version = load(path)
    found = _ID.match(address)
    if found is None or "operationStatuses" in address or body.keys() == {"status"}:
        pytest.skip("the status of an operation")
    world.ground(address)
    owner, registry = Owner(world.sandbox), found[0]
    owner.call("PUT", registry, {"location": "westus", "sku": {"name": "Premium"}}, version=version)
    name = str(body.get("tokenId") or body.get("name") or body.get("username") or address).rpartition("/")[2]
    scope_map = str(body.get("properties", {}).get("scopeMapId", "x/some-map")).rpartition("/")[2]
    owner.call("PUT", f"{registry}/scopeMaps/{scope_map}", {"properties": {"actions": ["repositories/a/content/read"]}})
    token = f"{registry}/tokens/{name}"
    sent = {"properties": {"scopeMapId": f"{registry}/scopeMaps/{scope_map}", "status": "enabled"}}
    response = owner.call("PUT", token, body if "_req_put_" in path.name else sent, version=version)
    assert response.status_code == 201, response.text
    if "generatecredentials" in path.name:
        request: Document = {"tokenId": token, **({"expiry": body["expiry"]} if "expiry" in body else {})}
        expiry = next((one["expiry"] for one in body.get("passwords", []) if "expiry" in one), None)
        request |= {"expiry": expiry} if expiry else {}
        if "expiry" in request:
            request["expiry"] = "2099" + str(request["expiry"])[4:]  # The recorded ones lie in the past.
        response = owner.call("POST", f"{registry}/generateCredentials", request, version=version)
        assert response.status_code == 200, response.text
        if "passwords" in body:
            ours, theirs = response.json(), body
            assert [sorted(one) for one in ours["passwords"]] == [sorted(one) for one in theirs["passwords"]]
            assert ours["username"] == theirs["username"]
    elif "_resp_" in path.name:
        assert_answers(owner.get(token, version=version), body)


@by_recording(recorded("acr_listcredentials_*") + recorded("acr_regeneratecredential_*"))
def test_a_recorded_answer_of_the_admin_user_has_our_shape(world: World, path: Path) -> None:
    body, address, version = load(path)
    found = _ID.match(address)
    assert found
    world.ground(address)
    owner = Owner(world.sandbox)
    owner.call("PUT", found[0], {"location": "westus", "properties": {"adminUserEnabled": True}}, version=version)
    sent = {"name": "password2"} if "regenerate" in path.name else None
    response = owner.call("POST", address, sent, version=version)
    assert response.status_code == 200, response.text
    assert [one["name"] for one in response.json()["passwords"]] == [one["name"] for one in body["passwords"]]
    assert response.json()["username"] == body["username"]


def _examples() -> list[Path]:
    return sorted(EXAMPLES.rglob("ContainerGroupsCreateOrUpdate.json")) if EXAMPLES.is_dir() else []


@pytest.mark.parametrize("path", _examples(), ids=lambda path: path.parent.name)
def test_an_example_of_the_specification_is_accepted(world: World, path: Path) -> None:
    parameters = json.loads(path.read_text("utf-8"))["parameters"]
    body, version = parameters["containerGroup"], parameters["api-version"]
    address = f"/subscriptions/{parameters['subscriptionId']}/resourceGroups/{parameters['resourceGroupName']}"
    world.ground(address)
    world.plant(body)
    owner = Owner(world.sandbox)
    group = f"{address}/providers/Microsoft.ContainerInstance/containerGroups/{parameters['containerGroupName']}"
    response = owner.call("PUT", group, body, version=version)
    assert response.status_code == 201, response.text
    # The examples are written by hand, and answer with what was not sent: what was sent must come back, or be secret.
    secrets = ("key", "secretkey1", "secretkey2", "logtype", "metadata", "test-key")
    sent = {one: value for one, value in leaves(body) if value not in ("{}", "[]", "") and not one.endswith(secrets)}
    sent.pop("/location")
    ours = dict(leaves(owner.get(group, version=version)))
    lost = {one for one, value in sent.items() if ours.get(one, "(absent)") != value}
    assert {one for one in lost if not one.endswith(("/state", "/resourcegroup", "/memoryingb"))} == set()
