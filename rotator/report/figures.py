"""The report's one figure, as numbers that the template draws."""

from collections.abc import Mapping
from dataclasses import dataclass

from rotator.model.policy import Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """A part of the bar: where it begins and how wide it is, in percent."""

    severity: Severity
    number: int
    start: float
    width: float


def severity_bar(numbers: Mapping[Severity, int]) -> tuple[Slice, ...]:
    """Return the slices of a stacked bar, the worst first; none for an estate without violations."""
    total = sum(numbers.values())
    slices, start = [], 0.0
    for severity in Severity:
        number = numbers.get(severity, 0)
        if number:
            width = 100 * number / total
            slices.append(Slice(severity=severity, number=number, start=round(start, 2), width=round(width, 2)))
            start += width
    return tuple(slices)
