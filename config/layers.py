"""A layer of the configuration: values by dotted key, each with its origin.

The file, the environment and the command line all become layers of this shape, and the later one
wins key by key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from config.names import OPTIONS

if TYPE_CHECKING:
    from yaml.nodes import Node


@dataclass(frozen=True, slots=True)
class Entry:
    """One value of one layer. `origin` is its short name, `where` the words of a sentence."""

    value: object
    origin: str
    where: str


@dataclass(slots=True)
class Layer:
    """What one layer gives, and what is wrong or odd about it.

    `refused` holds the keys (or their nodes) whose values could not be taken, so that no rule
    judges the default in their place. `root` is the file's, for readers of other nodes: a pipe is read once.
    """

    entries: dict[str, Entry] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    root: Node | None = None

    def add(self, later: Layer) -> None:
        """Lay `later` over this one."""
        self.entries.update(later.entries)
        self.problems += later.problems
        self.warnings += later.warnings
        self.refused |= later.refused
        self.root = later.root or self.root


def command_line_layer(overrides: Mapping[str, object]) -> Layer:
    """The layer of the command line; a value of None means that the option was not given."""
    layer = Layer()
    for key, value in overrides.items():
        if value is not None:
            origin = f"command line {OPTIONS.get(key, '--' + key)}"
            layer.entries[key] = Entry(value, origin, origin)
    return layer
