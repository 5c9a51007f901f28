"""Where write-only values are found again."""

import pytest

from rotator.model.errors import Denied, Held
from rotator.model.group import WriteOnlyField
from tests.contract.groups.conftest import Cloud


def places(cloud: Cloud, name: str) -> dict[str, str | None]:
    group = cloud.group(name)
    return {field.path: cloud.values.locate(group, field) for field in group.write_only}


def stored(cloud: Cloud, name: str) -> dict[str, object]:
    """What the emulated Azure really keeps, by the test's own reading of the paths."""
    document = next(one for one in cloud.sandbox.world.groups.by_id.values() if one.name == name).document
    inside = document["properties"]
    found: dict[str, object] = {}
    for container in inside["containers"]:
        for variable in container["properties"].get("environmentVariables", []):
            if "secureValue" in variable:
                path = f"containers/{container['name']}/environmentVariables/{variable['name']}/secureValue"
                found[path] = variable["secureValue"]
    for entry in inside.get("imageRegistryCredentials", []):
        if "password" in entry:
            found[f"imageRegistryCredentials/{entry['server']}/password"] = entry["password"]
    for volume in inside.get("volumes", []):
        if "storageAccountKey" in volume.get("azureFile", {}):
            found[f"volumes/{volume['name']}/azureFile/storageAccountKey"] = volume["azureFile"]["storageAccountKey"]
    log = inside.get("diagnostics", {}).get("logAnalytics", {})
    if "workspaceKey" in log:
        found["diagnostics/logAnalytics/workspaceKey"] = log["workspaceKey"]
    return found


@pytest.mark.parametrize("name", ["web-frontend", "payments-ledger", "payments-billing", "features-mixed", "etl-hourly"])
def test_every_value_that_azure_keeps_is_found_as_it_is(cloud: Cloud, name: str) -> None:
    group = cloud.group(name)
    kept = stored(cloud, name)
    assert {field.path for field in group.write_only} == set(kept)
    for field in group.write_only:
        assert cloud.values.fetch(group, field).reveal() == kept[field.path]


def test_each_place_has_a_name(cloud: Cloud) -> None:
    found = places(cloud, "payments-ledger")
    assert found["volumes/share/azureFile/storageAccountKey"] == "storage-keys:stcontosoledger"
    assert found["diagnostics/logAnalytics/workspaceKey"] == "workspace-keys:law-contoso"
    assert str(found["imageRegistryCredentials/contosoplatform.azurecr.io/password"]).startswith("vault:pull-")
    assert str(places(cloud, "web-api")["volumes/certs/secret"]).startswith("vault:field-web-api")


def test_locating_reads_no_value(cloud: Cloud) -> None:
    places(cloud, "payments-ledger")
    for operation in ("arm.storageAccounts.listKeys", "arm.workspaces.sharedKeys", "vault.secret.get"):
        assert cloud.requests(operation) == 0


def test_what_nothing_holds_is_held_and_the_advice_says_where_to_put_it(cloud: Cloud) -> None:
    group = cloud.group("payments-sealed")
    field = WriteOnlyField("containers/sealed/environmentVariables/API_KEY/secureValue")
    assert cloud.values.locate(group, field) is None
    with pytest.raises(Held) as caught:
        cloud.values.fetch(group, field)
    assert caught.value.missing == (field.path,)
    assert group.id.key in caught.value.advice


def test_what_could_not_be_searched_is_an_error_and_not_an_absence(cloud: Cloud) -> None:
    cloud.break_(on="arm.storageAccounts.list", status=403, code="AuthorizationFailed")
    group = cloud.group("payments-ledger")
    with pytest.raises(Denied) as caught:
        cloud.values.locate(group, WriteOnlyField("volumes/share/azureFile/storageAccountKey"))
    assert caught.value.needs == "Microsoft.Storage/storageAccounts/read"


def test_a_value_that_was_stored_later_is_found_after_a_refresh(cloud: Cloud) -> None:
    group = cloud.group("payments-sealed")
    field = WriteOnlyField("containers/sealed/environmentVariables/API_KEY/secureValue")
    assert cloud.values.locate(group, field) is None
    cloud.sandbox.world.vaults.set_secret(
        "kv-demo", "late", "late-value", tags={"rotator-group": group.id.text.upper(), "rotator-field": field.path}
    )
    assert cloud.values.locate(group, field) is None
    cloud.values.refresh()
    assert cloud.values.fetch(group, field).reveal() == "late-value"
    cloud.values.refresh([])
    assert cloud.values.locate(group, field) is None
