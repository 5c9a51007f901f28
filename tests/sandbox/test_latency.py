"""The time that requests take: in a row they add up, side by side they do not."""

from rotator.sandbox.latency import Latency

TAKES = 0.04


class Reader:
    """A stopwatch that a test turns."""

    def __init__(self) -> None:
        self.at = 100.0

    def __call__(self) -> float:
        return self.at


def spent(latency: Latency, connections: list[str]) -> float:
    return sum(latency.step(connection, TAKES) for connection in connections)


def test_requests_of_one_connection_add_up() -> None:
    assert round(spent(Latency(Reader()), ["a"] * 100), 6) == 4.0


def test_requests_of_many_connections_share_their_time() -> None:
    assert round(spent(Latency(Reader()), [f"c{number}" for number in range(400)]), 6) == TAKES
    assert round(spent(Latency(Reader()), [f"c{number % 8}" for number in range(400)]), 6) == 2.0


def test_a_connection_that_was_idle_is_not_behind() -> None:
    watch = Reader()
    latency = Latency(watch)
    spent(latency, ["a"] * 100)
    watch.at += 1
    assert round(latency.step("b", TAKES), 6) == TAKES


def test_connections_of_the_past_are_forgotten() -> None:
    watch = Reader()
    latency = Latency(watch)
    for number in range(5000):
        watch.at += 1
        latency.step(f"c{number}", TAKES)
    assert len(latency._spent) < 2001
