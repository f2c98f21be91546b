"""The filters that an order must pass, in the market's own codes and words.

`middle` is the mark price on futures and stands in for the weighted average price on spot.
"""

from __future__ import annotations

from decimal import Decimal

from adapters.exchange import refusals
from adapters.exchange.orders import Terms
from adapters.exchange.refusals import Refusal, spot_filter
from adapters.exchange.terms import SymbolRules


def refuse_futures(terms: Terms, rules: SymbolRules, middle: Decimal) -> Refusal | None:
    """What is wrong with a futures order by its symbol's rules."""
    if rules.status != "TRADING":
        return refusals.SYMBOL_CLOSED
    return (
        _futures_qty(terms, rules) or _futures_price(terms, rules, middle) or _notional(terms, rules, middle)
    )


def _futures_qty(terms: Terms, rules: SymbolRules) -> Refusal | None:
    qty = terms.qty
    if qty <= 0:
        return refusals.ZERO_QUANTITY
    if places(qty) > rules.qty_precision:
        return refusals.TOO_PRECISE
    if qty < rules.min_qty:
        return refusals.QUANTITY_TOO_SMALL
    if qty > (rules.market_max_qty if terms.type == "MARKET" else rules.max_qty):
        return refusals.QUANTITY_TOO_LARGE
    return refusals.QUANTITY_OFF_STEP if (qty - rules.min_qty) % rules.step else None


def _futures_price(terms: Terms, rules: SymbolRules, middle: Decimal) -> Refusal | None:
    price = terms.price
    if price is None:
        return None
    if places(price) > rules.price_precision:
        return refusals.TOO_PRECISE
    if price < rules.min_price:
        return refusals.PRICE_TOO_SMALL
    if price > rules.max_price:
        return refusals.PRICE_TOO_LARGE
    if (price - rules.min_price) % rules.tick:
        return refusals.PRICE_OFF_TICK
    highest, lowest = middle * rules.multiplier_up, middle * rules.multiplier_down
    if terms.side == "BUY" and price > highest:
        return Refusal(400, -4016, f"Limit price can't be higher than {highest:.{rules.price_precision}f}.")
    if terms.side == "SELL" and price < lowest:
        return Refusal(400, -4024, f"Limit price can't be lower than {lowest:.{rules.price_precision}f}.")
    return None


def _notional(terms: Terms, rules: SymbolRules, middle: Decimal) -> Refusal | None:
    if terms.reduce_only or terms.qty * (terms.price or middle) >= rules.min_notional:
        return None
    text = (
        f"Order's notional must be no smaller than {rules.min_notional.normalize():f}"
        " (unless you choose reduce only)."
    )
    return Refusal(400, -4164, text)


def refuse_spot(terms: Terms, rules: SymbolRules, middle: Decimal) -> Refusal | None:
    """What is wrong with a spot order by its symbol's rules."""
    if rules.status != "TRADING":
        return refusals.MARKET_CLOSED
    if terms.qty <= 0:
        return Refusal(400, -1013, "Invalid quantity.")
    if places(terms.qty) > rules.qty_precision:
        return Refusal(400, -1111, "Parameter 'quantity' has too much precision.")
    return _spot_price(terms, rules, middle) or _spot_qty(terms, rules, middle)


def _spot_price(terms: Terms, rules: SymbolRules, middle: Decimal) -> Refusal | None:
    price = terms.price
    if price is None:
        return None
    if price <= 0:
        return Refusal(400, -1013, "Invalid price.")
    if places(price) > rules.price_precision:
        return Refusal(400, -1111, "Parameter 'price' has too much precision.")
    if not rules.min_price <= price <= rules.max_price or (price - rules.min_price) % rules.tick:
        return spot_filter("PRICE_FILTER")
    if not middle * rules.multiplier_down <= price <= middle * rules.multiplier_up:
        return spot_filter("PERCENT_PRICE_BY_SIDE")
    return None


def _spot_qty(terms: Terms, rules: SymbolRules, middle: Decimal) -> Refusal | None:
    qty = terms.qty
    if not rules.min_qty <= qty <= rules.max_qty or (qty - rules.min_qty) % rules.step:
        return spot_filter("LOT_SIZE")
    if terms.type == "MARKET" and qty > rules.market_max_qty:
        return spot_filter("MARKET_LOT_SIZE")
    return spot_filter("NOTIONAL") if qty * (terms.price or middle) < rules.min_notional else None


def places(value: Decimal) -> int:
    """Decimals that mean something: trailing zeros do not."""
    exponent = value.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0
