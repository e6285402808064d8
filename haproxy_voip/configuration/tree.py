"""YAML as a tree in which every node knows its line, built from the parser's events.

Scalars stay text: the model, not YAML, decides what is a number (so user 0042 keeps its zeros). An alias is the
anchored node itself, never a copy, and depth and size have limits, so no input costs more than it weighs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from haproxy_voip.configuration.errors import ConfigError, ConfigErrors

# A configuration is some kilobytes; whatever is larger is not one.
MAX_CONFIG_BYTES = 256 * 1024
# The model is five levels deep.
MAX_DEPTH = 20

# libyaml reads a large users' file ten times faster, where PyYAML was built with it.
LOADER: type[yaml.SafeLoader] | type[yaml.CSafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(slots=True)
class Scalar:
    """A single value as it is written."""

    line: int
    text: str
    empty: bool = False  # nothing was written, or a bare `null` or `~`


@dataclass(slots=True)
class Listed:
    """A YAML sequence."""

    line: int
    items: list[Node] = field(default_factory=list)


@dataclass(slots=True)
class Mapped:
    """A YAML mapping; `entries` in the order they are written."""

    line: int
    entries: dict[str, Node] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)  # of the keys


Node = Scalar | Listed | Mapped


def read_text(path: Path, limit: int) -> str:
    """The file's text. Raises ConfigErrors when it cannot be read, is too long or is not UTF-8."""
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise failure(path, f"cannot be read: {error.strerror}", "check its name and permissions") from None
    if len(data) > limit:
        raise failure(path, f"is larger than {limit} bytes", "give the right file")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise failure(path, f"byte {data[error.start]:#04x} is not UTF-8", "save the file as UTF-8", line) from None


def failure(path: Path, problem: str, remedy: str, line: int = 1) -> ConfigErrors:
    """One mistake that keeps the whole file from being read."""
    return ConfigErrors([ConfigError(path, line, "", problem, remedy)])


def parse(path: Path, text: str) -> tuple[Node, list[ConfigError]]:
    """The tree, and keys that stand twice. Raises ConfigErrors when the text is no YAML."""
    builder = _Builder(path)
    try:
        for event in _events(text):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = 1 if mark is None else mark.line + 1
        problem = f"this is no YAML: {error.problem or error.context}"
        raise failure(path, problem, "check indentation, quotes and colons", line) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise failure(path, "a control character", "remove it", line) from None
    return builder.root or Mapped(1), builder.errors


def _events(text: str) -> Iterator[yaml.Event]:
    yield from yaml.parse(text, LOADER)


class _Builder:
    """Takes events, keeps the containers still open on a stack: no recursion, whatever the depth."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.root: Node | None = None
        self.errors: list[ConfigError] = []
        self._open: list[Listed | Mapped] = []
        self._keys: list[str | None] = []  # for each open container the key whose value is next
        self._path: list[str] = []  # the keys that lead to each open container
        self._anchors: dict[str, Node] = {}

    def take(self, event: yaml.Event) -> None:
        """One event. Raises ConfigErrors for what is YAML but nothing for a configuration."""
        line = event.start_mark.line + 1 if event.start_mark else 1
        match event:
            case yaml.ScalarEvent():
                plain = event.style in (None, "")
                empty = plain and event.value in ("", "~", "null")
                self._add(Scalar(line, event.value, empty), event, line)
            case yaml.SequenceStartEvent():
                self._begin(Listed(line), event, line)
            case yaml.MappingStartEvent():
                self._begin(Mapped(line), event, line)
            case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                self._open.pop()
                self._keys.pop()
                self._path.pop()
            case yaml.AliasEvent():
                self._place(self._anchored(str(event.anchor), line), line)
            case yaml.DocumentStartEvent() if self.root is not None:
                raise failure(self.path, "a second document starts here", "put one document in a file", line)

    def _begin(self, node: Listed | Mapped, event: yaml.CollectionStartEvent, line: int) -> None:
        self._path.append((self._keys[-1] if self._keys else None) or "")
        self._add(node, event, line)
        self._open.append(node)
        self._keys.append(None)
        if len(self._open) > MAX_DEPTH:
            raise failure(self.path, f"more than {MAX_DEPTH} levels deep", "see docs/CONFIGURATION.md", line)

    def _add(self, node: Node, event: yaml.NodeEvent, line: int) -> None:
        tag = getattr(event, "tag", None)
        if tag not in (None, "!"):
            raise failure(self.path, f"the tag {tag} means nothing here", "remove it", line)
        if event.anchor:
            self._anchors[event.anchor] = node
        self._place(node, line)

    def _place(self, node: Node, line: int) -> None:
        if not self._open:
            self.root = node
            return
        container = self._open[-1]
        if isinstance(container, Listed):
            container.items.append(node)
            return
        key = self._keys[-1]
        if key is None:
            self._keys[-1] = self._key(container, node, line)
            return
        self._keys[-1] = None
        container.entries.setdefault(key, node)

    def _key(self, container: Mapped, node: Node, line: int) -> str:
        if not isinstance(node, Scalar):
            raise failure(self.path, "a key must be a single word", "write key: value", line)
        first = container.lines.setdefault(node.text, line)
        if first != line or node.text in container.entries:
            key = ".".join(filter(None, [*self._path, node.text]))
            problem = f"this key stands twice, first in line {first}"
            self.errors.append(ConfigError(self.path, line, key, problem, "remove one of them"))
        return node.text

    def _anchored(self, anchor: str, line: int) -> Node:
        node = self._anchors.get(anchor)
        if node is None:
            raise failure(self.path, f"the alias *{anchor} has no anchor", f"mark something with &{anchor} first", line)
        return node
