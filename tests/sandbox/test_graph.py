"""Applications, service principals and their secrets, through the pipeline of azure-core."""

from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from azure.core.rest import HttpResponse
from hypothesis import given
from hypothesis import strategies as st

from rotator.sandbox.clouds.graph.query import Filter
from rotator.sandbox.wire import Refused, rfc3339
from tests.sandbox.servedworld import APP_ID, APP_SECRET, Client, Cloud, served_world

OTHER = "66666666-6666-4666-8666-666666666666"


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with served_world() as served:
        yield served


@pytest.fixture
def graph(cloud: Cloud) -> Client:
    return cloud.client("https://graph.microsoft.com")


def until_quiet(graph: Client, path: str, body: object) -> HttpResponse:
    """Send a write until it does not collide, as any client of the directory must."""
    answer = graph.send("POST", path, body)
    while answer.status_code in (409, 503) and answer.json()["error"]["code"] == "Directory_ConcurrencyViolation":
        answer = graph.send("POST", path, body)
    return answer


# --- rights ---


def test_without_a_permission_nothing_is_readable(graph: Client) -> None:
    answer = graph.send("GET", "/v1.0/applications")
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "Authorization_RequestDenied"
    assert {"request-id", "date"} <= set(answer.json()["error"]["innerError"])


@pytest.mark.parametrize(
    ("permission", "owner", "status"),
    [
        ("Application.Read.All", True, 403),
        ("Application.ReadWrite.OwnedBy", False, 403),
        ("Application.ReadWrite.OwnedBy", True, 200),
        ("Application.ReadWrite.All", False, 200),
    ],
)
def test_a_secret_is_added_by_owners_or_with_the_right_to_write_all(
    cloud: Cloud, graph: Client, permission: str, owner: bool, status: int
) -> None:
    cloud.grant(permission)
    cloud.world.graph.add_application(OTHER, "other", owners=[cloud.principal_id] if owner else [])
    answer = graph.send("POST", f"/v1.0/applications(appId='{OTHER}')/addPassword", {"passwordCredential": {}})
    assert answer.status_code == status


# --- secrets ---


def test_a_secret_is_shown_once_and_afterwards_only_its_first_three_characters(cloud: Cloud, graph: Client) -> None:
    cloud.grant("Application.ReadWrite.All")
    end_at = cloud.world.now() + timedelta(days=90)
    path = f"/v1.0/applications(appId='{APP_ID}')"
    wanted = {"passwordCredential": {"displayName": "rotation-1", "endDateTime": rfc3339(end_at)}}
    issued = until_quiet(graph, f"{path}/addPassword", wanted).json()
    assert issued["secretText"].startswith(issued["hint"])
    assert (len(issued["secretText"]), issued["displayName"], issued["endDateTime"]) == (40, "rotation-1", rfc3339(end_at))
    held = graph.send("GET", path).json()["passwordCredentials"]
    assert [one["secretText"] for one in held] == [None, None]
    assert [one["hint"] for one in held] == [APP_SECRET[:3], issued["hint"]]
    entry = cloud.world.ledger.owner_of(issued["secretText"])
    assert entry is not None
    assert (entry.kind, entry.principal, entry.handle) == ("entra-app-secret", f"entra-app:entra/{APP_ID}", issued["keyId"])
    assert cloud.world.ledger.live(entry, cloud.world.now())
    assert not cloud.world.ledger.live(entry, end_at)


def test_a_secret_without_an_end_lasts_two_years(cloud: Cloud, graph: Client) -> None:
    cloud.grant("Application.ReadWrite.All")
    issued = until_quiet(graph, f"/v1.0/applications(appId='{APP_ID}')/addPassword", None).json()
    assert issued["endDateTime"][:4] == str(cloud.world.now().year + 2)


def test_a_removed_secret_is_gone_and_removing_it_again_is_refused(cloud: Cloud, graph: Client) -> None:
    cloud.grant("Application.ReadWrite.All")
    path = f"/v1.0/servicePrincipals(appId='{APP_ID}')"
    key_id = until_quiet(graph, f"{path}/addPassword", {}).json()["keyId"]
    assert until_quiet(graph, f"{path}/removePassword", {"keyId": key_id}).status_code == 204
    again = until_quiet(graph, f"{path}/removePassword", {"keyId": key_id})
    assert (again.status_code, key_id in again.json()["error"]["message"]) == (400, True)
    assert not cloud.world.graph.live(APP_ID, key_id, cloud.world.now())


def test_a_secret_of_either_object_signs_in_but_each_object_shows_only_its_own(cloud: Cloud, graph: Client) -> None:
    cloud.grant("Application.ReadWrite.All")
    issued = until_quiet(graph, f"/v1.0/servicePrincipals/{cloud.principal_id}/addPassword", {}).json()
    cloud.advance(seconds=20)
    assert cloud.world.graph.secret_valid(APP_ID, issued["secretText"], cloud.world.now()) == "valid"
    shown = graph.send("GET", f"/v1.0/servicePrincipals/{cloud.principal_id}").json()["passwordCredentials"]
    assert [one["keyId"] for one in shown] == [issued["keyId"]]


def test_writes_in_quick_succession_collide_and_succeed_after_a_pause(cloud: Cloud, graph: Client) -> None:
    cloud.grant("Application.ReadWrite.All")
    path = f"/v1.0/applications(appId='{APP_ID}')/addPassword"
    answers = [graph.send("POST", path, {}) for _ in range(20)]
    refused = [answer for answer in answers if answer.status_code != 200]
    assert refused
    assert {answer.json()["error"]["code"] for answer in refused} == {"Directory_ConcurrencyViolation"}
    cloud.advance(seconds=2)
    assert graph.send("POST", path, {}).status_code == 200


def test_a_tenant_policy_caps_the_lifetime(cloud: Cloud, graph: Client) -> None:
    cloud.grant("Application.ReadWrite.All")
    cloud.world.graph.max_password_lifetime = timedelta(days=30)
    answer = graph.send("POST", f"/v1.0/applications(appId='{APP_ID}')/addPassword", {})
    assert answer.json()["error"]["code"] == "CredentialInvalidLifetimeAsPerAppPolicy"


@pytest.mark.parametrize("wrong", [{"endDateTime": "2001-01-01T00:00:00Z"}, {"endDateTime": "soon"}])
def test_a_wrong_end_is_refused(cloud: Cloud, graph: Client, wrong: dict[str, str]) -> None:
    cloud.grant("Application.ReadWrite.All")
    answer = graph.send("POST", f"/v1.0/applications(appId='{APP_ID}')/addPassword", {"passwordCredential": wrong})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "Request_BadRequest")


# --- finding ---


@pytest.mark.parametrize(
    ("collection", "chosen", "names"),
    [
        ("applications", f"appId eq '{APP_ID}'", ["robot"]),
        ("applications", "displayName eq 'ROBOT'", ["robot"]),
        ("applications", "startswith(displayName,'app-1')", ["app-1", "app-10", "app-11"]),
        ("applications", "displayName eq 'app-1' or displayName eq 'app-2'", ["app-1", "app-2"]),
        ("applications", "displayName in ('app-3', 'app-4')", ["app-3", "app-4"]),
        ("applications", "not startswith(displayName, 'app') and displayName ne 'x'", ["robot"]),
        ("servicePrincipals", f"servicePrincipalNames/any(c:c eq '{APP_ID}')", ["robot"]),
        ("servicePrincipals", "servicePrincipalType eq 'ManagedIdentity'", []),
    ],
)
def test_a_filter_chooses(cloud: Cloud, graph: Client, collection: str, chosen: str, names: list[str]) -> None:
    cloud.grant("Application.Read.All")
    for number in range(12):
        cloud.world.graph.add_application(cloud.world.guid(), f"app-{number}")
    answer = graph.send("GET", f"/v1.0/{collection}", **{"$filter": chosen})
    assert sorted(one["displayName"] for one in answer.json()["value"]) == names


@pytest.mark.parametrize("wrong", ["displayName like 'x'", "colour eq 'red'", "startswith(displayName", "appId eq", "'x'"])
def test_a_filter_that_is_not_understood_is_refused(cloud: Cloud, graph: Client, wrong: str) -> None:
    cloud.grant("Application.Read.All")
    assert graph.send("GET", "/v1.0/applications", **{"$filter": wrong}).status_code == 400


def test_pages_link_to_each_other_until_all_are_read(cloud: Cloud, graph: Client) -> None:
    cloud.grant("Application.Read.All")
    for number in range(7):
        cloud.world.graph.add_application(cloud.world.guid(), f"app-{number}")
    page = graph.send("GET", "/v1.0/applications", **{"$top": "3", "$select": "id,displayName"}).json()
    names = [one["displayName"] for one in page["value"]]
    while "@odata.nextLink" in page:
        parts = urlsplit(page["@odata.nextLink"])
        assert parts.netloc == "graph.microsoft.com"
        page = graph.send("GET", f"{parts.path}?{parts.query}").json()
        names += [one["displayName"] for one in page["value"]]
        assert all(set(one) == {"id", "displayName"} for one in page["value"])
    assert names == ["robot", *(f"app-{number}" for number in range(7))]


def test_a_new_application_is_found_by_every_replica_after_a_few_seconds(cloud: Cloud, graph: Client) -> None:
    cloud.grant("Application.ReadWrite.All")
    made = graph.send("POST", "/v1.0/applications", {"displayName": "new", "keyCredentials": []}).json()
    assert made["passwordCredentials"] == []
    early = [graph.send("GET", f"/v1.0/applications/{made['id']}").status_code for _ in range(10)]
    assert 404 in early
    cloud.advance(seconds=7)
    assert graph.send("GET", f"/v1.0/applications/{made['id']}").status_code == 200
    principal = graph.send("POST", "/v1.0/servicePrincipals", {"appId": made["appId"], "accountEnabled": True})
    assert (principal.status_code, principal.json()["servicePrincipalNames"]) == (201, [made["appId"]])


def test_an_account_for_an_app_that_is_not_there_is_refused_in_the_words_azure_cli_waits_for(cloud: Cloud, graph: Client) -> None:
    cloud.grant("Application.ReadWrite.All")
    answer = graph.send("POST", "/v1.0/servicePrincipals", {"appId": OTHER})
    assert " does not reference " in answer.json()["error"]["message"]


def test_owners_are_listed_and_added(cloud: Cloud, graph: Client) -> None:
    cloud.grant("Application.ReadWrite.All")
    path = f"/v1.0/applications(appId='{APP_ID}')/owners"
    assert graph.send("GET", path).json()["value"] == []
    owner = {"@odata.id": f"https://graph.microsoft.com/v1.0/directoryObjects/{cloud.principal_id}"}
    assert graph.send("POST", f"{path}/$ref", owner).status_code == 204
    assert [one["id"] for one in graph.send("GET", path).json()["value"]] == [cloud.principal_id]


def test_objects_are_fetched_by_their_ids(cloud: Cloud, graph: Client) -> None:
    cloud.grant("Directory.Read.All")
    answer = graph.send("POST", "/v1.0/directoryObjects/getByIds", {"ids": [cloud.principal_id, OTHER]})
    assert [one["@odata.type"] for one in answer.json()["value"]] == ["#microsoft.graph.servicePrincipal"]


@given(st.text(max_size=40))
def test_any_text_as_a_filter_is_either_understood_or_refused(text: str) -> None:
    try:
        chosen = Filter(text, ("displayName", "appId")).compile()
    except Refused:
        return
    assert chosen({"displayName": "x", "appId": "y"}) in (True, False)


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=30))
def test_any_name_can_be_asked_for_when_its_quotes_are_doubled(name: str) -> None:
    quoted = name.replace("'", "''")
    chosen = Filter(f"displayName eq '{quoted}'", ("displayName",)).compile()
    assert chosen({"displayName": name})
