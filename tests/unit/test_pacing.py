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


def write(pacer: WritePacer, clock: StoppedClock, region: tuple[str, str] = HERE, **left: str) -> datetime:
    while pause := pacer.claim(region):
        clock.sleep(pause)
    pacer.heed(region, {LEFT + window: number for window, number in left.items()})
    return clock.now()


def test_no_window_ever_holds_more_writes_than_azure_allows() -> None:
    clock = StoppedClock()
    pacer = WritePacer(clock)
    written = [write(pacer, clock) for _ in range(700)]
    for span, limit in ((timedelta(minutes=5), 100), (timedelta(hours=1), 300)):
        assert all(later - first > span for first, later in zip(written, written[limit:], strict=False))
    assert written[99] == START
    assert written[-1] - START < timedelta(hours=2, minutes=15)


def test_another_region_has_a_limit_of_its_own() -> None:
    clock = StoppedClock()
    pacer = WritePacer(clock, per_five_minutes=1)
    write(pacer, clock)
    assert write(pacer, clock, THERE) == START
    assert write(pacer, clock) > START + timedelta(minutes=5)


def test_a_limit_that_others_spent_is_waited_for() -> None:
    clock = StoppedClock()
    pacer = WritePacer(clock)
    write(pacer, clock, pt5m="0", pt1h="200")
    assert timedelta(minutes=5) < write(pacer, clock) - START < timedelta(minutes=6)


def test_a_limit_that_we_spent_ourselves_ends_when_our_first_write_leaves_it() -> None:
    clock = StoppedClock()
    pacer = WritePacer(clock)
    write(pacer, clock)
    clock.sleep(timedelta(minutes=4))
    write(pacer, clock, PT5M="0")
    assert write(pacer, clock) == START + timedelta(minutes=5, seconds=1)


def test_a_limit_that_is_not_spent_costs_nothing() -> None:
    clock = StoppedClock()
    pacer = WritePacer(clock)
    write(pacer, clock, pt5m="99", pt1h="294", other="0")
    assert write(pacer, clock) == START


def test_who_is_told_to_wait_has_not_been_counted() -> None:
    clock = StoppedClock()
    pacer = WritePacer(clock, per_five_minutes=1)
    write(pacer, clock)
    assert {pacer.claim(HERE) for _ in range(10)} == {timedelta(minutes=5, seconds=1)}
    assert write(pacer, clock) == START + timedelta(minutes=5, seconds=1)


def test_a_write_that_is_under_way_counts_until_it_is_over_and_then_from_its_end() -> None:
    clock = StoppedClock()
    pacer = WritePacer(clock, per_five_minutes=1)
    assert not pacer.claim(HERE)
    clock.sleep(timedelta(minutes=20))
    assert pacer.claim(HERE) > timedelta(minutes=5)
    pacer.heed(HERE, {})
    assert write(pacer, clock) > START + timedelta(minutes=25)
