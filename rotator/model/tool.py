"""Tools other than this one that deploy container groups."""

from enum import StrEnum


class Tool(StrEnum):
    """A tool that deploys groups from files of its own."""

    TERRAFORM = "terraform"
    BICEP = "bicep"
