"""The matrix is worth what it can see: each rotation here breaks one promise on purpose, and must be found out."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import cast

import pytest

from rotator.drivers import DRIVERS
from rotator.model.arm import ArmId
from rotator.model.credential import Credential, Handle, Overlap, Principal, PrincipalKind
from rotator.model.estate import STAGED_SUFFIX, StoredSecret
from rotator.model.rotation import PlanItem, RotationOutcome
from rotator.model.secret import Secret
from rotator.ports import Steps
from rotator.rotation import issue, verify
from rotator.rotation.context import Context
from rotator.rotation.workflow import carry_out
from tests.crash import kinds, memorymatrix
from tests.crash.invariants import violations as violations_in
from tests.crash.memorymatrix import Play, overlap_of, play, violations
from tests.crash.stage import Stage, Turn
from tests.memoryports import MemoryDriver, MemoryVault
from tests.nights import Machine

_ENDABLE = pytest.mark.parametrize("overlap", [Overlap.TWO_SLOTS, Overlap.MANY])
_ALL = pytest.mark.parametrize("overlap", [Overlap.TWO_SLOTS, Overlap.MANY, Overlap.LEASES])


def found_in(overlap: Overlap, machine: Machine) -> str:
    """Play the broken rotation without any crash and return what was found wrong."""
    return "\n".join(violations(play(Play(overlap=overlap), machine)))


def end_old(context: Context, item: PlanItem) -> None:
    driver = context.driver(item.principal)
    for old in item.old:
        driver.retire(Handle(principal=item.principal, id=old, slot=old.partition("@")[0]))


@_ENDABLE
def test_the_old_secret_ended_before_the_cutover(overlap: Overlap) -> None:
    def carry(steps: Steps, context: Context, item: PlanItem) -> RotationOutcome:
        record = issue.issue(context, item)
        verify.verify(context, item, record)
        verify.promote(context, item, record)
        end_old(context, item)
        return carry_out(steps, context, item)

    assert "outages" in found_in(overlap, Machine(carry=carry))


@_ENDABLE
def test_the_old_secret_ended_without_a_soak(overlap: Overlap) -> None:
    def carry(steps: Steps, context: Context, item: PlanItem) -> RotationOutcome:
        outcome = carry_out(steps, context, item)
        end_old(context, item)
        return outcome

    assert "after its last use" in found_in(overlap, Machine(carry=carry))


@_ENDABLE
def test_an_old_secret_that_nobody_ends(overlap: Overlap) -> None:
    def carry(steps: Steps, context: Context, item: PlanItem) -> RotationOutcome:
        return carry_out(steps, context, replace(item, old=()))

    assert "not the vault's current one alone" in found_in(overlap, Machine(carry=carry))


@_ALL
def test_a_secret_made_before_anything_says_so(overlap: Overlap) -> None:
    def carry(steps: Steps, context: Context, item: PlanItem) -> RotationOutcome:
        if not context.vault.look(item.secret_name + STAGED_SUFFIX):
            context.driver(item.principal).issue(item.principal, item.rotation, item.ttl, item.slot)
        return carry_out(steps, context, item)

    assert found_in(overlap, Machine(carry=carry)), "made twice, or held for ever"


class NothingStaged(MemoryVault):
    """A vault that loses what is staged in it."""

    def write(
        self, name: str, secret: Secret, *, tags: Mapping[str, str], expires_at: datetime | None, enabled: bool = True
    ) -> StoredSecret:
        stored = super().write(name, secret, tags=tags, expires_at=expires_at, enabled=enabled)
        if name.endswith(STAGED_SUFFIX) and enabled:
            self._cloud.vault[name].pop()
            if not self._cloud.vault[name]:
                del self._cloud.vault[name]
        return stored


@_ALL
def test_a_secret_that_is_used_without_having_been_staged(overlap: Overlap) -> None:
    def change(context: Context) -> Context:
        return replace(context, vault=NothingStaged(cast("MemoryVault", context.vault)._cloud))

    assert found_in(overlap, Machine(change=change))


class WrongSlot(MemoryDriver):
    """A driver that fills the slot in use."""

    def issue(
        self, principal: Principal, marker: str, ttl: timedelta | None, slot: str, *, before: datetime | None = None
    ) -> tuple[Credential, Secret]:
        other = {"password1": "password2", "password2": "password1"}[slot]
        return super().issue(principal, marker, ttl, other, before=before)


def test_the_slot_in_use_filled() -> None:
    def change(context: Context) -> Context:
        kind = PrincipalKind.ACR_TOKEN
        return replace(context, drivers={**context.drivers, kind: WrongSlot(cast("MemoryVault", context.vault)._cloud, kind)})

    assert "outages" in found_in(Overlap.TWO_SLOTS, Machine(change=change))


@_ENDABLE
def test_a_secret_promoted_before_it_was_verified(overlap: Overlap) -> None:
    def carry(steps: Steps, context: Context, item: PlanItem) -> RotationOutcome:
        verify.promote(context, item, issue.issue(context, item))
        return carry_out(steps, context, item)

    assert "dead_current" in found_in(overlap, Machine(carry=carry))


@_ALL
def test_a_secret_value_in_the_journal(overlap: Overlap) -> None:
    def carry(steps: Steps, context: Context, item: PlanItem) -> RotationOutcome:
        outcome = carry_out(steps, context, item)
        steps.run("note", lambda: context.vault.read(item.secret_name).reveal())
        return outcome

    assert "was written down" in found_in(overlap, Machine(carry=carry))


@_ALL
def test_a_group_that_is_moved_twice(overlap: Overlap) -> None:
    def carry(steps: Steps, context: Context, item: PlanItem) -> RotationOutcome:
        outcome = carry_out(steps, context, item)
        for group in outcome.redeployed:
            context.platform.restart(group)
        return outcome

    assert "was moved 2 times" in found_in(overlap, Machine(carry=carry))


@_ALL
def test_a_journal_row_without_an_effect_that_looks_first(overlap: Overlap) -> None:
    """A step that restarts without looking is harmless until a crash comes between its effect and its row."""

    def carry(steps: Steps, context: Context, item: PlanItem) -> RotationOutcome:
        outcome = carry_out(steps, context, item)
        steps.run("count", lambda: _made_again(context, item))
        return outcome

    def _made_again(context: Context, item: PlanItem) -> int:
        groups = [ArmId(group.text) for group in (one.group for one in item.consumers)]
        for group in groups[:1] * 3:
            context.platform.restart(group)
        return len(groups)

    assert found_in(overlap, Machine(carry=carry))


# --- a driver that nothing is known of ------------------------------------------------------------------------------------


def test_a_driver_whose_overlap_the_memory_cloud_does_not_know_fails_the_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    unknown = replace(kinds.traits_of(PrincipalKind.ECR), overlap=cast("Overlap", _Unheard()))
    monkeypatch.setattr(memorymatrix, "traits_of", lambda _: unknown)
    with pytest.raises(pytest.fail.Exception, match="ecr has a driver whose secrets overlap as 'unheard-of'"):
        overlap_of(PrincipalKind.ECR)


class _Unheard:
    value = "unheard-of"


def test_a_driver_without_an_estate_fails_the_matrix() -> None:
    assert PrincipalKind.ACR_REFRESH_TOKEN not in DRIVERS
    with pytest.raises(pytest.fail.Exception, match="the sandbox has no estate one-acr-refresh-token"):
        kinds.estate_of(PrincipalKind.ACR_REFRESH_TOKEN)


# --- the real program's oracle ----------------------------------------------------------------------------------------------


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """One night of the real program, after which a token's old password still soaks."""
    with Stage.opened(tmp_path / "stage", PrincipalKind.ACR_TOKEN) as stage:
        stage.play([Turn()])
        yield stage


def test_the_oracle_sees_what_a_program_could_do_wrong_after_a_rotation(stage: Stage) -> None:
    """Each deed is one that a broken program could do; the first night is the same for all."""
    kind, world = PrincipalKind.ACR_TOKEN, stage.sandbox.world
    assert violations_in(stage, kind, tries=1, rests=False) == []

    def found(*, rests: bool = False) -> str:
        return "\n".join(violations_in(stage, kind, tries=1, rests=rests))

    assert "not 1 secrets live" in found(rests=True), "the old one soaks"
    vault = next(iter(world.vaults.all()))
    name = next(one for one in vault.secrets if one.startswith("pull-") and not one.endswith(STAGED_SUFFIX))
    current = world.vaults.current(vault.name, name)
    assert current is not None
    (stage.folder / "state" / "notes.txt").write_text(f"the password is {current.value}")
    assert "notes.txt" in found()

    registry = world.registries.servers["contosoone.azurecr.io"]
    token = registry.tokens["pull"]
    with world.lock:
        token.slots["password1"].clear(world.now())
        world.touch("acr-token:contosoone.azurecr.io/pull")
    assert "was ended while a group used it" in found(), "the stopped group stores it"
    assert "stale" in found()

    with world.lock:
        world.registries.issue_token(registry, token, "password2")
    world.clock.advance(90)  # until every replica has learnt of it
    assert "outages" in found()
    assert "vault_outages" in found()
    assert "2 secrets were made" in found()


def test_the_oracle_sees_a_lone_secret_that_was_ended_without_a_successor(tmp_path: Path) -> None:
    with Stage.opened(tmp_path / "stage", PrincipalKind.GITLAB) as stage:
        world = stage.sandbox.world
        assert violations_in(stage, PrincipalKind.GITLAB, tries=1, rests=False) == []
        with world.lock:
            world.gitlab.end(next(one for one in world.gitlab.tokens.values() if one.username == "aci-puller"))
        found = "\n".join(violations_in(stage, PrincipalKind.GITLAB, tries=1, rests=False))
        assert "when no successor was made" in found
        assert "could not pull from" in found
