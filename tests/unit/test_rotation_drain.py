"""An old secret that somebody outside still uses, night after night, against a cloud in memory."""

from dataclasses import replace
from datetime import timedelta

import pytest

from rotator.model.credential import Overlap
from rotator.model.rotation import Result, RotationOutcome
from rotator.model.usage import DrainRule, Use
from rotator.rotation.record import read_record
from tests.memorycloud import PRINCIPALS, SECRETS, Crash, Fault, MemoryCloud
from tests.nights import NIGHT, RULES, assert_good_end, expiring_cloud, run

HOUR = timedelta(hours=1)
OVERLAPS = [Overlap.TWO_SLOTS, Overlap.MANY]


@pytest.fixture(params=OVERLAPS)
def cloud(request: pytest.FixtureRequest) -> MemoryCloud:
    """A principal whose groups have moved an hour ago, and whose old secret soaks."""
    cloud = expiring_cloud(request.param)
    run(cloud)
    cloud.clock.sleep(HOUR)
    return cloud


def use(cloud: MemoryCloud) -> None:
    """Somebody presents the principal's user name; of a service principal the log names the secret, here the old one."""
    principal = PRINCIPALS[cloud.overlap]
    old = min(cloud.live(principal), key=lambda one: one.made_at).handle.id
    key = old.rpartition("/")[2] if cloud.overlap is Overlap.MANY else ""
    cloud.logins.append((principal.name, Use(at=cloud.clock.now(), address="20.1.2.3", key=key)))


def tonight(cloud: MemoryCloud, rule: DrainRule = DrainRule.WHEN_NOT_IN_USE) -> RotationOutcome:
    cloud.clock.sleep(NIGHT)
    cloud.watch("waiting")
    [outcome] = run(cloud, rules=replace(RULES, drain=rule))
    return outcome


def test_it_is_kept_until_it_has_been_quiet_and_then_ends(cloud: MemoryCloud) -> None:
    use(cloud)
    for _ in range(6):
        kept = tonight(cloud)
        assert kept.result is Result.SOAKING
        assert "by 20.1.2.3, last at" in kept.detail
        assert len(cloud.live()) == 2
    tonight(cloud)
    assert_good_end(cloud)


def test_after_the_limit_it_is_held_until_a_person_decides(cloud: MemoryCloud) -> None:
    results = []
    for _ in range(8):
        use(cloud)
        results.append(tonight(cloud).result)
    assert results == [Result.SOAKING] * 7 + [Result.HELD]
    assert len(cloud.live()) == 2
    staged = read_record(cloud.vault[f"{SECRETS[PRINCIPALS[cloud.overlap]]}--staged"][-1].secret)
    assert staged is not None
    assert staged.held == "", "what is held follows from the log and the time, so that nothing needs to be taken back"

    assert tonight(cloud, DrainRule.REPORT).result is Result.SUCCESS
    assert_good_end(cloud)


def test_a_log_that_fails_tonight_is_asked_again_tomorrow(cloud: MemoryCloud) -> None:
    cloud.log_broken = True
    assert tonight(cloud).result is Result.SOAKING
    assert len(cloud.live()) == 2
    cloud.log_broken = False
    assert tonight(cloud).result is Result.SUCCESS
    assert_good_end(cloud)


def test_a_log_that_never_answers_keeps_nothing_alive_for_ever(cloud: MemoryCloud) -> None:
    cloud.log_broken = True
    results = [tonight(cloud).result for _ in range(8)]
    assert results == [Result.SOAKING] * 7 + [Result.SUCCESS]
    assert_good_end(cloud)


def test_a_crash_anywhere_never_ends_a_secret_that_is_used(cloud: MemoryCloud) -> None:
    # Keeping has no effect at all, so the first one after the cutover is of the night in which nobody used it any more.
    before = cloud.effects
    use(cloud)
    tonight(cloud)
    assert cloud.effects == before
    cloud.logins.clear()
    for number in range(1, 4):
        cloud.faults = {before + number: Fault.CRASH_AFTER}
        try:
            tonight(cloud)
        except (Crash, ValueError):
            continue
    cloud.faults = {}
    cloud.clock.sleep(NIGHT)
    run(cloud)
    assert_good_end(cloud)
