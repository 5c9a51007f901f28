"""A container group's file, read and checked: the format of `az container create --file`, with references for secrets. Pure.

No error quotes a value of the file: a value may be a secret that should not be there.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rotator.audit.yamltext import YamlText
from rotator.azure.writeonly import Object
from rotator.deployment.document import read_document
from rotator.deployment.references import UNKNOWN, Reference, looks_like_one, read_reference
from rotator.deployment.schema import respelled, strangers
from rotator.deployment.shape import wrongs
from rotator.deployment.slots import Path, Slot, at, slots_of, without_values
from rotator.model.errors import ConfigError

KIND = "Microsoft.ContainerInstance/containerGroups"
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(-preview)?")
_TOP = ("apiVersion", "name", "type", "id", "systemData", "additional_properties")
_FORMS = "Write ${vault:<name>}, ${storage-keys:<account>} or ${workspace-keys:<id>}, and nothing beside it."
_ALMOST = re.compile(r"\$\{\s*[a-z-]+[: ][^{}]*\}", re.IGNORECASE)
_HOW = "Put the value into the vault (az keyvault secret set --file), and write ${vault:<name of the secret>} here."


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A checked file. `document` is what is put, with each reference standing where its value belongs; it holds no secret.

    `warnings` are sentences about what is probably not meant.
    """

    file: str
    name: str
    location: str
    document: Mapping[str, Any]
    references: tuple[Reference, ...]
    slots: tuple[Slot, ...]
    warnings: tuple[str, ...]
    text: YamlText

    def error(self, message: str, path: Path, advice: str) -> ConfigError:
        """Return the error for something wrong at a place of the file."""
        return ConfigError(f"{self.file}:{self.text.line_of(path)}: {message}", advice=advice)


def read_template(text: str, file: str, api_version: str) -> Template:
    """Read a container group's file. Raises ConfigError, with file and line, for whatever cannot be meant.

    `api_version` is the one that the program speaks: a file that asks for a newer one is refused, since its newer properties
    would be lost.
    """
    parsed = read_document(text, file)
    if not isinstance(parsed.content, dict):
        raise ConfigError(f"{file}: this is no container group", advice="It begins with name:, location: and properties:.")
    return _Reader(parsed, api_version).template()


class _Reader:
    """The checks of one file; a class only to spare every function the same arguments."""

    def __init__(self, text: YamlText, api_version: str) -> None:
        self._text = text
        self._api_version = api_version
        self._whole: Object = respelled(text.content)
        self._warnings: list[str] = []

    def template(self) -> Template:
        self._check_keys()
        self._check_top()
        if wrong := next(wrongs(self._whole), None):
            raise self._wrong(*wrong)
        slots = slots_of(self._whole)
        references = tuple(self._references(slots))
        self._check_elsewhere({one.at for one in references}, [one.at for one in slots])
        document = {key: value for key, value in self._whole.items() if key not in _TOP}
        if isinstance(document.get("sku"), str):
            # Beside `name` in many files that people have (the Azure CLI's documentation has it there); Azure reads it here.
            document["properties"] = {"sku": document.pop("sku"), **document["properties"]}
        return Template(
            file=self._text.file,
            name=str(self._whole["name"]),
            location=str(self._whole["location"]),
            document=document,
            references=references,
            slots=slots,
            warnings=tuple(self._warnings),
            text=self._text,
        )

    def _wrong(self, message: str, path: Path, advice: str) -> ConfigError:
        return ConfigError(f"{self._text.file}:{self._text.line_of(path)}: {message}", advice=advice)

    def _check_keys(self) -> None:
        for path, meant in strangers(self._whole):
            if meant:
                raise self._wrong(f"unknown key {path[-1]}; did you mean {meant}?", path, "Correct the key.")
            self._warnings.append(f"line {self._text.line_of(path)}: {path[-1]} is unknown to rotator, and is sent as it is")

    def _check_top(self) -> None:
        whole, wrong = self._whole, self._wrong
        for key, kind in (("name", str), ("location", str), ("properties", dict)):
            if not isinstance(whole.get(key), kind) or not whole[key]:
                raise wrong(f"{key} is missing", (key,), "az container create --file asks for it too.")
        if not _NAME.fullmatch(whole["name"]):
            raise wrong("the name is none for a group", ("name",), "Azure takes up to 63 lower-case letters, digits, hyphens.")
        if str(whole.get("type", KIND)).lower() != KIND.lower():
            raise wrong("the type is another than a container group's", ("type",), f"Write type: {KIND}, or leave it out.")
        version = whole.get("apiVersion", self._api_version)
        if not isinstance(version, str) or not _VERSION.fullmatch(version):
            raise wrong("apiVersion is no version", ("apiVersion",), "For example 2021-10-01.")
        if version[:10] > self._api_version[:10]:
            raise wrong(
                f"apiVersion {version} is newer than {self._api_version}, which rotator speaks: newer properties would be lost",
                ("apiVersion",),
                "Set container_instances.api_version, or write an older one.",
            )
        tags = whole.get("tags") or {}
        if not isinstance(tags, dict) or any(isinstance(one, dict | list) for one in tags.values()):
            raise wrong("tags are no mapping of texts", ("tags",), "Write name: value, one a line.")
        whole["tags"] = {str(name): str(value) for name, value in tags.items()}

    def _references(self, slots: tuple[Slot, ...]) -> Iterator[Reference]:
        for slot in slots:
            value = at(self._whole, slot.at)
            if value is None or value in ("", {}):
                if slot.field.path.endswith("/protectedSettings"):
                    continue  # an extension may have none
                raise self._missing(slot)
            yield from self._inside(slot, value, slot.at)

    def _inside(self, slot: Slot, value: object, path: Path) -> Iterator[Reference]:
        if isinstance(value, dict):
            for key, item in value.items():
                yield from self._inside(slot, item, (*path, key))
            return
        found = read_reference(value, path, slot)
        if found is not None:
            yield found
        elif value == UNKNOWN:
            raise self._missing(slot, path)
        elif isinstance(value, str) and _ALMOST.fullmatch(value):
            raise self._wrong(f"{slot.field.path} has a reference that cannot be read", path, _FORMS)
        else:
            raise self._wrong(f"{slot.field.path} has a value in plain text; no secret belongs in a file", path, _HOW)

    def _missing(self, slot: Slot, path: Path = ()) -> ConfigError:
        advice = "Write ${vault:<name of the secret>}. For a group that exists: rotator adopt, then rotator export."
        return self._wrong(f"{slot.field.path} has no value", path or slot.at, advice)

    def _check_elsewhere(self, known: set[Path], slots: Sequence[Path]) -> None:
        """Refuse a hidden value beside another way to say it, and a reference where Azure would show it."""
        bare = without_values(self._whole)
        for path, text in _texts(self._whole, ()):
            if at(bare, path) != text and not any(path[: len(slot)] == slot for slot in slots):
                raise self._wrong(f"{path[-1]} stands beside another way to say the same", path, "Keep one of them.")
            if path not in known and looks_like_one(text):
                why = f"{path[-1]} is shown to everybody who may read the group: no secret belongs there"
                advice = "References may stand for secureValue, password, storageAccountKey, workspaceKey and files of a secret."
                raise self._wrong(why, path, advice)


def _texts(value: object, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(item, (*path, key))
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from _texts(item, (*path, position))
