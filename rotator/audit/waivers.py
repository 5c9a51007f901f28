"""Waivers: dated, owned exceptions. A waiver that is wrong or over covers nothing, and is itself reported."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rotator.audit.policytext import Text, complaint
from rotator.audit.yamltext import YamlText, read_yaml
from rotator.model.errors import PolicyError
from rotator.model.policy import Finding, Policy, Severity, Subject, Waiver


class _WaiverText(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    id: Annotated[Text, Field(coerce_numbers_to_str=True)]
    policy: Text
    scope: Text
    reason: Text
    approver: Text
    ticket: Annotated[Text, Field(coerce_numbers_to_str=True)]
    expires_on: date


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenWaiver:
    """A waiver that cannot be read, or a file that cannot. `message` names file and line."""

    file: str
    line: int | None
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Waivers:
    """What a waiver file says, the readable part and the rest."""

    listed: tuple[Waiver, ...] = ()
    broken: tuple[BrokenWaiver, ...] = ()

    def covering(self, finding: Finding, on: date) -> Waiver | None:
        """Return the waiver that excuses a finding on a day: the last to expire of those that do."""
        fitting = [
            one
            for one in self.listed
            if one.policy == finding.policy and on <= one.expires_on and fnmatchcase(finding.resource.lower(), one.scope.lower())
        ]
        return max(fitting, key=lambda one: (one.expires_on, one.id), default=None)


NO_WAIVERS = Waivers()


def load_waivers(path: Path) -> Waivers:
    """Read `waivers: [...]`. Never raises: a broken file or entry is listed as such, so that it excuses nothing and is seen.

    A missing file is a broken one: an operator who named it believes that it is in force.
    """
    try:
        text = read_yaml(path)
    except PolicyError as error:
        return Waivers(broken=(BrokenWaiver(file=error.file, line=error.line, message=error.message),))
    content = text.content if text.content is not None else {}
    entries = content.get("waivers", []) if isinstance(content, dict) else None
    if not isinstance(entries, list) or not isinstance(content, dict) or set(content) - {"waivers"}:
        whole = text.error("a waiver file holds one key, `waivers`, with a list")
        return Waivers(broken=(BrokenWaiver(file=whole.file, line=whole.line, message=whole.message),))
    listed: list[Waiver] = []
    broken: list[BrokenWaiver] = []
    for position, entry in enumerate(entries):
        outcome = _read(text, position, entry, {one.id for one in listed})
        if isinstance(outcome, Waiver):
            listed.append(outcome)
        else:
            broken.append(outcome)
    return Waivers(listed=tuple(listed), broken=tuple(broken))


def _read(text: YamlText, position: int, entry: object, taken: set[str]) -> Waiver | BrokenWaiver:
    place = ("waivers", position)
    try:
        said = _WaiverText.model_validate(entry)
    except ValidationError as error:
        wrong = complaint(text, error, _WaiverFile, place)
        return BrokenWaiver(file=wrong.file, line=wrong.line, message=wrong.message)
    if said.id in taken:
        # Findings are told apart by the waiver's id; two of one name could not be.
        wrong = text.error(f"the waiver {said.id!r} is listed twice", (*place, "id"))
        return BrokenWaiver(file=wrong.file, line=wrong.line, message=wrong.message)
    return Waiver(**said.model_dump())


class _WaiverFile(BaseModel):
    waivers: list[_WaiverText]


def _built_in(id_: str, title: str, rationale: str, remediation: str) -> Policy:
    return Policy(
        id=id_,
        title=title,
        severity=Severity.MEDIUM,
        subject=Subject.GROUP,
        expression="true",
        needs=(),
        rationale=rationale,
        remediation=remediation,
        controls=(),
        file="built-in",
    )


MALFORMED = _built_in(
    "waiver-malformed",
    "A waiver cannot be read and excuses nothing",
    "Somebody believes that an exception is in force which is not, or that a policy exists which does not.",
    "Correct the waiver, or delete it.",
)
EXPIRED = _built_in(
    "waiver-expired",
    "A waiver is past its date and excuses nothing",
    "An exception that nobody renewed has become the rule.",
    "Mend what it excused, or have it approved again with a new date; then delete or renew the entry.",
)
WAIVER_POLICIES = (EXPIRED, MALFORMED)
"""The two rules about waivers themselves; they are code because waivers are no part of an estate."""


def complaints(waivers: Waivers, policies: Iterable[Policy], now: datetime) -> list[tuple[Policy, str, str, str]]:
    """Return what is wrong with the waivers themselves: the rule, the file or waiver, the part, and a sentence."""
    known = {policy.id for policy in policies}
    today = now.astimezone(UTC).date()
    found = [(MALFORMED, one.file, f"line {one.line}" if one.line else "", one.message) for one in waivers.broken]
    for waiver in waivers.listed:
        if waiver.policy not in known:
            found.append((MALFORMED, waiver.id, waiver.policy, f"{waiver.id}: there is no policy {waiver.policy!r}"))
        if waiver.expires_on < today:
            ended = (
                f"{waiver.id}: the waiver of {waiver.policy} ended on {waiver.expires_on} ({waiver.ticket}, {waiver.approver})"
            )
            found.append((EXPIRED, waiver.id, waiver.policy, ended))
    return found
