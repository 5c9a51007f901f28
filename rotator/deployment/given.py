"""What a person hands over for an adoption: values by the paths of their fields. Pure."""

import json
from collections.abc import Mapping

from rotator.deployment.document import read_document
from rotator.deployment.references import looks_like_one
from rotator.deployment.schema import respelled
from rotator.deployment.slots import at, slots_of
from rotator.model.errors import ConfigError
from rotator.model.secret import Secret

_ADVICE = "Give the group's own YAML with its values, or a mapping of field paths (rotator adopt --dry-run lists them) to values."


def read_given(text: str, file: str) -> Mapping[str, Secret]:
    """Return the values in a text: the group's own YAML or JSON, or a mapping from field path to value.

    References in it are passed over: they are not values. Raises ConfigError, quoting nothing of the text.
    """
    content = read_document(text, file).content
    if not isinstance(content, dict):
        raise ConfigError(f"{file}: this is no mapping", advice=_ADVICE)
    if "properties" in content:
        document = respelled(content)
        content = {one.field.path: at(document, one.at) for one in slots_of(document)}
    found = {str(path): _text(value) for path, value in content.items() if value not in (None, "", {})}
    return {path: Secret(value) for path, value in found.items() if not looks_like_one(value)}


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
