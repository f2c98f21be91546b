"""Placing and cancelling: what an order must look like, and what the engine asks before it takes it."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from adapters.exchange import refusals
from adapters.exchange.accounts import order_margin, position_margin, unrealized
from adapters.exchange.call import Answer, Call, Venue
from adapters.exchange.filters import refuse_futures, refuse_spot
from adapters.exchange.orders import ZERO, LiveOrder, Terms
from adapters.exchange.refusals import Refusal, mandatory, not_required

CONDITIONAL = frozenset({"STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET"})
FUTURES_TIFS = ("GTC", "IOC", "FOK", "GTX")
SPOT_TIFS = ("GTC", "IOC", "FOK")
ID_LENGTH = 22


def new_order(venue: Venue, call: Call) -> Answer | Refusal:
    """POST order: one order, at once or, when the fault plan says so, later."""
    terms = read_terms(venue, call)
    if isinstance(terms, Refusal):
        return terms
    # Counted here already: what reaches the engine uses the account's budget, taken or not.
    over = venue.limiter.take_order(terms.account, venue.timeline.now_ms)
    if over is not None:
        return over
    if call.late_ms:
        venue.timeline.after(call.late_ms, lambda: _place_late(venue, call, terms))
        return {}
    order = place(venue, call, terms)
    if isinstance(order, Refusal):
        return order
    default = "ACK" if venue.market == "futures" else "FULL"
    return venue.words.placed(
        order, venue.rules[terms.symbol], call.params.get("newOrderRespType", default).upper()
    )


def test_order(venue: Venue, call: Call) -> Answer | Refusal:
    """POST order/test: everything but the order itself."""
    terms = read_terms(venue, call)
    if isinstance(terms, Refusal):
        return terms
    return refuse(venue, terms) or {}


def place(venue: Venue, call: Call, terms: Terms) -> LiveOrder | Refusal:
    """The engine's door: accept the order or say why not."""
    refusal = refuse(venue, terms)
    if refusal is not None:
        return refusal
    now_ms = venue.timeline.now_ms
    return venue.matcher.accept(
        terms,
        query_ms=now_ms + call.hidden_ms if call.hidden_ms else 0,
        listed_ms=now_ms + call.unlisted_ms if call.unlisted_ms else 0,
    )


def _place_late(venue: Venue, call: Call, terms: Terms) -> None:
    refusal = place(venue, call, terms)
    if isinstance(refusal, Refusal):
        venue.journal.write(
            "refused_late",
            account=terms.account,
            symbol=terms.symbol,
            client_order_id=terms.client_order_id,
            code=refusal.code,
        )


def refuse(venue: Venue, terms: Terms) -> Refusal | None:
    """What speaks against the order at this moment; the order of the questions is the exchange's."""
    if terms.fence_ms is not None and terms.fence_ms < venue.timeline.now_ms:
        return refusals.OUTSIDE_ENGINE_WINDOW if venue.market == "futures" else refusals.OUTSIDE_WINDOW
    rules, middle = venue.rules[terms.symbol], venue.quotes.middle(terms.symbol)
    filtered = (refuse_futures if venue.market == "futures" else refuse_spot)(terms, rules, middle)
    if filtered is not None:
        return filtered
    if venue.book.open_twin(terms.account, terms.symbol, terms.client_order_id) is not None:
        return refusals.DUPLICATE_FUTURES if venue.market == "futures" else refusals.DUPLICATE_SPOT
    if len(list(venue.book.open_orders(terms.account, terms.symbol))) >= rules.open_orders_max:
        return refusals.TOO_MANY_OPEN if venue.market == "futures" else refusals.spot_filter("MAX_NUM_ORDERS")
    funds = (
        _refuse_futures_account(venue, terms) if venue.market == "futures" else _refuse_funds(venue, terms)
    )
    return funds or _refuse_tif(venue, terms)


def _refuse_futures_account(venue: Venue, terms: Terms) -> Refusal | None:
    account = venue.accounts[terms.account]
    if account.hedge is (terms.position_side == "BOTH"):
        return refusals.WRONG_POSITION_SIDE
    reducible = account.reducible(terms)
    closes = terms.position_side in ("LONG", "SHORT") and (terms.sign > 0) is (terms.position_side == "SHORT")
    if (terms.reduce_only and not reducible) or (closes and reducible < terms.qty):
        return refusals.REDUCE_ONLY
    adds = ZERO if terms.reduce_only or closes else max(terms.qty - reducible, ZERO)
    price = terms.price or venue.quotes.taken(terms)
    needed = adds * price / account.leverage_of(terms.symbol, venue.policy)
    return refusals.INSUFFICIENT_MARGIN if needed > available_margin(venue, terms.account) else None


def available_margin(venue: Venue, name: str) -> Decimal:
    """What the account may still bind: wallet and open profit, without what is bound already."""
    account, policy, middle = venue.accounts[name], venue.policy, venue.quotes.middle
    wallet = account.balances.get("USDT", ZERO)
    bound = position_margin(account, policy, middle)
    bound += order_margin(account, policy, venue.book.open_orders(name), middle)
    return wallet + unrealized(account, middle) - bound


def _refuse_funds(venue: Venue, terms: Terms) -> Refusal | None:
    account, rules = venue.accounts[terms.account], venue.rules[terms.symbol]
    asset = rules.quote_asset if terms.side == "BUY" else rules.base_asset
    needed = terms.qty
    if terms.side == "BUY":
        needed *= terms.price or venue.quotes.ask(terms.symbol)
    free = account.balances.get(asset, ZERO) - venue.matcher.locked_of(account).get(asset, ZERO)
    return refusals.INSUFFICIENT_BALANCE if needed > free else None


def _refuse_tif(venue: Venue, terms: Terms) -> Refusal | None:
    """All-or-nothing and maker-only orders that cannot be; these are never recorded."""
    crosses = venue.quotes.crosses(terms)
    if venue.market == "spot":
        return refusals.MAKER_ONLY_SPOT if terms.type == "LIMIT_MAKER" and crosses else None
    if terms.tif == "GTX" and crosses:
        return refusals.GTX_REJECTED
    if terms.tif == "FOK" and not (crosses and venue.matcher.available(terms, terms.qty) >= terms.qty):
        return refusals.FOK_REJECTED
    return None


def read_terms(venue: Venue, call: Call) -> Terms | Refusal:
    """The order's terms from its parameters, or what is wrong with them."""
    params = call.params
    missing = next((name for name in ("symbol", "side", "type") if name not in params), None)
    if missing is not None:
        return mandatory(missing)
    if params["symbol"] not in venue.rules:
        return refusals.INVALID_SYMBOL
    if params["side"] not in ("BUY", "SELL"):
        return refusals.INVALID_SIDE
    refusal = _check_type(venue, call)
    if refusal is not None:
        return refusal
    side: Literal["BUY", "SELL"] = "BUY" if params["side"] == "BUY" else "SELL"
    client_id = params.get("newClientOrderId") or generated_id(venue)
    return Terms(
        account=call.owner.name,
        symbol=params["symbol"],
        side=side,
        type=params["type"],
        tif=params.get("timeInForce", "GTC"),
        qty=Decimal(params["quantity"]),
        price=Decimal(params["price"]) if "price" in params else None,
        client_order_id=client_id,
        position_side=params.get("positionSide", "BOTH"),
        reduce_only=params.get("reduceOnly", "false").lower() == "true",
        fence_ms=call.fence_ms,
    )


def _check_type(venue: Venue, call: Call) -> Refusal | None:
    """Which parameters this order type must have, and which it must not."""
    params, kind = call.params, call.params["type"]
    futures = venue.market == "futures"
    needed: tuple[str, ...]
    excess: tuple[str, ...] = ()
    match kind:
        case "LIMIT":
            needed = ("timeInForce", "quantity", "price")
        case "MARKET":
            needed, excess = ("quantity",), ("timeInForce", "price")
        case "LIMIT_MAKER" if not futures:
            needed, excess = ("quantity", "price"), ("timeInForce",)
        case _:
            return refusals.CONDITIONAL_ORDER if futures and kind in CONDITIONAL else refusals.INVALID_TYPE
    for name in needed:
        if name not in params:
            return mandatory(name)
    for name in excess:
        if name in params:
            return not_required(name)
    if params.get("timeInForce", "GTC") not in (FUTURES_TIFS if futures else SPOT_TIFS):
        return refusals.INVALID_TIME_IN_FORCE
    return _check_sides(call) if futures else None


def _check_sides(call: Call) -> Refusal | None:
    if call.params.get("positionSide", "BOTH") not in ("BOTH", "LONG", "SHORT"):
        return Refusal(400, -4060, "Invalid position side.")
    if call.owner.hedge and "reduceOnly" in call.params:
        return not_required("reduceOnly")
    return None


def generated_id(venue: Venue) -> str:
    """A client order id for an order that came without."""
    alphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
    return "".join(venue.dice.choice(alphabet) for _ in range(ID_LENGTH))


def cancel_order(venue: Venue, call: Call) -> Answer | Refusal:
    """DELETE order: stop an open one, by number or client order id."""
    named = named_order(call)
    if isinstance(named, Refusal):
        return named
    symbol, order_id, client_id = named
    if symbol not in venue.rules:
        return refusals.INVALID_SYMBOL
    owner = call.owner.name
    if order_id is not None:
        order = venue.book.find(owner, symbol, order_id, "", venue.timeline.now_ms)
    else:
        order = venue.book.open_twin(owner, symbol, client_id)
    if order is None or not order.is_open:
        return refusals.UNKNOWN_ORDER
    order.cancel_id = call.params.get("newClientOrderId") or generated_id(venue)
    venue.matcher.end(order, "CANCELED")
    return venue.words.canceled(order, venue.rules[symbol])


def named_order(call: Call) -> tuple[str, int | None, str] | Refusal:
    """Symbol, number and client order id of the order that a request speaks of."""
    if "symbol" not in call.params:
        return mandatory("symbol")
    order_id, client_id = call.number("orderId"), call.params.get("origClientOrderId", "")
    if order_id is None and not client_id:
        text = "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!"
        return Refusal(400, -1102, text)
    return call.params["symbol"], order_id, client_id


def cancel_all(venue: Venue, call: Call) -> Answer | Refusal:
    """DELETE allOpenOrders (futures), DELETE openOrders (spot): everything of one symbol."""
    symbol = call.params.get("symbol")
    if symbol is None:
        return mandatory("symbol")
    if symbol not in venue.rules:
        return refusals.INVALID_SYMBOL
    orders = list(venue.book.open_orders(call.owner.name, symbol))
    if venue.market == "spot" and not orders:
        return refusals.UNKNOWN_ORDER
    for order in orders:
        order.cancel_id = generated_id(venue)
        venue.matcher.end(order, "CANCELED")
    if venue.market == "futures":
        return {"code": 200, "msg": "The operation of cancel all open order is done."}
    return [venue.words.canceled(order, venue.rules[symbol]) for order in orders]


def countdown(venue: Venue, call: Call) -> Answer | Refusal:
    """POST countdownCancelAll: cancel a symbol's orders unless asked again in time; 0 stops the clock."""
    symbol, wait_ms = call.params.get("symbol"), call.number("countdownTime")
    if symbol is None or wait_ms is None:
        return mandatory("symbol" if symbol is None else "countdownTime")
    if symbol not in venue.rules:
        return refusals.INVALID_SYMBOL
    account = call.owner
    mark = account.countdowns[symbol] = account.countdowns.get(symbol, 0) + 1

    def ring() -> None:
        if account.countdowns[symbol] == mark:
            for order in list(venue.book.open_orders(account.name, symbol)):
                venue.matcher.end(order, "CANCELED")

    if wait_ms:
        venue.timeline.after(wait_ms, ring)
    return {"symbol": symbol, "countdownTime": str(wait_ms)}
