"""The `strategy_mode` node of the shared `--config` file: when to trade much, and when little.

The node belongs to all services that share the file, so keys that are not ours are left alone; a wrong
value of one of ours is an error like that of any other setting. docs/strategy_mode.md shows all of it.
Windows are local wall clock: the hour that daylight saving repeats counts twice, the one that it leaves
out never comes.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from enum import StrEnum
from pathlib import Path

import msgspec

from config.settings import Execution

DAY_MINUTES = 1_440


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
    # Going quiet is the slower way: a lull in the market is common, its end is where orders are missed.
    quiet_windows: int = 6


class DayWindow(msgspec.Struct, frozen=True):
    """Minutes of the local day, `start` inside, `end` (up to 1440) outside; `end` below `start`: next day."""

    start_minute: int
    end_minute: int

    def __str__(self) -> str:
        start, end = self.start_minute, self.end_minute
        return f"{start // 60:02}:{start % 60:02}-{end // 60:02}:{end % 60:02}"


class Schedule(msgspec.Struct, frozen=True):
    """Local hours that are active; a window belongs to the weekday (1 Monday … 7 Sunday) it begins on.

    No window, or no weekday: never active.
    """

    enabled: bool
    zone: tzinfo
    weekdays: frozenset[int]
    active_windows: tuple[DayWindow, ...]

    def window_at(self, now_ms: int) -> DayWindow | None:
        """The window that holds the moment, UTC epoch milliseconds; None: the schedule says quiet."""
        local = datetime.fromtimestamp(now_ms // 1_000, UTC).astimezone(self.zone)
        minute, weekday = local.hour * 60 + local.minute, local.isoweekday()
        today = weekday in self.weekdays
        yesterday = (weekday - 2) % 7 + 1 in self.weekdays
        for window in self.active_windows:
            start, end = window.start_minute, window.end_minute
            if start < end:
                if today and start <= minute < end:
                    return window
            elif (today and minute >= start) or (yesterday and minute < end):
                return window
        return None


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
    # Sentences about keys that look like ours, are none, and so are not read.
    warnings: tuple[str, ...] = ()


def read_strategy_mode(path: Path) -> StrategySettings | None:
    """The node of `path`, None when it has none. Raises ConfigError with every problem at once."""
    # The YAML reader costs 20 ms to import; most starts have no file.
    from config.strategy_file import read_node

    return read_node(path)


def oversized(strategy: StrategySettings, execution: Execution) -> Iterator[str]:
    """A mode whose every order the risk limit would refuse."""
    limit = execution.risk.max_order_usd
    for name, profile in (("active", strategy.active), ("quiet", strategy.quiet)):
        if limit is not None and profile.order_size_usd > limit:
            yield (
                f"strategy_mode.{name}.order_size_usd is {profile.order_size_usd}, must be at most "
                f"execution.risk.max_order_usd, which is {limit} (see docs/strategy_mode.md)"
            )
