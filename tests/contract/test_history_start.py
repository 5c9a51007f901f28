"""The history of replicas that start at the same moment on an empty database."""

import threading
from concurrent.futures import ThreadPoolExecutor

from rotator.history.record import History
from tests.fakes import FakeClock
from tests.reportsample import NOW


def test_replicas_that_start_together_share_one_history(database: str) -> None:
    together = threading.Barrier(4)

    def start(_: int) -> str:
        together.wait(10)
        history = History(database.replace("postgresql:", "postgresql+psycopg:"), FakeClock(NOW))
        history.close()
        return history.installation

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(start, range(4)))) == 1
