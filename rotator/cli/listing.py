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
    """A list with column names, or with headings in between. Columns are as wide as their content.

    Where that is too much, the widest columns give way, all to the same width, and fold.
    """

    def __init__(self, rows: Sequence[Row | Heading], names: Sequence[str] = ()) -> None:
        self._rows = rows
        self._names = names

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the lines."""
        del console
        headed = any(isinstance(row, Heading) for row in self._rows)
        left = _LEFT + 2 * headed
        widths = self._widths(options.max_width - left)
        mark = max((row.mark.cell_len for row in self._rows if isinstance(row, Heading)), default=0)
        if self._names:
            yield Padding(_line([Text(name, style="dim") for name in self._names], widths), (0, 0, 0, left), expand=False)
            yield Padding(Text("─" * (options.max_width - 2 * _LEFT), style="dim"), (0, 0, 0, _LEFT), expand=False)
        for row in self._rows:
            if isinstance(row, Heading):
                rest = options.max_width - _LEFT - mark - _GAP
                yield Padding(_line([row.mark, row.text], [mark, rest]), (0, 0, 0, _LEFT), expand=False)
            else:
                yield from _shown(row, widths, left)

    def _widths(self, room: int) -> list[int]:
        rows = [row.cells for row in self._rows if isinstance(row, Row)]
        names = [Text(name) for name in self._names]
        natural = [max(cell.cell_len for cell in column) for column in zip(*rows, *([names] if names else []), strict=True)]
        room -= _GAP * (len(natural) - 1)
        widest = max(natural, default=0)
        while widest > _NARROWEST and sum(min(width, widest) for width in natural) > room:
            widest -= 1
        return [min(width, widest) for width in natural]


def _shown(row: Row, widths: Sequence[int], left: int) -> Iterator[RenderableType]:
    yield Padding(_line(row.cells, widths), (0, 0, 0, left), expand=False)
    for text in row.below:
        yield Padding(text, (0, 0, 0, left + 2), expand=False)


def _line(cells: Sequence[Text], widths: Sequence[int]) -> Table:
    grid = Table.grid(padding=(0, _GAP, 0, 0), pad_edge=False)
    for width in widths:
        grid.add_column(width=width, overflow="fold")
    grid.add_row(*cells)
    return grid
