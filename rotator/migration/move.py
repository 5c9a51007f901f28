"""Moving one group to its new registry entries, and back when it is not well.

The group itself says where it stands: the tag that comes with the new entry says that nobody has seen it well yet. So every call
looks first, and a process that was killed anywhere is carried on by the next one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from rotator.migration.choices import Choices
from rotator.model.arm import ArmId
from rotator.model.credential import Credential, Handle, Principal
from rotator.model.errors import (
    Conflict,
    CutoverFailed,
    Held,
    Indeterminate,
    NotFound,
    Rejected,
    RotatorError,
    Throttled,
    Unavailable,
    VerificationFailed,
)
from rotator.model.group import GROUP_TAG_PREFIX, ContainerGroup, GroupState, Inline, ManagedIdentity, Source, WriteOnlyField
from rotator.model.image import ImageReference
from rotator.model.migration import MOVED, MOVING, Change, Move, Moved, Result
from rotator.model.secret import Secret
from rotator.ports import RegistryDriver
from rotator.rotation.context import Context, looking
from rotator.rotation.verify import pull_all

_HEALTH_PAUSE = timedelta(seconds=10)
_ROLE_PAUSE = timedelta(seconds=30)
_SETTLE_PAUSE = timedelta(seconds=15)
_SETTLE_TRIES = 20
_CLOCKS_APART = timedelta(seconds=10)
"""Pulls are timed by Azure's clock and updates by ours."""

# What Azure says of an image that it cannot pull with the entry; of an identity that has just got its role, for minutes.
_NO_ACCESS = "InaccessibleImage"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mover:
    """Moves groups, one call a group. `name` is the migration's in events; `without_way_back` moves what could not go back."""

    context: Context
    choices: Choices
    name: str
    without_way_back: bool = False

    def move(self, move: Move) -> Moved:
        """Move a group, or confirm that an earlier move left it well. Never raises an error of ours."""
        put = False
        try:
            with self.context.claims.claim(move.group):
                try:
                    group = self._settled(move.group)
                except NotFound:
                    return self._left(move, "deleted since the plan")
                why = _changed(group, move.changes)
                if why:
                    return self._left(move, why)
                put, since = _is_moved(group, move.changes), None
                if not put:
                    since = self.context.clock.now() - _CLOCKS_APART
                    put = self._put(group, move)
                    self._tell(move, "redeploy", "stores no password of it any more")
                self._await_health(move.group, since)
                self._confirm(move)
                self._tell(move, "health", "healthy")
            return Moved(group=move.group, result=Result.MOVED)
        except RotatorError as error:
            return self._failed(move, error, put=put)

    def back(self, move: Move) -> Moved:
        """Put the old entries back, their passwords from the vault. Never raises an error of ours."""
        try:
            with self.context.claims.claim(move.group):
                group = self._settled(move.group)
                if _is_moved(group, move.changes):
                    self._return(group, move.changes)
            self._tell(move, "roll-back", "the old registry entry is back")
            return Moved(group=move.group, result=Result.ROLLED_BACK)
        except RotatorError as error:
            self._tell(move, "roll-back", error=error)
            return Moved(group=move.group, result=Result.FAILED, detail=error.message, code=error.code)

    # --- there ----------------------------------------------------------------------------------------------------

    def _put(self, group: ContainerGroup, move: Move) -> bool:
        """Put the group with its new entries; returns True once Azure has taken them."""
        self._try_way_back(group, move.changes)
        until = self.context.clock.now() + self.choices.role_limit
        tags = {GROUP_TAG_PREFIX + one.registry: MOVING + one.principal.id for one in move.changes}
        while True:
            try:
                self._redeploy(group, {one.registry: one.after for one in move.changes}, {}, tags)
            except Rejected as error:
                # Refused, so that nothing has changed and nobody was restarted: a role takes minutes to be honoured.
                if error.reason != _NO_ACCESS or self.context.clock.now() >= until:
                    raise
                self.context.clock.sleep(_ROLE_PAUSE)
                group = self._settled(move.group)
            else:
                return True

    def _try_way_back(self, group: ContainerGroup, changes: Sequence[Change]) -> None:
        """Raise Held unless the old password, as the vault has it, works now: else nothing could be put back."""
        for one in changes:
            if not isinstance(one.before, Inline) or (self.without_way_back and not one.way_back):
                continue
            secret = self.context.values.fetch(group, _password(one.registry))
            if not self._accepted(one.principal, one.before.username, secret, one.images):
                raise Held(
                    f"{one.registry} does not accept the password that the vault holds for {one.before.username}, "
                    "so that there would be no way back",
                    advice="Rotate that credential first, or give --without-way-back.",
                )

    def _await_health(self, group: ArmId, since: datetime | None) -> None:
        """Return when the group is well; a group that an earlier process put is judged by its present run alone."""
        clock = self.context.clock
        deadline = clock.now() + self.context.rules.health_timeout
        since = since or datetime.min.replace(tzinfo=clock.now().tzinfo)
        while True:
            try:
                health = self.context.platform.health(group, since)
                detail, settled = health.detail, health.settled
                if health.healthy:
                    return
            except (Throttled, Unavailable) as error:
                # Not to see a group is no reason to put it again.
                detail, settled = error.message, False
            if settled or clock.now() >= deadline:
                raise CutoverFailed(f"{group.name} is not healthy after its migration: {detail}")
            clock.sleep(_HEALTH_PAUSE)

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
                if not self._accepted(one.principal, one.before.username, secret, one.images):
                    raise Held(f"{group.name} keeps its new entry: the vault's password for {one.registry} is not accepted")
                passwords[_password(one.registry)] = secret
        tags = {GROUP_TAG_PREFIX + one.registry: one.mark for one in changes}
        self._redeploy(group, {one.registry: one.before for one in changes}, passwords, tags)

    def _password_of(self, change: Change) -> Secret:
        if not change.way_back:
            raise Held(f"the vault holds no password of {change.principal.id} to go back to")
        return self.context.vault.read(change.way_back)

    # --- what both need -------------------------------------------------------------------------------------------

    def _redeploy(
        self, group: ContainerGroup, entries: dict[str, Source], passwords: dict[WriteOnlyField, Secret], tags: dict[str, str]
    ) -> None:
        gone = {_password(host) for host in entries}
        others = {field: self.context.values.fetch(group, field) for field in group.write_only if field not in gone}
        for binding in group.bindings:
            field = _password(binding.registry)
            if isinstance(binding.source, Inline) and field in others:
                principal = binding.principal or next(iter(self.context.drivers.values())).kind
                images = [str(one) for one in binding.images]
                if not self._accepted(principal, binding.source.username, others[field], images):
                    raise Held(
                        f"{binding.registry} does not accept the password that the vault holds for {binding.source.username}, "
                        "which the group needs too",
                        advice="Put the right one into the vault, or rotate that credential first.",
                    )
        values = {**others, **passwords}
        try:
            self.context.platform.redeploy(group, values=values, tags=tags, usernames={}, entries=entries)
        except Indeterminate:
            # The tags travelled with the entries: they are there together or not at all.
            present = self.context.platform.read(group.id).tags
            if any(present.get(name) != value for name, value in tags.items()):
                raise

    def _accepted(self, principal: object, username: str, secret: Secret, images: Sequence[str]) -> bool:
        driver: RegistryDriver = next(iter(self.context.drivers.values()))
        who = principal if isinstance(principal, Principal) else Principal(kind=driver.kind, registry="-", name=username)
        # Pulling is the same for every kind of credential, so any driver can try any password.
        driver = self.context.drivers.get(who.kind, driver)
        credential = Credential(handle=Handle(principal=who, id=""), username=username)
        try:
            missing = pull_all(driver, credential, secret, [ImageReference.parse(one) for one in images])
        except VerificationFailed:
            return False
        if missing:
            raise Held(f"{min(missing)} does not exist in its registry: the group could not start again with any credential")
        return True

    def _settled(self, group: ArmId) -> ContainerGroup:
        """Read a group, waiting while somebody else's deployment is under way."""
        for _ in range(_SETTLE_TRIES):
            found = self.context.platform.read(group)
            if found.state is not GroupState.TRANSITIONING:
                return found
            self.context.clock.sleep(_SETTLE_PAUSE)
        raise Conflict(f"{group.name} stays in transition", api="container-instances", operation="read")

    def _left(self, move: Move, why: str) -> Moved:
        self._tell(move, "redeploy", f"left: {why}")
        return Moved(group=move.group, result=Result.LEFT, detail=why)

    def _failed(self, move: Move, error: RotatorError, *, put: bool) -> Moved:
        self._tell(move, "health" if put else "redeploy", error=error)
        refused = isinstance(error, Rejected) and error.reason == _NO_ACCESS
        result = Result.FAILED if put else Result.REFUSED if refused else Result.LEFT
        return Moved(group=move.group, result=result, detail=error.message, code=error.code)

    def _tell(self, move: Move, step: str, detail: str = "", *, error: RotatorError | None = None) -> None:
        for one in move.changes:
            self.context.tell(self.name, one.principal, step, detail, group=move.group, error=error)


def _password(host: str) -> WriteOnlyField:
    return WriteOnlyField(f"imageRegistryCredentials/{host}/password")


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
    if group.state is GroupState.STOPPED:
        return "was stopped since the plan"
    if group.state is GroupState.FINISHED:
        return "ran to its end since the plan"
    return ""


def with_way_back(change: Change, name: str, mark: str) -> Change:
    """Return a change that knows the vault's secret of its old password."""
    return replace(change, way_back=name, mark=mark)
