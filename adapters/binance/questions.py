"""What can be asked about orders, with the answers as facts: never an exception, never a guess.

An answer that is missing, refused or unreadable is a `Doubt`; only a plain "does not exist" is `Missing`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import TypeVar

import msgspec

from adapters.binance import wire
from adapters.binance.asking import Trouble, ask
from adapters.binance.client import Client
from adapters.binance.facts import OrderFact, TradeFact
from adapters.binance.history import orders_since, trades_since
from adapters.binance.market import DAY_MS, HISTORY_ROWS_MAX, Market
from adapters.binance.wire_replies import (
    OrderReply,
    TradeReply,
    read_balances,
    read_listen_key,
    read_order,
    read_orders,
    read_positions,
    read_server_time,
    read_trades,
)
from adapters.binance.wire_stream import OrderTradeUpdate

# Questions for a history at most: some 5 000 orders of one symbol in the window of one lookup, asked for in
# ever shorter spans.
PAGES_MAX = 20

T = TypeVar("T")


class Missing(msgspec.Struct, frozen=True):
    """The exchange says that it has no such order; soon after placing that proves nothing."""


class Doubt(msgspec.Struct, frozen=True):
    """Nothing was learned; `retry_at_ms` (host's wall clock) when it is known.

    `no_such_order`: the exchange's reason, which only says something where one order was asked for.
    `refused`: asking again is of no use.
    """

    why: str
    retry_at_ms: int | None = None
    no_such_order: bool = False
    refused: bool = False


class Questions:
    """The questions of lookups (`urgent`: they may use the budget's head-room) or of mere looking on."""

    def __init__(self, client: Client, market: Market, *, urgent: bool) -> None:
        self._client = client
        self._market = market
        self._urgent = urgent

    async def server_time(self) -> int | Doubt:
        """The exchange's own clock, now."""
        return await self._ask("the exchange's time", wire.server_time(self._market), read_server_time)

    async def order(self, symbol: str, client_order_id: str) -> OrderFact | Missing | Doubt:
        """One order by its client order id."""
        request = wire.query_order(self._market, symbol, client_order_id)
        answer = await self._ask("the order", request, lambda body: _fact(read_order(body)))
        if isinstance(answer, Doubt):
            return Missing() if answer.no_such_order else answer
        if (answer.client_order_id, answer.symbol) != (client_order_id, symbol):
            return Doubt("the order: the answer is about another order")
        return answer

    async def open_orders(self, symbol: str) -> Sequence[OrderFact] | Doubt:
        """Every order of `symbol` that works."""
        return await self._ask("open orders", wire.open_orders(self._market, symbol), _facts)

    async def history(self, symbol: str, start_ms: int) -> Sequence[OrderFact] | Doubt:
        """Every order of `symbol` since `start_ms`."""
        found = await orders_since(self._client, symbol, start_ms, urgent=self._urgent, pages_max=PAGES_MAX)
        if isinstance(found, Trouble):
            return _doubt("the order history", found)
        facts = tuple(fact for fact in map(_fact, found) if fact is not None)
        return facts if len(facts) == len(found) else Doubt("the order history: an order without its terms")

    async def orders_from(self, symbol: str, order_id: int, limit: int) -> Sequence[OrderFact] | Doubt:
        """The orders of `symbol` from this one of the exchange's own ids on, however old; at most `limit`."""
        request = wire.all_orders(self._market, symbol, from_order_id=order_id, limit=limit)
        return await self._ask("the order history", request, _facts)

    async def trades(self, symbol: str, start_ms: int) -> Sequence[TradeFact] | Doubt:
        """Every trade of `symbol` since `start_ms`."""
        found = await trades_since(self._client, symbol, start_ms, urgent=self._urgent, pages_max=PAGES_MAX)
        return _doubt("the trades", found) if isinstance(found, Trouble) else tuple(map(_trade_fact, found))

    async def trades_of(self, symbol: str, order_id: int) -> Sequence[TradeFact] | Doubt:
        """The trades of one order; where a page does not hold them, those of the day before it as well."""
        request = wire.trades(self._market, symbol, order_id=order_id)
        page = await self._ask("the order's trades", request, _trade_facts)
        if isinstance(page, Doubt) or len(page) < HISTORY_ROWS_MAX:
            return page
        first_ms = min((trade.at_ms for trade in page if trade.at_ms is not None), default=0)
        others = await self.trades(symbol, max(0, first_ms - DAY_MS))
        if isinstance(others, Doubt):
            return page
        # Some are in both: trades are told apart by their ids.
        return (*page, *(trade for trade in others if trade.order_id == order_id))

    async def position(self, symbol: str) -> Decimal | Doubt | None:
        """The signed position; None on spot, which has balances instead."""
        if self._market is not Market.FUTURES:
            return None

        def amount(body: bytes) -> Decimal | None:
            positions = read_positions(body)
            if positions is None:
                return None
            return sum((one.position_amt for one in positions if one.symbol == symbol), Decimal(0))

        return await self._ask("the position", wire.position_risk(symbol), amount)

    async def balance(self, asset: str) -> Decimal | Doubt:
        """All there is of `asset`, what open orders hold back included; 0 when there is none."""

        def total(body: bytes) -> Decimal | None:
            balances = read_balances(self._market, body)
            if balances is None:
                return None
            return sum((one.total for one in balances if one.asset == asset), Decimal(0))

        return await self._ask("the balance", wire.balance(self._market), total)

    async def last_trade_id(self, symbol: str) -> int | Doubt:
        """The id of the latest trade of `symbol`; -1 when there is none."""
        latest = await self._ask("the trades", wire.trades(self._market, symbol, limit=1), _trade_facts)
        if isinstance(latest, Doubt):
            return latest
        return max((trade.trade_id for trade in latest), default=-1)

    async def trades_after(self, symbol: str, trade_id: int) -> Sequence[TradeFact] | Doubt:
        """Every trade of `symbol` with a greater id."""

        def page(last: TradeFact | None) -> wire.Request:
            first_id = (trade_id if last is None else last.trade_id) + 1
            return wire.trades(self._market, symbol, from_trade_id=first_id)

        return await self._pages("the trades", page, _trade_facts)

    async def create_listen_key(self) -> str | Doubt:
        """The key of the user stream; a secret."""
        return await self._ask("a listen key", wire.listen_key_create(), read_listen_key)

    async def extend_listen_key(self) -> Doubt | None:
        """Another hour for the key of the user stream; None when it was given."""
        answer = await self._ask("the listen key", wire.listen_key_extend(), lambda body: body)
        return answer if isinstance(answer, Doubt) else None

    async def _pages(
        self,
        what: str,
        request: Callable[[T | None], wire.Request],
        read: Callable[[bytes], Sequence[T] | None],
    ) -> Sequence[T] | Doubt:
        """All pages; `request` is given the last row of the page before. Too many are a Doubt."""
        rows: list[T] = []
        for _ in range(PAGES_MAX):
            page = await self._ask(what, request(rows[-1] if rows else None), read)
            if isinstance(page, Doubt):
                return page
            rows += page
            if len(page) < HISTORY_ROWS_MAX:
                return rows
        return Doubt(f"{what}: more than {PAGES_MAX * HISTORY_ROWS_MAX} rows")

    async def _ask(self, what: str, request: wire.Request, read: Callable[[bytes], T | None]) -> T | Doubt:
        answer = await ask(self._client, request, read, urgent=self._urgent)
        if isinstance(answer, Trouble):
            return _doubt(what, answer)
        return answer


def facts_of_event(event: OrderTradeUpdate) -> tuple[OrderFact, TradeFact | None]:
    """What one event of the user stream says: the order, and the trade when it tells of one."""
    order = OrderFact(
        client_order_id=event.client_order_id,
        order_id=event.order_id,
        symbol=event.symbol,
        side=event.side,
        order_type=event.order_type,
        qty=event.orig_qty,
        price=event.price or None,
        status=event.status,
        executed_qty=event.cum_qty,
        at_ms=event.transaction_ms,
    )
    if event.trade_id is None or event.last_qty <= 0:
        return order, None
    return order, TradeFact(
        trade_id=event.trade_id,
        order_id=event.order_id,
        qty=event.last_qty,
        price=event.last_price,
        fee=event.commission or Decimal(0),
        fee_asset=event.commission_asset or "",
        at_ms=event.transaction_ms,
    )


def _doubt(what: str, trouble: Trouble) -> Doubt:
    return Doubt(
        why=f"{what}: {trouble.text}",
        retry_at_ms=trouble.retry_at_ms,
        no_such_order=trouble.kind == "missing",
        refused=trouble.kind == "refused",
    )


def _fact(reply: OrderReply | None) -> OrderFact | None:
    """The reply as a fact; None when it leaves out what a whole one tells."""
    if reply is None or reply.status is None or reply.side is None or reply.type is None:
        return None
    if reply.orig_qty is None or reply.executed_qty is None:
        return None
    return OrderFact(
        client_order_id=reply.our_id,
        order_id=reply.order_id,
        symbol=reply.symbol,
        side=reply.side,
        order_type=reply.type,
        qty=reply.orig_qty,
        price=reply.price or None,
        status=reply.status,
        executed_qty=reply.executed_qty,
        created_ms=reply.time,
        at_ms=reply.update_time,
    )


def _facts(body: bytes) -> tuple[OrderFact, ...] | None:
    replies = read_orders(body)
    if replies is None:
        return None
    facts = tuple(fact for fact in map(_fact, replies) if fact is not None)
    return facts if len(facts) == len(replies) else None


def _trade_fact(reply: TradeReply) -> TradeFact:
    return TradeFact(
        trade_id=reply.id,
        order_id=reply.order_id,
        qty=reply.qty,
        price=reply.price,
        fee=reply.commission,
        fee_asset=reply.commission_asset,
        at_ms=reply.time,
        buys=reply.is_buyer,
    )


def _trade_facts(body: bytes) -> tuple[TradeFact, ...] | None:
    replies = read_trades(body)
    return None if replies is None else tuple(map(_trade_fact, replies))
