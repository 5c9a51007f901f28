"""The body of a redeploy: whatever a group had, it has afterwards."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rotator.azure.redeploy import compose
from rotator.azure.writeonly import places
from rotator.model.errors import Held
from rotator.model.group import WriteOnlyField
from rotator.model.secret import Secret

RECORDED = Path(__file__).parents[2].parent / "shared" / "data" / "recorded-bodies"

names = st.from_regex(r"[a-z][a-z0-9-]{0,7}", fullmatch=True)
plain = st.one_of(st.booleans(), st.integers(-5, 5), st.text(max_size=5), st.none())
# What an api-version that does not exist yet may bring: any name, any value, anywhere.
unknown = st.dictionaries(
    names.map(lambda name: f"future{name}"),
    st.one_of(plain, st.lists(plain, max_size=2), st.dictionaries(names, plain, max_size=2)),
)
values = st.text(min_size=1, max_size=12)


def named(*kinds: st.SearchStrategy[dict[str, Any]], most: int = 3) -> st.SearchStrategy[list[dict[str, Any]]]:
    return st.lists(st.tuples(names, st.one_of(*kinds)), max_size=most, unique_by=lambda pair: pair[0]).map(
        lambda pairs: [{**what, "name": name} for name, what in pairs]
    )


def merged(*parts: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.tuples(*parts).map(lambda found: {key: value for one in found for key, value in one.items()})


variables = named(
    st.fixed_dictionaries({"value": st.text(max_size=4)}),
    st.fixed_dictionaries({"secureValue": values}),
    st.fixed_dictionaries({"secureValueReference": names}),
)
containers = named(
    st.fixed_dictionaries(
        {
            "properties": merged(
                unknown, st.fixed_dictionaries({"image": st.just("a.azurecr.io/x:1"), "environmentVariables": variables})
            )
        }
    )
)
volumes = named(
    st.fixed_dictionaries({"secret": st.dictionaries(names, st.just("aGVsbG8="), min_size=1, max_size=2)}),
    st.fixed_dictionaries(
        {"azureFile": st.fixed_dictionaries({"shareName": names, "storageAccountName": names, "storageAccountKey": values})}
    ),
    st.fixed_dictionaries({"azureFile": st.fixed_dictionaries({"shareName": names, "storageAccountKeyReference": names})}),
    st.fixed_dictionaries({"emptyDir": st.just({})}),
    st.fixed_dictionaries({"secretReference": st.dictionaries(names, names, min_size=1, max_size=1)}),
)
registries = st.lists(
    st.tuples(
        names,
        st.one_of(
            st.fixed_dictionaries({"username": names, "password": values}),
            st.fixed_dictionaries({"username": names, "passwordReference": names}),
            st.fixed_dictionaries({"identity": names}),
        ),
    ),
    max_size=3,
    unique_by=lambda pair: pair[0],
).map(lambda pairs: [{"server": f"{name}.azurecr.io", **what} for name, what in pairs])
properties = st.fixed_dictionaries(
    {"containers": containers},
    optional={
        "initContainers": containers,
        "volumes": volumes,
        "imageRegistryCredentials": registries,
        "diagnostics": st.just({"logAnalytics": {"workspaceId": "w", "workspaceKey": "wk", "metadata": {"a": "b"}}}),
        "extensions": st.just([{"name": "e", "properties": {"version": "1", "protectedSettings": {"k": "v"}}}]),
        "ipAddress": merged(unknown, st.just({"type": "Public", "dnsNameLabel": "x"})),
        "restartPolicy": st.sampled_from(["Always", "Never"]),
    },
)
stored_groups = merged(
    unknown,
    st.fixed_dictionaries(
        {"location": st.just("westeurope"), "properties": merged(unknown, properties)},
        optional={"tags": st.dictionaries(names, st.text(max_size=3), max_size=2), "zones": st.just(["1"])},
    ),
)


def hide(stored: dict[str, Any]) -> tuple[dict[str, Any], dict[WriteOnlyField, Secret]]:
    """What Azure would answer for a stored group, and the values that it keeps to itself: written apart from the product."""
    shown: dict[str, Any] = copy.deepcopy(stored)
    kept: dict[WriteOnlyField, Secret] = {}
    inside = shown["properties"]

    def keep(path: str, value: object) -> None:
        kept[WriteOnlyField(path)] = Secret(value if isinstance(value, str) else json.dumps(value))

    for kind in ("containers", "initContainers"):
        for container in inside.get(kind, []):
            hide_environment(f"{kind}/{container['name']}", container["properties"], keep)
    for volume in inside.get("volumes", []):
        if "secret" in volume:
            keep(f"volumes/{volume['name']}/secret", volume["secret"])
            volume["secret"] = {}
        if "storageAccountKey" in volume.get("azureFile", {}):
            keep(f"volumes/{volume['name']}/azureFile/storageAccountKey", volume["azureFile"].pop("storageAccountKey"))
    for entry in inside.get("imageRegistryCredentials", []):
        entry["isDelegatedIdentity"] = False
        if "password" in entry:
            keep(f"imageRegistryCredentials/{entry['server']}/password", entry.pop("password"))
    if "diagnostics" in inside:
        keep("diagnostics/logAnalytics/workspaceKey", inside["diagnostics"]["logAnalytics"].pop("workspaceKey"))
    for extension in inside.get("extensions", []):
        keep(f"extensions/{extension['name']}/protectedSettings", extension["properties"].pop("protectedSettings"))
    return decorated(shown), kept


def hide_environment(path: str, inside: dict[str, Any], keep: Callable[[str, object], None]) -> None:
    for variable in inside["environmentVariables"]:
        if "secureValue" in variable:
            keep(f"{path}/environmentVariables/{variable['name']}/secureValue", variable.pop("secureValue"))
    inside["instanceView"] = {"restartCount": 0}


def decorated(shown: dict[str, Any]) -> dict[str, Any]:
    """Add what Azure adds to an answer."""
    inside = shown["properties"]
    if "ipAddress" in inside:
        inside["ipAddress"] |= {"ip": "1.2.3.4", "fqdn": "x.westeurope.azurecontainer.io"}
    inside |= {
        "provisioningState": "Succeeded",
        "instanceView": {"state": "Running"},
        "provisioningTimeoutInSeconds": 1800,
        "isCustomProvisioningTimeout": False,
        "isCreatedFromStandbyPool": False,
    }
    return shown | {"id": "/x", "name": "web", "type": "Microsoft.ContainerInstance/containerGroups"}


@given(stored_groups)
@settings(max_examples=150, deadline=None)
def test_what_is_put_again_is_exactly_what_was_stored(stored: dict[str, Any]) -> None:
    shown, kept = hide(stored)
    before = copy.deepcopy(shown)

    body = compose(shown, values=kept, tags={"rotator:a.azurecr.io": "m1"}, usernames={})

    assert body.reveal() == {**stored, "tags": {**stored.get("tags", {}), "rotator:a.azurecr.io": "m1"}}
    assert shown == before


@given(stored_groups, st.data())
@settings(max_examples=80, deadline=None)
def test_one_value_too_few_holds_the_redeploy_and_names_the_field(stored: dict[str, Any], data: st.DataObject) -> None:
    shown, kept = hide(stored)
    if not kept:
        return
    left_out = data.draw(st.sampled_from(sorted(kept)))
    del kept[left_out]

    with pytest.raises(Held) as caught:
        compose(shown, values=kept, tags={}, usernames={})

    assert caught.value.missing == (left_out.path,)


def test_a_new_user_name_enters_the_entries_of_its_host_and_no_identity() -> None:
    shown = {
        "properties": {
            "imageRegistryCredentials": [
                {"server": "https://Docker.io", "username": "old"},
                {"server": "a.azurecr.io", "username": "same"},
                {"server": "b.azurecr.io", "identity": "/i"},
            ]
        }
    }
    kept = {place.field: Secret("pw") for place in places(shown)}
    document = compose(shown, values=kept, tags={}, usernames={"index.docker.io": "new", "b.azurecr.io": "no"}).reveal()
    assert [entry.get("username") for entry in document["properties"]["imageRegistryCredentials"]] == ["new", "same", None]


@pytest.mark.parametrize(
    "properties",
    [
        {"provisioningTimeoutInSeconds": 3600, "isCustomProvisioningTimeout": True},
        {"imageRegistryCredentials": [{"server": "a.azurecr.io", "identity": "/i", "isDelegatedIdentity": True}]},
    ],
    ids=["a custom provisioning timeout", "a delegated identity"],
)
def test_an_undocumented_property_that_somebody_chose_is_kept(properties: dict[str, Any]) -> None:
    assert compose({"properties": properties}, values={}, tags={}, usernames={}).reveal() == {"properties": properties}


@pytest.mark.parametrize("text", ["not json", "[1]", "{}", '{"f": 1}', '{"f": "no base64!"}'])
def test_a_secret_volume_with_a_value_that_is_no_files_is_held_without_telling_the_value(text: str) -> None:
    shown = {"properties": {"volumes": [{"name": "certs", "secret": {}}]}}
    with pytest.raises(Held) as caught:
        compose(shown, values={WriteOnlyField("volumes/certs/secret"): Secret(text)}, tags={}, usernames={})
    assert caught.value.missing == ("volumes/certs/secret",)
    assert text not in str(caught.value)


def test_the_body_to_send_does_not_show_itself() -> None:
    shown = {"properties": {"imageRegistryCredentials": [{"server": "a.azurecr.io", "username": "u"}]}}
    field = WriteOnlyField("imageRegistryCredentials/a.azurecr.io/password")
    body = compose(shown, values={field: Secret("hunter2")}, tags={}, usernames={})
    assert "hunter2" not in repr(body)
    assert body.reveal()["properties"]["imageRegistryCredentials"][0]["password"] == "hunter2"
    with pytest.raises(TypeError):
        str(body)
    with pytest.raises(TypeError):
        format(body)
    with pytest.raises(TypeError):
        copy.copy(body)


def recorded() -> list[Path]:
    return sorted(RECORDED.glob("cg_resp_*.json"))


@pytest.mark.skipif(not recorded(), reason="the recorded bodies are not beside this repository")
@pytest.mark.parametrize("file", recorded(), ids=lambda file: file.stem)
def test_a_recorded_group_is_put_again_without_losing_a_writable_property(file: Path) -> None:
    answer = json.loads(file.read_text())["body"]
    for body in answer.get("value", [answer]):
        kept = {place.field: Secret('{"f": "aGVsbG8="}' if place.key == "secret" else "v") for place in places(body)}
        sent = compose(body, values=kept, tags={}, usernames={}).reveal()
        lost = {path for path in leaves(body) if path not in set(leaves(sent))}
        read_only = ("instanceView", "provisioningState", "principalId", "clientId", "tenantId", "fqdn", "'ip'")
        derived = ("provisioningTimeout", "isCustomProvisioningTimeout", "isDelegatedIdentity", "isCreatedFromStandbyPool")
        top = ("['id']", "['name']", "['type']")
        assert not [path for path in lost if not any(part in path for part in read_only + derived) and path not in top]


def leaves(value: object, path: str = "") -> list[str]:
    if isinstance(value, dict) and value:
        return [leaf for key, inner in value.items() for leaf in leaves(inner, f"{path}[{key!r}]")]
    if isinstance(value, list) and value:
        return [leaf for index, inner in enumerate(value) for leaf in leaves(inner, f"{path}[{index}]")]
    return [] if value in ({}, []) else [path]
