"""What an explanation consists of, and what it is made from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from rotator.model.arm import ArmId
from rotator.model.credential import Principal
from rotator.model.errors import Refusal
from rotator.model.image import ImageReference


class Answer(StrEnum):
    """Whether something can be pulled. What nobody can know is not guessed."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "cannot tell"


@dataclass(frozen=True, slots=True, kw_only=True)
class Because:
    """An answer, the sentence that gives its reason, and what to do about it.

    `until` is when the credential ends; where there is no such instant `ends` says why: there is none, or it is not known.
    `unseen` is what the answer takes for granted because it could not be read.
    """

    answer: Answer
    reason: str
    remedy: str = ""
    until: datetime | None = None
    ends: str = ""
    unseen: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageAnswer:
    """What is known of one image: how the group authenticates, through which path, until when, and what would break it.

    `ends` and `unseen` are as in `Because`.
    """

    image: str
    answer: Answer
    reason: str
    remedy: str
    how: str
    path: str
    until: datetime | None
    breaks: tuple[str, ...]
    ends: str = ""
    unseen: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The answer for a group: no when one image cannot be pulled, because Azure starts none of its containers then."""

    group: ArmId
    answer: Answer
    state: str
    images: tuple[ImageAnswer, ...]
    observed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What became of a real pull: `refusal` is None when it worked or when the registry could not answer (`answered`)."""

    answered: bool
    refusal: Refusal | None
    reason: str
    remedy: str = ""

    @property
    def pulled(self) -> bool:
        """Whether the registry handed the manifest out."""
        return self.answered and self.refusal is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What was asked for one group beyond the inventory. An absent key was not asked; None could not be learnt.

    `trials` are pulls with the vault's value, or without any for an image that is pulled anonymously; `there` whether an image
    that could not be tried exists, as another credential of the vault sees; `actions` what a token's scope map allows; `roles`
    whether an identity (by its id in the group) may pull from a registry; `gone` are identities that no longer exist.
    """

    trials: Mapping[ImageReference, Trial] = field(default_factory=dict)
    actions: Mapping[Principal, tuple[str, ...] | None] = field(default_factory=dict)
    roles: Mapping[tuple[ArmId, str], bool | None] = field(default_factory=dict)
    there: Mapping[ImageReference, bool] = field(default_factory=dict)
    gone: frozenset[ArmId] = frozenset()
