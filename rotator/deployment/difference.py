"""What putting a file would change about a group. Pure; quotes no value that could be a secret."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rotator.azure.groupbody import state_of
from rotator.azure.redeploy import writable
from rotator.azure.writeonly import Object, objects, part, places
from rotator.deployment.origin import DEPLOYED
from rotator.deployment.slots import without_values
from rotator.deployment.template import Template
from rotator.model.group import GroupState

_NAMED_BY = ("name", "server", "port", "id")
_DEFAULTS: Mapping[str, object] = {
    "properties/osType": "Linux",
    "properties/restartPolicy": "Always",
    "properties/sku": "Standard",
    "properties/priority": "Regular",
}
# Leaves whose text may be shown. A variable's value, a command or a git address may hold a secret that somebody wrote there.
_SHOWN = frozenset(
    "image cpu memoryInGB osType restartPolicy sku priority type protocol port server username name"  # noqa: SIM905
    " dnsNameLabel location mountPath readOnly shareName storageAccountName identity passwordReference secretReferenceUri"
    " workspaceId logType count id emptyDir".split()
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One property: its path, and the values before and after as they may be shown; empty for none."""

    path: str
    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What a deployment does to a group.

    `filled` names each hidden value and what it is set from; `lost` the hidden values of the running group that the file has no
    place for; `recreate` the properties that Azure changes only by delete and create.
    """

    changes: tuple[Change, ...]
    filled: tuple[tuple[str, str], ...]
    lost: tuple[str, ...]
    recreate: tuple[str, ...]


def difference_of(template: Template, document: Mapping[str, Any], body: Mapping[str, Any] | None) -> Difference:
    """Compare the document that would be put with the group's body as Azure shows it; None for a group that does not exist."""
    filled = tuple((one.slot.field.path, str(one)) for one in template.references)
    new = dict(_leaves(without_values(document), ""))
    if body is None:
        return Difference(changes=_compared({}, new), filled=filled, lost=(), recreate=())
    kept = {one.slot.field for one in template.references}
    lost = tuple(dict.fromkeys(place.field.path for place in places(body) if place.field not in kept))
    old = dict(_leaves(without_values(writable(body)), ""))
    return Difference(
        changes=_compared(old | _absent(old), new | _absent(new)),
        filled=filled,
        lost=lost,
        recreate=tuple(_frozen(body, document)),
    )


def _absent(leaves: Mapping[str, object]) -> dict[str, object]:
    return {path: value for path, value in _DEFAULTS.items() if path not in leaves}


def _compared(old: Mapping[str, object], new: Mapping[str, object]) -> tuple[Change, ...]:
    return tuple(
        Change(path=path, before=_shown(path, old), after=_shown(path, new))
        for path in sorted((old.keys() | new.keys()) - {f"tags/{DEPLOYED}"})
        if not _same(path, old.get(path), new.get(path))
    )


def _shown(path: str, leaves: Mapping[str, object]) -> str:
    if path not in leaves:
        return ""
    leaf = path.rpartition("/")[2]
    return str(leaves[path]) if leaf in _SHOWN or path.startswith(("tags/", "zones/")) else "(not shown)"


def _same(path: str, before: object, after: object) -> bool:
    if before == after:
        return True
    if before is None or after is None:
        return False
    loose = path == "location" or path.endswith(("/identity", "/id", "/osType", "/restartPolicy", "/sku"))
    return loose and str(before).replace(" ", "").lower() == str(after).replace(" ", "").lower()


def _leaves(value: object, path: str) -> Iterator[tuple[str, object]]:
    """Yield every leaf by its path; members of lists go by their name. What is empty counts as absent, but for a volume."""
    if isinstance(value, dict):
        if not value and path.endswith(("/emptyDir", "/secret")):
            yield path, "{}"
        for key, item in value.items():
            if key == "userAssignedIdentities" and isinstance(item, dict):
                yield from ((f"{path}/{key}/{name.lower()}", "attached") for name in item)
            else:
                yield from _leaves(item, f"{path}/{key}" if path else str(key))
    elif isinstance(value, list):
        seen: set[str] = set()
        for position, item in enumerate(value):
            name = _member(item, position)
            # Two of one name are told apart by their position.
            if name in seen:
                name = f"{name}#{position}"
            seen.add(name)
            yield from _leaves(item, f"{path}/{name}")
    elif value not in (None, ""):
        yield path, value


def _member(item: object, position: int) -> str:
    if isinstance(item, dict):
        for key in _NAMED_BY:
            if key in item:
                return str(item[key])
    return str(position)


def _frozen(body: Mapping[str, Any], document: Mapping[str, Any]) -> Iterator[str]:
    """Name what Azure refuses to change in place (InvalidContainerGroupUpdate, and for the region InvalidResourceLocation).

    learn.microsoft.com/azure/container-instances/container-instances-update: OS type, CPU, memory or GPU, restart policy, network
    profile; a group whose containers have ended is deployed as a new one. That zones and priority are among them is from memory.
    """
    before, after = (str(one.get("location", "")) for one in (body, document))
    if not _same("location", before, after):
        yield f"region ({before} to {after})"
    if state_of(body) is GroupState.FINISHED:
        return
    old, new = part(body, "properties"), part(document, "properties")
    for key, name, default in (
        ("osType", "OS type", "linux"),
        ("restartPolicy", "restart policy", "always"),
        ("priority", "priority", "regular"),
    ):
        before, after = str(old.get(key) or default), str(new.get(key) or default)
        if before.lower() != after.lower():
            yield f"{name} ({before} to {after})"
    if _resources(old) != _resources(new):
        yield f"CPU, memory or GPU ({_resources(old)} to {_resources(new)})"
    if _network(old) != _network(new):
        yield "network (subnet)"
    if (body.get("zones") or []) != (document.get("zones") or []):
        yield "zones"


def _resources(properties: Object) -> str:
    """The sum over the containers: what Azure has set aside for the group. Moving some from one to another may be refused."""
    cpu = memory = gpu = 0.0
    kinds = set()
    for container in objects(properties.get("containers")):
        requests = part(part(part(container, "properties"), "resources"), "requests")
        cpu += _number(requests.get("cpu"))
        memory += _number(requests.get("memoryInGB"))
        gpu += _number(part(requests, "gpu").get("count"))
        kinds |= {str(part(requests, "gpu").get("sku") or "")} - {""}
    return f"{cpu:g} CPU, {memory:g} GB" + (f", {gpu:g} GPU {' '.join(sorted(kinds))}".rstrip() if gpu else "")


def _number(value: object) -> float:
    try:
        return float(value) if isinstance(value, int | float | str) else 0.0
    except ValueError:
        return 0.0


def _network(properties: Object) -> tuple[str, ...]:
    subnets = sorted(str(one.get("id", "")).lower() for one in objects(properties.get("subnetIds")))
    return (str(part(properties, "networkProfile").get("id") or "").lower(), *subnets)
