"""Passwords with the delays of a replicated registry, and the formats that real ones have."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random
from typing import Literal

REPLICAS = 3
REGENERATED = timedelta(seconds=60)
"""A regenerated password reaches every replica within this time (documented); a first one works at once."""

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
Format = Literal["short", "middle", "long"]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Password:
    """One generation of a slot. On replica r it works from `effective[r]` until `ended[r]` or its expiry."""

    value: str
    created_at: datetime
    expires_at: datetime | None
    effective: tuple[datetime, ...]
    ended: tuple[datetime, ...] | None = None

    def verdict(self, replica: int, now: datetime) -> str:
        """Return "ok", "expired", "not-yet" or "invalid" for one replica."""
        if now < self.effective[replica]:
            return "not-yet"
        if self.ended is not None and now >= self.ended[replica]:
            return "invalid"
        if self.expires_at is not None and now >= self.expires_at:
            return "expired"
        return "ok"

    def live(self, now: datetime) -> bool:
        """Say whether any replica accepts it, now or later."""
        if self.expires_at is not None and now >= self.expires_at:
            return False
        return self.ended is None or now < max(self.ended)

    def instants(self) -> list[datetime]:
        """Return the instants at which a verdict changes by itself."""
        ends = [] if self.expires_at is None else [self.expires_at]
        return [*self.effective, *(self.ended or ()), *ends]


class Slot:
    """A fixed place for one password (`password1`). The replaced one lives on until every replica knows the new."""

    def __init__(self) -> None:
        self.passwords: list[Password] = []

    @property
    def current(self) -> Password | None:
        """The password that the slot holds, None when it is empty."""
        held = self.passwords[-1] if self.passwords else None
        return None if held is None or held.ended is not None else held

    def put(self, value: str, now: datetime, expires_at: datetime | None, rng: Random, spread: timedelta) -> Password:
        """Put a new password in. Over a held one, each replica switches at its own instant within `spread`."""
        held = self.current
        if held is None:
            switch = (now,) * REPLICAS
        else:
            seconds = spread.total_seconds()
            switch = tuple(now + timedelta(seconds=rng.uniform(0.1, 1.0) * seconds) for _ in range(REPLICAS))
            self.passwords[-1] = replace(held, ended=switch)
        self.passwords = [one for one in self.passwords if one.live(now)]
        self.passwords.append(Password(value=value, created_at=now, expires_at=expires_at, effective=switch))
        return self.passwords[-1]

    def add(self, value: str, now: datetime, expires_at: datetime | None) -> Password:
        """Add a password beside those that it holds, where a registry lets a user have several."""
        self.passwords.append(Password(value=value, created_at=now, expires_at=expires_at, effective=(now,) * REPLICAS))
        return self.passwords[-1]

    def clear(self, now: datetime) -> None:
        """End the held password on every replica at once."""
        held = self.current
        if held is not None:
            self.passwords[-1] = replace(held, ended=(now,) * REPLICAS)

    def verdict(self, value: str, replica: int, now: datetime) -> str:
        """Judge a value against the generations that still matter."""
        for password in reversed(self.passwords):
            if password.value == value:
                return password.verdict(replica, now)
        return "invalid"

    def matches(self, value: str) -> bool:
        """Say whether any remembered generation has this value."""
        return any(password.value == value for password in self.passwords)


def draw(rng: Random, form: Format = "long") -> str:
    """Draw a password in one of the formats that registries issue.

    `short` has 32 characters with +, / and =, `middle` 52 with `+ACR` near the end, `long` 84 with `JQQJ99` and `AZCR`.
    """

    def letters(count: int) -> str:
        return "".join(rng.choices(_LETTERS, k=count))

    if form == "short":
        body = letters(30)
        return f"{body[:9]}+{body[9:22]}={body[22:]}"
    if form == "middle":
        return f"{letters(42)}+ACR{letters(6)}"
    return f"{letters(52)}JQQJ99{letters(10)}Eqg7NAAACAZCR{letters(3)}"
