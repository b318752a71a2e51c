"""YAML as people write it, read strictly: duplicate keys, bombs and deep nests are refused with the line.

Belongs here: text to plain values. Does not belong here: what the keys mean.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from incident_pipeline.errors import ConfigurationError

MAX_BYTES = 1_000_000
MAX_DEPTH = 40
MAX_NODES = 100_000
"""Values after every alias is written out; shared nodes cost nothing to build but everything to walk."""


def read_yaml(path: Path) -> Any:
    """The content of a YAML file as plain values.

    Raises:
        ConfigurationError: the file cannot be read, is too large, or is not good YAML.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise ConfigurationError(f"{path}: there is no such file") from None
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read ({error.strerror})") from None
    if len(data) > MAX_BYTES:
        raise ConfigurationError(f"{path}: is larger than {MAX_BYTES} bytes")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ConfigurationError(f"{path}: line {line} is not UTF-8 text") from None
    return parse_yaml(text, str(path))


def parse_yaml(text: str, name: str) -> Any:
    """A YAML text as plain values; `name` is how sentences call it.

    Raises:
        ConfigurationError: it is not good YAML; the sentence names the line.
    """
    try:
        return _construct(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}" if mark else "somewhere"
        problem = " ".join(filter(None, (error.context, error.problem))) or "not YAML"
        raise ConfigurationError(f"{name}: {where} is not YAML: {problem}") from None
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{name}: is not YAML: {' '.join(str(error).split())}") from None
    except _Refused as error:
        raise ConfigurationError(f"{name}: line {error.line}: {error.reason}") from None
    except (ValueError, OverflowError, AttributeError, KeyError) as error:  # 2026-13-45 is a timestamp, and no date
        raise ConfigurationError(f"{name}: holds a value that cannot be read ({error}); put it in quotes") from None


def _construct(text: str) -> Any:
    loader = _StrictLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _refuse_bombs(node)
        for each in _distinct(node):
            _refuse_tag(each)
            if isinstance(each, yaml.MappingNode):
                _refuse_duplicate_keys(each)
        return loader.construct_document(node)
    finally:
        loader.dispose()


class _Refused(Exception):  # noqa: N818 - never leaves this module
    """Good YAML that is not wanted."""

    def __init__(self, node: yaml.Node, reason: str) -> None:
        super().__init__(reason)
        self.line = node.start_mark.line + 1
        self.reason = reason


class _StrictLoader(yaml.SafeLoader):
    """The safe loader, with a limit on nesting: the parser recurses, and a recursion error is a traceback."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self.depth += 1
        try:
            if self.depth > MAX_DEPTH:
                event = self.peek_event()  # type: ignore[no-untyped-call]
                node = yaml.ScalarNode("", "", event.start_mark, event.end_mark)
                raise _Refused(node, f"is nested deeper than {MAX_DEPTH} levels")
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        yield from node.value
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield key
            yield value


def _refuse_bombs(root: yaml.Node) -> None:
    """Count every value as often as aliases repeat it; a node that holds itself has no end."""
    sizes: dict[int, int] = {}
    open_nodes: set[int] = set()

    def size(node: yaml.Node) -> int:
        if id(node) in open_nodes:
            raise _Refused(node, "an alias points to the value that holds it")
        if id(node) not in sizes:
            open_nodes.add(id(node))
            sizes[id(node)] = 1 + sum(size(child) for child in _children(node))
            open_nodes.discard(id(node))
        return sizes[id(node)]

    if size(root) > MAX_NODES:
        raise _Refused(root, f"aliases make more than {MAX_NODES} values of this file")


def _distinct(root: yaml.Node) -> Iterator[yaml.Node]:
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if id(node) not in seen:
            seen.add(id(node))
            waiting.extend(_children(node))
            yield node


def _refuse_tag(node: yaml.Node) -> None:
    kind = node.tag.removeprefix("tag:yaml.org,2002:")
    if kind not in ("str", "int", "float", "bool", "null", "timestamp", "seq", "map", "merge"):
        raise _Refused(node, f"the tag {kind!r} is not known here; write plain values, text in quotes")


def _refuse_duplicate_keys(node: yaml.MappingNode) -> None:
    first_lines: dict[str, int] = {}
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise _Refused(key, "a key must be a word, not a list or a section")
        if key.tag not in ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"):
            raise _Refused(key, f"the key {key.value} is not text to YAML; put it in quotes")
        if key.value in first_lines:
            raise _Refused(key, f"the key {key.value!r} is there twice (first on line {first_lines[key.value]})")
        first_lines[key.value] = key.start_mark.line + 1
