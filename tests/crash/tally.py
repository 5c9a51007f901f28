"""How much was tried: counted in each test, carried home in its report, so that it adds up across processes too."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

PROPERTY = "crash-tally"
_WORDS = ("schedules", "deaths", "faults", "invariants", "violations")


@dataclass
class Tally:
    """One test's share."""

    counts: Counter[str] = field(default_factory=Counter)

    def add(self, *, deaths: int, faults: int, invariants: int, violations: int) -> None:
        """Count one schedule that was played to its end."""
        self.counts.update(schedules=1, deaths=deaths, faults=faults, invariants=invariants, violations=violations)

    def text(self) -> str:
        """Write it so that it survives a report's way between processes."""
        return " ".join(f"{word}={self.counts[word]}" for word in _WORDS)


def summary(texts: Iterable[str]) -> str:
    """Add up what tests wrote; empty when none did."""
    total: Counter[str] = Counter()
    for text in texts:
        total.update({word: int(number) for word, _, number in (part.partition("=") for part in text.split())})
    if not total["schedules"]:
        return ""
    return (
        f"{total['schedules']} schedules run, {total['deaths']} processes killed, {total['faults']} faults injected, "
        f"{total['invariants']} invariants checked, {total['violations']} violations"
    )
