"""A group's document as flat paths, to see what a redeploy lost (pure)."""

from collections.abc import Iterator

from rotator.sandbox.wire import Document

_NAMED_BY = ("name", "server", "port", "id")
_CREDENTIALS = "imageRegistryCredentials/"
_EMPTY_COUNTS = frozenset({"emptyDir", "configMap"})
TOOL_TAGS = "tags/rotator:"
"""Tags that a rotation may add and take away."""


def flatten(document: Document) -> dict[str, object]:
    """Return every leaf by its path. Members of lists go by their name, `properties` is left out of the path.

    Empty lists, maps and texts count as absent: the service answers them for what was never set.
    """
    return dict(_leaves(document, ""))


def _leaves(value: object, path: str) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        if not value and path.rpartition("/")[2] in _EMPTY_COUNTS:
            yield path, "{}"
        for key, item in value.items():
            if key == "userAssignedIdentities" and isinstance(item, dict):
                yield from ((f"{path}/{key}/{name.lower()}", "{}") for name in item)
            elif key == "properties":
                yield from _leaves(item, path)
            else:
                yield from _leaves(item, f"{path}/{key}" if path else key)
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from _leaves(item, f"{path}/{_member(item, position)}")
    elif value not in (None, ""):
        yield path, value


def _member(item: object, position: int) -> str:
    if isinstance(item, dict):
        for key in _NAMED_BY:
            if key in item:
                return str(item[key]).lower() if key in ("server", "id") else str(item[key])
    return str(position)


def lost(before: Document, after: Document) -> list[tuple[str, object]]:
    """Return the paths, with the value before, that were removed or changed.

    Credentials of registries are meant to change and are left out; that an entry for a server vanishes is not.
    """
    old, new = flatten(before), flatten(after)
    found = []
    for path, value in old.items():
        if path.startswith(TOOL_TAGS) or (path.startswith(_CREDENTIALS) and not path.endswith("/server")):
            continue
        if path not in new or not _same(path, value, new[path]):
            found.append((path, value))
    return found


def _same(path: str, before: object, after: object) -> bool:
    if before == after:
        return True
    loose = path == "location" or path.endswith(("/identity", "/id")) or "subnetIds" in path
    return loose and str(before).replace(" ", "").lower() == str(after).replace(" ", "").lower()
