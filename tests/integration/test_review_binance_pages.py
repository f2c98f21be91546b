"""Histories longer than a page, whichever end of a span the exchange answers with."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Literal
from urllib.parse import parse_qsl

import msgspec
import pytest
from rig.virtual_clock import START_MS, VirtualClock, in_virtual_time, virtual_clock

from adapters.binance.budget import FUTURES_LIMITS, Budget
from adapters.binance.client import Client
from adapters.binance.exchange_clock import ExchangeClock
from adapters.binance.market import Market
from adapters.binance.questions import Doubt, Questions
from adapters.binance.signing import HmacSigner
from adapters.binance.transport import FirstMessage, HttpReply, HttpRequest, StreamClosed, WireResult
from adapters.contract import Guard

End = Literal["oldest", "latest"]


class Archive:
    """A wire to an exchange that has `count` filled orders, `per_ms` of them in each millisecond."""

    def __init__(self, clock: VirtualClock, count: int, end: End, *, per_ms: int = 1) -> None:
        self._clock = clock
        self._end = end
        self._rows = [self._row(number, START_MS + number // per_ms) for number in range(count)]
        self.asked = 0

    def _row(self, number: int, at_ms: int) -> dict[str, object]:
        shared = {"orderId": number, "symbol": "BTCUSDT", "price": "1", "time": at_ms, "qty": "1"}
        order = {"clientOrderId": f"c{number}", "status": "FILLED", "side": "BUY", "type": "LIMIT"}
        amounts = {"origQty": "1", "executedQty": "1", "updateTime": at_ms}
        return {**shared, **order, **amounts, "id": number, "commission": "0", "commissionAsset": "USDT"}

    async def request(
        self, request: HttpRequest, *, timeout_s: float, guard: Guard | None = None
    ) -> WireResult:
        assert guard is not None
        assert guard() is None
        await self._clock.sleep(0.001)
        if request.path.endswith("/time"):
            return HttpReply(200, {}, b'{"serverTime":%d}' % self._clock.wall_ms())
        self.asked += 1
        asked = dict(parse_qsl(request.query))
        first = asked.get("fromId", asked.get("orderId"))
        rows = [
            row
            for row in self._rows
            if int(asked.get("startTime", 0)) <= int(str(row["time"])) <= int(asked.get("endTime", 2**62))
            and (first is None or int(str(row["id"])) >= int(first))
        ]
        limit = int(asked["limit"])
        page = rows[:limit] if first is not None or self._end == "oldest" else rows[-limit:]
        return HttpReply(200, {}, msgspec.json.encode(page))

    async def stream(
        self,
        path: str,
        opened: Callable[[], None] | None = None,
        *,
        first: FirstMessage | None = None,
    ) -> AsyncIterator[bytes | StreamClosed]:
        yield StreamClosed("none here")

    async def close(self) -> None:
        """Nothing to close."""


async def _questions(archive: Archive, clock: VirtualClock) -> Questions:
    client = Client(
        Market.FUTURES,
        archive,
        HmacSigner("key", "secret"),
        clock,
        ExchangeClock(clock),
        Budget(FUTURES_LIMITS, order_weight=0),
        recv_window_ms=5_000,
        request_timeout_s=10.0,
    )
    assert await client.sync_clock() is None
    await clock.sleep(10.0)
    return Questions(client, Market.FUTURES, urgent=True)


@pytest.mark.parametrize("end", ["oldest", "latest"])
@pytest.mark.parametrize("count", [999, 1_000, 2_500])
@in_virtual_time
async def test_every_order_and_trade_of_a_span_is_known(count: int, end: End) -> None:
    clock = virtual_clock()
    archive = Archive(clock, count, end)
    questions = await _questions(archive, clock)

    orders = await questions.history("BTCUSDT", START_MS)
    trades = await questions.trades("BTCUSDT", START_MS)

    assert not isinstance(orders, Doubt), orders
    assert not isinstance(trades, Doubt), trades
    assert sorted(order.order_id for order in orders) == list(range(count))
    assert sorted(trade.trade_id for trade in trades) == list(range(count))


@in_virtual_time
async def test_a_short_history_costs_one_question() -> None:
    clock = virtual_clock()
    archive = Archive(clock, 400, "latest")
    questions = await _questions(archive, clock)

    await questions.history("BTCUSDT", START_MS)

    assert archive.asked == 1


@pytest.mark.parametrize("end", ["oldest", "latest"])
@in_virtual_time
async def test_a_history_that_is_too_long_or_too_dense_is_not_known(end: End) -> None:
    clock = virtual_clock()
    long = await _questions(Archive(clock, 30_000, end), clock)
    dense = await _questions(Archive(clock, 2_500, "latest", per_ms=1_200), clock)

    assert isinstance(await long.history("BTCUSDT", START_MS), Doubt)
    assert isinstance(await dense.history("BTCUSDT", START_MS), Doubt)
