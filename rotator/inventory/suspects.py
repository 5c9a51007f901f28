"""Places in a group's readable text that look as if they held a secret. Pure; the values never leave this module."""

from collections.abc import Iterator, Mapping

from rotator.inventory.suspectrules import harmless_value, is_secret_option, known_format, secret_by_name, secret_in_command
from rotator.model.group import SuspectValue

Object = Mapping[str, object]


def find_suspects(body: Object) -> tuple[SuspectValue, ...]:
    """Return the places of a group's raw JSON where a value readable by anybody with read access looks like a secret.

    Looked at are environment variables, commands, probes, configuration maps and the URLs of git volumes. A place that Azure
    hides (`secureValue`) is none. The answer names places and rules; it holds no value.
    """
    properties = _part(body, "properties")
    found = [
        *(suspect for kind in ("initContainers", "containers") for suspect in _containers(kind, properties)),
        *_volumes(properties),
    ]
    return tuple(dict.fromkeys(found))


def _containers(kind: str, properties: Object) -> Iterator[SuspectValue]:
    for container in _objects(properties.get(kind)):
        place = f"{kind}/{container.get('name', '')}"
        inside = _part(container, "properties")
        yield from _environment(place, inside)
        yield from _command(f"{place}/command", inside.get("command"))
        for probe in ("livenessProbe", "readinessProbe"):
            yield from _probe(f"{place}/{probe}", _part(inside, probe))
        for name, value in _part(_part(inside, "configMap"), "keyValuePairs").items():
            yield from _setting(f"{place}/configMap/keyValuePairs/{name}", name, value)


def _environment(place: str, inside: Object) -> Iterator[SuspectValue]:
    for variable in _objects(inside.get("environmentVariables")):
        name = variable.get("name")
        if isinstance(name, str):
            yield from _setting(f"{place}/environmentVariables/{name}/value", name, variable.get("value"))


def _setting(path: str, name: str, value: object) -> Iterator[SuspectValue]:
    if not isinstance(value, str):
        return
    why = known_format(value) or secret_by_name(name, value)
    if why:
        yield SuspectValue(path=path, why=why)


def _command(place: str, command: object) -> Iterator[SuspectValue]:
    arguments = [one for one in command if isinstance(one, str)] if isinstance(command, list) else []
    for position, argument in enumerate(arguments):
        why = secret_in_command(argument)
        option = position > 0 and is_secret_option(arguments[position - 1])
        if why is None and option and not argument.startswith("-") and not harmless_value(argument):
            why = "secret-option"
        if why:
            yield SuspectValue(path=f"{place}/{position}", why=why)


def _probe(place: str, probe: Object) -> Iterator[SuspectValue]:
    yield from _command(f"{place}/exec/command", _part(probe, "exec").get("command"))
    # The API has written `httpHeaders` both as a list of name and value and as an object.
    headers = _part(probe, "httpGet").get("httpHeaders")
    pairs = [(one.get("name"), one.get("value")) for one in _objects(headers)]
    if isinstance(headers, Mapping):
        pairs = list(headers.items())
    for name, value in pairs:
        if not (isinstance(name, str) and isinstance(value, str)):
            continue
        why = secret_in_command(value) or secret_by_name(name, value)
        if why:
            yield SuspectValue(path=f"{place}/httpGet/httpHeaders/{name}", why=why)


def _volumes(properties: Object) -> Iterator[SuspectValue]:
    for volume in _objects(properties.get("volumes")):
        repository = _part(volume, "gitRepo").get("repository")
        # Azure returns the URL of a git volume as it was written, token and all.
        if isinstance(repository, str):
            why = known_format(repository)
            if why:
                yield SuspectValue(path=f"volumes/{volume.get('name', '')}/gitRepo/repository", why=why)


def _objects(value: object) -> list[Object]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def _part(holder: Object, key: str) -> Object:
    found = holder.get(key)
    return found if isinstance(found, Mapping) else {}
