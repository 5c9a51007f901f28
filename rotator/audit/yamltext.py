"""YAML files read so that every complaint can name its line."""

from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path

import yaml

from rotator.model.errors import PolicyError

Place = tuple[int | str, ...]

# libyaml, where the wheel brings it, reads the policies in an eighth of the time.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class TwinKeys(PolicyError):
    """A key that stands twice in one mapping."""


@dataclass(frozen=True, slots=True)
class YamlText:
    """A file's content as plain values, and the marks to find them again."""

    file: str
    content: object
    root: yaml.Node | None

    def line_of(self, place: Place) -> int:
        """Return the line (from 1) of the key or element at `place`, or of the nearest parent that exists."""
        line, node = 1, self.root
        for part in place:
            key, node = _step(node, part)
            if key is None:
                break
            line = key.start_mark.line + 1
        return line

    def first_line_of_text(self, place: Place) -> int:
        """Return the line on which the text at `place` begins: for a block (`|`), the one after its key."""
        node = self.root
        for part in place:
            _, node = _step(node, part)
        if node is None:
            return self.line_of(place)
        return node.start_mark.line + (2 if isinstance(node, yaml.ScalarNode) and node.style in {"|", ">"} else 1)

    def error(self, message: str, place: Place = ()) -> PolicyError:
        """Return the error for something wrong at `place`."""
        return PolicyError(message, file=self.file, line=self.line_of(place))


def read_yaml(path: Path) -> YamlText:
    """Read one YAML document. Raises PolicyError, naming the line, for a file that is no YAML or says a key twice."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise PolicyError(f"the file cannot be read: {reason}", file=str(path)) from None
    return parse_yaml(text, str(path))


def parse_yaml(text: str, file: str, loader: type[yaml.SafeLoader] = _LOADER) -> YamlText:
    """Read one YAML document from a text; `file` is what errors call it. Raises as `read_yaml` does."""
    try:
        root = yaml.compose(text, Loader=loader)
        if root is not None:
            _refuse_twins(root, file)
        content = yaml.load(text, Loader=loader)  # noqa: S506 - a safe loader
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise PolicyError(f"this is no YAML: {error.problem}", file=file, line=line) from None
    except yaml.YAMLError:
        raise PolicyError("this is no YAML: it has characters that YAML does not allow", file=file) from None
    return YamlText(file=file, content=content, root=root)


def _step(node: yaml.Node | None, part: int | str) -> tuple[yaml.Node | None, yaml.Node | None]:
    """Return the node that names `part` inside `node`, and the node of its value."""
    if isinstance(node, yaml.MappingNode):
        return next(((key, value) for key, value in node.value if key.value == str(part)), (None, None))
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], node.value[part]
    return None, None


def _refuse_twins(root: yaml.Node, file: str) -> None:
    # YAML keeps the last of two equal keys in silence: a second `expression` would replace the one that people review.
    waiting, looked_at = [root], set[int]()
    while waiting:
        node = waiting.pop()
        # An alias is the node that it stands for, which may be around it: without this there would be no end.
        if id(node) in looked_at:
            continue
        looked_at.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting.extend(node.value)
        elif isinstance(node, yaml.MappingNode):
            seen: set[Hashable] = set()
            for key, value in node.value:
                if not isinstance(key, yaml.ScalarNode):
                    continue  # a key that is a list or a mapping: the loader refuses it
                if key.value in seen:
                    raise TwinKeys(f"the key {key.value!r} stands twice", file=file, line=key.start_mark.line + 1)
                seen.add(key.value)
                waiting.append(value)
