"""The names of the configuration: dotted keys, their variables and options, and what each may hold.

Everything here is derived from `config.settings`, so a new knob needs no second list.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from functools import cache
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from config.redact import looks_secret
from config.settings import Settings

VARIABLE_PREFIX = "V13_"

NAMED_VARIABLES: Mapping[str, str] = {
    "V13_EXECUTION_MODE": "execution.mode",
    "V13_SYMBOLS": "execution.symbols",
    "V13_SINK": "execution.sink.kind",
    "V13_OUTPUT_DIR": "execution.sink.base_dir",
    "V13_LOG_LEVEL": "execution.log.level",
    "V13_BROKER_REST_URL": "broker.rest_url",
}

OPTIONS: Mapping[str, str] = {
    "execution.mode": "--mode",
    "execution.symbols": "--symbols",
    "execution.sink.kind": "--sink",
    "execution.sink.base_dir": "--output",
    "execution.source.base_dir": "--signals",
    "execution.log.level": "--log-level",
}

# Values longer than this are described, not shown: a sentence has to stay a sentence.
SHOWN_CHARACTERS_MAX = 80


@dataclass(frozen=True, slots=True)
class Leaf:
    """One key: its type without `None`, and its bounds."""

    key: str
    kind: Any
    nullable: bool
    bounds: Mapping[str, object]
    default: object

    @property
    def is_list(self) -> bool:
        """True for a key that holds several values."""
        return get_origin(self.kind) is tuple

    @property
    def is_symbols(self) -> bool:
        """True for a list of symbols."""
        return self.is_list and get_args(self.kind)[0] is not str

    def expected(self) -> str:
        """What the key may hold, as the end of a sentence."""
        return self._expected() + (" or null" if self.nullable else "")

    def _expected(self) -> str:
        if self.is_list:
            return "a list of symbols of 2 to 20 letters and digits" if self.is_symbols else "a list of texts"
        if issubclass(self.kind, StrEnum):
            return f"one of {', '.join(self.kind)}"
        if self.kind is bool:
            return "true or false"
        if self.kind is Path:
            return "a folder"
        if issubclass(self.kind, int | float | Decimal):
            noun = "a whole number" if self.kind is int else "a number"
            return " ".join([noun, *self._limits()])
        return "a text"

    def _limits(self) -> list[str]:
        low, high, above = (self.bounds.get(name) for name in ("ge", "le", "gt"))
        if low is not None and high is not None:
            return [f"from {low} to {high}"]
        if low is not None:
            return [f"of at least {low}"]
        return [] if above is None else [f"above {above}"]


def _leaves_of(model: type[BaseModel], prefix: str) -> Iterator[Leaf]:
    for name, field in model.model_fields.items():
        key = prefix + name
        node = node_type(field.annotation)
        if node is not None:
            yield from _leaves_of(node, key + ".")
            continue
        arguments = get_args(field.annotation)
        nullable = NoneType in arguments
        kind = next(a for a in arguments if a is not NoneType) if nullable else field.annotation
        bounds = {
            bound: getattr(item, bound)
            for item in field.metadata
            for bound in ("ge", "le", "gt")
            if hasattr(item, bound)
        }
        yield Leaf(key, kind, nullable, bounds, field.default)


def node_type(annotation: object) -> type[BaseModel] | None:
    """The settings node that a field holds, or None for a leaf."""
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


@cache
def leaves() -> Mapping[str, Leaf]:
    """Every key of the configuration, in the order of the file."""
    return {leaf.key: leaf for leaf in _leaves_of(Settings, "")}


def variable_of(key: str) -> str:
    """The variable of any key: `execution.rate_limit.max_qps` → `V13_EXECUTION__RATE_LIMIT__MAX_QPS`."""
    return VARIABLE_PREFIX + key.upper().replace(".", "__")


@cache
def variables() -> Mapping[str, str]:
    """Every variable that is read → its key; the named ones first."""
    return {**NAMED_VARIABLES, **{variable_of(key): key for key in leaves()}}


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known name that a mistyped `name` most likely means."""
    by_lower = {each.lower(): each for each in known}
    found = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=cutoff)
    return by_lower[found[0]] if found else None


def nearest_key(name: str, prefix: str, siblings: Iterable[str]) -> str | None:
    """What an unknown `name` below `prefix` most likely means: a sibling, or the same name elsewhere."""
    sibling = nearest(name, list(siblings), cutoff=0.75)
    if sibling is not None:
        return prefix + sibling
    elsewhere = [key for key in leaves() if key.rpartition(".")[2] == name]
    if elsewhere:
        return elsewhere[0]
    weaker = nearest(name, list(siblings))
    return None if weaker is None else prefix + weaker


def shown(value: object) -> str:
    """A value of a known key as a sentence shows it; long or opaque texts are described instead."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case StrEnum():
            return value.value
        case list() | tuple():
            return ",".join(shown(item) for item in value) or "empty"
        case _:
            text = str(value)
    if not text:
        return "empty"
    if len(text) > SHOWN_CHARACTERS_MAX or looks_secret(text):
        return f"a text of {len(text)} characters"
    return text if text.isprintable() else ascii(text)
