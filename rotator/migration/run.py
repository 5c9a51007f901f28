"""Carrying a migration out: identities and roles first, then the groups in waves, and back at the first that is not well."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

from rotator.migration.move import Mover
from rotator.model.arm import ArmId
from rotator.model.credential import Principal
from rotator.model.errors import Denied, Held, NotFound
from rotator.model.migration import Grant, Migration, Move, Moved, Result
from rotator.ports import AccessControl, UserIdentity

_STOPS = {Result.FAILED, Result.REFUSED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """Sees to it that every identity exists and holds its role. `tenant` is the registries'; `create` makes what is missing."""

    access: AccessControl
    mover: Mover
    tenant: str
    create: bool = False

    def prepare(self, migration: Migration) -> None:
        """Give what is missing, and return once every role is old enough to be honoured.

        Raises Held, with the command for whoever may, when an identity is missing or a role may not be given. Roles that were
        given before that stay: they are harmless.
        """
        moves = {one.group: one for one in migration.moves}
        canary = moves[migration.waves[0][0]]
        given = [self._granted(one, self._identity(one, canary.location), canary) for one in migration.grants]
        context, wait = self.mover.context, self.mover.choices.role_wait
        newest = max(given)
        left = newest + wait - context.clock.now()
        if left.total_seconds() > 0:
            context.clock.sleep(min(left, wait))

    def _identity(self, grant: Grant, location: str) -> UserIdentity:
        wanted = ArmId(grant.identity)
        try:
            found = self.access.identity(wanted)
        except NotFound:
            if not self.create:
                raise Held(
                    f"there is no identity {wanted.name} in resource group {wanted.resource_group}",
                    advice="Create it, or give --create-identity.",
                ) from None
            found = self.access.create_identity(wanted, location)
        if self.tenant and found.tenant_id and found.tenant_id != self.tenant.lower():
            raise Held(
                f"the identity {wanted.name} belongs to another tenant, and Azure pulls within one tenant only",
                advice="Name an identity of the tenant of the registries.",
            )
        return found

    def _granted(self, grant: Grant, identity: UserIdentity, canary: Move) -> datetime:
        since = self.access.granted_at(identity.principal_id, grant.role, grant.scope)
        if since is not None:
            return since
        try:
            self.access.grant(identity.principal_id, grant.role, grant.scope)
        except Denied as error:
            raise Held(
                f"{ArmId(grant.identity).name} lacks the role {grant.role_name} on {grant.what}, and rotator may not give it",
                advice=f"Have somebody run: az role assignment create --assignee-object-id {identity.principal_id} "
                f"--assignee-principal-type ServicePrincipal --role {grant.role} --scope {grant.scope}   ({error.advice})",
            ) from None
        context = self.mover.context
        who: Principal = canary.changes[0].principal
        detail = f"{ArmId(grant.identity).name} now has {grant.role_name} on {grant.what}"
        context.tell(self.mover.name, who, "grant", detail)
        return context.clock.now()


def carry_out(migration: Migration, mover: Mover, preparation: Preparation) -> tuple[Moved, ...]:
    """Move the groups; returns what came of each that was to be moved. Raises Held before any group was touched."""
    moves = {one.group: one for one in migration.moves}
    # What an earlier process put comes first: one that is not well stops everything that would follow.
    done = _wave(migration.unconfirmed, mover)
    if migration.waves and not _stopped(done):
        preparation.prepare(migration)
    for wave in migration.waves:
        if _stopped(done):
            break
        done += _wave([moves[group] for group in wave], mover)
    return (*done, *_not_begun(migration, done))


def _wave(wave: Sequence[Move], mover: Mover) -> tuple[Moved, ...]:
    if not wave:
        return ()
    with ThreadPoolExecutor(mover.context.rules.max_parallel, thread_name_prefix="migration") as pool:
        moved = list(pool.map(mover.move, wave))
    by_group: Mapping[ArmId, Move] = {one.group: one for one in wave}
    return tuple(_put_back(by_group[one.group], one, mover) if one.result is Result.FAILED else one for one in moved)


def _put_back(move: Move, failed: Moved, mover: Mover) -> Moved:
    back = mover.back(move)
    if back.result is Result.ROLLED_BACK:
        return Moved(group=failed.group, result=Result.ROLLED_BACK, detail=failed.detail, code=failed.code)
    return Moved(
        group=failed.group, result=Result.FAILED, detail=f"{failed.detail}; not put back: {back.detail}", code=failed.code
    )


def _stopped(done: Sequence[Moved]) -> bool:
    return any(one.result in _STOPS | {Result.ROLLED_BACK} for one in done)


def _not_begun(migration: Migration, done: Sequence[Moved]) -> tuple[Moved, ...]:
    seen = {one.group for one in done}
    return tuple(
        Moved(group=group, result=Result.NOT_BEGUN, detail="a group before it was not well; run again once it is mended")
        for wave in migration.waves
        for group in wave
        if group not in seen
    )
