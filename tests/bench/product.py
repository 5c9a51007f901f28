"""One process with nothing but the product in it: it obeys words on standard input and answers each with one line of JSON.

The sandbox runs in the parent, so that the processor time and the memory here are the product's own.
"""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path

from rotator import config, wiring
from rotator.application import Application
from rotator.model.credential import PrincipalKind
from rotator.model.estate import TAG_HANDLE, Estate
from rotator.model.rotation import Action, Plan, PlanItem, Retirement
from rotator.ports import SecretStore, ValueSource
from tests.bench.smallest import Job, Work

_AFTER_THE_SOAK = timedelta(hours=2, minutes=1)
"""The sandbox's settings let an old secret soak for two hours."""


class Product:
    """The application between the words that it is given."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._estate: Estate | None = None
        self._plan: Plan | None = None

    def answer(self, word: str) -> dict[str, object]:
        """Do what the word says; KeyError for an unknown word."""
        words: dict[str, Callable[[], dict[str, object]]] = {
            "rest": self._rest,
            "audit": self._audit,
            "plan": self._make_plan,
            "rotate": self._rotate,
            "soak": self._soak,
        }
        return words[word]()

    def _rest(self) -> dict[str, object]:
        return {"peak_kib": _peak_kib()}

    def _audit(self) -> dict[str, object]:
        self._estate = None
        began = time.process_time()
        self._estate, audit = self._application.audit()
        return {
            "groups": len(self._estate.groups),
            "findings": len(audit.findings),
            "unread": len(self._estate.unread),
            "processor_seconds": time.process_time() - began,
            "peak_kib": _peak_kib(),
        }

    def _make_plan(self) -> dict[str, object]:
        estate = self._estate or self._application.estate()
        self._plan = self._application.plan(estate)
        return asdict(work_of(self._plan, estate, self._application))

    def _rotate(self) -> dict[str, object]:
        if self._plan is None:
            raise RuntimeError("say plan before rotate")
        outcomes = self._application.rotate(self._plan)
        self._estate = None
        return {"results": [one.result.value for one in outcomes]}

    def _soak(self) -> dict[str, object]:
        self._application.clock.sleep(_AFTER_THE_SOAK)
        return {}


def work_of(plan: Plan, estate: Estate, application: Application) -> Work:
    """Return what a plan has to do, in the terms that the smallest numbers are derived from."""
    values = application._context.values
    values.refresh(estate.secrets)
    now = application.clock.now()
    ending = [one for one in plan.retirements if one.due(now)]
    sources = {source for item in plan.due for source in _sources(item, estate, values)}
    return Work(
        jobs=tuple(_job(item) for item in plan.due),
        sources=tuple(sorted(sources)),
        ended=tuple(_holder(one, handle) for one in ending for handle in one.old),
        retirements=len(ending),
        outdated=sum(1 for one in ending if _outdated(one, application._context.vault)),
        pulls=application._context.rules.verify_pulls,
    )


def _job(item: PlanItem) -> Job:
    moving = {group for wave in item.waves for group in wave}
    touched = [one for one in item.consumers if one.group in moving]
    return Job(
        kind=item.principal.kind.value,
        images=tuple(sorted({image for one in item.consumers for image in one.images})),
        redeployed=tuple(one.group.key for one in touched if one.action is Action.REDEPLOY),
        restarted=tuple(one.group.key for one in touched if one.action is Action.RESTART),
    )


def _holder(retirement: Retirement, handle: str) -> str:
    """Name what holds an old secret: the handle of a client secret begins with the kind of its object."""
    kind = retirement.principal.kind
    return handle.partition("/")[0] if kind is PrincipalKind.ENTRA_APP else kind.value


def _outdated(retirement: Retirement, vault: SecretStore) -> bool:
    """Say whether the vault has a version with the old secret; a first rotation replaces one that the vault never held."""
    current = vault.look(retirement.secret_name)
    before = vault.previous(retirement.secret_name, current.version) if current else None
    return before is not None and before.tags.get(TAG_HANDLE, "") in retirement.old


def _sources(item: PlanItem, estate: Estate, values: ValueSource) -> set[str]:
    """Name the places that hold the values which a redeploy needs beside the new password."""
    groups = {group.id: group for group in estate.groups}
    found = set()
    for consumer in item.consumers:
        if consumer.action is Action.REDEPLOY:
            group = groups[consumer.group]
            new = {f"imageRegistryCredentials/{host}/password" for host in consumer.registries}
            found |= {values.locate(group, one) for one in group.write_only if one.path not in new}
    return {one for one in found if one}


def _peak_kib() -> int:
    """Return the most memory that this process ever held.

    Not getrusage's ru_maxrss: Linux hands that down from the parent that forked us, which holds the whole sandbox.
    """
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


def main(settings: Path) -> None:
    """Obey until standard input ends."""
    application = wiring.build(config.load(settings))
    try:
        product = Product(application)
        for line in sys.stdin:
            sys.stdout.write(json.dumps(product.answer(line.strip())) + "\n")
            sys.stdout.flush()
    finally:
        application.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
