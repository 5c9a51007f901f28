"""The sandbox's clock as the product reads and turns it."""

from datetime import timedelta

import pytest

from rotator.clients.clock import SandboxClock, SystemClock
from rotator.clients.network import Network
from rotator.model.errors import Unavailable
from rotator.sandbox import Sandbox


def test_it_shows_the_sandboxs_instant(clock: SandboxClock, sandbox: Sandbox) -> None:
    earliest, seen, latest = sandbox.world.now(), clock.now(), sandbox.world.now()
    assert earliest - timedelta(seconds=1) <= seen <= latest + timedelta(seconds=1)


def test_to_sleep_is_to_turn_it_on(clock: SandboxClock, sandbox: Sandbox) -> None:
    before = sandbox.world.now()
    clock.sleep(timedelta(days=30))
    assert timedelta(days=30, seconds=-1) <= sandbox.world.now() - before < timedelta(days=30, minutes=1)
    assert abs(clock.now() - sandbox.world.now()) < timedelta(seconds=1)


def test_it_never_moves_backwards(sandbox: Sandbox, network: Network) -> None:
    clock = SandboxClock(sandbox.control_url, network)
    seen = []
    for _ in range(200):
        seen.append(clock.now())
        if len(seen) % 50 == 0:
            clock.sleep(timedelta(seconds=3))
    assert seen == sorted(seen)
    assert all(at.utcoffset() == timedelta(0) for at in seen)


def test_who_sleeps_through_an_hour_that_others_have_spent_already_spends_none(sandbox: Sandbox, network: Network) -> None:
    clock = SandboxClock(sandbox.control_url, network, stale_after=timedelta(minutes=1))
    clock.now()
    before = sandbox.world.now()
    sandbox.world.clock.advance(3600)
    clock.sleep(timedelta(hours=1))
    assert sandbox.world.now() - before < timedelta(hours=1, minutes=1)
    assert clock.now() - before >= timedelta(hours=1)


def test_the_machines_clock_is_aware_and_sleeps_at_most_a_little_when_asked_for_nothing() -> None:
    clock = SystemClock()
    assert clock.now().utcoffset() == timedelta(0)
    clock.sleep(timedelta(seconds=-5))


def test_a_sandbox_that_has_ended_is_named(network: Network) -> None:
    with pytest.raises(Unavailable, match="the sandbox could not be reached"):
        SandboxClock("https://127.0.0.1:1", network).now()
