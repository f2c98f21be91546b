"""What people do to an account by hand: look at it, cancel what works, close a position.

Plain functions over an adapter that was opened and not started: no ledger, no background, no guards, since
whoever wants out of a position must not be kept in it by a clock. Values come back, the words are the
command's. Nothing here is repeated by itself; all of it may be repeated by a person.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from decimal import Decimal

import msgspec

from adapters.binance import account, answers, wire
from adapters.binance.account import FINAL
from adapters.binance.adapter import BinanceAdapter
from adapters.binance.asking import Trouble, ask, judged, listens_again_ms
from adapters.binance.client import Replied
from adapters.binance.market import Market
from adapters.binance.starting import read_rules
from adapters.binance.wire_replies import OrderReply, PositionReply, read_error, read_order
from adapters.contract import (
    Accepted,
    Order,
    OrderSide,
    PastOrder,
    Reject,
    SubmitResult,
    Unknown,
    WindowUsage,
)
from adapters.filters import SymbolRules, Wanted, align
from config.seams import Clock

# Orders that a person placed to close a position; those of signals begin with another one.
FLATTEN_PREFIX = "ewf-"
# Samples of a round that broke off count: the next one goes on from there.
READY_ATTEMPTS_MAX = 3
# A market order is filled at once or never; the reply to a question may get lost.
FATE_ASKED_MAX = 20
FATE_PAUSE_S = 0.5


class AccountState(msgspec.Struct, frozen=True):
    """Everything at one look. `deadline_ms` (the venue's clock): it wants to hear nothing before; 0: it does.

    `orders` are all that work on the given symbols, whoever placed them; `clock_offset_ms` is the venue's
    clock minus the host's.
    """

    balances: dict[str, Decimal]
    positions: tuple[PositionReply, ...]
    orders: tuple[PastOrder, ...]
    usage: tuple[WindowUsage, ...]
    deadline_ms: int
    clock_offset_ms: int


class Canceled(msgspec.Struct, frozen=True):
    """`done`: no order of `symbol` works any more. `ended` were working before, `left` still are."""

    symbol: str
    done: bool
    ended: tuple[str, ...]
    left: tuple[str, ...]
    text: str = ""


class Flattened(msgspec.Struct, frozen=True):
    """`done`: the position is 0 now. `after` is None when it cannot be told, `order` when none was made."""

    symbol: str
    done: bool
    before: Decimal
    after: Decimal | None
    order: Order | None
    text: str = ""


async def ready(adapter: BinanceAdapter, deadline_ms: int = 0) -> Trouble | None:
    """The venue's clock, which every signed call needs; first of all, and asked for a few times.

    `deadline_ms` (the venue's clock) is what a worker has kept: whoever asks into a ban makes it longer.
    """
    client = adapter.client
    client.budget.deadline_until(deadline_ms, client.exchange_clock.now_ms())
    why: str | None = None
    for _ in range(READY_ATTEMPTS_MAX):
        why = await adapter.client.sync_clock()
        if adapter.client.exchange_clock.synced:
            return None
    return Trouble("unavailable", why or "the exchange's clock was not read")


async def look(adapter: BinanceAdapter, symbols: Sequence[str]) -> AccountState | Trouble:
    """Balances, positions, the orders that work on `symbols`, and how much of the limits is spent."""
    client = adapter.client
    held = await account.balances(client)
    if isinstance(held, Trouble):
        return held
    positions: Sequence[PositionReply] = ()
    if client.market is Market.FUTURES:
        found = await account.positions_of(client)
        if isinstance(found, Trouble):
            return found
        positions = found
    orders: list[PastOrder] = []
    for symbol in symbols:
        working = await account.working(client, symbol, everybodys)
        if isinstance(working, Trouble):
            return working
        orders.extend(working)
    return AccountState(
        balances={one.asset: one.free for one in held},
        positions=tuple(positions),
        orders=tuple(orders),
        usage=tuple(adapter.usage),
        deadline_ms=adapter.deadline_ms,
        clock_offset_ms=adapter.clock_offset_ms,
    )


async def cancel_all(adapter: BinanceAdapter, symbol: str) -> Canceled | Trouble:
    """Every order of `symbol` shall work no longer, whoever placed it; looked at before and after."""
    client = adapter.client
    before = await account.working(client, symbol, everybodys)
    if isinstance(before, Trouble):
        return before
    if not before:
        return Canceled(symbol, True, (), ())
    said = await ask(client, wire.cancel_all(client.market, symbol), _anything, urgent=True)
    after = await account.working(client, symbol, everybodys)
    if isinstance(after, Trouble):
        return after
    left = tuple(order.update.client_order_id for order in after)
    ended = tuple(
        order.update.client_order_id for order in before if order.update.client_order_id not in left
    )
    text = said.text if isinstance(said, Trouble) and left else ""
    return Canceled(symbol, not left, ended, left, text)


async def flatten(
    adapter: BinanceAdapter, symbol: str, clock: Clock, *, send_window_ms: int, recv_window_ms: int
) -> Flattened | Trouble:
    """Close the position of `symbol` by one reduce-only market order, which can never turn it around."""
    client = adapter.client
    if client.market is not Market.FUTURES:
        return Trouble("refused", "spot has balances and no positions: sell by hand what is to be sold")
    before = await account.position(client, symbol, None)
    if isinstance(before, Trouble):
        return before
    if not before:
        return Flattened(symbol, True, before, before, None)
    rules = await read_rules(client, (symbol,))
    if isinstance(rules, Trouble):
        return rules
    if symbol not in rules.of:
        return Trouble("missing", f"there is no symbol {symbol}")
    now_ms = client.exchange_clock.now_ms()
    order = closing_order(rules.of[symbol], before, now_ms + send_window_ms, recv_window_ms)
    if isinstance(order, Reject):
        return Flattened(symbol, False, before, before, None, order.text)
    result = await _placed(adapter, order)
    text = "" if isinstance(result, Accepted) else _text_of(result)
    if isinstance(result, Accepted | Unknown):
        await _fate(adapter, order, clock)
    after = await account.position(client, symbol, None)
    if isinstance(after, Trouble):
        return Flattened(symbol, False, before, None, order, text or after.text)
    return Flattened(symbol, not after, before, after, order, text)


def closing_order(
    rules: SymbolRules, position: Decimal, send_before_ms: int, recv_window_ms: int
) -> Order | Reject:
    """The order that closes as much of `position` as one market order may."""
    side: OrderSide = "sell" if position > 0 else "buy"
    ceilings = [grid.maximum for grid in (rules.lot, rules.market_lot) if grid.maximum]
    qty = min([abs(position), *ceilings])
    aligned = align(rules, Wanted(side=side, order_type="market", tif="GTC", qty=qty, reduce_only=True))
    if isinstance(aligned, Reject):
        return aligned
    return Order(
        client_order_id=flatten_id(rules.symbol, send_before_ms),
        symbol=rules.symbol,
        side=side,
        order_type="market",
        tif="GTC",
        qty=aligned.qty,
        price=None,
        signal_id="",
        send_before_ms=send_before_ms,
        recv_window_ms=recv_window_ms,
        reduce_only=True,
    )


def flatten_id(symbol: str, at_ms: int) -> str:
    """A client order id of its own prefix; two of one symbol within a millisecond would be the same."""
    digest = hashlib.blake2b(f"{symbol}|{at_ms}".encode(), digest_size=15, person=b"ew-flatten").digest()
    return FLATTEN_PREFIX + base64.b32encode(digest).decode("ascii").lower()


def everybodys(client_order_id: str) -> bool:
    """People see and cancel all orders, those of other programs too."""
    return True


async def _placed(adapter: BinanceAdapter, order: Order) -> SubmitResult:
    client = adapter.client
    answer = await client.call(
        wire.new_order(client.market, order),
        timestamp_max_ms=order.send_before_ms,
        recv_window_ms=order.recv_window_ms,
    )
    said = judged(client, answer, placing=True) if isinstance(answer, Replied) else None
    deadline_ms = listens_again_ms(client)
    return answers.outcome(order, answer, said, deadline_wall_ms=deadline_ms).result


async def _fate(adapter: BinanceAdapter, order: Order, clock: Clock) -> OrderReply | Trouble:
    """What became of it, once it has ended, or the last word after a bounded time."""
    client = adapter.client
    request = wire.query_order(client.market, order.symbol, order.client_order_id)
    found: OrderReply | Trouble = Trouble("unavailable", "not asked")
    for _ in range(FATE_ASKED_MAX):
        found = await ask(client, request, read_order, urgent=True)
        if isinstance(found, OrderReply) and (found.state in FINAL or found.status == "REJECTED"):
            break
        await clock.sleep(FATE_PAUSE_S)
    return found


def _text_of(result: SubmitResult) -> str:
    return result.why if isinstance(result, Unknown) else getattr(result, "text", "")


def _anything(body: bytes) -> bool | None:
    """Futures answer with a code and a word, spot with the canceled orders: both mean that it was done."""
    return None if read_error(body) is None and not body.startswith(b"[") else True
