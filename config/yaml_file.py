"""Reading the `--config` file: our two nodes of it, with the line of every value.

The file may be shared with other services, so it is composed into nodes and never constructed:
foreign tags, anchors and values stay untouched, an alias bomb is never expanded, and only scalars
below `execution:` and `broker:` become values. Values of unknown keys are never shown; one may be
a credential.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel
from yaml.constructor import SafeConstructor
from yaml.events import CollectionEndEvent, CollectionStartEvent
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from config.errors import DEFAULTS_NAME, located
from config.layers import Entry, Layer
from config.names import Leaf, leaves, nearest, nearest_key, node_type
from config.settings import Settings

# A configuration is a few KiB; a MiB is a wrong file, and parsing it would take a minute.
FILE_BYTES_MAX = 1_048_576

# Keys seen below our nodes, merges included. The settings have some fifty; a bomb has millions.
ENTRIES_MAX = 10_000

# The C parser recurses on the C stack and dies of a deep file, so depth is counted before composing.
DEPTH_MAX = 64

MERGE_DEPTH_MAX = 8
# More than any exchange lists; what is too many symbols, `config.rules` says.
LIST_ITEMS_MAX = 10_000

_TAG = "tag:yaml.org,2002:"
_loader: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class _Pair:
    name: str
    key: Node
    value: Node


def read_file(path: Path) -> Layer:
    """The layer of `path`. Never raises for the world's faults: a missing or broken file is a problem."""
    layer = Layer()
    text = _text_of(path, layer)
    if text is None:
        return layer
    try:
        deep_line = _too_deep_at(text)
        root = None if deep_line else yaml.compose(text, Loader=_loader)
    except yaml.MarkedYAMLError as error:
        # Only the problem and its line: the snippet that PyYAML offers may hold a credential.
        mark = error.problem_mark or error.context_mark
        line = f" line {mark.line + 1}" if mark is not None else ""
        layer.problems.append(f"{path}{line} is not YAML: {error.problem or error.context}")
    except yaml.YAMLError as error:
        reason = getattr(error, "reason", "it cannot be parsed")
        layer.problems.append(f"{path} is not YAML: {reason}")
    else:
        if deep_line:
            layer.problems.append(f"{path} line {deep_line} is nested over {DEPTH_MAX} levels deep")
        else:
            _Reader(path, layer).read(root)
    return layer


def _too_deep_at(text: str) -> int | None:
    """The line at which the nesting passes DEPTH_MAX, found without recursion; None when it never does."""
    depth = 0
    for event in yaml.parse(text, Loader=_loader):
        if isinstance(event, CollectionStartEvent):
            depth += 1
            if depth > DEPTH_MAX:
                mark = event.start_mark
                return 1 if mark is None else mark.line + 1
        elif isinstance(event, CollectionEndEvent):
            depth -= 1
    return None


def _text_of(path: Path, layer: Layer) -> str | None:
    try:
        with path.open("rb") as stream:
            data = stream.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        reason = (error.strerror or "unreadable").lower()
        layer.problems.append(f"--config {path} cannot be read: {reason}")
        return None
    if len(data) > FILE_BYTES_MAX:
        layer.problems.append(f"--config {path} is over {FILE_BYTES_MAX} bytes long: is it the right file?")
        return None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        layer.problems.append(f"{path} line {line} is not UTF-8: save the file as UTF-8")
        return None


class _Reader:
    """Walks the nodes beside the settings, so that nothing is visited that no key asks for."""

    def __init__(self, path: Path, layer: Layer) -> None:
        self._path = path
        self._layer = layer
        self._entries_left = ENTRIES_MAX

    def read(self, root: Node | None) -> None:
        if root is None or (isinstance(root, ScalarNode) and root.tag == _TAG + "null"):
            self._layer.warnings.append(f"{self._path} is empty, every value is a default")
            return
        if not isinstance(root, MappingNode):
            self._problem(f"{self._path} is not a mapping: it must hold `execution:`", root)
            return
        self._warn_about_foreign_nodes(root)
        for pair in self._pairs(root, "", only=tuple(Settings.model_fields)):
            child = node_type(Settings.model_fields[pair.name].annotation)
            assert child is not None
            self._node(pair.value, child, pair.name)

    def _warn_about_foreign_nodes(self, root: MappingNode) -> None:
        names = {key.value: key for key, _ in root.value if isinstance(key, ScalarNode)}
        if "executor" in names:
            self._layer.warnings.append(
                f"executor is the node of an older layout and is not read: move its values to execution "
                f"({self._where(names['executor'])}; see {DEFAULTS_NAME})"
            )
        if "execution" in names:
            return
        for name, key in names.items():
            if name != "executor" and nearest(name, ["execution"], cutoff=0.8):
                self._layer.warnings.append(
                    f"{name} is a node of other services and is not read: execution was meant? "
                    f"({self._where(key)})"
                )
        if "executor" not in names:
            self._layer.warnings.append(f"{self._path} has no execution node, its values are defaults")

    def _pairs(self, node: MappingNode, prefix: str, only: tuple[str, ...] | None = None) -> list[_Pair]:
        """The entries of a mapping, duplicates reported, merged ones (`<<`) after and below its own."""
        found: dict[str, _Pair] = {}
        for pair in self._explicit(node, only):
            first = found.setdefault(pair.name, pair)
            if first is not pair:
                lines = f"{self._path} lines {_line(first.key)} and {_line(pair.key)}"
                self._layer.problems.append(
                    located(f"{prefix}{pair.name} is given twice, must be given once", lines)
                )
        if only is None:
            for pair in self._merged(node, depth=0):
                found.setdefault(pair.name, pair)
        return list(found.values())

    def _explicit(self, node: MappingNode, only: tuple[str, ...] | None = None) -> Iterator[_Pair]:
        for key, value in node.value:
            name = key.value if isinstance(key, ScalarNode) else "a key that is not a word"
            if key.tag == _TAG + "merge" or (only is not None and name not in only):
                continue
            self._entries_left -= 1
            if self._entries_left < 0:
                return
            yield _Pair(name, key, value)

    def _merged(self, node: MappingNode, depth: int) -> Iterator[_Pair]:
        for key, value in node.value:
            if key.tag != _TAG + "merge":
                continue
            if depth >= MERGE_DEPTH_MAX or self._entries_left < 0:
                self._problem("`<<` merges too deeply or too much, must stay below 8 levels", key)
                return
            for source in value.value if isinstance(value, SequenceNode) else [value]:
                if not isinstance(source, MappingNode):
                    self._problem("`<<` must name a mapping or a list of mappings", key)
                    continue
                self._entries_left -= 1
                yield from self._explicit(source)
                yield from self._merged(source, depth + 1)

    def _node(self, node: Node, model: type[BaseModel], key: str) -> None:
        if isinstance(node, ScalarNode) and node.tag == _TAG + "null":
            return  # every line below it is commented out
        if not isinstance(node, MappingNode):
            names = ", ".join(model.model_fields)
            self._refuse(f"{key} holds no mapping, must be a mapping of {names}", node, key)
            return
        for pair in self._pairs(node, key + "."):
            field_info = model.model_fields.get(pair.name)
            if field_info is None:
                self._unknown(pair, key + ".", model)
                continue
            child = node_type(field_info.annotation)
            if child is not None:
                self._node(pair.value, child, f"{key}.{pair.name}")
            else:
                self._leaf(pair.value, leaves()[f"{key}.{pair.name}"])

    def _unknown(self, pair: _Pair, prefix: str, model: type[BaseModel]) -> None:
        # The name may be a credential as well as the value; a real name is short.
        name = pair.name if len(pair.name) <= 40 and pair.name.isprintable() else "a long name"
        meant = nearest_key(pair.name, prefix, model.model_fields)
        hint = f"{meant} was meant?" if meant else f"known here: {', '.join(model.model_fields)}"
        self._problem(f"{prefix}{name} is no setting, {hint}", pair.key)

    def _leaf(self, node: Node, leaf: Leaf) -> None:
        if isinstance(node, ScalarNode):
            value = self._scalar(node, leaf)
        elif isinstance(node, SequenceNode) and leaf.is_list and len(node.value) <= LIST_ITEMS_MAX:
            if not all(isinstance(item, ScalarNode) for item in node.value):
                self._refuse(f"{leaf.key} holds lists or mappings, must be {leaf.expected()}", node, leaf.key)
                return
            value = [self._scalar(item, leaf) for item in node.value]
        else:
            noun = "a mapping" if isinstance(node, MappingNode) else "a list"
            self._refuse(f"{leaf.key} is {noun}, must be {leaf.expected()}", node, leaf.key)
            return
        if leaf.key in self._layer.refused:
            return
        line = _line(node)
        self._layer.entries[leaf.key] = Entry(value, f"{self._path}:{line}", f"{self._path} line {line}")

    def _scalar(self, node: ScalarNode, leaf: Leaf) -> object:
        kind = node.tag.removeprefix(_TAG)
        if kind in ("int", "float") and leaf.kind is Decimal:
            return node.value  # through float, digits would be lost
        construct = _CONSTRUCT.get(kind)
        if construct is None:
            if not node.tag.startswith(_TAG):
                self._refuse(f"{leaf.key} carries a tag, must be {leaf.expected()}", node, leaf.key)
            return node.value
        try:
            return construct(node)
        except (ValueError, OverflowError):
            return node.value  # an absurd number; validation says what may be

    def _refuse(self, sentence: str, node: Node, key: str) -> None:
        self._layer.refused.add(key)
        self._problem(sentence, node)

    def _problem(self, sentence: str, node: Node) -> None:
        self._layer.problems.append(located(sentence, self._where(node)))

    def _where(self, node: Node) -> str:
        return f"{self._path} line {_line(node)}"


def _line(node: Node) -> int:
    return int(node.start_mark.line) + 1


_constructor = SafeConstructor()
_CONSTRUCT: Mapping[str, Any] = {
    "null": _constructor.construct_yaml_null,
    "bool": _constructor.construct_yaml_bool,
    "int": _constructor.construct_yaml_int,
    "float": _constructor.construct_yaml_float,
}
