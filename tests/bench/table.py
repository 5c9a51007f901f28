"""The rows of the benchmark: measured, then written as Markdown."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from tests.bench.running import Pair, bare_modules, modules_of, processor_seconds, running
from tests.bench.smallest import Job, Rule, Work, audit_rules, retirement_rules, rotation_rules

SMALL, LARGE = 500, 5000
HEAVY = ("azure", "dbos", "boto3", "fastapi", "sqlalchemy", "cel_expr_python", "pydantic", "rich")
_STARTS = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """One large estate: the groups, the processor time of an audit, and the peaks of memory before and after the first.

    `calls` are those of the first audit, the throttled ones among them, and `smallest` the number that it could have done with.
    """

    groups: int
    calls: int
    smallest: int
    seconds: float
    idle_kib: int
    peak_kib: int

    @property
    def kib_a_group(self) -> float:
        """The peak, shared out."""
        return self.peak_kib / self.groups


def document() -> str:
    """Measure everything in one run and return the tables."""
    return "\n".join([*_start_up(), *_loads(), *_calls("demo", None), *_calls("scale", SMALL)])


def _calls(estate: str, groups: int | None) -> Iterator[str]:
    name = f"{estate}, {groups} groups" if groups else estate
    with running(estate, groups) as pair:
        smallest = audit_rules(pair.sandbox)
        pair.say("audit")
        yield from _compared(f"Calls of an audit ({name})", pair.calls(), smallest)
        work, calls = carried_out(pair)
        moved = len({group for job in work.jobs for group in (*job.redeployed, *job.restarted)})
        heading = f"Calls of a rotation ({name}: {len(work.jobs)} principals, {moved} groups)"
        yield from _compared(heading, calls, rotation_rules(work))
        pair.say("soak")
        work, calls = carried_out(pair)
        heading = f"Calls of the retirement after the soak ({name}: {len(work.ended)} old secrets)"
        yield from _compared(heading, calls, retirement_rules(work))


def carried_out(pair: Pair) -> tuple[Work, dict[str, int]]:
    """Plan and rotate; return what was to be done and the calls of the doing alone."""
    told = pair.say("plan")
    pair.calls()
    pair.say("rotate")
    calls = pair.calls()
    return _work(told), calls


def _work(told: Mapping[str, Any]) -> Work:
    jobs = tuple(Job(kind=one["kind"], **{name: tuple(one[name]) for name in _LISTS}) for one in told["jobs"])
    return Work(
        jobs=jobs,
        sources=tuple(told["sources"]),
        ended=tuple(told["ended"]),
        retirements=int(told["retirements"]),
        outdated=int(told["outdated"]),
        pulls=int(told["pulls"]),
    )


_LISTS = ("images", "redeployed", "restarted")


def _compared(heading: str, calls: Mapping[str, int], rules: Sequence[Rule]) -> Iterator[str]:
    """Write calls beside the smallest numbers; operations of which there were none, and need be none, are left out."""
    by_name = {rule.operation: rule for rule in rules}
    yield from ("", f"### {heading}", "", "| operation | calls | smallest | ratio | the rule for the smallest |")
    yield "|---|---:|---:|---:|---|"
    for operation in sorted({*calls, *(name for name, rule in by_name.items() if rule.smallest)}):
        rule = by_name.get(operation)
        smallest = rule.smallest if rule else 0
        sentence = rule.sentence if rule else "none is needed"
        made = calls.get(operation, 0)
        yield f"| `{operation}` | {made} | {smallest} | {_ratio(made, smallest)} | {sentence} |"
    total, least = sum(calls.values()), sum(rule.smallest for rule in rules)
    yield f"| **all** | **{total}** | **{least}** | **{_ratio(total, least)}** | |"


def _ratio(number: float, by: float) -> str:
    return f"{number / by:.2f}" if by else "-"


def _loads() -> Iterator[str]:
    small, large = _load(SMALL), _load(LARGE)
    yield from ("", "### Large estates", "", f"| | {SMALL} groups | {LARGE} groups | ratio |", "|---|---:|---:|---:|")
    asked = ("calls, over the smallest number", small.calls / small.smallest, large.calls / large.smallest, "{:.2f}")
    seconds = ("processor seconds of an audit", small.seconds, large.seconds, "{:.2f}")
    rate = ("groups audited per second of processor time", small.groups / small.seconds, large.groups / large.seconds, "{:.0f}")
    peak = ("peak memory, MiB (VmHWM)", small.peak_kib / 1024, large.peak_kib / 1024, "{:.0f}")
    idle = ("before the audit, MiB", small.idle_kib / 1024, large.idle_kib / 1024, "{:.0f}")
    group = ("peak memory a group, KiB", small.kib_a_group, large.kib_a_group, "{:.0f}")
    for name, first, second, form in (asked, seconds, rate, idle, peak, group):
        yield f"| {name} | {form.format(first)} | {form.format(second)} | {_ratio(second, first)} |"
    more = (large.peak_kib - small.peak_kib) / (large.groups - small.groups)
    yield f"| what each further group adds to the peak, KiB | | {more:.1f} | |"


def _load(groups: int) -> Load:
    """Measure memory on the first audit, and processor time on later ones, which have no libraries left to import.

    Of several the shortest counts: whatever else the machine does only adds to it.
    """
    with running("scale", groups) as pair:
        smallest = sum(rule.smallest for rule in audit_rules(pair.sandbox))
        idle, first = pair.say("rest"), pair.say("audit")
        calls = sum(pair.calls().values())
        seconds = [float(pair.say("audit")["processor_seconds"]) for _ in range(5 if groups < LARGE else 2)]
        return Load(
            groups=int(first["groups"]),
            calls=calls,
            smallest=smallest,
            seconds=min(seconds),
            idle_kib=int(idle["peak_kib"]),
            peak_kib=int(first["peak_kib"]),
        )


def _start_up() -> Iterator[str]:
    yield from (
        "",
        "### Start-up",
        "",
        "| | `python -c pass` | `rotator --help` | `rotator audit` (demo) |",
        "|---|---:|---:|---:|",
    )
    bare = len(bare_modules())
    asked = modules_of(["--help"])
    audited = _audit_modules()
    yield f"| modules imported | {bare} | {len(asked)} | {len(audited)} |"
    for name in HEAVY:
        yield f"| imports `{name}` | no | {_yes(name in asked)} | {_yes(name in audited)} |"
    base, start = _start_seconds()
    yield f"| processor time, ratio | 1 | {_ratio(start, base)} | |"


def _audit_modules() -> set[str]:
    with running("demo") as pair:
        settings = str(pair.sandbox.options.directory / "rotator.yaml")
        return modules_of(["audit", "--config", settings], pair.sandbox.environment)


def _start_seconds() -> tuple[float, float]:
    """Return the medians of the processor time of `python -c pass` and of `rotator --help`, taken in turn.

    Byte code is kept in a folder of its own and made by a first run, as an installed program has it.
    """
    with TemporaryDirectory(prefix="rotator-bench-") as cache:
        variables = {"PYTHONPYCACHEPREFIX": str(Path(cache)), "PYTHONDONTWRITEBYTECODE": ""}
        help_ = ["-c", "import sys; sys.argv = ['rotator', '--help']; from rotator.cli.app import main; main()"]
        for arguments in (["-c", "pass"], help_):
            processor_seconds(arguments, variables)
        taken = [(processor_seconds(["-c", "pass"], variables), processor_seconds(help_, variables)) for _ in range(_STARTS)]
    return median(one for one, _ in taken), median(one for _, one in taken)


def _yes(said: bool) -> str:
    return "yes" if said else "no"
