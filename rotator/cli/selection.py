"""What `--only` may name."""

import difflib
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from rotator.model.errors import ConfigError

if TYPE_CHECKING:
    from rotator.model.estate import Estate


def check_only(only: Sequence[str], estate: "Estate") -> None:
    """Raise ConfigError for an id or glob that fits no credential of the estate: a mistyped one would do nothing, silently.

    Where something could not be read, the credential may be there; then nothing is said.
    """
    ids = sorted({one.id for one in (*estate.records, *estate.consumers)})
    for glob in only:
        if estate.unread or any(fnmatchcase(one, glob) for one in ids):
            continue
        near = difflib.get_close_matches(glob, [*ids, *(one.rpartition("/")[2] for one in ids)], n=1)
        hint = f"; did you mean {next(one for one in ids if one.endswith(near[0]))}?" if near else ""
        raise ConfigError(
            f"--only {glob}: no credential has this id{hint}", advice="rotator plan --json lists ids; * stands for anything."
        )
