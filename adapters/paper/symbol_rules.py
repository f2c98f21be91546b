"""The trading rules of the simulated venue: those of a file, or the ones that come with the program.

The file is what the exchange answers to exchangeInfo, futures or spot, saved as it came. A symbol without
rules is no fault of the start: its orders are rejected with the reason, as an exchange does.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from adapters.binance.market import Market
from adapters.binance.symbol_rules import rules_of
from adapters.binance.wire_exchange_info import SymbolReply, read_exchange_info
from adapters.contract import StartRefusal
from adapters.exchange import terms
from adapters.filters import Band, Notional, SymbolRules
from adapters.grid import Grid

# Spot's answer for all symbols has some 15 MB.
FILE_BYTES_MAX = 64 * 2**20
SETTING = "execution.paper.rules_file"


def built_in_rules() -> dict[str, SymbolRules]:
    """The rules of BTCUSDT and ETHUSDT on USDⓈ-M futures, as the exchange in the box has them."""
    return {given.symbol: _converted(given) for given in terms.FUTURES_RULES}


def read_rules(path: Path, symbols: Collection[str]) -> Mapping[str, SymbolRules] | StartRefusal:
    """The rules of those of `symbols` that the file has, or why it cannot be used, as one sentence."""
    try:
        with path.open("rb") as file:
            body = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        return _refused(f"rules file {path} cannot be read ({why}): name it with {SETTING}")
    if len(body) > FILE_BYTES_MAX:
        return _refused(f"rules file {path} has more than {FILE_BYTES_MAX} bytes: save exchangeInfo anew")
    info = read_exchange_info(body, frozenset(symbols))
    if info is None:
        return _refused(
            f"rules file {path} is not what the exchange answers to exchangeInfo: save that answer, or leave"
            f" {SETTING} out"
        )
    found = {reply.symbol: rules_of(_market_of(reply), reply) for reply in info.symbols}
    unreadable = [*info.unreadable, *(symbol for symbol, rules in found.items() if rules is None)]
    if unreadable:
        return _refused(
            f"rules file {path} has rules of {unreadable[0]} that make no sense: save exchangeInfo anew, or"
            " take the symbol out of execution.symbols"
        )
    return {symbol: rules for symbol, rules in found.items() if rules is not None}


def _market_of(reply: SymbolReply) -> Market:
    """Only contracts have a type."""
    return Market.SPOT if reply.contract_type is None else Market.FUTURES


def _refused(text: str) -> StartRefusal:
    return StartRefusal("configuration", text)


def _converted(given: terms.SymbolRules) -> SymbolRules:
    """The rules as they would be read from the exchange's own answer."""
    return SymbolRules(
        symbol=given.symbol,
        status=given.status,
        order_types=("LIMIT", "MARKET"),
        times_in_force=("GTC", "IOC", "FOK", "GTX"),
        price=Grid(given.tick, given.min_price, given.max_price),
        lot=Grid(given.step, given.min_qty, given.max_qty),
        market_lot=Grid(given.step, given.min_qty, given.market_max_qty),
        notional=Notional(minimum=given.min_notional, reduce_only_exempt=True),
        bands={"buy": Band(up=given.multiplier_up), "sell": Band(down=given.multiplier_down)},
    )
