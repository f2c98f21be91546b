"""Reading the `strategy_mode` node: every wrong value is a sentence, every foreign key is left alone."""

from __future__ import annotations

from datetime import UTC, tzinfo
from decimal import Decimal
from pathlib import Path
from typing import TypeVar
from zoneinfo import ZoneInfo, available_timezones

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from config.errors import ConfigError
from config.names import nearest, shown
from config.strategy_mode import (
    Combine,
    DayWindow,
    Hysteresis,
    Market,
    Profile,
    Schedule,
    StrategyMode,
    StrategySettings,
)
from config.strategy_words import FLAG, MONEY, WEEKDAY, WINDOW, WORD, WORDS, Kind, choice, number, whole
from config.yaml_nodes import TAG, Entries, Pair, compose, is_null

NODE = "strategy_mode"
PAGE = "docs/strategy_mode.md"

# More windows than a day has quarters of an hour, or more regimes than any producer names, is a mistake.
LIST_ITEMS_MAX = 100

DEFAULT_ZONE = "Asia/Hong_Kong"
DEFAULT_WEEKDAYS = (1, 2, 3, 4, 5)
DEFAULT_WINDOWS = (DayWindow(9 * 60, 12 * 60), DayWindow(21 * 60 + 30, 2 * 60))
ACTIVE = Profile(Decimal(100), 4)
QUIET = Profile(Decimal(50), 2)

Fields = dict[str, Pair]
T = TypeVar("T")


def read_node(path: Path) -> StrategySettings | None:
    """The settings that the node of `path` holds; None: it has no such node.

    Raises ConfigError with every problem at once, among them a file that cannot be read.
    """
    return node_below(compose(path), path)


def node_below(root: Node | None, path: Path) -> StrategySettings | None:
    """The same of a file that was read already. Raises ConfigError with every problem at once."""
    reader = _Reader(path)
    settings = None
    if isinstance(root, MappingNode):
        settings = reader.read(root)
    elif root is not None:
        reader.entries.problem(f"{path} is not a mapping: it must hold `execution:`", root)
    if reader.problems:
        raise ConfigError(reader.problems)
    return settings


class _Reader:
    """Walks the keys that are ours, and keeps what is wrong with them."""

    def __init__(self, path: Path) -> None:
        self.problems: list[str] = []
        self.warnings: list[str] = []
        self.entries = Entries(path, self.problems, PAGE)

    def read(self, root: MappingNode) -> StrategySettings | None:
        """The node; what is wrong with it is in `problems`, and has its default in the result."""
        found = self.entries.own(root, (NODE,))
        if not found or is_null(found[0].value):
            return None
        names = ("mode", "hysteresis", "schedule", "market", "combine", "active", "quiet")
        fields = self._fields(found[0].value, NODE, names)
        settings = StrategySettings(
            mode=self._value(fields, f"{NODE}.mode", choice(StrategyMode), StrategyMode.AUTO),
            hysteresis=self._hysteresis(fields),
            schedule=self._schedule(fields),
            market=self._market(fields),
            combine=self._value(fields, f"{NODE}.combine", choice(Combine), Combine.ANY),
            active=self._profile(fields, "active", ACTIVE),
            quiet=self._profile(fields, "quiet", QUIET),
        )
        if settings.mode is StrategyMode.AUTO and not (settings.schedule.enabled or settings.market.enabled):
            self.entries.problem(
                f"{NODE}.mode is auto while {NODE}.schedule.enabled and {NODE}.market.enabled are false: "
                "nothing is left to decide by, must be force_active or force_quiet",
                found[0].key,
            )
        return StrategySettings(
            **{name: getattr(settings, name) for name in names}, warnings=tuple(self.warnings)
        )

    def _hysteresis(self, above: Fields) -> Hysteresis:
        key, default = f"{NODE}.hysteresis", Hysteresis()
        fields = self._child(above, key, Hysteresis.__struct_fields__)
        windows = whole(1, 1_000)
        return Hysteresis(
            window_s=self._value(fields, f"{key}.window_s", whole(1, 3_600), default.window_s),
            active_windows=self._value(fields, f"{key}.active_windows", windows, default.active_windows),
            quiet_windows=self._value(fields, f"{key}.quiet_windows", windows, default.quiet_windows),
        )

    def _schedule(self, above: Fields) -> Schedule:
        key = f"{NODE}.schedule"
        fields = self._child(above, key, ("enabled", "timezone", "weekdays", "active_windows"))
        enabled = self._value(fields, f"{key}.enabled", FLAG, True)
        return Schedule(
            enabled=enabled,
            zone=self._zone(fields, f"{key}.timezone", needed=enabled),
            weekdays=frozenset(self._list(fields, f"{key}.weekdays", WEEKDAY, DEFAULT_WEEKDAYS)),
            active_windows=self._list(fields, f"{key}.active_windows", WINDOW, DEFAULT_WINDOWS),
        )

    def _market(self, above: Fields) -> Market:
        key, default = f"{NODE}.market", Market()
        fields = self._child(above, key, Market.__struct_fields__)
        regimes = tuple(sorted(default.active_regimes))
        rate, share = number(0, 1_000_000), number(0, 1)
        return Market(
            enabled=self._value(fields, f"{key}.enabled", FLAG, default.enabled),
            active_regimes=frozenset(self._list(fields, f"{key}.active_regimes", WORDS, regimes)),
            signals_per_min=self._value(fields, f"{key}.signals_per_min", rate, default.signals_per_min),
            regime_share=self._value(fields, f"{key}.regime_share", share, default.regime_share),
        )

    def _profile(self, above: Fields, name: str, default: Profile) -> Profile:
        key = f"{NODE}.{name}"
        fields = self._child(above, key, Profile.__struct_fields__)
        max_qps = number(0.1, 100_000, nullable=True)
        return Profile(
            order_size_usd=self._value(fields, f"{key}.order_size_usd", MONEY, default.order_size_usd),
            max_concurrency=self._value(
                fields, f"{key}.max_concurrency", whole(1, 64), default.max_concurrency
            ),
            max_qps=self._optional(fields, f"{key}.max_qps", max_qps),
        )

    def _zone(self, fields: Fields, key: str, *, needed: bool) -> tzinfo:
        """The time zone; a schedule that is off needs none, and so no time zone data on the host."""
        pair = fields.get("timezone")
        if pair is None and not needed:
            return UTC
        before = len(self.problems)
        name = self._value(fields, key, WORD, DEFAULT_ZONE)
        if len(self.problems) > before:
            return UTC
        zone = _zone_of(name)
        if zone is None:
            sentence = f"{key} is {shown(name)}, {_zone_advice(name)}"
            if pair is not None:
                self.entries.problem(sentence, pair.value)
            else:
                self.problems.append(f"{sentence} (its default; see {PAGE})")
        return zone or UTC

    def _child(self, above: Fields, key: str, names: tuple[str, ...]) -> Fields:
        pair = above.get(key.rpartition(".")[2])
        return {} if pair is None else self._fields(pair.value, key, names)

    def _fields(self, node: Node, key: str, names: tuple[str, ...]) -> Fields:
        """The entries of a mapping that are ours; null is as good as none."""
        if is_null(node):
            return {}
        if not isinstance(node, MappingNode):
            self.entries.problem(f"{key} holds no mapping, must be a mapping of {', '.join(names)}", node)
            return {}
        fields = {pair.name: pair for pair in self.entries.all(node, f"{key}.", names)}
        self._warn_of_misspelled(node, key, [name for name in names if name not in fields])
        return fields

    def _warn_of_misspelled(self, node: MappingNode, key: str, missing: list[str]) -> None:
        for name_node, _ in node.value:
            meant = isinstance(name_node, ScalarNode) and nearest(name_node.value[:40], missing, cutoff=0.8)
            if meant and meant != name_node.value:
                sentence = f"{key}.{shown(name_node.value)} is not read: {key}.{meant} was meant?"
                self.warnings.append(self.entries.located(sentence, name_node))

    def _value(self, fields: Fields, key: str, kind: Kind[T], default: T) -> T:
        value = self._optional(fields, key, kind)
        return default if value is None else value

    def _optional(self, fields: Fields, key: str, kind: Kind[T]) -> T | None:
        pair = fields.get(key.rpartition(".")[2])
        if pair is None or (kind.nullable and is_null(pair.value)):
            return None
        return self._scalar(pair.value, key, "is", kind)

    def _list(self, fields: Fields, key: str, kind: Kind[T], default: tuple[T, ...]) -> tuple[T, ...]:
        pair = fields.get(key.rpartition(".")[2])
        if pair is None:
            return default
        node = pair.value
        if not isinstance(node, SequenceNode):
            noun = "a mapping" if isinstance(node, MappingNode) else shown(node.value)
            noun = "null" if is_null(node) else noun
            self.entries.problem(f"{key} is {noun}, must be a list of {kind.expected}", node)
            return default
        if len(node.value) > LIST_ITEMS_MAX:
            self.entries.problem(
                f"{key} has {len(node.value)} items, must have {LIST_ITEMS_MAX} at most", node
            )
            return default
        wanted = Kind(kind.read, f"a list of {kind.expected}")
        values = [self._scalar(item, key, "holds", wanted) for item in node.value]
        return tuple(dict.fromkeys(value for value in values if value is not None))

    def _scalar(self, node: Node, key: str, verb: str, kind: Kind[T]) -> T | None:
        value: T | None = None
        expected = kind.expected + (" or null" if kind.nullable else "")
        if not isinstance(node, ScalarNode):
            noun = "a mapping" if isinstance(node, MappingNode) else "a list"
        elif is_null(node):
            noun = "null"
        elif not node.tag.startswith(TAG):
            noun = "a text with a tag"
        else:
            value = kind.read(node.value)
            noun = shown(node.value)
        if value is None:
            self.entries.problem(f"{key} {verb} {noun}, must be {expected}", node)
        return value


def _zone_of(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None


def _zone_advice(name: str) -> str:
    """What to do about a time zone that was not found: another name, or data for all of them."""
    if _zone_of("Asia/Hong_Kong") is None:
        return "and this host has no time zone data: apt install tzdata, or pip install tzdata"
    meant = nearest(name, available_timezones())
    hint = f": {meant} was meant?" if meant else ""
    return f"must be a time zone such as Asia/Hong_Kong, America/New_York or UTC{hint}"
