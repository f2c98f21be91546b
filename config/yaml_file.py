"""Reading the `--config` file: our two nodes of it, with the line of every value.

Only scalars below `execution:` and `broker:` become values (`config.yaml_nodes` says how the rest is
left alone). Values of unknown keys are never shown; one may be a credential.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from yaml.constructor import SafeConstructor
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from config.errors import DEFAULTS_NAME, ConfigError
from config.layers import Entry, Layer
from config.names import Leaf, leaves, nearest, nearest_key, node_type
from config.settings import Settings
from config.yaml_nodes import TAG, Entries, Pair, compose, is_null, line_of

# More than any exchange lists; what is too many symbols, `config.rules` says.
LIST_ITEMS_MAX = 10_000


def read_file(path: Path) -> Layer:
    """The layer of `path`. Never raises for the world's faults: a missing or broken file is a problem."""
    layer = Layer()
    try:
        root = compose(path)
    except ConfigError as error:
        layer.problems += error.problems
    else:
        layer.root = root
        _Reader(path, layer).read(root)
    return layer


class _Reader:
    """Walks the nodes beside the settings, so that nothing is visited that no key asks for."""

    def __init__(self, path: Path, layer: Layer) -> None:
        self._path = path
        self._layer = layer
        self._entries = Entries(path, layer.problems)

    def read(self, root: Node | None) -> None:
        if root is None:
            self._layer.warnings.append(f"{self._path} is empty, every value is a default")
            return
        if not isinstance(root, MappingNode):
            self._problem(f"{self._path} is not a mapping: it must hold `execution:`", root)
            return
        self._warn_about_foreign_nodes(root)
        for pair in self._entries.own(root, tuple(Settings.model_fields)):
            child = node_type(Settings.model_fields[pair.name].annotation)
            assert child is not None
            self._node(pair.value, child, pair.name)

    def _warn_about_foreign_nodes(self, root: MappingNode) -> None:
        names = {key.value: key for key, _ in root.value if isinstance(key, ScalarNode)}
        if "executor" in names:
            self._layer.warnings.append(
                f"executor is the node of an older layout and is not read: move its values to execution "
                f"({self._entries.where(names['executor'])}; see {DEFAULTS_NAME})"
            )
        if "execution" in names:
            return
        for name, key in names.items():
            if name != "executor" and nearest(name, ["execution"], cutoff=0.8):
                self._layer.warnings.append(
                    f"{name} is a node of other services and is not read: execution was meant? "
                    f"({self._entries.where(key)})"
                )
        if "executor" not in names:
            self._layer.warnings.append(f"{self._path} has no execution node, its values are defaults")

    def _node(self, node: Node, model: type[BaseModel], key: str) -> None:
        if is_null(node):
            return  # every line below it is commented out
        if not isinstance(node, MappingNode):
            names = ", ".join(model.model_fields)
            self._refuse(f"{key} holds no mapping, must be a mapping of {names}", node, key)
            return
        for pair in self._entries.all(node, key + "."):
            field_info = model.model_fields.get(pair.name)
            if field_info is None:
                self._unknown(pair, key + ".", model)
                continue
            child = node_type(field_info.annotation)
            if child is not None:
                self._node(pair.value, child, f"{key}.{pair.name}")
            else:
                self._leaf(pair.value, leaves()[f"{key}.{pair.name}"])

    def _unknown(self, pair: Pair, prefix: str, model: type[BaseModel]) -> None:
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
        line = line_of(node)
        self._layer.entries[leaf.key] = Entry(value, f"{self._path}:{line}", f"{self._path} line {line}")

    def _scalar(self, node: ScalarNode, leaf: Leaf) -> object:
        kind = node.tag.removeprefix(TAG)
        if kind in ("int", "float") and leaf.kind is Decimal:
            return node.value  # through float, digits would be lost
        construct = _CONSTRUCT.get(kind)
        if construct is None:
            if not node.tag.startswith(TAG):
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
        self._entries.problem(sentence, node)


_constructor = SafeConstructor()
_CONSTRUCT: Mapping[str, Any] = {
    "null": _constructor.construct_yaml_null,
    "bool": _constructor.construct_yaml_bool,
    "int": _constructor.construct_yaml_int,
    "float": _constructor.construct_yaml_float,
}
