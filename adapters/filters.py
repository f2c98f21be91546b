"""The exchange's rules for one symbol, and an order brought into line with them.

Pure. A quantity is rounded down and never up, not even to meet a minimum; a limit price goes to the
nearest tick. What the exchange would refuse is refused here, with the reason, before anything is sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from adapters.contract import OrderSide, Reject
from adapters.grid import (
    Grid,
    difference,
    floor_on,
    nearest_on,
    plain,
    product,
    quotient,
    usable,
)

MARKET_ORDER = "MARKET"
TRADING = "TRADING"


class Band(msgspec.Struct, frozen=True):
    """A limit price stays between `down` and `up` times the reference price; 0 does not bind."""

    down: Decimal = Decimal(0)
    up: Decimal = Decimal(0)


class Notional(msgspec.Struct, frozen=True):
    """Bounds of price times quantity; 0 does not bind."""

    minimum: Decimal = Decimal(0)
    maximum: Decimal = Decimal(0)
    minimum_of_market: bool = True
    maximum_of_market: bool = True
    # USDⓈ-M futures let a reduce-only order of any size close a position.
    reduce_only_exempt: bool = False


class SymbolRules(msgspec.Struct, frozen=True):
    """What an order of `symbol` has to keep to. Everything that is left out does not bind.

    `market_lot` binds market orders on top of `lot`. `places` cut numbers where no step does. `bands` are by
    side: against the mark price on futures, against the average price on spot.
    """

    symbol: str
    status: str = TRADING
    order_types: tuple[str, ...] = ()
    times_in_force: tuple[str, ...] = ()
    price: Grid = Grid()
    lot: Grid = Grid()
    market_lot: Grid = Grid()
    notional: Notional = Notional()
    bands: Mapping[OrderSide, Band] = {}
    price_places: int = 8
    qty_places: int = 8


class Aligned(msgspec.Struct, frozen=True):
    """Quantity and price as they may be sent; `rounding_diff` as in `contract.Order`, None: not rounded."""

    qty: Decimal
    price: Decimal | None
    rounding_diff: dict[str, str] | None = None


class Wanted(msgspec.Struct, frozen=True):
    """An order before the rules: `order_type` and `tif` in any case, `price` for limit orders alone.

    `reference_price` is what the exchange measures against (mark or average price); `book_price` stands in
    where a market order's value is meant. None: not known, and what needs it is left to the exchange.
    """

    side: OrderSide
    order_type: str
    tif: str
    qty: Decimal
    price: Decimal | None = None
    book_price: Decimal | None = None
    reference_price: Decimal | None = None
    reduce_only: bool = False


def size(order_size_usd: Decimal, price: Decimal) -> Decimal | Reject:
    """How much of the base asset `order_size_usd` buys at `price`, rounded down to 18 digits."""
    if not usable(order_size_usd):
        return Reject("invalid_quantity", f"the order size is {order_size_usd}, must be a number above 0")
    if not usable(price):
        return Reject("price_filter", f"the price is {price}, must be a number above 0")
    qty = quotient(order_size_usd, price)
    if not usable(qty):
        return Reject("invalid_quantity", f"{order_size_usd} at {price} is no quantity that can be traded")
    return qty


def align(rules: SymbolRules, wanted: Wanted) -> Aligned | Reject:
    """The order as it may be sent, or why it may not. Aligning what is aligned changes nothing."""
    if refusal := _not_taken(rules, wanted):
        return refusal
    price = None if _is_market(wanted) else _price(rules, wanted)
    if isinstance(price, Reject):
        return price
    qty = _quantity(rules, wanted)
    if isinstance(qty, Reject):
        return qty
    if refusal := _wrong_value(rules, wanted, qty, price):
        return refusal
    return Aligned(qty=qty, price=price, rounding_diff=_rounding(wanted, qty, price))


def _not_taken(rules: SymbolRules, wanted: Wanted) -> Reject | None:
    """Whether the symbol takes orders of this kind at all."""
    if rules.status != TRADING:
        return Reject("symbol_not_trading", f"{rules.symbol} has status {rules.status}, must be {TRADING}")
    order_type, tif = wanted.order_type.upper(), wanted.tif.upper()
    if rules.order_types and order_type not in rules.order_types:
        known = ", ".join(rules.order_types)
        return Reject("order_type_not_allowed", f"{rules.symbol} takes {known}, not {order_type}")
    if not _is_market(wanted) and rules.times_in_force and tif not in rules.times_in_force:
        known = ", ".join(rules.times_in_force)
        return Reject("time_in_force_not_allowed", f"{rules.symbol} takes {known}, not {tif}")
    return None


def _price(rules: SymbolRules, wanted: Wanted) -> Decimal | Reject:
    if wanted.price is None or not usable(wanted.price):
        return Reject("price_filter", f"the limit price is {wanted.price}, must be a number above 0")
    price = nearest_on(rules.price, wanted.price, places=rules.price_places)
    if price <= 0 or not rules.price.holds(price):
        bounds = _bounds(rules.price)
        return Reject("price_filter", f"{rules.symbol} takes prices {bounds}, not {plain(price)}")
    band, reference = rules.bands.get(wanted.side), wanted.reference_price
    if band is None or reference is None or not usable(reference):
        return price
    lowest, highest = product(band.down, reference), product(band.up, reference)
    if price < lowest or (highest and price > highest):
        bounds = _bounds(Grid(minimum=lowest, maximum=highest))
        return Reject(
            "percent_price",
            f"{rules.symbol} takes prices to {wanted.side} {bounds} at a reference of {plain(reference)},"
            f" not {plain(price)}",
        )
    return price


def _quantity(rules: SymbolRules, wanted: Wanted) -> Decimal | Reject:
    if not usable(wanted.qty):
        return Reject("invalid_quantity", f"the quantity is {wanted.qty}, must be a number above 0")
    grids = (rules.lot, rules.market_lot) if _is_market(wanted) else (rules.lot,)
    qty = floor_on(grids, wanted.qty, places=rules.qty_places)
    if qty is None:
        return Reject("invalid_quantity", f"{rules.symbol} has no quantity that fits both of its step sizes")
    if qty > 0 and all(grid.holds(qty) for grid in grids):
        return qty
    bounds = " and ".join(_bounds(grid) for grid in grids if not grid.holds(qty)) or "above 0"
    cut = plain(max(qty, Decimal(0)))
    return Reject(
        "invalid_quantity",
        f"{rules.symbol} takes quantities {bounds}, not {plain(wanted.qty)} cut to {cut}",
    )


def _wrong_value(rules: SymbolRules, wanted: Wanted, qty: Decimal, price: Decimal | None) -> Reject | None:
    """Whether price times quantity is out of bounds; a market order is valued at reference or book price."""
    market, notional = price is None, rules.notional
    at = price if price is not None else wanted.reference_price or wanted.book_price
    if at is None or not usable(at):
        return None
    value = product(qty, at)
    exempt = (notional.reduce_only_exempt and wanted.reduce_only) or (
        market and not notional.minimum_of_market
    )
    if value < notional.minimum and not exempt:
        return Reject(
            "min_notional",
            f"{rules.symbol} takes orders worth at least {plain(notional.minimum)},"
            f" not {plain(value)} ({plain(qty)} at {plain(at)})",
        )
    bound = not market or notional.maximum_of_market
    if notional.maximum and bound and value > notional.maximum:
        return Reject(
            "max_notional",
            f"{rules.symbol} takes orders worth at most {plain(notional.maximum)},"
            f" not {plain(value)} ({plain(qty)} at {plain(at)})",
        )
    return None


def _rounding(wanted: Wanted, qty: Decimal, price: Decimal | None) -> dict[str, str] | None:
    price_diff = "0" if price is None or wanted.price is None else difference(wanted.price, price)
    qty_diff = difference(wanted.qty, qty)
    if price_diff == qty_diff == "0":
        return None
    return {"price_diff": price_diff, "qty_diff": qty_diff}


def _bounds(grid: Grid) -> str:
    lowest, highest = plain(grid.minimum), plain(grid.maximum)
    return f"from {lowest} to {highest}" if grid.maximum else f"from {lowest}"


def _is_market(wanted: Wanted) -> bool:
    return wanted.order_type.upper() == MARKET_ORDER
