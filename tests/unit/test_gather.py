from dataclasses import replace
from datetime import timedelta

import pytest

from rotator.drivers import DRIVERS
from rotator.inventory.gather import gather
from rotator.inventory.scope import Scope
from rotator.model.arm import ArmId
from rotator.model.credential import Principal, PrincipalKind
from rotator.model.errors import Denied, RotatorError, Unavailable
from rotator.model.group import Inline, ManagedIdentity, WriteOnlyField
from tests.builders import (
    APP_ID,
    NOW,
    SERVER,
    SUBSCRIPTION,
    admin,
    application,
    binding,
    container_body,
    credential,
    group,
    group_id,
    record,
    registry,
    registry_id,
    secret,
    token,
)
from tests.crash.kinds import dependencies
from tests.fakes import FakeCloud

OTHER = "5f0c7a1e-0000-4000-8000-000000000002"
HERE = Scope(subscriptions=(SUBSCRIPTION,))


def denied(what: str) -> RotatorError:
    return Denied(f"{what}: access was denied", api="container-instances", operation="list", needs=f"{what}/read")


def cloud() -> FakeCloud:
    made = FakeCloud()
    made.groups.listed = {SUBSCRIPTION: [group("web", binding())]}
    made.catalog.listed = {SUBSCRIPTION: [registry()]}
    made.catalog.token_lists = {"demo": [record(token(), credential())]}
    return made


def test_groups_come_with_principals_and_suspects() -> None:
    made = cloud()
    body = container_body(environment={"DB_PASSWORD": "hunter2"})
    made.groups.listed[SUBSCRIPTION] = [group("web", binding(), body=body)]
    estate = gather(made.readers, HERE)
    assert [one.principal for one in estate.groups[0].bindings] == [token()]
    assert [one.path for one in estate.groups[0].suspects] == ["containers/web/environmentVariables/DB_PASSWORD/value"]
    assert estate.consumers[token()] == estate.groups
    assert estate.observed_at == NOW
    assert estate.unread == ()


def test_a_token_spelled_in_another_case_is_the_same_principal() -> None:
    made = cloud()
    made.groups.listed[SUBSCRIPTION] = [group("web", binding(Inline("PULL")))]
    estate = gather(made.readers, HERE)
    assert list(estate.consumers) == [token()]


def test_only_applications_in_use_are_read() -> None:
    made = cloud()
    made.groups.listed[SUBSCRIPTION] = [
        group("one", binding(Inline(APP_ID))),
        group("two", binding(Inline(APP_ID.upper()))),
    ]
    made.directory.known = {APP_ID: record(application())}
    estate = gather(made.readers, HERE)
    assert made.directory.asked == [APP_ID]
    assert application() in estate.records


def test_an_application_that_does_not_exist_has_no_record_and_is_not_unread() -> None:
    made = cloud()
    made.groups.listed[SUBSCRIPTION] = [group("one", binding(Inline(APP_ID)))]
    estate = gather(made.readers, HERE)
    assert application() not in estate.records
    assert estate.unread == ()


def test_an_admin_user_is_recorded_with_its_switch_and_without_credentials() -> None:
    made = cloud()
    made.groups.listed[SUBSCRIPTION] = [group("web", binding(Inline("demo")))]
    made.catalog.listed[SUBSCRIPTION] = [registry(admin_enabled=True)]
    estate = gather(made.readers, HERE)
    assert estate.records[admin()].enabled is True
    assert estate.records[admin()].credentials is None


def test_a_service_that_lists_no_secrets_has_not_said_that_there_are_none() -> None:
    made = cloud()
    made.groups.listed[SUBSCRIPTION] = [group("web", binding(Inline("ci"), registry="registry.contoso.dev"))]
    nobody = Principal(kind=PrincipalKind.OTHER, registry="registry.contoso.dev", name="ci")
    driver = DRIVERS[PrincipalKind.OTHER](dependencies())
    estate = gather(replace(made.readers, principals={PrincipalKind.OTHER: driver}), HERE)
    assert driver.inspect(nobody) == ()
    assert estate.records[nobody].credentials is None


def test_the_vault_is_read_once() -> None:
    made = cloud()
    made.groups.listed[SUBSCRIPTION] = [group(f"web-{number}", binding()) for number in range(20)]
    made.vault.stored = [secret(token(), name="b"), secret(token(), name="a")]
    estate = gather(made.readers, HERE)
    assert made.vault.inventories == 1
    assert [one.name for one in estate.secrets] == ["a", "b"]


def test_one_subscription_that_cannot_be_read_hides_nothing_of_another() -> None:
    made = cloud()
    made.groups.listed[OTHER] = [denied("groups")]
    made.catalog.listed[OTHER] = [denied("registries")]
    estate = gather(made.readers, Scope(subscriptions=(OTHER, SUBSCRIPTION)))
    assert [one.name for one in estate.groups] == ["web"]
    assert [(one.what, one.scope, one.code) for one in estate.unread] == [
        ("container-groups", OTHER, "denied"),
        ("registries", OTHER, "denied"),
    ]
    assert "groups/read" in estate.unread[0].advice


def test_what_was_listed_before_a_failure_is_kept() -> None:
    made = cloud()
    made.groups.listed[SUBSCRIPTION] = [group("first", binding()), denied("groups"), group("never-reached")]
    made.vault.stored = [secret(token())]
    made.vault.error = Unavailable("the vault does not answer", api="key-vault", operation="list")
    estate = gather(made.readers, HERE)
    assert [one.name for one in estate.groups] == ["first"]
    assert len(estate.secrets) == 1
    assert {one.what: one.scope for one in estate.unread} == {"container-groups": SUBSCRIPTION, "vault": made.vault.address}


def test_tokens_and_applications_that_cannot_be_read_are_named() -> None:
    made = cloud()
    made.groups.listed[SUBSCRIPTION] = [group("web", binding(), binding(Inline(APP_ID)))]
    made.catalog.token_lists = {"demo": [denied("tokens")]}
    made.directory.known = {APP_ID: denied("applications")}
    estate = gather(made.readers, HERE)
    assert [(one.what, one.scope) for one in estate.unread] == [("applications", APP_ID), ("tokens", registry_id().text)]
    assert estate.records == {}


def test_an_error_that_is_not_ours_is_a_bug_and_is_raised() -> None:
    made = cloud()
    made.catalog.listed[SUBSCRIPTION] = [replace(registry(), login_server=None)]  # type: ignore[arg-type]
    with pytest.raises(AttributeError):
        gather(made.readers, HERE)


PASSWORD = WriteOnlyField(f"imageRegistryCredentials/{SERVER}/password")
HUB_PASSWORD = WriteOnlyField("imageRegistryCredentials/index.docker.io/password")
VARIABLE = WriteOnlyField("containers/web/environmentVariables/DB/secureValue")


def test_write_only_values_without_a_place_are_listed() -> None:
    made = cloud()
    entries = (binding(), binding(Inline("builds"), registry="docker.io"))
    made.groups.listed[SUBSCRIPTION] = [group("web", *entries, write_only=(PASSWORD, HUB_PASSWORD, VARIABLE))]
    made.values.places = {VARIABLE.path: "vault:db"}
    estate = gather(made.readers, HERE)
    assert estate.unsourced == {group_id("web"): (HUB_PASSWORD,)}
    assert PASSWORD.path not in made.values.asked, "a rotation brings the password of a token"


def test_a_value_that_could_not_be_looked_for_is_unsourced_and_unread() -> None:
    made = cloud()
    made.groups.listed[SUBSCRIPTION] = [group("web", binding(), write_only=(VARIABLE,))]
    made.values.places = {VARIABLE.path: denied("storage keys")}
    estate = gather(made.readers, HERE)
    assert estate.unsourced == {group_id("web"): (VARIABLE,)}
    assert [(one.what, ArmId(one.scope)) for one in estate.unread] == [("value-sources", group_id("web"))]


def test_an_admin_users_password_needs_a_source_as_long_as_nobody_rotates_it() -> None:
    made = cloud()
    made.groups.listed[SUBSCRIPTION] = [group("web", binding(Inline("demo")), write_only=(PASSWORD,))]
    assert gather(made.readers, HERE).unsourced == {group_id("web"): (PASSWORD,)}
    assert gather(made.readers, HERE, rotatable={admin().kind}).unsourced == {}


def test_order_does_not_depend_on_the_order_of_answers() -> None:
    made, turned = cloud(), cloud()
    groups = [group(name, binding()) for name in ("c", "a", "b")]
    made.groups.listed[SUBSCRIPTION] = [*groups]
    turned.groups.listed[SUBSCRIPTION] = [*reversed(groups)]
    for one in (made, turned):
        one.catalog.listed[SUBSCRIPTION] = [registry("demo"), registry("alpha")]
    turned.catalog.listed[SUBSCRIPTION].reverse()
    assert gather(made.readers, HERE) == gather(turned.readers, HERE)


SCOPES: dict[str, tuple[Scope, list[str]]] = {
    "everything": (HERE, ["api", "job", "web"]),
    "one resource group, whatever its case": (Scope(subscriptions=(SUBSCRIPTION,), resource_groups=("SHOP",)), ["web"]),
    "resource groups by glob": (Scope(subscriptions=(SUBSCRIPTION,), resource_groups=("team-*",)), ["api", "job"]),
    "a tag, whatever the case of its name": (Scope(subscriptions=(SUBSCRIPTION,), tags={"Env": "prod"}), ["api", "web"]),
    "a tag's value counts in its case": (Scope(subscriptions=(SUBSCRIPTION,), tags={"env": "PROD"}), []),
    "both": (Scope(subscriptions=(SUBSCRIPTION,), resource_groups=("team-*",), tags={"env": "prod"}), ["api"]),
}


@pytest.mark.parametrize(("scope", "expected"), SCOPES.values(), ids=SCOPES.keys())
def test_a_scope_admits(scope: Scope, expected: list[str]) -> None:
    made = cloud()
    made.groups.listed[SUBSCRIPTION] = [
        group("web", binding(), tags={"env": "prod"}),
        group("api", binding(), id_=group_id("api", resource_group="team-a"), tags={"ENV": "prod"}),
        group("job", binding(), id_=group_id("job", resource_group="Team-B"), tags={"env": "test"}),
    ]
    assert sorted(one.name for one in gather(made.readers, scope).groups) == expected


def test_a_filtered_scope_keeps_the_registries_that_its_groups_use() -> None:
    made = cloud()
    made.catalog.listed[SUBSCRIPTION] = [
        registry("demo"),
        registry("strange"),
        registry("own", id=registry_id("own", resource_group="shop")),
    ]
    estate = gather(made.readers, Scope(subscriptions=(SUBSCRIPTION,), resource_groups=("shop",)))
    assert [one.name for one in estate.registries] == ["demo", "own"]
    assert "strange" not in made.catalog.asked


def test_the_reading_is_dated_from_its_beginning() -> None:
    made = cloud()
    made.clock.sleep(timedelta(days=30))
    assert gather(made.readers, HERE).observed_at == NOW + timedelta(days=30)


def test_an_identity_is_nobody_to_look_up() -> None:
    made = cloud()
    made.groups.listed[SUBSCRIPTION] = [group("web", binding(ManagedIdentity("id", attached=True)))]
    estate = gather(made.readers, HERE)
    assert estate.consumers == {}
    assert made.directory.asked == []


def test_groups_outside_the_scope_that_share_a_principal_are_kept_as_bystanders() -> None:
    made = cloud()
    made.groups.listed[SUBSCRIPTION] = [
        group("web", binding()),
        group("elsewhere", binding(), id_=group_id("elsewhere", resource_group="other-team")),
        group("alone", binding(Inline("somebody-else")), id_=group_id("alone", resource_group="other-team")),
    ]
    estate = gather(made.readers, Scope(subscriptions=(SUBSCRIPTION,), resource_groups=("shop",)))
    assert [one.name for one in estate.groups] == ["web"]
    assert [one.name for one in estate.bystanders] == ["elsewhere"]
