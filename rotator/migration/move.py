"""Moving one group to its new registry entries, and back when it is not well.

The group itself says where it stands: the tag that comes with the new entry says that nobody has seen it well yet. So every call
looks first, and a process that was killed anywhere is carried on by the next one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from rotator.migration.choices import Choices
from rotator.model.arm import ArmId
from rotator.model.errors import Held, NotFound, Rejected, RotatorError, VerificationFailed
from rotator.model.group import (
    GROUP_TAG_PREFIX,
    ContainerGroup,
    Inline,
    ManagedIdentity,
    Source,
    WriteOnlyField,
    registry_password,
)
from rotator.model.image import ImageReference
from rotator.model.migration import MOVED, MOVING, Change, Move, Moved, Result
from rotator.model.secret import Secret
from rotator.rotation.context import Context, looking
from rotator.rotation.inaccessible import INACCESSIBLE, unexplained
from rotator.rotation.redeploy import CLOCKS_APART, at_rest, await_health, filled, put, refusal_of, settled

_ROLE_PAUSE = timedelta(seconds=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mover:
    """Moves groups, one call a group. `name` is the migration's in events; `without_way_back` moves what could not go back."""

    context: Context
    choices: Choices
    name: str
    without_way_back: bool = False

    def move(self, move: Move) -> Moved:
        """Move a group, or confirm that an earlier move left it well. Never raises an error of ours."""
        changed = False
        try:
            with self.context.claims.claim(move.group):
                try:
                    group = settled(self.context, move.group)
                except NotFound:
                    return self._left(move, "deleted since the plan")
                why = _changed(group, move.changes)
                if why:
                    return self._left(move, why)
                # One that an earlier process put is judged by its present run alone.
                since = datetime.min.replace(tzinfo=UTC)
                changed = _is_moved(group, move.changes)
                if not changed:
                    since = self.context.clock.now() - CLOCKS_APART
                    self._put(group, move)
                    changed = True
                    self._tell(move, "redeploy", "stores no password of it any more")
                await_health(self.context, move.group, since)
                self._confirm(move)
                self._tell(move, "health", "healthy")
            return Moved(group=move.group, result=Result.MOVED)
        except RotatorError as error:
            return self._failed(move, error, changed=changed)

    def back(self, move: Move) -> Moved:
        """Put the old entries back, their passwords from the vault. Never raises an error of ours."""
        try:
            with self.context.claims.claim(move.group):
                group = settled(self.context, move.group)
                if _is_moved(group, move.changes):
                    self._return(group, move.changes)
            self._tell(move, "roll-back", "the old registry entry is back")
            return Moved(group=move.group, result=Result.ROLLED_BACK)
        except RotatorError as error:
            self._tell(move, "roll-back", error=error)
            return Moved(group=move.group, result=Result.FAILED, detail=error.message, code=error.code)

    # --- there ----------------------------------------------------------------------------------------------------

    def _put(self, group: ContainerGroup, move: Move) -> None:
        """Put the group with its new entries; returns once Azure has taken them."""
        self._try_way_back(group, move.changes)
        until = self.context.clock.now() + self.choices.role_limit
        tags = {GROUP_TAG_PREFIX + one.registry: MOVING + one.principal.id for one in move.changes}
        entries = {one.registry: one.after for one in move.changes}
        while True:
            try:
                put(self.context, group, filled(self.context, group, {}, replaced=entries), tags, entries=entries)
            except Rejected as error:
                # Refused, so that nothing has changed and nobody was restarted: a role takes minutes to be honoured.
                if error.reason != INACCESSIBLE:
                    raise
                if self.context.clock.now() >= until:
                    after = [replace(one, source=new) for one in group.bindings if (new := entries.get(one.registry))]
                    raise unexplained(group.name, after, (), error) from error
                self.context.clock.sleep(_ROLE_PAUSE)
                group = settled(self.context, move.group)
            else:
                return

    def _try_way_back(self, group: ContainerGroup, changes: Sequence[Change]) -> None:
        """Raise Held unless the old password, as the vault has it, works now: else nothing could be put back."""
        for one in changes:
            if not isinstance(one.before, Inline) or (self.without_way_back and not one.way_back):
                continue
            secret = self.context.values.fetch(group, registry_password(one.registry))
            refused = self._refusal(one, one.before, secret)
            if refused is not None:
                raise Held(
                    f"there would be no way back with the password that the vault holds: {refused.message}",
                    advice=f"{refused.advice} Or give --without-way-back.",
                )

    def _confirm(self, move: Move) -> None:
        tags = {GROUP_TAG_PREFIX + one.registry: MOVED + one.principal.id for one in move.changes}
        # Writing a tag twice does what once does.
        looking(self.context, lambda: self.context.platform.tag(self.context.platform.read(move.group), tags))

    # --- and back -------------------------------------------------------------------------------------------------

    def _return(self, group: ContainerGroup, changes: Sequence[Change]) -> None:
        passwords: dict[WriteOnlyField, Secret] = {}
        for one in changes:
            if isinstance(one.before, Inline):
                secret = self._password_of(one)
                refused = self._refusal(one, one.before, secret)
                if refused is not None:
                    raise Held(f"{group.name} keeps its new entry: {refused.message}", advice=refused.advice)
                passwords[registry_password(one.registry)] = secret
        tags = {GROUP_TAG_PREFIX + one.registry: one.mark for one in changes}
        entries = {one.registry: one.before for one in changes}
        put(self.context, group, filled(self.context, group, passwords, replaced=entries), tags, entries=entries)

    def _password_of(self, change: Change) -> Secret:
        if not change.way_back:
            raise Held(f"the vault holds no password of {change.principal.id} to go back to")
        return self.context.vault.read(change.way_back)

    def _refusal(self, change: Change, before: Inline, password: Secret) -> VerificationFailed | None:
        stored = self.context.vault.look(change.way_back) if change.way_back else None
        images = [ImageReference.parse(one) for one in change.images]
        return refusal_of(self.context, before.username, password, images, stored.expires_at if stored else None)

    # --- what is told ---------------------------------------------------------------------------------------------

    def _left(self, move: Move, why: str) -> Moved:
        self._tell(move, "redeploy", f"left: {why}")
        return Moved(group=move.group, result=Result.LEFT, detail=why)

    def _failed(self, move: Move, error: RotatorError, *, changed: bool) -> Moved:
        self._tell(move, "health" if changed else "redeploy", error=error)
        refused = isinstance(error, Rejected) and error.reason == INACCESSIBLE
        result = Result.FAILED if changed else Result.REFUSED if refused else Result.LEFT
        return Moved(group=move.group, result=result, detail=error.message, code=error.code)

    def _tell(self, move: Move, step: str, detail: str = "", *, error: RotatorError | None = None) -> None:
        for one in move.changes:
            self.context.tell(self.name, one.principal, step, detail, group=move.group, error=error)


def _is_moved(group: ContainerGroup, changes: Sequence[Change]) -> bool:
    """Whether the group stores the new entries already. Identity ids differ in case between reading and writing."""
    by_host = {one.registry: one.source for one in group.bindings}
    return all(_same(by_host.get(one.registry), one.after) for one in changes)


def _same(found: Source | None, wanted: Source) -> bool:
    if isinstance(found, ManagedIdentity) and isinstance(wanted, ManagedIdentity):
        return ArmId(found.identity) == ArmId(wanted.identity)
    return found == wanted or (found is not None and repr(found).lower() == repr(wanted).lower())


def _changed(group: ContainerGroup, changes: Sequence[Change]) -> str:
    """Say why a group must be left alone although the plan wanted to move it, or nothing."""
    if _is_moved(group, changes):
        return ""
    by_host = {one.registry: one.source for one in group.bindings}
    for one in changes:
        if not _same(by_host.get(one.registry), one.before):
            return f"its entry for {one.registry} is another one since the plan"
    return at_rest(group)


def with_way_back(change: Change, name: str, mark: str) -> Change:
    """Return a change that knows the vault's secret of its old password."""
    return replace(change, way_back=name, mark=mark)
