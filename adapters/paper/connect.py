"""From settings to the simulated venue with its prices and its rules; nothing is connected here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from adapters.contract import StartRefusal
from adapters.filters import SymbolRules
from adapters.paper.adapter import PaperAdapter
from adapters.paper.price_file import FileQuotes
from adapters.paper.quotes import QuoteSource
from adapters.paper.signal_quotes import SignalQuotes
from adapters.paper.symbol_rules import built_in_rules, read_rules
from config.seams import Clock
from config.settings import PriceSource, Settings

if TYPE_CHECKING:
    from adapters.binance.transport import Transport

# Below the output folder: the venue's own journal, which is not the worker's.
PAPER_FOLDER = Path("paper")

Rules = Callable[[], Mapping[str, SymbolRules]]


def open_paper(
    settings: Settings, clock: Clock, *, transport: Transport | None = None
) -> PaperAdapter | StartRefusal:
    """The adapter of mode paper, or why its rules cannot be used.

    `transport` replaces the wire to the exchange's book in tests.
    """
    quotes, told = prices_of(settings, clock, transport=transport)
    rules = rules_of(settings, told)
    if isinstance(rules, StartRefusal):
        return rules
    execution = settings.execution
    return PaperAdapter(execution, clock, quotes, rules, execution.output_dir / PAPER_FOLDER)


def prices_of(
    settings: Settings, clock: Clock, *, transport: Transport | None = None
) -> tuple[QuoteSource, Rules | None]:
    """Where prices come from, and the rules that come along with them, if any do."""
    execution = settings.execution
    paper = execution.paper
    match paper.prices:
        case PriceSource.SIGNAL:
            return SignalQuotes(paper.fallback_price), None
        case PriceSource.FILE:
            assert paper.price_file is not None, "config/rules.py asks for it"
            max_age_ms = execution.order.price_max_age_ms
            return FileQuotes(paper.price_file, symbols=execution.symbols, max_age_ms=max_age_ms), None
        case PriceSource.BOOK:
            # The client of an exchange is loaded where there is one to ask.
            from adapters.paper.book_quotes import BookQuotes

            book = BookQuotes(settings, clock, transport=transport)
            return book, lambda: book.rules
        case _:
            assert_never(paper.prices)


def rules_of(settings: Settings, told: Rules | None) -> Rules | StartRefusal:
    """The rules of execution.paper.rules_file, else those of the prices' source, else the built-in ones."""
    path = settings.execution.paper.rules_file
    if path is None:
        if told is not None:
            return told
        known: Mapping[str, SymbolRules] = built_in_rules()
        return lambda: known
    read = read_rules(path, settings.execution.symbols)
    if isinstance(read, StartRefusal):
        return read
    in_file = read
    return lambda: in_file
