"""A running group as the file that would deploy it. Pure."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from rotator.azure.redeploy import writable
from rotator.azure.writeonly import Object, places
from rotator.deployment.references import UNKNOWN, written
from rotator.deployment.template import KIND
from rotator.model.group import GROUP_TAG_PREFIX, ContainerGroup

_ORDER = ("apiVersion", "name", "type", "location", "tags", "identity", "zones", "properties")


def exported(group: ContainerGroup, sources: Mapping[str, str | None], api_version: str, notes: Sequence[str] = ()) -> str:
    """Return the file: every property that Azure lets one write, and for each hidden value the reference to what holds it.

    `sources` maps the paths of the hidden values to the places that hold them; what has none is marked, and cannot be deployed
    until somebody says where it is. `notes` become comments at the top. The order depends on nothing but the group.
    """
    body = writable(group.body)
    for place in list(places(body)):
        place.holder[place.key] = written(sources.get(place.field.path))
    tags = {name: value for name, value in body.pop("tags", {}).items() if not name.startswith(GROUP_TAG_PREFIX)}
    whole: Object = {"apiVersion": api_version, "name": group.name, "type": KIND, **body, **({"tags": tags} if tags else {})}
    ordered = {key: whole[key] for key in (*_ORDER, *sorted(whole.keys() - set(_ORDER))) if key in whole}
    text = yaml.dump(ordered, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=10_000)
    marked = "".join(_marked(line) for line in text.splitlines(keepends=True))
    return "".join(f"{_comment(note)}\n" for note in notes) + marked


def _comment(note: str) -> str:
    return textwrap.fill(note, 78, initial_indent="# ", subsequent_indent="# ", break_long_words=False)


def _marked(line: str) -> str:
    if not line.rstrip("\n").endswith(f": {UNKNOWN}"):
        return line
    return f"{line.rstrip()}  # nothing holds this value: rotator adopt, or name a vault secret\n"


class _Plain(yaml.SafeDumper):
    """Writes no anchors: two equal parts of a group are two parts."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ANN401, ARG002 - as the base class has it
        return True
