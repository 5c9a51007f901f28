"""The person at the keyboard: an account with every right, for the command lines that people bring (`az`, `aws`).

It is made when somebody asks for it, not with the estate, and draws nothing from the world's chance: a world in which nobody
asked is the same as ever. It is a managed identity, so that a login needs no secret in an argument or a file.
"""

from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING
from uuid import UUID

from rotator.sandbox.clouds.arm.roles import KEY_VAULT_SECRETS_OFFICER, OWNER
from rotator.sandbox.estates.ground import AUDIENCE
from rotator.sandbox.wire import Document

if TYPE_CHECKING:
    from rotator.sandbox.world import World

NAME = "sandbox-operator"
_AWS_TOKEN_TTL = timedelta(days=30)


def operator(world: "World") -> Document:
    """Return how the operator logs in: client id, tenant, and per AWS account a role with a token for it. Twice is once."""
    chance, state = Random(f"{NAME} {world.options.seed}"), world.rng.getstate()
    client, principal = (str(UUID(int=chance.getrandbits(128), version=4)) for _ in range(2))
    if world.graph.service_principal(principal) is None:
        _settle(world, client, principal)
    token = world.entra.issue_token(principal, AUDIENCE, _AWS_TOKEN_TTL)
    world.rng.setstate(state)
    return {"client_id": client, "tenant_id": world.entra.tenant_id, "aws_token": token, "aws_roles": _roles(world, principal)}


def _settle(world: "World", client: str, principal: str) -> None:
    world.graph.add_managed_identity(NAME, resource_id="", principal_id=principal, client_id=client)
    world.graph.grant(principal, "Application.ReadWrite.All", "Directory.Read.All")
    for subscription in world.arm.subscriptions:
        world.arm.assign(principal, OWNER, f"/subscriptions/{subscription}")
        world.arm.assign(principal, KEY_VAULT_SECRETS_OFFICER, f"/subscriptions/{subscription}")


def _roles(world: "World", principal: str) -> list[str]:
    roles = []
    for account in sorted({server.partition(".")[0] for server in world.aws.registries}):
        role = f"arn:aws:iam::{account}:role/{NAME}"
        if role not in world.aws.roles:
            world.aws.add_role(role, subject=principal, audience=AUDIENCE, permissions=("ecr:*",))
        roles.append(role)
    return roles
