"""Doubts about the simulated venue: where its prices come from, and whether it has rules for every symbol.

The exchange's book is asked once, as a start would; a price file is read whole. Of the signals the last line
of one file is looked at, because a producer writes prices into all of its lines or into none.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

from adapters.contract import StartRefusal
from adapters.grid import plain
from adapters.paper.adapter import JOURNAL_NAME
from adapters.paper.connect import PAPER_FOLDER, prices_of, rules_of
from adapters.paper.journal_file import JOURNAL_BYTES_MAX
from adapters.paper.price_file import PriceTable, load_prices
from adapters.paper.quotes import Quote, QuoteSource
from config.seams import Clock
from config.settings import Execution, PriceSource, Settings
from streams.choice import SIGNAL_FOLDER
from streams.files import candidate_of
from worker.doubt import Row, fail, ok, warn
from worker.when import moment

# Rules and prices are two requests; a host that is silent shall not hold a person up.
BOOK_S_MAX = 15.0
TAIL_BYTES = 65_536
OTHER_PRICES = (
    "set execution.paper.fallback_price, or execution.paper.prices to file (with execution.paper.price_file)"
    " or to book"
)

OTHER_JOURNAL = "begin a new one with another --output (and --signals for the producer's folder)"


def paper_rows(settings: Settings, clock: Clock) -> Iterator[Row]:
    """Everything that mode paper needs besides the rest."""
    paper = settings.execution.paper
    if paper.prices is PriceSource.BOOK:
        yield asyncio.run(_book_row(settings, clock))
    elif paper.prices is PriceSource.FILE:
        yield from file_rows(settings.execution)
    else:
        yield signal_row(settings.execution)
    if paper.prices is not PriceSource.BOOK or paper.rules_file is not None:
        yield from rules_rows(settings)
    yield from journal_rows(settings.execution.output_dir / PAPER_FOLDER / JOURNAL_NAME)


def signal_row(execution: Execution) -> Row:
    """Whether signals have a price of their own, as far as one can see."""
    fallback = execution.paper.fallback_price
    if fallback is not None:
        return ok("prices", f"each signal's own price or mid; {fallback} where it has none")
    folders = [execution.signals_dir / SIGNAL_FOLDER / symbol for symbol in execution.symbols]
    without = [folder.name for folder in folders if _says_price(folder) is False]
    if without:
        return warn(
            "prices",
            f"the last signal of {without[0]} has neither price nor mid: orders of such signals are rejected"
            " (no_price)",
            OTHER_PRICES,
        )
    return ok("prices", "each signal's own price or mid; an order of one without is rejected (no_price)")


def file_rows(execution: Execution) -> Iterator[Row]:
    """What the price file has of each symbol."""
    path = execution.paper.price_file
    assert path is not None, "config/rules.py asks for it"
    found = load_prices(path, max_age_ms=execution.order.price_max_age_ms, symbols=execution.symbols)
    if isinstance(found, StartRefusal):
        yield _refused("prices", found)
        return
    yield ok("prices", f"{path}, {found.rows} prices of these symbols")
    for symbol in execution.symbols:
        yield _span_row(found, symbol)


def _span_row(found: PriceTable, symbol: str) -> Row:
    if symbol not in found.symbols:
        return warn(
            f"prices {symbol}", "the price file has none: its orders are rejected (no_price)", OTHER_PRICES
        )
    first_ms, last_ms = found.span_ms(symbol)
    return ok(f"prices {symbol}", f"from {moment(first_ms)} to {moment(last_ms)}")


def rules_rows(settings: Settings) -> Iterator[Row]:
    """Whether every symbol has trading rules."""
    path = settings.execution.paper.rules_file
    rules = rules_of(settings, None)
    if isinstance(rules, StartRefusal):
        yield _refused("rules", rules)
        return
    missing = [symbol for symbol in settings.execution.symbols if symbol not in rules()]
    where = "the built-in rules" if path is None else f"the rules file {path}"
    if missing:
        yield warn(
            "rules",
            f"nothing of {', '.join(missing[:5])} in {where}: orders of it are rejected (no_symbol_rules)",
            "save what the exchange answers to exchangeInfo, and name it with execution.paper.rules_file",
        )
    else:
        yield ok("rules", f"tick, step and minima of all symbols, from {where}")


def journal_rows(path: Path) -> Iterator[Row]:
    """How much of what a start can read the venue's journal takes; it only ever grows."""
    try:
        size = path.stat().st_size
    except OSError:
        # Not there before the first start; what else may be wrong stands in the row on the output folder.
        return
    finding = f"{path} has {size >> 20} MiB, a start reads up to {JOURNAL_BYTES_MAX >> 20}"
    if size > JOURNAL_BYTES_MAX:
        yield fail("journal", finding, OTHER_JOURNAL)
    elif size > JOURNAL_BYTES_MAX // 2:
        yield warn("journal", finding, f"before it is full, {OTHER_JOURNAL}")
    else:
        yield ok("journal", finding)


async def _book_row(settings: Settings, clock: Clock) -> Row:
    quotes, _ = prices_of(settings, clock)
    try:
        refusal = await asyncio.wait_for(quotes.start(), BOOK_S_MAX)
        return (
            _refused("prices", refusal) if refusal is not None else _told(quotes, settings.execution, clock)
        )
    except TimeoutError:
        return fail(
            "prices",
            f"the exchange did not answer within {BOOK_S_MAX:.0f} s",
            "check the network, then try again",
        )
    finally:
        await quotes.close()


def _told(quotes: QuoteSource, execution: Execution, clock: Clock) -> Row:
    symbol = execution.symbols[0]
    quote = quotes.quote(symbol, None, clock.wall_ms())
    if not isinstance(quote, Quote):
        return warn("prices", quote.text, "look whether the exchange trades it now")
    book = f"{plain(quote.bid)} to {plain(quote.ask)}"
    return ok("prices", f"the exchange's book, without a key; {symbol} stands at {book}")


def _says_price(folder: Path) -> bool | None:
    """Whether the last whole line of the newest file has a price; None where nobody can tell."""
    try:
        names = sorted(name for name in os.listdir(folder) if candidate_of(name))
        if not names:
            return None
        with open(folder / names[-1], "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL_BYTES))
            lines = file.read().splitlines()
    except OSError:
        return None
    last = next((line for line in reversed(lines) if line.endswith(b"}")), None)
    return None if last is None else b'"price"' in last or b'"mid"' in last


def _refused(subject: str, refusal: StartRefusal) -> Row:
    """A sentence of the house: what is, then what to do."""
    finding, _, remedy = refusal.text.rpartition(": ")
    return fail(subject, finding, remedy) if finding else fail(subject, refusal.text, "")
