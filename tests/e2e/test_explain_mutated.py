"""`rotator explain` after something has happened to the demonstration's estate, seeded: what it says is what the clouds would do.

Never a wrong "no". Never a "yes" for a group that cannot pull, unless the answer names what it could not see, and that was it.
"""

import random
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import yaml

from rotator.cli.options import Level
from rotator.cli.session import opened, settings_of
from rotator.explain.answer import Answer, Explanation
from rotator.model.arm import ArmId
from rotator.sandbox.clouds.arm.roles import KEY_VAULT_SECRETS_USER
from rotator.sandbox.world import World
from tests.e2e.desk import Desk

IMAGE_GONE, VAULT_CLOSED = "manifest-unknown", "reference-unreadable"
COVERS = {IMAGE_GONE: "whether the image is there", VAULT_CLOSED: "may read the vault", "no-permission": "whether it may pull"}
"""What an answer must have named as not seen, for each way in which the clouds can prove it wrong."""


def token_disabled(world: World, rng: random.Random) -> None:
    registry = rng.choice([one for one in world.registries.acr.values() if one.tokens])
    rng.choice(list(registry.tokens.values())).status = "disabled"


def token_regenerated(world: World, rng: random.Random) -> None:
    registry = rng.choice([one for one in world.registries.acr.values() if one.tokens])
    token = rng.choice(list(registry.tokens.values()))
    slot = rng.choice([name for name, one in token.slots.items() if one.current is not None])
    world.registries.issue_token(registry, token, slot)
    world.clock.advance(180)  # until every replica knows


def token_deleted(world: World, rng: random.Random) -> None:
    registry = rng.choice([one for one in world.registries.acr.values() if one.tokens])
    registry.tokens.pop(rng.choice(list(registry.tokens)))


def scope_narrowed(world: World, rng: random.Random) -> None:
    registry = rng.choice([one for one in world.registries.acr.values() if one.tokens])
    token = rng.choice(list(registry.tokens.values()))
    registry.scope_maps[token.scope_map].actions[:] = ["repositories/somebody/elses/content/read"]


def role_removed(world: World, rng: random.Random) -> None:
    at_registries = [one for one in world.arm.assignments.values() if "/registries/" in one.scope]
    world.arm.unassign(rng.choice(at_registries))


def identity_deleted(world: World, rng: random.Random) -> None:
    entries = [entry for group in world.groups.by_id.values() for entry in group.properties.get("imageRegistryCredentials") or ()]
    pulling = sorted({str(entry["identity"]).lower() for entry in entries if entry.get("identity")})
    for one in rng.sample(pulling, 2):
        world.arm.identities.pop(one, None)


def firewall_closed(world: World, rng: random.Random) -> None:
    registry = rng.choice(list(world.registries.acr.values()))
    registry.properties["networkRuleSet"] = {"defaultAction": "Deny", "ipRules": []}


def image_removed(world: World, rng: random.Random) -> None:
    azure = [one.repositories for one in world.registries.acr.values()]
    others = [one.repositories for one in world.registries.plain.values()]
    repositories = rng.choice([one for one in (*azure, *others) if one])
    repositories[rng.choice(list(repositories))].clear()


def anothers_password_ended(world: World, rng: random.Random) -> None:
    slots = [slot for plain in world.registries.plain.values() for slot in plain.users.values() if slot.current is not None]
    rng.choice(slots).clear(world.now())


def vault_closed(world: World, rng: random.Random) -> None:
    readers = [one for one in world.arm.assignments.values() if one.role_id == KEY_VAULT_SECRETS_USER]
    world.arm.unassign(rng.choice(readers))


def vault_secret_disabled(world: World, rng: random.Random) -> None:
    secrets = [one for name, one in world.vaults.vault("kv-demo").secrets.items() if name.startswith("pull-")]
    rng.choice(secrets).versions[-1].enabled = False


def application_deleted(world: World, rng: random.Random) -> None:
    held = [one for one in world.graph._applications.values() if one.passwords]
    rng.choice(held).passwords.clear()


def time_passes(world: World, rng: random.Random) -> None:
    world.clock.advance(rng.choice((3600, 6 * 3600, 86_400, 30 * 86_400, 90 * 86_400)))


Mutation = Callable[[World, random.Random], None]
MUTATIONS: tuple[Mutation, ...] = (
    token_disabled,
    token_regenerated,
    token_deleted,
    scope_narrowed,
    role_removed,
    identity_deleted,
    firewall_closed,
    image_removed,
    anothers_password_ended,
    vault_closed,
    vault_secret_disabled,
    application_deleted,
    time_passes,
)


def explained(desk: Desk, folder: Path) -> Mapping[str, Explanation]:
    """Explain every group from one reading of the clouds."""
    file = folder / "rotator.yaml"
    file.write_text(yaml.safe_dump(desk.settings))
    with opened(settings_of(file), Level.ERROR) as application:
        estate = application.estate()
        return {one.id.key: application.explain(estate, one) for one in estate.groups}


def truth(world: World, key: str) -> str:
    """Say what the clouds would answer if the group were started now: "ok", or why not."""
    groups = world.groups
    with world.lock:
        group = groups.by_id[key]
        values = groups._readable(group) if group.properties.get("secretReferences") else group.values
        return groups.judge(group.document, values, world.now(), manifests=True).reason


def wrong(told: Mapping[str, Explanation], world: World) -> dict[str, str]:
    """Return what an explanation claims and the clouds deny."""
    found = {}
    for key, one in told.items():
        reason = truth(world, key)
        unseen = " ".join(text for image in one.images for text in image.unseen)
        claims = one.answer is Answer.YES and reason != "ok" and COVERS.get(reason, "-") not in unseen
        if claims or (one.answer is Answer.NO and reason == "ok"):
            said = "; ".join(image.reason for image in one.images)
            found[ArmId(key).name] = f"{one.answer}: {said}; not seen: {unseen or 'nothing'}; but the clouds say {reason}"
    return found


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_what_is_said_after_one_change_holds(desk: Desk, tmp_path: Path, mutation: Mutation) -> None:
    rng = random.Random(mutation.__name__)  # noqa: S311 - a seed for a test
    with desk.world.lock:
        mutation(desk.world, rng)
    assert wrong(explained(desk, tmp_path), desk.world) == {}


@pytest.mark.parametrize("seed", range(6))
def test_what_is_said_after_several_changes_holds(desk: Desk, tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311 - a seed for a test
    with desk.world.lock:
        for mutation in rng.sample(MUTATIONS, 4):
            mutation(desk.world, rng)
    told = explained(desk, tmp_path)
    assert wrong(told, desk.world) == {}
    assert all(image.reason for one in told.values() for image in one.images)
    assert all(image.until or image.ends for one in told.values() for image in one.images if one.answer is Answer.YES)
    assert all(image.breaks for one in told.values() for image in one.images if image.answer is not Answer.NO)
