"""`rotator explain`: can this group pull its images, and why?"""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from rotator.cli.exits import Exit
from rotator.cli.options import Config, Json, Level, LogLevel

if TYPE_CHECKING:
    from rich.console import RenderableType

    from rotator.explain.answer import Explanation, ImageAnswer

Group = Annotated[str, typer.Argument(help="The group's name, its resource id, or a glob that fits one group.")]


def explain(group: Group, *, config: Config = None, as_json: Json = False, log_level: LogLevel = Level.WARNING) -> None:
    """Say whether a container group can pull its images now, how, until when, and what would break it. Changes nothing."""
    from rotator.cli import output
    from rotator.cli.selection import one_group
    from rotator.cli.session import opened, settings_of
    from rotator.explain.answer import Answer

    with opened(settings_of(config), log_level) as application:
        estate = application.estate()
        told = application.explain(estate, one_group(group, estate))
    if as_json:
        output.write_json(told)
    else:
        output.console().print(shown(told))
    statuses = {Answer.YES: Exit.CLEAN, Answer.NO: Exit.FINDINGS, Answer.UNKNOWN: Exit.INCOMPLETE}
    raise typer.Exit(statuses[told.answer])


def shown(told: "Explanation") -> "RenderableType":
    """Return an explanation for a terminal."""
    from rich.console import Group as Lines
    from rich.text import Text

    from rotator.explain.answer import Answer

    assumed = ", as far as can be seen" if any(one.unseen for one in told.images) else ""
    verdicts = {
        Answer.YES: (f"{told.group.name} can pull its images{assumed}", "bold green"),
        Answer.NO: (f"{told.group.name} cannot pull its images", "bold red"),
        Answer.UNKNOWN: (f"nobody can tell whether {told.group.name} can pull its images", "bold yellow"),
    }
    head = Text.assemble(verdicts[told.answer], (f"  {told.state}, in {told.group.resource_group}", "dim"))
    parts: list[RenderableType] = [head]
    alike: dict[ImageAnswer, list[str]] = {}
    for one in told.images:
        alike.setdefault(replace(one, image=""), []).append(one.image)
    for one, images in alike.items():
        parts += [Text(), *_image(one, images)]
    return Lines(*parts)


def _image(one: "ImageAnswer", images: "list[str]") -> "list[RenderableType]":
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    from rotator.explain.answer import Answer

    marks = {Answer.YES: ("✓", "green"), Answer.NO: ("✗", "red"), Answer.UNKNOWN: ("?", "yellow")}
    rows = [("how", one.how), ("path", one.path), (f"{one.answer}", one.reason)]
    if one.until:
        rows.append(("until" if one.answer is not Answer.NO else "since", f"{one.until:%Y-%m-%d %H:%M} UTC"))
    elif one.ends:
        rows.append(("until", one.ends))
    rows += [("not seen" if number == 0 else "", text) for number, text in enumerate(one.unseen)]
    if one.remedy:
        rows.append(("do", one.remedy))
    rows += [("breaks" if number == 0 else "", f"if {text}") for number, text in enumerate(one.breaks)]
    grid = Table.grid(padding=(0, 2, 0, 0), pad_edge=False)
    grid.add_column(style="dim", width=11, no_wrap=True)
    grid.add_column()
    for name, text in rows:
        grid.add_row(name, Text(text))
    mark, colour = marks[one.answer]
    return [*(Text.assemble((mark, colour), " ", (image, "bold")) for image in images), Padding(grid, (0, 0, 0, 2), expand=False)]
