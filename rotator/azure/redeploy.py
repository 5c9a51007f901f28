"""The body of a PUT that puts a group again and loses nothing. Pure."""

import base64
import binascii
import copy
import json
from collections.abc import Mapping, Sequence
from typing import Any, Never

from rotator.azure.entries import replace_entries
from rotator.azure.writeonly import Form, Object, Place, objects, part, places
from rotator.model.errors import Held
from rotator.model.group import Source, WriteOnlyField
from rotator.model.image import normal_server
from rotator.model.secret import Secret

# What Azure alone writes. `ip` is not marked read-only in the specification, but a group cannot choose its address.
_READ_ONLY_TOP = ("id", "name", "type", "systemData", "etag")
_READ_ONLY_PROPERTIES = ("provisioningState", "instanceView", "isCreatedFromStandbyPool")
_READ_ONLY_ADDRESS = ("ip", "fqdn")
_READ_ONLY_IDENTITY = ("principalId", "tenantId", "clientId")


class DeploymentBody:
    """The request body of a redeploy. It holds passwords in plain text, so only `reveal` gives it up."""

    __slots__ = ("_document",)

    def __init__(self, document: Object) -> None:
        self._document = document

    def reveal(self) -> Object:
        """Return the JSON object; only the code that sends it calls this."""
        return self._document

    def __repr__(self) -> str:
        return "<DeploymentBody>"

    def __str__(self) -> Never:
        raise TypeError("a DeploymentBody has no text form; call reveal() where it enters the request")

    def __format__(self, spec: str) -> Never:
        raise TypeError("a DeploymentBody cannot be formatted into text")

    def __reduce__(self) -> Never:
        raise TypeError("a DeploymentBody cannot be pickled or copied")


def compose(
    body: Mapping[str, Any],
    *,
    values: Mapping[WriteOnlyField, Secret],
    tags: Mapping[str, str],
    usernames: Mapping[str, str],
    entries: Mapping[str, Source] | None = None,
) -> DeploymentBody:
    """Return what to PUT so that the group keeps every property, known to this program or not, and takes the new values.

    `body` is what a GET answered; it is not changed. `tags` are added. `usernames` replaces the user name of registry
    entries, by normalised host; `entries` how they authenticate.
    Raises Held, with the fields in `missing`, when a write-only field has no value in
    `values`, or one that Azure could not read: a PUT resets whatever it leaves out.
    """
    document = copy.deepcopy(dict(body))
    replace_entries(document, entries or {})
    absent = list(places(document))
    missing = tuple(dict.fromkeys(place.field.path for place in absent if not values.get(place.field)))
    if missing:
        raise Held(
            f"a redeploy would delete {len(missing)} write-only value(s) that have no source: {', '.join(missing)}",
            missing=missing,
            advice="Store each value in the vault under the tags rotator-group and rotator-field, then run again.",
        )
    for place in absent:
        place.holder[place.key] = _written(place, values[place.field])
    _strip(document)
    document["tags"] = with_tags(document, tags)
    if not document["tags"] and "tags" not in body:
        del document["tags"]
    _rename(objects(part(document, "properties").get("imageRegistryCredentials")), usernames)
    return DeploymentBody(document)


def _rename(entries: Sequence[Object], usernames: Mapping[str, str]) -> None:
    """Replace user names, but not that of a second user of the same host, whose password is another one's."""
    first: dict[str, str] = {}
    for entry in entries:
        host, username = normal_server(str(entry.get("server", ""))), str(entry.get("username", ""))
        if host in usernames and not entry.get("identity") and first.setdefault(host, username) == username:
            entry["username"] = usernames[host]


def with_tags(body: Mapping[str, Any], tags: Mapping[str, str]) -> Object:
    """Return the group's tags and `tags`. A tag of the same name in another case is replaced: Azure takes them for one tag."""
    ours = {name.lower() for name in tags}
    return {**{name: value for name, value in part(body, "tags").items() if name.lower() not in ours}, **tags}


def _written(place: Place, value: Secret) -> str | Object:
    if place.form is Form.TEXT:
        return value.reveal()
    try:
        parsed = json.loads(value.reveal())
    except ValueError:
        parsed = None
    if isinstance(parsed, dict) and (place.form is Form.OBJECT or _are_files(parsed)):
        return parsed
    wanted = "a JSON object of file names and base64 texts" if place.form is Form.FILES else "a JSON object"
    raise Held(
        f"the value that is stored for {place.field.path} is not {wanted}",
        missing=(place.field.path,),
        advice="Store it in the vault in that form, then run again; nothing was sent.",
    )


def _are_files(parsed: Object) -> bool:
    try:
        for content in parsed.values():
            base64.b64decode(content, validate=True)
    except (binascii.Error, TypeError, ValueError):
        return False
    return bool(parsed)


def writable(body: Mapping[str, Any]) -> Object:
    """Return a copy of a group's body without what Azure alone writes."""
    document = copy.deepcopy(dict(body))
    _strip(document)
    return document


def filled(document: Mapping[str, Any], values: Mapping[tuple[str | int, ...], Secret]) -> DeploymentBody:
    """Return the body of a PUT: the document with each value put where its path leads; the document is not changed.

    A value for a place that takes a JSON object (the files of a secret volume, protected settings) is read as one. Raises
    Held when it is none.
    """
    whole = copy.deepcopy(dict(document))
    forms = {(id(place.holder), place.key): place for place in places(_emptied(whole, values))}
    for path, value in values.items():
        holder = _holder(whole, path)
        place = forms.get((id(holder), str(path[-1])))
        holder[path[-1]] = _written(place, value) if place else value.reveal()
    return DeploymentBody(whole)


def _emptied(document: Object, values: Mapping[tuple[str | int, ...], Secret]) -> Object:
    for path in values:
        holder = _holder(document, path)
        if isinstance(path[-1], str):
            # An empty object, not an absent key: that is how Azure shows a volume of secrets.
            holder[path[-1]] = {} if path[-1] == "secret" else None
    return document


def _holder(document: Object, path: tuple[str | int, ...]) -> Any:  # noqa: ANN401 - a JSON object or a list
    holder: Any = document
    for step in path[:-1]:
        holder = holder[step]
    return holder


def _strip(document: Object) -> None:
    _drop(document, *_READ_ONLY_TOP)
    identity = part(document, "identity")
    _drop(identity, *_READ_ONLY_IDENTITY)
    for assigned in part(identity, "userAssignedIdentities").values():
        if isinstance(assigned, dict):
            _drop(assigned, *_READ_ONLY_IDENTITY)
    properties = part(document, "properties")
    _drop(properties, *_READ_ONLY_PROPERTIES)
    _drop(part(properties, "ipAddress"), *_READ_ONLY_ADDRESS)
    for kind in ("containers", "initContainers"):
        for container in objects(properties.get(kind)):
            _drop(part(container, "properties"), "instanceView")
    _drop_undocumented_defaults(properties)


def _drop_undocumented_defaults(properties: Object) -> None:
    """Leave out undocumented read-backs that only state a default; keep those that say something.

    Real answers carry `provisioningTimeoutInSeconds: 1800` with `isCustomProvisioningTimeout: false`, and
    `isDelegatedIdentity: false`. Whether a PUT takes them back is not documented (the Azure CLI's export does send them), so
    the common case does not depend on it. A custom timeout or a delegated identity was somebody's choice, and dropping it
    would lose a property.
    """
    if properties.get("isCustomProvisioningTimeout") is False:
        _drop(properties, "provisioningTimeoutInSeconds", "isCustomProvisioningTimeout")
    for entry in objects(properties.get("imageRegistryCredentials")):
        if entry.get("isDelegatedIdentity") is False:
            _drop(entry, "isDelegatedIdentity")


def _drop(holder: Object, *keys: str) -> None:
    for key in keys:
        holder.pop(key, None)
