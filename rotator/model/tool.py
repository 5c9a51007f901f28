"""Tools other than this one that deploy container groups."""

from enum import StrEnum


class Tool(StrEnum):
    """A tool that deploys groups from files of its own."""

    TERRAFORM = "terraform"
    BICEP = "bicep"


class OwnedGroups(StrEnum):
    """What a rotation does to groups of such a tool: moves them like any other, or holds them for their owner."""

    ROTATE = "rotate"
    HOLD = "hold"
