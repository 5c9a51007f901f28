"""Where a group's document has room for a value that Azure never shows, whether it is filled or not. Pure."""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rotator.azure.writeonly import Form, Object, objects, part, places
from rotator.model.group import WriteOnlyField

Path = tuple[str | int, ...]
"""The keys and list positions that lead to a value in a document."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One such place: `at` is where it is in the document, `field` what a redeploy knows it by."""

    field: WriteOnlyField
    at: Path
    form: Form


def slots_of(document: Mapping[str, Any]) -> tuple[Slot, ...]:
    """Return every place for a hidden value, in the order in which a redeploy walks them.

    They are found by the same rules as in Azure's answers, on a copy from which the values were taken, so that a file and a
    running group name one value alike.
    """
    bare = without_values(document)
    where = {id(holder): at for at, holder in _holders(bare, ())}
    return tuple(Slot(field=one.field, at=(*where[id(one.holder)], one.key), form=one.form) for one in places(bare))


def without_values(document: Mapping[str, Any]) -> Object:
    """Return a copy as Azure would show it: no hidden value, and of a secret volume not even the names of its files."""
    bare = copy.deepcopy(dict(document))
    properties = part(bare, "properties")
    for kind in ("initContainers", "containers"):
        for container in objects(properties.get(kind)):
            for variable in objects(part(container, "properties").get("environmentVariables")):
                variable.pop("secureValue", None)
    for entry in objects(properties.get("imageRegistryCredentials")):
        entry.pop("password", None)
    for volume in objects(properties.get("volumes")):
        if volume.get("secret") is not None:
            volume["secret"] = {}
        part(volume, "azureFile").pop("storageAccountKey", None)
    part(part(properties, "diagnostics"), "logAnalytics").pop("workspaceKey", None)
    for extension in objects(properties.get("extensions")):
        part(extension, "properties").pop("protectedSettings", None)
    return bare


def at(document: object, path: Path) -> Any:  # noqa: ANN401 - whatever JSON holds
    """Return what stands at a path; None where nothing does."""
    for step in path:
        if isinstance(step, str) and isinstance(document, dict):
            document = document.get(step)
        elif isinstance(step, int) and isinstance(document, list) and step < len(document):
            document = document[step]
        else:
            return None
    return document


def _holders(value: object, path: Path) -> Iterator[tuple[Path, object]]:
    if isinstance(value, dict):
        yield path, value
        for key, item in value.items():
            yield from _holders(item, (*path, key))
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from _holders(item, (*path, position))
