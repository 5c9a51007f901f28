"""Several workers that take turns at every boundary, as a seed says: the interleavings of processes, in one process, repeatable.

A worker runs until its next boundary (a remote read, an effect, a sleep) and then gives the turn away. Time is virtual: it
moves on only when every worker sleeps, to the first that wakes. A frozen worker gets no turn until it is thawed.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from random import Random
from typing import Any, cast

from tests.memorycloud import MemoryCloud


class Turns:
    """Runs workers one at a time. `freezes` maps a worker's name to (its boundary's number, for how long)."""

    def __init__(self, cloud: MemoryCloud, seed: int, freezes: Mapping[str, tuple[int, timedelta]] | None = None) -> None:
        self._cloud = cloud
        self._random = Random(seed)  # noqa: S311 - so that a schedule can be repeated
        self._freezes = dict(freezes or {})
        self._wakes: dict[str, datetime] = {}
        self._boundaries: dict[str, int] = {}
        self._turn = ""
        self._changed = threading.Condition()
        self.failed: list[BaseException] = []

    def run(self, workers: Mapping[str, Callable[[MemoryCloud], object]]) -> None:
        """Run the workers, each against its own view of the cloud, to their ends."""
        self._wakes = dict.fromkeys(workers, self._cloud.clock.now())
        threads = [threading.Thread(target=self._work, args=(name, work)) for name, work in workers.items()]
        self._pick()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self.failed:
            raise self.failed[0]

    def _work(self, name: str, work: Callable[[MemoryCloud], object]) -> None:
        try:
            self._await(name)
            work(cast("MemoryCloud", _View(self._cloud, self, name)))
        except BaseException as error:  # noqa: BLE001 - a thread's error is raised again by `run`
            self.failed.append(error)
        finally:
            with self._changed:
                del self._wakes[name]
                self._pick()
                self._changed.notify_all()

    def boundary(self, name: str, sleeping: timedelta = timedelta(0)) -> None:
        """Give the turn away; returns when it comes back."""
        with self._changed:
            number = self._boundaries[name] = self._boundaries.get(name, 0) + 1
            at, frozen = self._freezes.get(name, (0, timedelta(0)))
            self._wakes[name] = self._cloud.clock.now() + sleeping + (frozen if number == at else timedelta(0))
            self._pick()
            self._changed.notify_all()
        self._await(name)

    def _await(self, name: str) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._turn == name)

    def _pick(self) -> None:
        if not self._wakes:
            return
        now = self._cloud.clock.now()
        awake = [name for name, at in self._wakes.items() if at <= now]
        if not awake:
            first = min(self._wakes.values())
            self._cloud.clock.sleep(first - now)
            awake = [name for name, at in self._wakes.items() if at <= first]
        self._turn = self._random.choice(sorted(awake))


class _View:
    """The cloud as one worker sees it: everything is shared, and each boundary gives the turn away."""

    def __init__(self, cloud: MemoryCloud, turns: Turns, name: str) -> None:
        self.__dict__.update(_cloud=cloud, _turns=turns, _name=name)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the cloud has
        return getattr(self.__dict__["_cloud"], name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self.__dict__["_cloud"], name, value)

    @property
    def clock(self) -> "_View":
        return self

    def now(self) -> datetime:
        return cast("datetime", self._cloud.clock.now())

    def sleep(self, duration: timedelta) -> None:
        self._turns.boundary(self._name, max(duration, timedelta(0)))

    @contextmanager
    def effect(self, what: str) -> Iterator[None]:
        self._turns.boundary(self._name)
        with self._cloud.effect(what):
            yield

    def read(self, what: str) -> None:
        self._turns.boundary(self._name)
        self._cloud.read(what)
