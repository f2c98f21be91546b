"""A YAML file as nodes: composed, bounded, never constructed.

The file may be shared with other services, so foreign tags, anchors and values stay untouched, an alias
bomb is never expanded, and a node becomes a value only where a reader asks for it. No sentence shows the
value of a key that is not ours; one may be a credential.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from yaml.events import CollectionEndEvent, CollectionStartEvent
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from config.errors import DEFAULTS_NAME, ConfigError, located

# A configuration is a few KiB; a MiB is a wrong file, and parsing it would take a minute.
FILE_BYTES_MAX = 1_048_576

# Keys seen below our nodes, merges included. The settings have some hundred; a bomb has millions.
ENTRIES_MAX = 10_000

# The C parser recurses on the C stack and dies of a deep file, so depth is counted before composing.
DEPTH_MAX = 64

MERGE_DEPTH_MAX = 8

TAG = "tag:yaml.org,2002:"
_loader: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Pair:
    """One entry of a mapping."""

    name: str
    key: Node
    value: Node


def compose(path: Path) -> Node | None:
    """The root node of `path`, None for an empty file.

    Raises ConfigError with one sentence when it cannot be read, is no YAML, too long or too deep.
    """
    text = _text_of(path)
    try:
        deep_line = _too_deep_at(text)
        if deep_line is not None:
            raise ConfigError([f"{path} line {deep_line} is nested over {DEPTH_MAX} levels deep"])
        root: Node | None = yaml.compose(text, Loader=_loader)
    except yaml.MarkedYAMLError as error:
        # Only the problem and its line: the snippet that PyYAML offers may hold a credential.
        mark = error.problem_mark or error.context_mark
        line = f" line {mark.line + 1}" if mark is not None else ""
        raise ConfigError([f"{path}{line} is not YAML: {error.problem or error.context}"]) from None
    except yaml.YAMLError as error:
        reason = getattr(error, "reason", "it cannot be parsed")
        raise ConfigError([f"{path} is not YAML: {reason}"]) from None
    return None if root is None or is_null(root) else root


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


def _text_of(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            data = stream.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        reason = (error.strerror or "unreadable").lower()
        raise ConfigError([f"--config {path} cannot be read: {reason}"]) from None
    if len(data) > FILE_BYTES_MAX:
        raise ConfigError([f"--config {path} is over {FILE_BYTES_MAX} bytes long: is it the right file?"])
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError([f"{path} line {line} is not UTF-8: save the file as UTF-8"]) from None


def is_null(node: Node) -> bool:
    """Whether nothing stands there: null, or every line below it is commented out."""
    return isinstance(node, ScalarNode) and node.tag == TAG + "null"


def line_of(node: Node) -> int:
    """The line on which a node begins, from 1."""
    return int(node.start_mark.line) + 1


class Entries:
    """Reads mappings of one file: each key once, merged ones (`<<`) below its own, and not without end.

    `see` is the page that explains the keys; every sentence ends with it.
    """

    def __init__(self, path: Path, problems: list[str], see: str = DEFAULTS_NAME) -> None:
        self._path = path
        self._problems = problems
        self._see = see
        self._entries_left = ENTRIES_MAX

    def own(self, node: MappingNode, only: Collection[str]) -> list[Pair]:
        """The entries with these names, without merged ones; foreign keys are not looked at."""
        return list(self._first(self._explicit(node, only), "").values())

    def all(self, node: MappingNode, prefix: str, only: Collection[str] | None = None) -> list[Pair]:
        """The entries of a mapping, duplicates reported; `only` leaves out those with other names."""
        found = self._first(self._explicit(node, only), prefix)
        for pair in self._merged(node, only, depth=0):
            found.setdefault(pair.name, pair)
        return list(found.values())

    def where(self, node: Node) -> str:
        """The place of a node, as the words of a sentence."""
        return f"{self._path} line {line_of(node)}"

    def located(self, sentence: str, node: Node) -> str:
        """`sentence` with the place of the node and the page that explains it."""
        return located(sentence, self.where(node), self._see)

    def problem(self, sentence: str, node: Node) -> None:
        """Report what is wrong at a node."""
        self._problems.append(self.located(sentence, node))

    def _first(self, pairs: Iterator[Pair], prefix: str) -> dict[str, Pair]:
        found: dict[str, Pair] = {}
        for pair in pairs:
            first = found.setdefault(pair.name, pair)
            if first is not pair:
                lines = f"{self._path} lines {line_of(first.key)} and {line_of(pair.key)}"
                sentence = f"{prefix}{pair.name} is given twice, must be given once"
                self._problems.append(located(sentence, lines, self._see))
        return found

    def _explicit(self, node: MappingNode, only: Collection[str] | None) -> Iterator[Pair]:
        for key, value in node.value:
            name = key.value if isinstance(key, ScalarNode) else "a key that is not a word"
            if key.tag == TAG + "merge" or (only is not None and name not in only):
                continue
            self._entries_left -= 1
            if self._entries_left < 0:
                return
            yield Pair(name, key, value)

    def _merged(self, node: MappingNode, only: Collection[str] | None, depth: int) -> Iterator[Pair]:
        for key, value in node.value:
            if key.tag != TAG + "merge":
                continue
            if depth >= MERGE_DEPTH_MAX or self._entries_left < 0:
                self.problem("`<<` merges too deeply or too much, must stay below 8 levels", key)
                return
            for source in value.value if isinstance(value, SequenceNode) else [value]:
                if not isinstance(source, MappingNode):
                    self.problem("`<<` must name a mapping or a list of mappings", key)
                    continue
                self._entries_left -= 1
                yield from self._explicit(source, only)
                yield from self._merged(source, only, depth + 1)
