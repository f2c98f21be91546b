"""The strategy mode: active or quiet, by schedule, by market, or by the operator's word.

Pure: the time comes in as UTC epoch milliseconds of the wall clock.

The schedule counts at its minute, without waiting for windows to agree: a calendar does not flutter, and
whoever writes 09:00 means nine o'clock. The market does flutter, so each of its windows is one vote, and
only so many equal votes in a row change what it is taken for. It is watched in every mode, so that `auto`
knows it as soon as the operator lets go.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from config.strategy_mode import Combine, Profile, StrategyMode, StrategySettings

ModeName = Literal["active", "quiet"]


class Switch(msgspec.Struct, frozen=True):
    """The mode changed, and why, for the audit log."""

    before: ModeName
    after: ModeName
    why: str


class Strategy:
    """Keeps the mode. It starts as schedule or operator say at `now_ms`; an unknown market is quiet."""

    def __init__(self, settings: StrategySettings, *, now_ms: int) -> None:
        self._settings = settings
        self._market = _Market(settings, now_ms)
        self._mode, self._why = self._decided(now_ms)

    @property
    def mode(self) -> ModeName:
        """The mode in force."""
        return self._mode

    @property
    def profile(self) -> Profile:
        """Order size, parallelism and rate of the mode in force."""
        return self._settings.active if self._mode == "active" else self._settings.quiet

    @property
    def quiet_market(self) -> bool:
        """Whether the market slows the rate.

        As it was judged, and never where it is not asked (market.enabled false); the operator's word
        stands in its place where the mode is forced.
        """
        if self._settings.mode is not StrategyMode.AUTO:
            return self._settings.mode is StrategyMode.FORCE_QUIET
        return self._settings.market.enabled and not self._market.active

    @property
    def active_regimes(self) -> frozenset[str]:
        """The regimes that `saw` counts as active."""
        return self._settings.market.active_regimes

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the file holds that looks like ours and is not read."""
        return self._settings.warnings

    @property
    def why(self) -> str:
        """Why the mode was entered, for people."""
        return self._why

    def saw(self, now_ms: int, count: int, active_regime: int) -> None:
        """Signals were read: so many, so many of them in one of `active_regimes`.

        Only fresh ones say something about the market: a backlog that is worked through does not.
        """
        self._market.saw(now_ms, count, active_regime)

    def turn(self, now_ms: int) -> Switch | None:
        """Look at clock and market, about once a second; the switch that follows, if any."""
        self._market.advance(now_ms)
        mode, why = self._decided(now_ms)
        if mode == self._mode:
            return None
        switch = Switch(self._mode, mode, why)
        self._mode, self._why = mode, why
        return switch

    def replaced(self, settings: StrategySettings, now_ms: int) -> Switch | None:
        """The file was edited: a forced mode and the schedule count at once, the market keeps its windows.

        The profiles count at once too, with or without a switch.
        """
        self._market.advance(now_ms)
        self._settings = settings
        self._market.replaced(settings, now_ms)
        return self.turn(now_ms)

    def _decided(self, now_ms: int) -> tuple[ModeName, str]:
        settings = self._settings
        match settings.mode:
            case StrategyMode.FORCE_ACTIVE:
                return "active", "the operator says force_active"
            case StrategyMode.FORCE_QUIET:
                return "quiet", "the operator says force_quiet"
        votes: list[bool] = []
        parts: list[str] = []
        if settings.schedule.enabled:
            window = settings.schedule.window_at(now_ms)
            votes.append(window is not None)
            zone = settings.schedule.zone
            parts.append(f"schedule: {f'within {window}' if window else 'outside all windows'} {zone}")
        if settings.market.enabled:
            votes.append(self._market.active)
            parts.append(f"market: {self._market.why}")
        active = all(votes) if settings.combine is Combine.ALL else any(votes)
        return "active" if active else "quiet", "; ".join(parts)


class _Market:
    """What the market is taken for: votes of whole windows, aligned to the epoch."""

    def __init__(self, settings: StrategySettings, now_ms: int) -> None:
        self.active = False
        self.why = "not known yet, taken for quiet"
        self._votes_in_a_row = 0
        self._settings = settings
        self._begin_at(now_ms)

    def replaced(self, settings: StrategySettings, now_ms: int) -> None:
        """Other rules: what the market is taken for stays; votes of windows of another length are void."""
        is_same_length = settings.hysteresis.window_s == self._settings.hysteresis.window_s
        self._settings = settings
        if not is_same_length:
            self._votes_in_a_row = 0
            self._begin_at(now_ms)

    def saw(self, now_ms: int, count: int, active_regime: int) -> None:
        """Count into the window of `now_ms`."""
        self.advance(now_ms)
        self._count += count
        self._active_regime += active_regime

    def advance(self, now_ms: int) -> None:
        """Let every window vote that has ended; one that was seen in part has no vote.

        Windows in which nobody looked had no signals: they vote quiet.
        """
        index = self._index(now_ms)
        if index == self._window:
            return
        if index < self._window:  # the clock was set back
            self._begin_at(now_ms)
            return
        if self._is_whole:
            self._vote(self._count, self._active_regime, votes=1)
        self._vote(0, 0, votes=index - self._window - 1)
        self._begin(index, is_whole=True)

    def _index(self, now_ms: int) -> int:
        return now_ms // (self._settings.hysteresis.window_s * 1_000)

    def _begin_at(self, now_ms: int) -> None:
        self._begin(self._index(now_ms), is_whole=now_ms % (self._settings.hysteresis.window_s * 1_000) == 0)

    def _begin(self, index: int, *, is_whole: bool) -> None:
        self._window, self._is_whole = index, is_whole
        self._count = self._active_regime = 0

    def _vote(self, count: int, active_regime: int, *, votes: int) -> None:
        """So many equal windows in a row."""
        hysteresis, market = self._settings.hysteresis, self._settings.market
        per_min = count * 60 / hysteresis.window_s
        share = active_regime / count if count else 0.0
        vote = per_min >= market.signals_per_min and share >= market.regime_share
        if votes == 0 or vote == self.active:
            self._votes_in_a_row = 0 if votes else self._votes_in_a_row
            return
        self._votes_in_a_row += votes
        wanted = hysteresis.active_windows if vote else hysteresis.quiet_windows
        if self._votes_in_a_row >= wanted:
            self.active, self._votes_in_a_row = vote, 0
            word = "active" if vote else "quiet"
            self.why = (
                f"{word} for {wanted} windows of {hysteresis.window_s} s, in the last one "
                f"{per_min:.3g} signals a minute, {100 * share:.0f} % of them in active regimes"
            )
