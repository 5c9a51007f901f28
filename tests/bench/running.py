"""A sandbox here, the product in a process of its own, and the counts of what passed between them."""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rotator.config import environment
from rotator.sandbox import Sandbox, SandboxOptions
from tests.bench.smallest import COUNTED_TWICE

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Pair:
    """A running sandbox and the product process that looks at it."""

    sandbox: Sandbox
    process: subprocess.Popen[str]

    def say(self, word: str) -> dict[str, Any]:
        """Give the product a word and return its answer; RuntimeError when it dies instead."""
        if self.process.stdin is None or self.process.stdout is None:
            raise RuntimeError("the product has no pipes")
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the product ended at the word {word!r}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def calls(self) -> dict[str, int]:
        """Return the calls since the last time, by operation."""
        return taken(self.sandbox)


def taken(sandbox: Sandbox) -> dict[str, int]:
    """Return the calls that a sandbox has answered since the last time, by operation, and begin to count anew."""
    with sandbox.world.lock:
        counted = dict(sandbox.world.requests)
        sandbox.world.requests.clear()
    counted.pop(COUNTED_TWICE, None)
    return counted


@contextmanager
def running(estate: str, groups: int | None = None) -> Iterator[Pair]:
    """Yield a new sandbox with Azure's bad manners and a new product process that is ready to be told."""
    with TemporaryDirectory(prefix="rotator-bench-") as folder:
        options = SandboxOptions(directory=Path(folder), estate=estate, groups=groups, seed=1)
        with Sandbox(options) as sandbox, _product(sandbox) as process:
            yield Pair(sandbox, process)


@contextmanager
def _product(sandbox: Sandbox) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.bench.product", str(sandbox.options.directory / "rotator.yaml")]
    variables = {**environment(), **sandbox.environment}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=variables, cwd=ROOT) as process:
        try:
            yield process
        finally:
            if process.stdin is not None:
                process.stdin.close()
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()


def modules_of(arguments: list[str], variables: Mapping[str, str] | None = None) -> set[str]:
    """Run `rotator` with arguments and return the names of the modules that it had imported at its end."""
    with TemporaryDirectory(prefix="rotator-bench-") as folder:
        listing = Path(folder) / "modules"
        _python(["-c", _WATCHED, str(listing), *arguments], variables)
        return set(listing.read_text(encoding="utf-8").split())


def bare_modules() -> set[str]:
    """Return the names of the modules that the interpreter imports for a program that does nothing."""
    return set(_python(["-c", "import sys; print(*sys.modules)"], None).split())


def processor_seconds(arguments: list[str], variables: Mapping[str, str] | None = None) -> float:
    """Return the processor time, user and system, of one run of the interpreter with arguments."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    _python(arguments, variables)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _python(arguments: list[str], variables: Mapping[str, str] | None) -> str:
    given = {**environment(), **(variables or {})}
    done = subprocess.run([sys.executable, *arguments], env=given, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode not in _EXPECTED:
        raise RuntimeError(f"python {' '.join(arguments[2:])} ended with {done.returncode}{os.linesep}{done.stderr}")
    return done.stdout


_EXPECTED = {0, 1, 3}
"""An audit with findings ends with 1, one that could not see everything with 3."""

_WATCHED = """\
import atexit, sys
listing = sys.argv.pop(1)
atexit.register(lambda: open(listing, "w", encoding="utf-8").write("\\n".join(set(sys.modules))))
from rotator.cli.app import main
main()
"""
