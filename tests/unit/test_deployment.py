"""A group's file: read, filled, compared and written, for bodies that nobody thought of."""

import contextlib
import copy
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rotator.azure.groupbody import read_group
from rotator.azure.redeploy import filled, writable
from rotator.azure.writeonly import places
from rotator.deployment.difference import _frozen, difference_of
from rotator.deployment.given import read_given
from rotator.deployment.origin import DEPLOYED, deployed_at, deployed_tag, sources_of
from rotator.deployment.slots import at
from rotator.deployment.template import KIND, read_template
from rotator.deployment.text import exported
from rotator.model.errors import ConfigError
from rotator.model.estate import StoredSecret
from rotator.model.secret import Secret
from rotator.sandbox.clouds.containergroups.validation import needs_recreation
from tests.builders import NOW

VERSION = "2026-07-01"
SECRET = "hunter2-Zx9"
ID = f"/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg/providers/{KIND}/app"
names = st.from_regex(r"[a-z][a-z0-9]{0,5}", fullmatch=True)
texts = st.text("ab1é: #'\"{}[]-,!&*?|>%@`~$=\n\u2028", max_size=12).filter(lambda text: "${" not in text)


@st.composite
def bodies(draw: st.DrawFn) -> dict[str, Any]:
    """A group as Azure answers it: without its hidden values, with what Azure adds."""
    variables = draw(st.lists(st.tuples(names, texts | st.none()), max_size=4, unique_by=lambda one: one[0]))
    volumes = draw(st.lists(st.tuples(names, st.sampled_from(["secret", "azureFile", "emptyDir"])), max_size=3,
                            unique_by=lambda one: one[0]))  # fmt: skip
    shapes: dict[str, Any] = {"secret": {}, "emptyDir": {}, "azureFile": {"shareName": "s", "storageAccountName": "a"}}
    requests: dict[str, Any] = {"cpu": draw(st.sampled_from([0.5, 1.0, 2])), "memoryInGB": 1.5}
    container = {
        "image": "demo.azurecr.io/app:v1",
        "environmentVariables": [{"name": key, **({} if value is None else {"value": value})} for key, value in variables],
        "resources": {"requests": requests},
    }
    properties: dict[str, Any] = {
        "osType": draw(st.sampled_from(["Linux", "Windows"])),
        "restartPolicy": draw(st.sampled_from(["Always", "Never", "OnFailure"])),
        "provisioningState": "Succeeded",
        "instanceView": {"state": "Running"},
        "containers": [{"name": "web", "properties": container}],
        "imageRegistryCredentials": [{"server": "demo.azurecr.io", "username": "pull", "isDelegatedIdentity": False}],
        "volumes": [{"name": name, kind: copy.deepcopy(shapes[kind])} for name, kind in volumes],
        "futureProperty": draw(st.dictionaries(names, texts, max_size=2)),
    }
    if draw(st.booleans()):
        properties["diagnostics"] = {"logAnalytics": {"workspaceId": "w"}}
    if draw(st.booleans()):
        hidden = [{"name": key} for key in draw(st.lists(names, max_size=2, unique=True))]
        properties["initContainers"] = [
            {"name": "first", "properties": {"image": "quay.io/a/b:1", "environmentVariables": hidden}}
        ]
        properties["imageRegistryCredentials"].append({"server": "quay.io", "username": "robot"})
    if draw(st.booleans()):
        kind = draw(st.sampled_from(["Public", "Private"]))
        ports = [{"port": port, "protocol": "TCP"} for port in draw(st.lists(st.integers(1, 65535), max_size=5, unique=True))]
        properties["ipAddress"] = {"type": kind, "ports": ports, "ip": "20.0.0.1", "fqdn": "x.example"}
        properties["subnetIds"] = [{"id": "/subscriptions/s/subnets/a"}] if kind == "Private" else []
    if draw(st.booleans()):
        requests["gpu"] = {"count": draw(st.sampled_from([1, 2])), "sku": draw(st.sampled_from(["V100", "K80"]))}
    if draw(st.booleans()):
        properties["extensions"] = [{"name": "e", "properties": {"extensionType": "x", "version": "1.0"}}]
    return {"id": ID, "name": "app", "location": "westeurope", "tags": draw(st.dictionaries(names, texts, max_size=2)),
            "properties": properties, **({"zones": ["1"]} if draw(st.booleans()) else {})}  # fmt: skip


def _text(body: dict[str, Any]) -> str:
    sources = {place.field.path: f"vault:s{number}" for number, place in enumerate(places(copy.deepcopy(body)))}
    return exported(read_group(body, NOW), sources, VERSION)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(bodies())
def test_what_is_exported_is_read_as_the_same_group_with_every_hidden_value_referred_to(body: dict[str, Any]) -> None:
    text = _text(body)
    assert text == _text(copy.deepcopy(body)), "the order is stable"
    template = read_template(text, "f", VERSION)
    bare = writable(body)
    document = copy.deepcopy(dict(template.document))
    for reference in template.references:
        at(document, reference.at[:-1]).pop(reference.at[-1])
    for place in places(bare):
        place.holder.pop(place.key, None)
    assert document == bare
    assert [one.slot.field for one in template.references] == [place.field for place in places(copy.deepcopy(body))]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(bodies())
def test_the_same_file_changes_nothing_and_loses_nothing(body: dict[str, Any]) -> None:
    template = read_template(_text(body), "f", VERSION)
    marked = copy.deepcopy(body)
    marked["tags"] = {**marked["tags"], DEPLOYED: "an instant and a text"}
    for shown in (body, marked):
        seen = difference_of(template, template.document, shown)
        assert (seen.changes, seen.lost, seen.recreate) == ((), (), ())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(bodies(), bodies())
def test_what_is_said_to_need_recreation_is_what_azure_refuses(one: dict[str, Any], other: dict[str, Any]) -> None:
    template = read_template(_text(other), "f", VERSION)
    seen = difference_of(template, template.document, one)
    assert bool(seen.recreate) == needs_recreation(one, dict(template.document))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(bodies())
def test_a_filled_document_leaves_no_place_empty_and_shows_no_value(body: dict[str, Any]) -> None:
    template = read_template(_text(body), "f", VERSION)
    forms = {"files": '{"a.txt": "aHVudGVyMg=="}', "object": '{"a": "b"}', "text": SECRET}
    before = copy.deepcopy(dict(template.document))
    made = filled(template.document, {one.at: Secret(forms[one.slot.form.value]) for one in template.references})
    assert list(places(copy.deepcopy(made.reveal()))) == []
    assert template.document == before
    assert SECRET not in f"{made!r}{template!r}{difference_of(template, template.document, body)!r}"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(bodies(), st.data())
def test_a_value_in_plain_text_is_refused_and_never_quoted(body: dict[str, Any], data: st.DataObject) -> None:
    template = read_template(_text(body), "f", VERSION)
    chosen = data.draw(st.sampled_from(template.references))
    whole = yaml.safe_load(_text(body))
    at(whole, chosen.at[:-1])[chosen.at[-1]] = {"a": SECRET} if chosen.slot.form.value == "files" else SECRET
    with pytest.raises(ConfigError, match=r"^f:\d+: .*plain text") as refused:
        read_template(yaml.safe_dump(whole), "f", VERSION)
    assert SECRET not in f"{refused.value!s}{refused.value.advice}"
    assert data


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(bodies())
def test_an_adoption_reads_the_groups_own_file(body: dict[str, Any]) -> None:
    whole = yaml.safe_load(_text(body))
    assert read_given(yaml.safe_dump(whole), "f") == {}, "references are no values"
    template = read_template(_text(body), "f", VERSION)
    for one in template.references:
        at(whole, one.at[:-1])[one.at[-1]] = {"a": "aHVudGVyMg=="} if one.slot.form.value == "files" else SECRET
    assert read_given(yaml.safe_dump(whole), "f").keys() == {one.slot.field.path for one in template.references}


@pytest.mark.parametrize(
    "extra",
    [
        {"name": "X", "value": "a", "secureValue": SECRET},
        {"name": "X", "secureValueReference": "r", "secureValue": SECRET},
    ],
)
def test_a_hidden_value_beside_another_way_to_say_it_is_refused(extra: dict[str, str]) -> None:
    resources = {"requests": {"cpu": 1, "memoryInGB": 1}}
    container = {"image": "demo.azurecr.io/app:v1", "environmentVariables": [extra], "resources": resources}
    properties = {"containers": [{"name": "web", "properties": container}], "secretReferences": [{"name": "r"}]}
    text = yaml.safe_dump({"name": "app", "location": "x", "properties": properties})
    with pytest.raises(ConfigError, match="another way") as refused:
        read_template(text, "f", VERSION)
    assert SECRET not in str(refused.value)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(max_size=60))
def test_any_text_is_a_group_or_a_sentence(text: str) -> None:
    for read in (lambda: read_template(text, "f", VERSION), lambda: read_given(text, "f")):
        with contextlib.suppress(ConfigError):
            read()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(bodies(), st.data())
def test_another_version_of_any_hidden_value_is_another_source(body: dict[str, Any], data: st.DataObject) -> None:
    template = read_template(_text(body), "f", VERSION)
    stored = {one.name: stored_secret(one.name, "v1") for one in template.references}
    before = sources_of(template, stored)
    assert before == sources_of(template, dict(reversed(stored.items())))
    chosen = data.draw(st.sampled_from(sorted(stored)))
    assert sources_of(template, stored | {chosen: stored_secret(chosen, "v2")}) != before
    assert deployed_at({DEPLOYED: deployed_tag(before, NOW)}, before) == NOW
    assert deployed_at({DEPLOYED: deployed_tag(before, NOW)}, "another") is None
    assert deployed_at({}, before) is None


def stored_secret(name: str, version: str) -> StoredSecret:
    return StoredSecret(name=name, version=version, enabled=True, created_at=NOW, expires_at=None, tags={})


def test_a_group_of_which_the_job_has_ended_is_deployed_as_a_new_one_but_never_in_another_region() -> None:
    properties = {"containers": [], "restartPolicy": "Never", "instanceView": {"state": "Succeeded"}}
    body = {"id": ID, "location": "westeurope", "properties": {**properties, "provisioningState": "Succeeded"}}
    moved = {"location": "northeurope", "properties": {**properties, "osType": "Windows"}}
    assert list(_frozen(body, {**moved, "location": "West Europe"})) == []
    assert list(_frozen(body, moved)) == ["region (westeurope to northeurope)"]
