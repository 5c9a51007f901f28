"""What `--only` and an argument may name."""

import difflib
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from rotator.model.errors import ConfigError

if TYPE_CHECKING:
    from rotator.model.credential import Principal
    from rotator.model.estate import Estate
    from rotator.model.group import ContainerGroup
    from rotator.model.rotation import Situation


def check_outage(only: Sequence[str] | None, *, allow_outage: bool) -> None:
    """Raise ConfigError when an outage is allowed without a word on whose."""
    if allow_outage and not only:
        raise ConfigError(
            "--allow-outage needs --only: say which credential's groups may be out", advice="rotator plan lists ids."
        )


def check_only(only: Sequence[str], estate: "Estate") -> None:
    """Raise ConfigError for an id or glob that fits no credential of the estate: a mistyped one would do nothing, silently.

    Where something could not be read, the credential may be there; then nothing is said.
    """
    ids = sorted({one.id for one in (*estate.records, *estate.consumers)})
    for glob in only:
        if estate.unread or any(fnmatchcase(one, glob) for one in ids):
            continue
        raise ConfigError(
            f"--only {glob}: no credential has this id{_hint(glob, ids)}",
            advice="rotator plan --json lists ids; * stands for anything.",
        )


def one_principal(which: str, estate: "Estate", situations: "Sequence[Situation]") -> "Principal":
    """Return the one credential that an id, a glob or a rotation's name names. Raises ConfigError for none, and for several."""
    known = {one.id: one for one in (*estate.records, *estate.consumers, *(one.principal for one in situations))}
    found = [one.principal for one in situations if one.rotation == which] or [
        principal for name, principal in sorted(known.items()) if name == which
    ]
    found = found or [principal for name, principal in sorted(known.items()) if fnmatchcase(name, which)]
    if len(found) == 1:
        return found[0]
    if found:
        some = ", ".join(one.id for one in found[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "")
        raise ConfigError(f"{which} fits {len(found)} credentials: {some}", advice="Name exactly one.")
    if which.startswith("rot-"):
        raise ConfigError(f"no rotation {which} is under way", advice="rotator status names those that are.")
    unread = "; it may be among what could not be read" if estate.unread else ""
    raise ConfigError(
        f"{which}: no credential has this id{unread}{_hint(which, sorted(known))}",
        advice="rotator status and rotator plan --json list ids; * stands for anything.",
    )


def one_group(which: str, estate: "Estate") -> "ContainerGroup":
    """Return the one group that a name, a resource id or a glob names. Raises ConfigError for none, and for several."""
    wanted = which.strip().rstrip("/").lower()
    found = [one for one in estate.groups if wanted in (one.id.key, one.name.lower())]
    found = found or [one for one in estate.groups if fnmatchcase(one.name.lower(), wanted) or fnmatchcase(one.id.key, wanted)]
    if len(found) == 1:
        return found[0]
    if found:
        some = ", ".join(f"{one.name} (in {one.id.resource_group})" for one in found[:5])
        more = f" and {len(found) - 5} more" if len(found) > 5 else ""
        raise ConfigError(f"{which} fits {len(found)} groups: {some}{more}", advice="Name one, by its resource id if need be.")
    unread = "; it may be among what could not be read" if any(one.what == "container-groups" for one in estate.unread) else ""
    near = difflib.get_close_matches(wanted, [one.name for one in estate.groups], n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise ConfigError(f"{which}: no container group in scope has this name{unread}{hint}", advice="rotator audit lists groups.")


def _hint(text: str, ids: Sequence[str]) -> str:
    near = difflib.get_close_matches(text, [*ids, *(one.rpartition("/")[2] for one in ids)], n=1)
    return f"; did you mean {next(one for one in ids if one.endswith(near[0]))}?" if near else ""
