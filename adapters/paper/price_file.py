"""Prices from a file, read once: for each signal the last price at or before its own time.

JSON lines, or CSV with a header, of ts_ms, symbol and price, or bid and ask. One line that cannot be meant
refuses the whole file, because a price that is wrong is worse than none. Prices stay exact: they are kept as
whole units of the tenth decimal place, in arrays of eight bytes each.
"""

from __future__ import annotations

import asyncio
import csv
import re
from array import array
from bisect import bisect_right
from collections.abc import Collection, Iterator
from decimal import Context, Decimal, InvalidOperation
from pathlib import Path
from typing import BinaryIO

import msgspec

from adapters.contract import StartRefusal, Wait
from adapters.grid import canonical, plain, usable
from adapters.paper.quotes import NoQuote, Quote

# Some 240 MB in memory: a price a second of four symbols for a month.
ROWS_MAX = 10_000_000
# A line has some 60 bytes; whatever is longer is another kind of file.
LINE_BYTES_MAX = 4_096
# Seconds or microseconds by mistake lie outside.
TS_MS_MIN, TS_MS_MAX = 10**12, 10**13
# What eight bytes hold: ten decimal places, and prices up to 900 million.
PLACES = 10
UNITS_MAX = 2**63 - 1

_SYMBOL = re.compile(r"[A-Z0-9]{2,20}")
_EXACT = Context(prec=40)
_MARK = b"\xef\xbb\xbf"
_NAMES = ("ts_ms", "symbol", "price", "bid", "ask")
_WANTED = "ts_ms, symbol and price, or bid and ask"


class _PriceError(Exception):
    """What is wrong with a price, as the middle of a sentence."""


class _LineError(Exception):
    """What is wrong with which line."""

    def __init__(self, number: int, text: str) -> None:
        super().__init__(text)
        self.number = number
        self.text = text


class _Row(msgspec.Struct):
    ts_ms: int
    symbol: str
    price: Decimal | None = None
    bid: Decimal | None = None
    ask: Decimal | None = None


class _Series:
    """The prices of one symbol in order of time; `asks` stays empty where the file has one price alone."""

    def __init__(self, *, is_book: bool) -> None:
        self.is_book = is_book
        self.times = array("q")
        self._bids = array("q")
        self._asks = array("q")
        self._last: tuple[int, Quote] | None = None

    def add(self, ts_ms: int, bid: Decimal, ask: Decimal) -> None:
        """One price; raises _PriceError for one that is older than the last, or has too many digits."""
        if self.times and ts_ms < self.times[-1]:
            raise _PriceError(f"goes back in time from {self.times[-1]} to {ts_ms}, must be in order of time")
        bid_units = self._units(bid)
        ask_units = self._units(ask) if self.is_book else 0
        self.times.append(ts_ms)
        self._bids.append(bid_units)
        if self.is_book:
            self._asks.append(ask_units)

    def at(self, ts_ms: int) -> Quote | None:
        """The last price at or before `ts_ms`; None before the first."""
        index = bisect_right(self.times, ts_ms) - 1
        if index < 0:
            return None
        if self._last is None or self._last[0] != index:
            bid = _price(self._bids[index])
            ask = _price(self._asks[index]) if self.is_book else bid
            self._last = index, Quote(bid, ask, self.times[index], self.is_book)
        return self._last[1]

    def _units(self, price: Decimal) -> int:
        # By text: no precision of the process can touch it, and it takes half the time.
        whole, _, fraction = plain(price).partition(".")
        if len(fraction) > PLACES:
            raise _PriceError(f"has the price {price}, must have at most {PLACES} decimal places")
        units = int(whole + fraction.ljust(PLACES, "0"))
        if units > UNITS_MAX:
            raise _PriceError(f"has the price {price}, must be at most {UNITS_MAX // 10**PLACES}")
        return units


def _price(units: int) -> Decimal:
    return canonical(_EXACT.scaleb(Decimal(units), -PLACES))


class PriceTable:
    """All prices of `symbols` (None: of all) in one file."""

    def __init__(self, *, max_age_ms: int, symbols: Collection[str] | None = None) -> None:
        self.rows = 0
        self._wanted = symbols
        self._max_age_ms = max_age_ms
        self._series: dict[str, _Series] = {}

    @property
    def symbols(self) -> frozenset[str]:
        """Those that have at least one price."""
        return frozenset(self._series)

    def span_ms(self, symbol: str) -> tuple[int, int]:
        """The times of a symbol's first and last price."""
        times = self._series[symbol].times
        return times[0], times[-1]

    def quote(self, symbol: str, event_ts_ms: int) -> Quote | NoQuote:
        """The price of `symbol` at that moment, if there is one that is not too old."""
        series = self._series.get(symbol)
        found = None if series is None else series.at(event_ts_ms)
        if found is None:
            return NoQuote("no_price", f"the price file has no price of {symbol} at or before {event_ts_ms}")
        age_ms = event_ts_ms - found.at_ms
        if age_ms > self._max_age_ms:
            return NoQuote(
                "stale_price",
                f"the last price of {symbol} is {age_ms} ms older than the signal,"
                f" must be at most {self._max_age_ms} (execution.order.price_max_age_ms)",
            )
        return found

    def add(self, number: int, row: _Row) -> None:
        """Take in the line with this number; raises _LineError when it cannot be meant."""
        try:
            self._add(row)
        except _PriceError as error:
            raise _LineError(number, str(error)) from None

    def _add(self, row: _Row) -> None:
        if not TS_MS_MIN <= row.ts_ms < TS_MS_MAX:
            raise _PriceError(f"has the ts_ms {row.ts_ms}, must be UTC epoch milliseconds")
        symbol = row.symbol.upper()
        if _SYMBOL.fullmatch(symbol) is None:
            raise _PriceError(f"has the symbol {row.symbol[:40]!r}, must be one such as BTCUSDT")
        bid, ask = _sides(row)
        if self._wanted is not None and symbol not in self._wanted:
            return
        is_book = row.bid is not None
        series = self._series.get(symbol)
        if series is None:
            series = self._series[symbol] = _Series(is_book=is_book)
        if series.is_book != is_book:
            raise _PriceError(f"mixes price with bid and ask, must be one of them for all of {symbol}")
        series.add(row.ts_ms, bid, ask)
        self.rows += 1
        if self.rows > ROWS_MAX:
            raise _PriceError(f"is beyond {ROWS_MAX} prices, must be fewer")


def load_prices(
    path: Path, *, max_age_ms: int, symbols: Collection[str] | None = None
) -> PriceTable | StartRefusal:
    """The prices of `symbols` (None: all) in the file at `path`, or why it cannot be used, as one sentence.

    Reads the whole file in the calling thread, at some fifteen microseconds a line. Lines of other symbols
    are checked all the same.
    """
    table = PriceTable(max_age_ms=max_age_ms, symbols=symbols)
    lines = 0
    try:
        with path.open("rb") as file:
            for number, row in _rows(file):
                lines += 1
                table.add(number, row)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        return _refused(f"price file {path} cannot be read ({why}): name it with execution.paper.price_file")
    except _LineError as error:
        return _refused(
            f"price file {path} line {error.number} {error.text}: correct the line or take it out"
        )
    if not lines:
        return _refused(f"price file {path} has no price, must have lines with {_WANTED}")
    return table


def _refused(text: str) -> StartRefusal:
    return StartRefusal("configuration", text)


def _sides(row: _Row) -> tuple[Decimal, Decimal]:
    """Bid and ask of a line; raises _PriceError when they are no prices."""
    bid, ask = (row.price, row.price) if row.bid is None and row.ask is None else (row.bid, row.ask)
    if bid is None or ask is None:
        raise _PriceError(f"has no price, must have {_WANTED}")
    for price in (bid, ask):
        if not usable(price):
            raise _PriceError(f"has the price {price}, must be a number above 0")
    if bid > ask:
        raise _PriceError(f"has a bid of {bid} above its ask of {ask}")
    return bid, ask


def _rows(file: BinaryIO) -> Iterator[tuple[int, _Row]]:
    """Each line with its number, from 1; what the first one begins with tells JSON from CSV."""
    lines = _lines(file)
    first = next(lines, None)
    if first is None:
        return
    if first[1].lstrip().startswith(b"{"):
        yield from _json_rows(first, lines)
    else:
        yield from _csv_rows(first, lines)


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """The lines that are not blank."""
    number = 0
    while line := file.readline(LINE_BYTES_MAX + 1):
        number += 1
        if len(line) > LINE_BYTES_MAX:
            raise _LineError(number, f"is longer than {LINE_BYTES_MAX} bytes, must be a line of prices")
        if number == 1:
            line = line.removeprefix(_MARK)
        if line.strip():
            yield number, line


def _json_rows(first: tuple[int, bytes], lines: Iterator[tuple[int, bytes]]) -> Iterator[tuple[int, _Row]]:
    decode = msgspec.json.Decoder(_Row).decode
    number, line = first
    try:
        yield number, decode(line)
        for number, line in lines:
            yield number, decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _LineError(number, f"is no JSON object with {_WANTED} ({error})") from None


def _csv_rows(first: tuple[int, bytes], lines: Iterator[tuple[int, bytes]]) -> Iterator[tuple[int, _Row]]:
    names = [name.strip() for name in _fields(*first)]
    missing = not {"ts_ms", "symbol"} <= set(names) or not ({"bid", "ask"} <= set(names) or "price" in names)
    if missing:
        raise _LineError(first[0], f"is no header with {_WANTED}")
    places = [(index, name) for index, name in enumerate(names) if name in _NAMES]
    if len(places) > len({name for _, name in places}):
        raise _LineError(first[0], f"names a column twice, must have {_WANTED} once each")
    for number, line in lines:
        fields = _fields(number, line)
        if len(fields) != len(names):
            raise _LineError(number, f"has {len(fields)} fields, must have {len(names)} as the header")
        yield number, _csv_row(number, {name: fields[index].strip() for index, name in places})


def _fields(number: int, line: bytes) -> list[str]:
    try:
        return next(csv.reader([line.decode()], strict=True))
    except (csv.Error, UnicodeDecodeError) as error:
        raise _LineError(number, f"is no line of CSV ({error})") from None


def _csv_row(number: int, given: dict[str, str]) -> _Row:
    price, bid, ask = (given.get(name) for name in ("price", "bid", "ask"))
    try:
        if "_" in "".join(given.values()):
            # Python would read it as a number all the same.
            raise ValueError
        return _Row(
            int(given["ts_ms"]), given["symbol"], *(Decimal(x) if x else None for x in (price, bid, ask))
        )
    except (ValueError, InvalidOperation):
        told = ", ".join(f"{name} {value[:40]!r}" for name, value in given.items())
        raise _LineError(number, f"has {told}, must have numbers in ts_ms and price") from None


class FileQuotes:
    """The `QuoteSource` of a price file, for the signal's own time."""

    def __init__(self, path: Path, *, symbols: Collection[str] | None, max_age_ms: int) -> None:
        self._path = path
        self._symbols = None if symbols is None else frozenset(symbols)
        self._max_age_ms = max_age_ms
        self._table = PriceTable(max_age_ms=max_age_ms)

    async def start(self) -> StartRefusal | None:
        """Read the file, beside the event loop: a large one takes seconds."""
        return await asyncio.to_thread(self.load)

    def load(self) -> StartRefusal | None:
        """Read the file here and now; for whoever has no event loop."""
        loaded = load_prices(self._path, symbols=self._symbols, max_age_ms=self._max_age_ms)
        if isinstance(loaded, StartRefusal):
            return loaded
        self._table = loaded
        return None

    def wait_for(self, symbol: str) -> Wait | None:
        """Never: the file does not grow."""

    def quote(self, symbol: str, signal_price: Decimal | None, event_ts_ms: int) -> Quote | NoQuote:
        """The last price at or before the signal's time."""
        return self._table.quote(symbol, event_ts_ms)

    async def look(self, symbol: str) -> None:
        """The price of a signal's own moment does not move."""

    async def close(self) -> None:
        """The file was closed when it was read."""
