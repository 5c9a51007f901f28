"""`python -m tests.bench`: measure, print the tables, and write them into docs/benchmarks.md; `--check` prints only."""

import argparse
import sys

from tests.bench.running import ROOT
from tests.bench.table import document

PAGE = ROOT / "docs" / "benchmarks.md"
BEGIN, END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"


def between_markers(page: str, tables: str) -> str:
    """Return the page with the tables between its markers; ValueError when it has none."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PAGE} lacks the markers {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{tables.strip()}\n{END}{after}"


def main() -> None:
    """Measure once; every number of the page is of this one run."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--check", action="store_true", help="print the tables and write nothing")
    only_print = parser.parse_args().check
    page = "" if only_print else PAGE.read_text(encoding="utf-8")
    tables = document()
    sys.stdout.write(f"{tables.strip()}\n")
    if not only_print:
        PAGE.write_text(between_markers(page, tables), encoding="utf-8")


if __name__ == "__main__":
    main()
