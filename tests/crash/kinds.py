"""The kinds of credentials that the matrix is about: every one that has a driver, by having one."""

from functools import cache
from typing import Any, cast

import pytest

from rotator.drivers import DRIVERS, Dependencies
from rotator.model.credential import PrincipalKind, Traits
from rotator.sandbox.estates import ESTATES

KINDS = tuple(DRIVERS)
_NOTHING = cast("Any", None)


def dependencies() -> Dependencies:
    """Return what a driver can be built from as long as it contacts nobody."""
    return Dependencies(clock=_NOTHING, arm=_NOTHING, graph=_NOTHING, directory=_NOTHING, pulls=_NOTHING)


@cache
def traits_of(kind: PrincipalKind) -> Traits:
    """Return a driver's fact sheet; no driver contacts anything when it is built."""
    return DRIVERS[kind](dependencies()).traits


@cache
def leads(kind: PrincipalKind) -> bool:
    """Tell whether a kind is the first of those whose secrets live, end and come into being in the same way.

    The others of its sort take the same path through a rotation, with requests of their own: a part of it samples these.
    """
    sorts = [(one.overlap, one.retire, one.origin, one.slot_is_user) for one in map(traits_of, KINDS)]
    here = KINDS.index(kind)
    return sorts.index(sorts[here]) == here


def estate_of(kind: PrincipalKind) -> str:
    """Return the name of the sandbox's estate with one due credential of a kind; the test fails when there is none."""
    name = f"one-{kind.value}"
    if name not in ESTATES:
        pytest.fail(
            f"{kind.value} has a driver, but the sandbox has no estate {name}: nothing shows that its rotation survives a crash. "
            "Add a line to CREDENTIALS in rotator/sandbox/estates/one.py.",
            pytrace=False,
        )
    return name
