"""Rotations: what is due, what will be done about it, and what came of it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Self

from rotator.model.arm import ArmId
from rotator.model.credential import Handle, Principal
from rotator.model.errors import Held
from rotator.model.image import ImageReference
from rotator.model.usage import Pull, Usage


class Reason(StrEnum):
    """Why a credential is due. The order is that of urgency.

    OUT_OF_STEP: a running group is not shown to store the lease that the vault holds, so its own may end unseen.
    REVOKED: a secret was ended in an emergency, and its groups wait for another; ROLLED_BACK: groups return to the old secret.
    """

    REVOKED = "revoked"
    EXPIRED = "expired"
    EXPIRING = "expiring"
    TOO_OLD = "too-old"
    NO_EXPIRY = "no-expiry"
    NOT_IN_VAULT = "not-in-vault"
    OUT_OF_STEP = "out-of-step"
    ROLLED_BACK = "rolled-back"
    UNFINISHED = "unfinished"
    REQUESTED = "requested"


class HeldCause(StrEnum):
    """Why something waits for a person: a closed set, for metrics. The sentence stands beside it.

    CHANGED: the vault, the registry or a rotation is not as it was left; LIMIT: nothing to decide, its turn comes later;
    OUTAGE_WINDOW: its groups would be out for a while, and nobody has announced that; WINDOW: somebody has, for later;
    PERSON: nobody but a person can make the new secret.
    """

    VERIFICATION = "verification"
    UNHEALTHY_GROUP = "unhealthy-group"
    NO_FREE_SLOT = "no-free-slot"
    GROUPS = "groups"
    VAULT = "vault"
    PRINCIPAL = "principal"
    UNREAD = "unread"
    CHANGED = "changed"
    LIMIT = "limit"
    OUTAGE_WINDOW = "outage-window"
    WINDOW = "window"
    PERSON = "person"


class Action(StrEnum):
    """What a rotation does to one consumer. MARK: it stores the secret already, and only a tag has to say so."""

    REDEPLOY = "redeploy"
    RESTART = "restart"
    MARK = "mark"
    LEAVE = "leave"
    HOLD = "hold"


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumer:
    """One group in a plan. `why` explains LEAVE and HOLD; `missing` lists the write-only fields without a source;
    `inline` is False when the group reads its password from the vault; `location` is Azure's region, lower case.
    """

    group: ArmId
    registries: tuple[str, ...]
    action: Action
    images: tuple[str, ...] = ()
    why: str = ""
    missing: tuple[str, ...] = ()
    inline: bool = True
    location: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanItem:
    """One principal's rotation, decided in full before its first effect.

    `rotation` is the marker that every effect carries; it is derived from the principal and the handle that is replaced, so
    that the same work planned twice has the same name. `old` are the handles to retire after the soak; `slot` is the one to
    fill where slots exist, and `replaces` the handle of the idle secret that lives there already, if any. `waves` lists group
    ids, the canary first. `held` is a sentence when a person must decide first; then nothing of the item is done.
    `expires_at` is that of the credential in use now. `cause` classes `held`. `revoke` are the handles to end at once, before
    there is a successor. `outage` says who cannot pull for how long, of a kind whose new secret ends the old one at once;
    `in_window`: only a window of the configuration lets it begin.
    """

    rotation: str
    principal: Principal
    reasons: tuple[Reason, ...]
    secret_name: str
    slot: str
    ttl: timedelta | None
    old: tuple[str, ...]
    consumers: tuple[Consumer, ...]
    waves: tuple[tuple[ArmId, ...], ...]
    due_at: datetime | None
    expires_at: datetime | None
    replaces: str = ""
    held: str = ""
    advice: str = ""
    cause: HeldCause | None = None
    revoke: tuple[str, ...] = ()
    outage: str = ""
    in_window: bool = False

    @property
    def awaits_window(self) -> bool:
        """Whether it is held for nothing but its announced hour: nobody has to decide anything."""
        return bool(self.held) and self.cause is HeldCause.WINDOW

    @property
    def marked(self) -> tuple[ArmId, ...]:
        """The groups that are only told, by a tag, what they store."""
        return tuple(one.group for one in self.consumers if one.action is Action.MARK)

    @property
    def images(self) -> tuple[ImageReference, ...]:
        """The images of all its groups, once each and in order."""
        return tuple(ImageReference.parse(text) for text in sorted({text for one in self.consumers for text in one.images}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Retirement:
    """The end of a rotation whose soak is over, or will be at `soak_until`: the old handles, as the vault's tags record them.

    `registries` are the hosts whose log can tell whether the old secret is idle; `waiting_for` the groups that may still
    store it. `pulls` are those of the groups that store the new one, as they were read at `seen_at`. `usage` is what the log said
    when it was last asked, for people; it is asked again before anything ends. `revoked` are old handles that a person wants
    ended now, whoever still stores them; `decided` says that a person gave them up, and waits for no log.
    """

    rotation: str
    principal: Principal
    secret_name: str
    handle: str
    old: tuple[str, ...]
    cutover_at: datetime
    soak_until: datetime
    registries: tuple[str, ...] = ()
    waiting_for: tuple[ArmId, ...] = ()
    held: str = ""
    pulls: tuple[Pull, ...] = ()
    seen_at: datetime | None = None
    usage: Usage | None = None
    revoked: tuple[str, ...] = ()
    decided: bool = False

    def due(self, now: datetime) -> bool:
        """Whether the soak is over and no group may still store an old secret, or one was revoked."""
        return bool(self.revoked) or (self.soak_until <= now and not self.waiting_for and not self.held)


class Verb(StrEnum):
    """What a person may decide about a rotation that is not over."""

    RESUME = "resume"
    ROLL_BACK = "roll-back"
    ABANDON = "abandon"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One thing that a person may decide. `refused` says why it is impossible now, `effect` what it would do."""

    verb: Verb
    command: str
    effect: str = ""
    refused: str = ""
    restarts: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSecret:
    """A secret that the registry lists as live, and what the rotation takes it for: new, old, or nobody's."""

    handle: str
    role: str
    issued_at: datetime | None
    expires_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """Where a rotation stands that is held or not over, and what a person may decide about it.

    `why` is empty when nobody has to decide. `since` is when it was held, or when its secret was made. `in_vault` is the handle
    that consumers read. Groups `on_new` are shown to store the new secret; `on_old` are all others that use the credential.
    """

    rotation: str
    principal: Principal
    secret_name: str
    phase: str
    why: str
    advice: str
    cause: HeldCause | None
    since: datetime | None
    new: str
    old: tuple[str, ...]
    in_vault: str
    live: tuple[LiveSecret, ...]
    on_new: tuple[ArmId, ...]
    on_old: tuple[ArmId, ...]
    choices: tuple[Choice, ...]

    def choice(self, verb: Verb) -> Choice:
        """Return one of the choices."""
        return next(one for one in self.choices if one.verb is verb)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run would do.

    `healthy` counts the principals that need nothing. `orphans` are live secrets that a rotation of ours made and nobody owns,
    because an answer or a process was lost: they are ended. `only`, `force` and `allow_outage` are what the plan was asked for
    with. `digest` covers everything that the plan was made from but the time, so that a saved plan can be refused when the estate
    has changed since.
    """

    made_at: datetime
    items: tuple[PlanItem, ...]
    retirements: tuple[Retirement, ...]
    healthy: int
    digest: str
    orphans: tuple[Handle, ...] = ()
    only: tuple[str, ...] = ()
    force: bool = False
    allow_outage: bool = False
    situations: tuple[Situation, ...] = ()

    @property
    def due(self) -> tuple[PlanItem, ...]:
        """The items that would be carried out."""
        return tuple(item for item in self.items if not item.held)

    @property
    def restarts(self) -> int:
        """How many group restarts the plan causes: the number a platform engineer asks for first."""
        return sum(len(wave) for item in self.due for wave in item.waves)


class Phase(StrEnum):
    """Where a rotation stands; written in the staged secret's tags after each phase."""

    INTENT = "intent"
    STAGED = "staged"
    VERIFIED = "verified"
    PROMOTED = "promoted"
    CUTOVER = "cutover"
    SOAKING = "soaking"
    DONE = "done"
    HELD = "held"


class Result(StrEnum):
    """How a rotation, or the part of it that this run carried out, ended."""

    SUCCESS = "success"
    SOAKING = "soaking"
    HELD = "held"
    ROLLED_BACK = "rolled_back"
    FAILED = "failed"
    SKIPPED = "skipped"

    @property
    def undone(self) -> bool:
        """Whether something that was due could not be done, or waits for a person."""
        return self in {Result.FAILED, Result.HELD, Result.ROLLED_BACK}


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationEvent:
    """One thing that happened in a rotation: for the progress display, the log, the metrics, the history and the evidence.

    `step` is a phase verb or `redeploy`, `restart`, `roll-back`, `health`, `drain`, `retire`; `detail` is a sentence
    without secrets. `handle` names the live secret that it was about; `secret` and `version` say where the vault holds it;
    `requests` are the services' ids of the requests behind it.
    """

    rotation: str
    principal: Principal
    step: str
    at: datetime
    ok: bool = True
    group: ArmId | None = None
    detail: str = ""
    code: str = ""
    handle: str = ""
    secret: str = ""
    version: str = ""
    requests: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationOutcome:
    """How one plan item ended in this run."""

    rotation: str
    principal: Principal
    result: Result
    started_at: datetime
    ended_at: datetime
    redeployed: tuple[ArmId, ...] = ()
    left: tuple[ArmId, ...] = ()
    detail: str = ""
    code: str = ""

    @classmethod
    def at(
        cls, now: datetime, rotation: str, principal: Principal, result: Result = Result.SUCCESS, detail: str = "", code: str = ""
    ) -> Self:
        """Return an outcome that began and ended at one instant."""
        return cls(rotation=rotation, principal=principal, result=result, started_at=now, ended_at=now, detail=detail, code=code)

    @classmethod
    def held(cls, now: datetime, item: PlanItem) -> Self:
        """Return the outcome of an item that the plan holds: skipped, which is in order, when it waits for its announced hour."""
        result = Result.SKIPPED if item.awaits_window else Result.HELD
        return cls.at(now, item.rotation, item.principal, result, item.held, Held.code)
