"""How the simulated venue behaves: the settings of `execution.paper` as it reads them.

Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

import msgspec

from adapters.contract import StartRefusal
from config import settings


class Terms(msgspec.Struct, frozen=True):
    """Shares are from 0 to 1; `timeouts` is the share of lost answers by symbol."""

    seed: int = 0
    partial_share: float = 0.0
    error_share: float = 0.0
    timeouts: Mapping[str, float] = {}
    slippage_bps_max: Decimal | None = None
    latency_ms: int = 0
    latency_jitter_ms: int = 0
    fill_attempts: int = 1


def terms_of(paper: settings.Paper) -> Terms | StartRefusal:
    """The terms that the settings ask for, or which of them cannot be read."""
    timeouts = _timeouts(paper.timeouts)
    if isinstance(timeouts, StartRefusal):
        return timeouts
    return Terms(
        seed=paper.seed,
        partial_share=paper.partial_share,
        error_share=paper.error_share,
        timeouts=timeouts,
        slippage_bps_max=paper.slippage_bps_max,
        latency_ms=paper.latency_ms,
        latency_jitter_ms=paper.latency_jitter_ms,
        fill_attempts=paper.fill_attempts,
    )


def _timeouts(given: Sequence[str]) -> dict[str, float] | StartRefusal:
    shares: dict[str, float] = {}
    for text in given:
        symbol, _, share = text.partition("=")
        try:
            shares[symbol.strip().upper()] = float(share)
        except ValueError:
            shares[symbol] = -1.0
        if not symbol.strip() or not 0 <= shares[symbol.strip().upper()] <= 1:
            return StartRefusal(
                "configuration",
                f"execution.paper.timeouts has {text!r}, must be SYMBOL=SHARE with a share from 0 to 1,"
                " as BTCUSDT=0.01",
            )
    return shares
