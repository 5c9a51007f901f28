"""The pace of group writes."""

from datetime import UTC, datetime, timedelta

from rotator.azure.pacing import WritePacer

START = datetime(2026, 11, 1, tzinfo=UTC)
HERE, THERE = ("sub", "westeurope"), ("sub", "northeurope")
LEFT = "x-ms-ratelimit-remaining-subscription-resource-requests-"


class StoppedClock:
    """Moves when somebody sleeps, and only then."""

    def __init__(self) -> None:
        self.at = START

    def now(self) -> datetime:
        return self.at

    def sleep(self, duration: timedelta) -> None:
        self.at += duration


def test_no_window_ever_holds_more_writes_than_azure_allows() -> None:
    clock, written = StoppedClock(), []
    pacer = WritePacer(clock)
    for _ in range(700):
        pacer.wait(HERE)
        written.append(clock.now())
    for span, limit in ((timedelta(minutes=5), 100), (timedelta(hours=1), 300)):
        assert all(later - first > span for first, later in zip(written, written[limit:], strict=False))
    assert written[99] == START
    assert written[-1] - START < timedelta(hours=2, minutes=15)


def test_another_region_has_a_limit_of_its_own() -> None:
    clock = StoppedClock()
    pacer = WritePacer(clock, per_five_minutes=1)
    pacer.wait(HERE)
    pacer.wait(THERE)
    assert clock.now() == START
    pacer.wait(HERE)
    assert clock.now() > START + timedelta(minutes=5)


def test_a_limit_that_others_spent_is_waited_for() -> None:
    clock = StoppedClock()
    pacer = WritePacer(clock)
    pacer.wait(HERE)
    pacer.heed(HERE, {(LEFT + "pt5m").upper(): "0", LEFT + "pt1h": "200"})
    pacer.wait(HERE)
    assert timedelta(minutes=5) < clock.now() - START < timedelta(minutes=6)


def test_a_limit_that_is_not_spent_costs_nothing() -> None:
    clock = StoppedClock()
    pacer = WritePacer(clock)
    pacer.heed(HERE, {LEFT + "pt5m": "99", LEFT + "pt1h": "294", "other": "0"})
    pacer.wait(HERE)
    assert clock.now() == START
