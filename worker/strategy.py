"""The strategy mode: active or quiet, by schedule, by market, or by the operator's word.

Pure: the time comes in as UTC epoch milliseconds of the wall clock.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from config.strategy_mode import Profile, StrategySettings

ModeName = Literal["active", "quiet"]


class Switch(msgspec.Struct, frozen=True):
    """The mode changed, and why, for the audit log."""

    before: ModeName
    after: ModeName
    why: str


class Strategy:
    """Keeps the mode. It starts as schedule or operator say at `now_ms`; the unknown market is quiet."""

    def __init__(self, settings: StrategySettings, *, now_ms: int) -> None:
        self._settings = settings

    @property
    def mode(self) -> ModeName:
        """The mode in force."""
        raise NotImplementedError

    @property
    def profile(self) -> Profile:
        """Order size, parallelism and rate of the mode in force."""
        raise NotImplementedError

    @property
    def quiet_market(self) -> bool:
        """Whether the market slows the rate: as seen, or as the operator says where the mode is forced."""
        raise NotImplementedError

    @property
    def active_regimes(self) -> frozenset[str]:
        """The regimes that `saw` counts as active."""
        raise NotImplementedError

    @property
    def why(self) -> str:
        """Why the mode is what it is, for people."""
        raise NotImplementedError

    def saw(self, now_ms: int, count: int, active_regime: int) -> None:
        """Signals were read: so many, so many of them in one of `active_regimes`."""
        raise NotImplementedError

    def turn(self, now_ms: int) -> Switch | None:
        """Look at clock and market, about once a second; the switch that follows, if any."""
        raise NotImplementedError

    def replaced(self, settings: StrategySettings, now_ms: int) -> Switch | None:
        """The file was edited: a forced mode and the schedule count at once, the market keeps its windows."""
        raise NotImplementedError
