"""Faults as data: which call goes wrong, when, and how. Seeded, so that a run can be repeated."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from fnmatch import fnmatchcase
from pathlib import Path
from random import Random
from typing import Any, Literal, TypeAlias, get_args

import yaml

Outcome: TypeAlias = Literal["", "crash-loop", "pull-back-off", "operation-failed", "never-ends"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One rule. `on` is a glob over operation names ("graph.addPassword", "aci.groups.*", "aws.GetAuthorizationToken", "*").

    When: `nth` (that call only), `every` (every n-th call), `probability`, or always. `match` limits it to requests
    whose path contains the text, which may be a glob ("containerGroups/web-*"), in any case.

    What: `drop_before` (connection ends, nothing happened), `drop_after` (it happened, the answer is lost), `status` with
    `code`, `message` and `retry_after` instead of the answer, `delay` in seconds of sandbox time, `stale` (the answer the
    same address gave before its last change), `truncate` (half of the body, then the connection breaks), `garbled` (half of the
    body as if it were the whole). With `delay`, a dropped call is a client's time-out: so long it waited in vain.

    `outcome` lets a PUT, start or restart of a container group be accepted and go wrong afterwards: "crash-loop",
    "pull-back-off" (Azure gives up after thirty minutes), "operation-failed", or "never-ends"; the operation fails with `code`
    and `message`.
    """

    on: str
    nth: int | None = None
    every: int | None = None
    probability: float | None = None
    match: str | None = None
    drop_before: bool = False
    drop_after: bool = False
    status: int | None = None
    code: str = ""
    message: str = ""
    retry_after: float | None = None
    delay: float = 0.0
    stale: bool = False
    truncate: bool = False
    garbled: bool = False
    outcome: Outcome = ""

    @property
    def error_code(self) -> str:
        """The error code of the answer, or of the operation that fails later."""
        # Which code a pull that fails late ends with is not documented: the one of a pull that fails at once.
        return self.code or ("InaccessibleImage" if self.outcome == "pull-back-off" else "ServiceUnavailable")

    @property
    def error_message(self) -> str:
        """The text that goes with it."""
        if self.message:
            return self.message
        if self.error_code == "InaccessibleImage":
            return "The image is not accessible. Please check the image and registry credential."
        return "The service is temporarily unavailable. Please try again later."

    def concerns(self, operations: Iterable[str], path: str) -> bool:
        """Say whether a call, under any of its names, is one that the rule is about."""
        if self.match and not fnmatchcase(path.lower(), f"*{self.match.lower()}*"):
            return False
        return any(fnmatchcase(operation, self.on) for operation in operations)

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> "Fault":
        """Read one rule; ValueError names an unknown key or a missing `on`.

        YAML 1.1 reads a bare `on:` as the boolean true, so both spellings of that key are understood.
        """
        named = {"on" if str(key) == "True" else str(key): value for key, value in document.items()}
        unknown = sorted(set(named) - {entry.name for entry in fields(cls)})
        if unknown or "on" not in named:
            raise ValueError(f"fault rule: unknown {unknown}" if unknown else "fault rule: 'on' is missing")
        if named.get("outcome", "") not in get_args(Outcome):
            raise ValueError(f"fault rule: outcome is one of {', '.join(one for one in get_args(Outcome) if one)}")
        return cls(**named)


@dataclass(slots=True)
class FaultPlan:
    """An ordered list of rules with their counters; of several rules that strike at once the first one does."""

    rules: list[Fault] = field(default_factory=list)
    seed: int = 0
    _calls: Counter[int] = field(default_factory=Counter)
    _rng: Random = field(default_factory=Random)
    struck: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._rng.seed(self.seed)

    @classmethod
    def parse(cls, rules: Iterable[Mapping[str, Any]], seed: int = 0) -> "FaultPlan":
        """Read a plan from plain data."""
        return cls([Fault.parse(rule) for rule in rules], seed)

    @classmethod
    def load(cls, path: Path, seed: int = 0) -> "FaultPlan":
        """Read a plan from a JSON or YAML file: a list of rules, or {"faults": [...]}."""
        text = path.read_text("utf-8")
        document = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
        return cls.parse(document["faults"] if isinstance(document, dict) else document, seed)

    @property
    def keeps_answers(self) -> bool:
        """Say whether old answers must be remembered because a rule may serve them again."""
        return any(rule.stale for rule in self.rules)

    def strike(self, *operations: str, path: str = "") -> Fault | None:
        """Count this call, by all of its names, against every rule and return the one that strikes, if any."""
        struck: Fault | None = None
        for index, rule in enumerate(self.rules):
            if not rule.concerns(operations, path):
                continue
            self._calls[index] += 1
            if struck is None and self._due(rule, self._calls[index]):
                struck = rule
        if struck is not None:
            self.struck[operations[-1]] += 1
        return struck

    def _due(self, rule: Fault, count: int) -> bool:
        if rule.nth is not None:
            return count == rule.nth
        if rule.every is not None:
            return count % rule.every == 0
        return rule.probability is None or self._rng.random() < rule.probability
