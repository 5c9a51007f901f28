"""Pieces of container group documents, as estates write them (pure)."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rotator.sandbox.wire import Document


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """A planted credential: what a group stores to pull with it. `held_as` is the vault secret's name, if it is there."""

    server: str
    username: str
    password: str
    held_as: str = ""

    def entry(self) -> Document:
        """Return it as an entry of imageRegistryCredentials."""
        return {"server": self.server, "username": self.username, "password": self.password}

    def reference(self, name: str) -> Document:
        """Return it as an entry that names a vault reference instead of the password."""
        return {"server": self.server, "username": self.username, "passwordReference": name}


def container(
    name: str,
    image: str,
    *,
    cpu: float = 0.5,
    memory: float = 1.0,
    ports: Iterable[int] = (),
    env: Mapping[str, str] | None = None,
    secure: Mapping[str, str] | None = None,
    command: Sequence[str] = (),
    mounts: Mapping[str, str] | None = None,
) -> Document:
    """Return a container's document."""
    variables: list[Document] = [{"name": key, "value": value} for key, value in (env or {}).items()]
    variables += [{"name": key, "secureValue": value} for key, value in (secure or {}).items()]
    properties: Document = {
        "image": image,
        "ports": [{"port": port, "protocol": "TCP"} for port in ports],
        "environmentVariables": variables,
        "resources": {"requests": {"cpu": cpu, "memoryInGB": memory}},
    }
    if command:
        properties["command"] = list(command)
    if mounts:
        properties["volumeMounts"] = [{"name": volume, "mountPath": path} for volume, path in mounts.items()]
    return {"name": name, "properties": properties}


def init_container(name: str, image: str, *, secure: Mapping[str, str] | None = None, command: Sequence[str] = ()) -> Document:
    """Return an init container's document: it has no resources of its own."""
    made = container(name, image, secure=secure, command=command)
    for key in ("resources", "ports"):
        made["properties"].pop(key)
    return made


def secret_volume(name: str, files: Mapping[str, str]) -> Document:
    """Return a secret volume; the values are base64 already."""
    return {"name": name, "secret": dict(files)}


def as_json(files: Mapping[str, str]) -> str:
    """Return a secret volume's content as the vault holds it."""
    return json.dumps(dict(files), sort_keys=True)
