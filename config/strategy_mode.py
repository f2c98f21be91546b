"""The `strategy_mode` node of the shared `--config` file: when to trade much, and when little.

The node belongs to all services that share the file, so keys that are not ours are left alone; a wrong
value of one of ours is an error like that of any other setting. docs/strategy_mode.md shows all of it.
Time windows are local wall clock: the hour that daylight saving repeats counts twice, the one that it
leaves out never comes.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec


class StrategyMode(StrEnum):
    """Who decides: schedule and market, or the operator."""

    AUTO = "auto"
    FORCE_ACTIVE = "force_active"
    FORCE_QUIET = "force_quiet"


class Combine(StrEnum):
    """Whether one of schedule and market is enough, or both have to say active."""

    ANY = "any"
    ALL = "all"


class Hysteresis(msgspec.Struct, frozen=True):
    """The market is judged once in `window_s`; so many windows in a row must agree before it counts."""

    window_s: int = 60
    active_windows: int = 3
    quiet_windows: int = 6


class DayWindow(msgspec.Struct, frozen=True):
    """Minutes of the local day, `start` inside and `end` outside; up to 1440. `end` <= `start`: next day."""

    start_minute: int
    end_minute: int


class Schedule(msgspec.Struct, frozen=True):
    """Local hours that are active; a window belongs to the weekday (1 Monday … 7 Sunday) it begins on."""

    enabled: bool
    zone: ZoneInfo
    weekdays: frozenset[int]
    active_windows: tuple[DayWindow, ...]


class Market(msgspec.Struct, frozen=True):
    """What an active market looks like: so many signals, and such a share of them in these regimes."""

    enabled: bool = True
    active_regimes: frozenset[str] = frozenset({"active", "trend", "volatile"})
    signals_per_min: float = 10.0
    regime_share: float = 0.5


class Profile(msgspec.Struct, frozen=True):
    """How orders are made in one mode. `max_qps` None: that of execution.rate_limit."""

    order_size_usd: Decimal
    max_concurrency: int
    max_qps: float | None = None


class StrategySettings(msgspec.Struct, frozen=True):
    """The whole node."""

    mode: StrategyMode
    hysteresis: Hysteresis
    schedule: Schedule
    market: Market
    combine: Combine
    active: Profile
    quiet: Profile
    # Sentences about keys that look like ours and are not read.
    warnings: tuple[str, ...] = ()


def read_strategy_mode(path: Path) -> StrategySettings | None:
    """The node of `path`, None when it has none. Raises ConfigError with every problem at once."""
    raise NotImplementedError
