"""Each group's cheapest way to zero secrets, from an estate alone."""

from dataclasses import replace

import pytest
from rich.console import Console

from rotator.cli.migrating import plan
from rotator.migration.choices import Choices
from rotator.migration.entries import Rules
from rotator.migration.paths import paths_of
from rotator.migration.plan import make_migration
from rotator.model.credential import Principal, PrincipalKind
from rotator.model.estate import TAG_PRINCIPAL, StoredSecret
from rotator.model.group import GroupState, Inline, ManagedIdentity
from rotator.model.migration import Goal, Way
from tests.builders import NOW, binding, bound, estate, group, registry

PULL = Principal(kind=PrincipalKind.ACR_TOKEN, registry="demo.azurecr.io", name="pull")
LEASE = Principal(kind=PrincipalKind.ECR, registry="123456789012.dkr.ecr.eu-west-1.amazonaws.com", name="AWS")
GHCR = Principal(kind=PrincipalKind.GHCR, registry="ghcr.io", name="bot")


def kept(principal: Principal) -> StoredSecret:
    return StoredSecret(
        name="kept", version="1", enabled=True, tags={TAG_PRINCIPAL: principal.id}, created_at=None, expires_at=None
    )


def test_a_group_without_a_stored_password_needs_nothing() -> None:
    [path] = paths_of(estate(group("web", binding(ManagedIdentity("/subscriptions/s/x", attached=True)))))
    assert (path.way, path.command) == (Way.NOTHING, "")


@pytest.mark.parametrize(
    ("principal", "way"), [(PULL, Way.MANAGED_IDENTITY), (LEASE, Way.VAULT_REFERENCE), (GHCR, Way.VAULT_REFERENCE)]
)
def test_one_command_goes_the_cheapest_way(principal: Principal, way: Way) -> None:
    reading = estate(group("web", bound(principal)), registries=(registry(),), secrets=(kept(principal),))
    [path] = paths_of(reading)
    assert path.command == f"rotator migrate --to {way.value} --only web"


def test_what_the_vault_does_not_hold_is_to_be_brought_or_rotated_first() -> None:
    [path] = paths_of(estate(group("web", bound(GHCR))))
    assert path.way is Way.IMPOSSIBLE
    assert path.why == f"the password of {GHCR.id} is not in the vault; first: rotator import '{GHCR.id}'"
    [path] = paths_of(estate(group("web", bound(LEASE))))
    assert path.why.endswith(f"first: rotator rotate --force --only '{LEASE.id}'")


def test_a_command_keeps_the_id_that_it_takes_when_the_sentence_is_shown_to_people() -> None:
    sentence = f"the password of {PULL.id} is not in the vault; first: rotator import '{PULL.id}'"
    spoken = f"the password of pull (repository token, demo.azurecr.io) is not in the vault; first: rotator import '{PULL.id}'"
    rules = Rules(goal=Goal.VAULT_REFERENCE, choices=Choices(), vault="https://v", any_identity=True)
    made = make_migration(estate(group("web", bound(PULL)), registries=(registry(),)), rules, NOW)
    held = replace(made, moves=tuple(replace(one, why=sentence) for one in made.moves))
    console = Console(width=300)
    with console.capture() as shown:
        console.print(plan(held, {}))
    assert spoken in shown.get()


def test_a_registry_that_nobody_sees_cannot_give_a_role_but_the_vault_may_be_referred_to() -> None:
    [path] = paths_of(estate(group("web", bound(PULL)), registries=(), secrets=(kept(PULL),)))
    assert path.way is Way.VAULT_REFERENCE


def test_a_registry_that_shuts_azure_out_is_said_to() -> None:
    shut = registry(public_access=False, trusted_services=False, sku="Premium")
    [path] = paths_of(estate(group("web", bound(PULL)), registries=(shut,)))
    assert path.way is Way.IMPOSSIBLE


def test_a_stopped_group_is_not_started_by_its_path() -> None:
    reading = estate(group("web", bound(PULL), state=GroupState.STOPPED), registries=(registry(),), secrets=(kept(PULL),))
    [path] = paths_of(reading)
    assert "is stopped" in path.why


def test_a_user_name_that_tells_nothing_has_no_path() -> None:
    [path] = paths_of(estate(group("web", binding(Inline("pull")))))
    assert path.way is Way.IMPOSSIBLE
    assert path.why
