"""Leaving stored passwords: the verbs at a terminal, the real SDKs against the emulated clouds, and the oracle's word on it."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rotator import wiring
from rotator.config import load
from rotator.migrations import Migrations
from rotator.model.migration import MOVED, Goal
from rotator.sandbox.clouds.containergroups.records import Group
from tests.e2e.desk import Desk, Ended

EFFECTS = {"redeploy", "tag", "grant", "create_identity"}


@pytest.fixture
def ready(desk: Desk) -> Desk:
    """A desk whose configuration names an identity and the vault. The identity has a role at one registry of three."""
    desk.configure(migration={"identity": identity(desk), "vault_id": desk.world.vaults.vault("kv-demo").resource_id})
    return desk


def identity(desk: Desk, name: str = "id-aci-pull") -> str:
    return next(one.id for one in desk.world.arm.identities.values() if one.name == name)


def migrate(desk: Desk, goal: str, *arguments: str) -> Ended:
    return desk.run("migrate", "--to", goal, "--yes", *arguments)


def group(desk: Desk, name: str) -> Group:
    return desk.world.groups.by_id[desk.group(name)]


def entries(desk: Desk, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = group(desk, name).properties["imageRegistryCredentials"]
    return found


def groups_touched(desk: Desk) -> list[str]:
    return [one for one in desk.effects() if one.startswith("group.")]


def test_the_whole_estate_leaves_its_passwords_without_an_outage(ready: Desk) -> None:
    ended = migrate(ready, "managed-identity")
    assert ended.status == 4  # two groups whose password in the vault is wrong
    assert "16 groups moved" in ended.words
    assert (
        "there would be no way back with the password that the vault holds: the credential of aci-payments-pull at" in ended.words
    )
    assert entries(ready, "web-frontend") == [{"server": "contosoplatform.azurecr.io", "identity": identity(ready)}]
    assert group(ready, "web-frontend").tags["rotator:contosoplatform.azurecr.io"].startswith(MOVED)
    again = migrate(ready, "vault-reference")
    assert "5 groups moved" in again.words  # four of Amazon's and one of Docker Hub's
    before = groups_touched(ready)
    assert "0 groups moved" in migrate(ready, "managed-identity").words
    assert groups_touched(ready) == before
    assert ready.unharmed()
    assert not ready.sandbox.oracle.report()["woken"]


def test_a_dry_run_says_who_cannot_move_and_changes_nothing(ready: Desk) -> None:
    ended = ready.run("migrate", "--to", "managed-identity", "--dry-run")
    assert ended.status == 0
    for sentence in (
        "ghcr.io is no Azure registry",
        "is stopped; putting it again would start it",
        "has run to its end",
        "containers/sealed/environmentVariables/API_KEY/secureValue",
        "there would be no way back",
        "az acr token delete --registry contosoplatform --name aci-web-pull",
    ):
        assert sentence in ended.words
    assert ready.effects() == []


def test_a_canary_that_is_not_well_gets_its_password_back_and_nobody_follows(ready: Desk) -> None:
    before = entries(ready, "web-api")
    ready.fault({"on": "aci.groups.put", "nth": 1, "outcome": "crash-loop"})
    ended = migrate(ready, "managed-identity", "--only", "*/aci-web-pull")
    assert ended.status == 4
    assert "rolled-back" in ended.words
    assert ended.words.count("not-begun") == 2
    assert entries(ready, "web-api") == before
    ready.fault()
    assert migrate(ready, "managed-identity", "--only", "*/aci-web-pull").status == 0
    assert ready.unharmed()


def test_a_role_that_is_not_honoured_yet_is_waited_for(ready: Desk) -> None:
    """The first group of another registry is refused while the new role is on its way; the refusal changes nothing."""
    ready.configure(migration={"role_wait": "1s"})
    assert migrate(ready, "managed-identity", "--only", "legacy-crm").status == 0
    assert ready.sandbox.oracle.report()["refused_deploys"]["InaccessibleImage"] >= 1
    assert ready.unharmed()


def test_a_role_that_is_never_honoured_leaves_the_group_as_it_was(ready: Desk) -> None:
    ready.configure(migration={"role_wait": "1s", "role_limit": "10s"})
    before = entries(ready, "legacy-crm")
    ended = migrate(ready, "managed-identity", "--only", "legacy-*")
    assert ended.status == 4
    assert "refused" in ended.words
    assert "not-begun" in ended.words
    assert entries(ready, "legacy-crm") == before
    assert ready.unharmed()


def test_who_may_not_give_roles_is_told_the_command(ready: Desk) -> None:
    with ready.world.lock:
        for role in [one for one in ready.world.arm.roles.values() if one.name == "Rotator migrations"]:
            ready.world.arm.roles[role.id] = replace(role, actions=())
    ended = migrate(ready, "managed-identity", "--only", "legacy-crm")
    assert ended.status == 4
    assert "az role assignment create --assignee-object-id" in ended.words
    assert groups_touched(ready) == []


def test_an_identity_is_created_only_when_asked_for(ready: Desk) -> None:
    missing = identity(ready).replace("id-aci-pull", "id-new")
    ended = migrate(ready, "managed-identity", "--only", "web-preview", "--identity", missing)
    assert ended.status == 4
    assert "there is no identity id-new" in ended.words
    assert migrate(ready, "managed-identity", "--only", "web-preview", "--identity", missing, "--create-identity").status == 0
    assert ready.unharmed()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--to", "managed-identity", "--only", "nobody"), "no container group, registry or credential in use has this name"),
        (("--to", "managed-identity", "--identity", "id-aci-pull"), "no resource id of a user-assigned identity"),
        (("--to", "managed-identity"), "nobody is there to confirm"),
    ],
)
def test_bad_input_is_one_sentence(ready: Desk, arguments: tuple[str, ...], sentence: str) -> None:
    ended = ready.run("migrate", *arguments)
    assert ended.status == 2
    assert sentence in ended.words
    assert "Traceback" not in ended.words
    assert ready.effects() == []


def test_a_registry_with_repository_permissions_gets_its_own_role(ready: Desk) -> None:
    """AcrPull counts for nothing where permissions are given by repository."""
    with ready.world.lock:
        lake = next(one for one in ready.world.registries.acr.values() if one.name == "contosolegacy")
        lake.properties["roleAssignmentMode"] = "AbacRepositoryPermissions"
    made = json.loads(ready.run("migrate", "--to", "managed-identity", "--only", "legacy-crm", "--dry-run", "--json").out)
    assert [one["role_name"] for one in made["migration"]["grants"]] == ["Container Registry Repository Reader"]
    assert migrate(ready, "managed-identity", "--only", "legacy-crm").status == 0
    assert ready.unharmed()


def test_an_admin_user_in_use_stays_and_is_switched_off_once_its_group_has_moved(ready: Desk) -> None:
    ended = ready.run("disable-admin-user", "--yes")
    assert ended.status == 4
    assert "stored in group rg-tools/legacy-portal" in ended.words
    assert migrate(ready, "managed-identity", "--only", "legacy-portal").status == 0
    assert ready.run("disable-admin-user", "--dry-run").status == 0
    ready.run("disable-admin-user", "contosolegacy", "--yes")
    assert not next(one for one in ready.world.registries.acr.values() if one.name == "contosolegacy").admin_enabled
    assert "No admin user is switched on." not in ended.words
    assert ready.unharmed()


def test_an_admin_user_of_whom_nothing_is_known_stays_unless_that_is_assumed(ready: Desk) -> None:
    migrate(ready, "managed-identity", "--only", "legacy-portal")
    ready.settings.pop("usage_log")
    ended = ready.run("disable-admin-user", "--yes")
    assert ended.status == 4
    assert "no log workspace is configured" in ended.words
    assert ready.run("disable-admin-user", "--yes", "--assume-unused").status == 0


# --- killed anywhere --------------------------------------------------------------------------------------------------------


class Killed(BaseException):
    """The process ends here."""


class Mortal:
    """A port that dies at the n-th effect, before or after it."""

    def __init__(self, port: object, dies: "Death") -> None:
        self._port, self._dies = port, dies

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the port has
        found: Callable[..., Any] = getattr(self._port, name)
        return self._dies.around(found) if name in EFFECTS else found


class Death:
    def __init__(self, at: int) -> None:
        self.left, self.happened = at, False

    def around(self, effect: Callable[..., Any]) -> Callable[..., Any]:
        def acting(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - as above
            for moment in ("before", "after"):
                self.left -= 1
                if self.left == 0:
                    self.happened = True
                    raise Killed
                if moment == "before":
                    answer = effect(*arguments, **named)
            return answer

        return acting


def killed_at(desk: Desk, goal: Goal, only: str, at: int) -> bool:
    """Migrate in a process that dies at a moment; returns whether it came so far."""
    file = desk.folder / "rotator.yaml"
    file.write_text(json.dumps(desk.settings), encoding="utf-8")
    application, death = wiring.build(load(Path(file))), Death(at)
    told = application.migrations
    context: Any = replace(told.context, platform=Mortal(told.context.platform, death))
    mortal = Migrations(
        context=context,
        access=Mortal(told.access, death),
        choices=told.choices,
        tenant=told.tenant,
        at_work=told.at_work,
    )
    try:
        with told.at_work("", None):
            mortal = replace(mortal, at_work=lambda _work, _progress: _Here(context))
            mortal.carry_out(mortal.plan(application.estate(), goal, [only]))
    except Killed:
        pass
    finally:
        application.close()
    return death.happened


class _Here:
    def __init__(self, context: Any) -> None:  # noqa: ANN401 - ports stand in it
        self._context = context

    def __enter__(self) -> Any:  # noqa: ANN401 - as above
        return self._context

    def __exit__(self, *_: object) -> None:
        return None


@pytest.mark.parametrize(("goal", "only"), [(Goal.MANAGED_IDENTITY, "legacy-crm"), (Goal.VAULT_REFERENCE, "scorer-fresh")])
def test_killed_at_any_effect_the_next_run_ends_in_the_same_place(ready: Desk, goal: Goal, only: str) -> None:
    seen: list[object] = []
    for at in range(1, 20):
        ready.sandbox.reset()
        died = killed_at(ready, goal, only, at)
        ended = migrate(ready, goal.value, "--only", only)
        assert ended.status == 0, (at, ended.words)
        state = group(ready, only)
        assert all(value.startswith(MOVED) for name, value in state.tags.items() if name.startswith("rotator:")), at
        assert not any("password" in one for one in entries(ready, only)), at
        assert ready.sandbox.oracle.report()["redeploys"] == {state.id.lower(): 1}, at
        assert ready.unharmed(), at
        seen.append(died)
        if not died:
            break
    assert seen[-1] is False
    assert len(seen) == 7  # a role, a redeploy and a tag, each with a death before and after; and none


def test_killed_before_it_saw_that_the_group_is_not_well_the_next_run_puts_the_password_back(ready: Desk) -> None:
    before = entries(ready, "web-preview")
    ready.fault({"on": "aci.groups.put", "nth": 1, "outcome": "crash-loop"})
    assert killed_at(ready, Goal.MANAGED_IDENTITY, "web-preview", 2)
    assert "identity" in entries(ready, "web-preview")[0]
    ended = migrate(ready, "managed-identity", "--only", "web-preview")
    assert ended.status == 4
    assert "rolled-back" in ended.words
    assert entries(ready, "web-preview") == before
    assert ready.unharmed()
