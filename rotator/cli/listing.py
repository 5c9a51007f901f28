"""Lists for the terminal: short cells in columns as wide as their content, and lines below them that run across.

A table of wide cells is unreadable at 80 columns: resource names and hosts fold in the middle. Here a row is one line of what
matters, and what and where the thing is stands below it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

_GAP = 2
_LEFT = 1
_NARROWEST = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One thing: its cells, and the lines below them."""

    cells: tuple[Text, ...]
    below: tuple[Text, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """What the rows after it have in common: a word in a narrow column, and a sentence."""

    mark: Text
    text: Text


class Listing:
    """A list under column names, or in sections under headings. Columns are as wide as their content.

    Where that is too much, the widest columns of a list give way, all to the same width, and fold; in a section the last cell
    of every row goes below it.
    """

    def __init__(self, rows: Sequence[Row | Heading], names: Sequence[str] = ()) -> None:
        self._rows = rows
        self._names = tuple(Text(name, style="dim") for name in names)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the lines."""
        del console
        room = options.max_width - 2 * _LEFT
        if self._names:
            widths = _widths([self._names, *_cells(self._rows)], room)
            yield _at(_LEFT, _line(self._names, widths))
            yield _at(_LEFT, Text("─" * room, style="dim"))
            for row in _only_rows(self._rows):
                yield from _shown(row, widths, _LEFT)
        else:
            mark = max((row.mark.cell_len for row in self._rows if isinstance(row, Heading)), default=0)
            for heading, rows in _sections(self._rows):
                if heading:
                    yield _at(_LEFT, _line((heading.mark, heading.text), (mark, room - mark - _GAP)))
                yield from _section(rows, room, _LEFT + 2 * bool(heading))


def _sections(rows: Sequence[Row | Heading]) -> Iterator[tuple[Heading | None, list[Row]]]:
    heading: Heading | None = None
    found: list[Row] = []
    for row in rows:
        if isinstance(row, Row):
            found.append(row)
            continue
        if heading or found:
            yield heading, found
        heading, found = row, []
    yield heading, found


def _section(rows: Sequence[Row], room: int, left: int) -> Iterator[RenderableType]:
    room -= left - _LEFT
    if any(len(row.cells) > 1 for row in rows) and _total(_natural(_cells(rows))) > room:
        rows = [Row(cells=row.cells[:-1], below=(*row.cells[-1:], *row.below)) for row in rows]
    widths = _widths(_cells(rows), room)
    for row in rows:
        yield from _shown(row, widths, left)


def _only_rows(rows: Sequence[Row | Heading]) -> list[Row]:
    return [row for row in rows if isinstance(row, Row)]


def _cells(rows: Sequence[Row | Heading]) -> list[tuple[Text, ...]]:
    return [row.cells for row in _only_rows(rows)]


def _natural(rows: Sequence[Sequence[Text]]) -> list[int]:
    return [max(cell.cell_len for cell in column) for column in zip(*rows, strict=True)]


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + _GAP * (len(widths) - 1)


def _widths(rows: Sequence[Sequence[Text]], room: int) -> list[int]:
    natural = _natural(rows)
    widest = max(natural, default=0)
    while widest > _NARROWEST and _total([min(width, widest) for width in natural]) > room:
        widest -= 1
    return [min(width, widest) for width in natural]


def _shown(row: Row, widths: Sequence[int], left: int) -> Iterator[RenderableType]:
    yield _at(left, _line(row.cells, widths))
    for text in row.below:
        if text:
            yield _at(left + 2, text)


def _at(left: int, thing: RenderableType) -> Padding:
    return Padding(thing, (0, 0, 0, left), expand=False)


def _line(cells: Sequence[Text], widths: Sequence[int]) -> Table:
    grid = Table.grid(padding=(0, _GAP, 0, 0), pad_edge=False)
    for width in widths:
        grid.add_column(width=width, overflow="fold")
    grid.add_row(*cells)
    return grid
