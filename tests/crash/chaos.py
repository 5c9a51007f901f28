"""The whole product against the sandbox, night after night, while the sandbox's fault plan strikes."""

import io
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from rotator import config
from rotator.cli.options import Level
from rotator.cli.session import opened
from rotator.model.rotation import Plan, RotationEvent, RotationOutcome
from rotator.sandbox import FaultPlan, Sandbox

NIGHT = timedelta(hours=2, minutes=10)
"""Longer than the soak of two hours in the sandbox's settings, and short enough for three tries before a lease runs out."""


@dataclass
class Nights:
    """One sandbox and what was seen while the product worked in it. `texts` is all that the product wrote anywhere."""

    sandbox: Sandbox
    directory: Path
    outcomes: list[RotationOutcome] = field(default_factory=list)
    events: list[RotationEvent] = field(default_factory=list)
    raised: list[BaseException] = field(default_factory=list)
    log: io.StringIO = field(default_factory=io.StringIO)

    def notice(self, event: RotationEvent) -> None:
        self.events.append(event)

    def run(self, *, force: bool = False) -> None:
        """One process: read, plan, carry out, end. What it raises is kept; faults must not end a run for ever."""
        try:
            with opened(config.load(self.settings, {}), Level.DEBUG, self.log) as application:
                estate = application.estate()
                held = [one.principal.id for one in application.plan(estate).items if one.held] if force else []
                self.outcomes += application.rotate(application.plan(estate), self)
                if held:
                    again = application.estate()
                    self.outcomes += application.rotate(application.plan(again, held, force=True), self)
        except Exception as error:  # noqa: BLE001 - its text is searched for secrets, and the next night must come
            self.raised.append(error)
        self.sandbox.world.clock.advance(NIGHT.total_seconds())

    def nights(self, rules: Sequence[Mapping[str, Any]], *, seed: int, disturbed: int = 2, quiet: int = 4) -> None:
        """Some nights with the faults, some without; a person takes up what is held in the quiet ones."""
        self.sandbox.world.faults = FaultPlan.parse(rules, seed)
        for _ in range(disturbed):
            self.run()
        self.sandbox.world.faults = FaultPlan()
        for _ in range(quiet):
            self.run(force=True)

    @property
    def settings(self) -> Path:
        return self.directory / "rotator.yaml"

    def leaks(self) -> list[Any]:
        """Look for every secret that was ever issued in all that the product wrote."""
        found = []
        for file in sorted((self.directory / "state").rglob("*")):
            if file.is_file():
                found += self.sandbox.oracle.scan(file.read_bytes(), file.name)
        written = [self.log.getvalue(), repr(self.outcomes), repr(self.events)]
        written += ["".join(traceback.format_exception(one)) for one in self.raised]
        for text in written:
            found += self.sandbox.oracle.scan(text, "written")
        return found

    def left(self) -> Plan:
        """Return what is still to do."""
        with opened(config.load(self.settings, {}), Level.WARNING, self.log) as application:
            return application.plan(application.estate())
