"""The venue of one replay, with the prices that it was given."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

from adapters.backtest_venue import BacktestVenue, open_venue
from adapters.contract import StartRefusal
from adapters.paper.price_file import FileQuotes
from adapters.paper.quotes import QuoteSource
from adapters.paper.signal_quotes import SignalQuotes
from config.settings import Execution
from streams.whole import WholeInputError

# What stands in for a price where neither the signals nor the settings have one.
FIXED_PRICE = Decimal(1)


def replay_venue(
    execution: Execution, price_file: Path | None, symbols: Sequence[str] | None
) -> BacktestVenue:
    """The venue; of the prices those of `symbols`, None: all. Raises WholeInputError, BacktestError."""
    return open_venue(execution, _quotes(execution, price_file, symbols))


def _quotes(execution: Execution, price_file: Path | None, symbols: Sequence[str] | None) -> QuoteSource:
    if price_file is None:
        return SignalQuotes(execution.paper.fallback_price or FIXED_PRICE)
    quotes = FileQuotes(price_file, symbols=symbols, max_age_ms=execution.order.price_max_age_ms)
    refusal = quotes.load()
    if isinstance(refusal, StartRefusal):
        raise WholeInputError(refusal.text)
    return quotes
