"""Calls around the wire: time stamps, windows, budgets, deadlines; sent once or not at all."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator
from decimal import Decimal
from urllib.parse import parse_qsl

import pytest
from rig.scripted_wire import SKEW_MS, ScriptedWire
from rig.virtual_clock import START_MS, VirtualClock, in_virtual_time, virtual_clock
from wire_server import Act, WireServer, reply, serving

from adapters.binance import wire
from adapters.binance.aiohttp_transport import AiohttpTransport
from adapters.binance.budget import FUTURES_LIMITS, Budget
from adapters.binance.client import Client, NoAnswer, NotLeft, Replied
from adapters.binance.exchange_clock import ExchangeClock
from adapters.binance.market import Market
from adapters.binance.rate_windows import RateLimit
from adapters.binance.signing import HmacSigner
from adapters.binance.transport import HttpReply, Lost, NotConnected, WireResult
from adapters.contract import Order
from config.seams import SystemClock

SECRET = "loopback-secret"
ORDER = wire.new_order(
    Market.FUTURES,
    Order(
        client_order_id="ew1-abcdefghijklmnopqrstuvwx",
        symbol="BTCUSDT",
        side="buy",
        order_type="market",
        tif="GTC",
        qty=Decimal("0.010"),
        price=None,
        signal_id="s1",
    ),
)
QUERY = wire.query_order(Market.FUTURES, "BTCUSDT", "ew1-abcdefghijklmnopqrstuvwx")


class Desk:
    """A client on virtual time over a scripted wire."""

    def __init__(
        self,
        limits: tuple[RateLimit, ...] = FUTURES_LIMITS,
        *,
        connect_s: float = 0.0,
        query_wait_s: float = 5,
    ) -> None:
        self.clock: VirtualClock = virtual_clock()
        self.wire = ScriptedWire(self.clock, connect_s=connect_s)
        self.deadlines: list[int] = []
        self.budget = Budget(limits, order_weight=0)
        self.client = Client(
            Market.FUTURES,
            self.wire,
            HmacSigner("loopback-key", SECRET),
            self.clock,
            ExchangeClock(self.clock),
            self.budget,
            recv_window_ms=5_000,
            request_timeout_s=10,
            on_deadline=self.deadlines.append,
            query_wait_s_max=query_wait_s,
        )

    async def synced(self) -> Desk:
        """After the first round of samples."""
        assert await self.client.sync_clock() is None
        self.wire.sent.clear()
        return self

    def exchange_ms(self) -> int:
        return self.clock.wall_ms() + SKEW_MS


@pytest.fixture
async def server() -> AsyncIterator[WireServer]:
    async with serving() as serving_it:
        yield serving_it


async def test_a_call_over_the_real_wire_is_signed_byte_for_byte(server: WireServer) -> None:
    clock = SystemClock()

    def answer(request: bytes) -> Act:
        if b"/time" in request:
            return Act(reply(b'{"serverTime":%d}' % (clock.wall_ms() + 60_000)))
        return Act(reply(b'{"orderId":1}'))

    server.answer = answer
    transport = AiohttpTransport(server.url, clock)
    exchange_clock = ExchangeClock(clock)
    client = Client(
        Market.FUTURES,
        transport,
        HmacSigner("loopback-key", SECRET),
        clock,
        exchange_clock,
        Budget(FUTURES_LIMITS, order_weight=0),
        recv_window_ms=5_000,
        request_timeout_s=5,
    )

    unsynced = await client.sync_clock()
    answers = [await client.call(ORDER), await client.call(QUERY)]
    await transport.close()

    assert unsynced is None
    assert [type(one) for one in answers] == [Replied, Replied]
    body = server.requests[-2].partition(b"\r\n\r\n")[2]
    query = server.requests[-1].split(b" ")[1].partition(b"?")[2]
    for signed in (body, query):
        payload, _, signature = signed.rpartition(b"&signature=")
        assert hmac.new(SECRET.encode(), payload, hashlib.sha256).hexdigest() == signature.decode()
        stamp_ms = int(dict(parse_qsl(payload.decode()))["timestamp"])
        assert abs(stamp_ms - clock.wall_ms() - 60_000) < 5_000
    assert len(server.connections) == 1


@in_virtual_time
async def test_nothing_signed_leaves_before_the_clock_is_known() -> None:
    desk = Desk()

    order, query = await desk.client.call(ORDER), await desk.client.call(QUERY)

    assert [one.code for one in (order, query) if isinstance(one, NotLeft)] == ["clock", "clock"]
    assert desk.wire.sent == []


@in_virtual_time
async def test_time_stamps_are_the_exchanges_time_whatever_the_wall_clock_does() -> None:
    desk = await Desk().synced()
    true_ms = desk.exchange_ms()
    desk.clock.skew_ms = -7_200_000

    await desk.client.call(ORDER)

    params = desk.wire.params()
    assert abs(int(params["timestamp"]) - true_ms) <= 1
    assert params["recvWindow"] == "5000"
    assert list(params)[-1] == "signature"


@in_virtual_time
async def test_an_order_whose_window_has_passed_does_not_leave() -> None:
    desk = await Desk().synced()

    passed = await desk.client.call(ORDER, timestamp_max_ms=desk.exchange_ms() - 10)
    in_time = await desk.client.call(ORDER, timestamp_max_ms=desk.exchange_ms() + 10, recv_window_ms=700)

    assert passed == NotLeft("window_passed", "the time for sending this order has passed")
    assert isinstance(in_time, Replied)
    assert len(desk.wire.sent) == 1
    assert desk.wire.params()["recvWindow"] == "700"
    assert desk.budget.usage(desk.exchange_ms())[1].used == 1


@in_virtual_time
async def test_a_clock_that_nobody_read_for_long_holds_orders_and_lets_questions_through() -> None:
    desk = await Desk().synced()
    await desk.clock.sleep(301)

    order, query = await desk.client.call(ORDER), await desk.client.call(QUERY)

    assert isinstance(order, NotLeft)
    assert order.code == "clock"
    assert isinstance(query, Replied)


@pytest.mark.parametrize("code", [-1021, -5028])
def test_a_refused_time_stamp_makes_the_next_round_urgent(code: int) -> None:
    @in_virtual_time
    async def scene() -> None:
        desk = await Desk().synced()
        desk.wire.script.append(HttpReply(400, {}, b'{"code":%d,"msg":"Timestamp"}' % code))

        answer = await desk.client.call(ORDER)
        doubtful = desk.client.clock_doubtful
        desk.wire.skew_ms = 9_000
        why = await desk.client.sync_clock()

        assert isinstance(answer, Replied)
        assert answer.status == 400
        assert (doubtful, why, desk.client.clock_doubtful) == (True, None, False)
        assert abs(desk.client.exchange_clock.now_ms() - desk.clock.wall_ms() - 9_000) <= 2

    scene()


@pytest.mark.parametrize(
    "trouble",
    [
        Lost("the reply is not HTTP"),
        NotConnected("no connection (errno 111)"),
        HttpReply(200, {}, b"nonsense"),
        HttpReply(503, {}, b"{}"),
    ],
)
def test_a_clock_that_cannot_be_read_is_a_sentence_and_stays_doubtful(trouble: WireResult) -> None:
    @in_virtual_time
    async def scene() -> None:
        desk = await Desk().synced()
        desk.wire.script.append(HttpReply(400, {}, b'{"code":-1021,"msg":"Timestamp"}'))
        await desk.client.call(QUERY)
        desk.wire.script.append(trouble)

        why = await desk.client.sync_clock()

        assert why is not None
        assert why.startswith("the exchange's clock was not read: ")
        assert desk.client.clock_doubtful

    scene()


@pytest.mark.parametrize(
    ("answer", "ahead_ms"),
    [
        (HttpReply(429, {"retry-after": "7"}, b'{"code":-1003,"msg":"Too many requests."}'), 7_000),
        (HttpReply(418, {"retry-after": "3600"}, b""), 3_600_000),
        (HttpReply(418, {"retry-after": "999999999"}, b""), 3 * 86_400_000 + 3_600_000),
        (HttpReply(400, {"retry-after": "10"}, b'{"code":-1015,"msg":"Too many new orders."}'), 10_000),
    ],
)
def test_a_deadline_holds_everybody_and_is_told_once_so_that_it_can_be_kept(
    answer: HttpReply, ahead_ms: int
) -> None:
    @in_virtual_time
    async def scene() -> None:
        desk = await Desk().synced()
        desk.wire.script += [answer]

        await desk.client.call(QUERY)
        at_ms = desk.exchange_ms()
        calls = [await desk.client.call(one) for one in (ORDER, QUERY, wire.server_time(Market.FUTURES))]

        assert len(desk.wire.sent) == 1
        assert len(desk.deadlines) == 1
        assert abs(desk.deadlines[0] - at_ms - ahead_ms) <= 3
        for call in calls:
            assert isinstance(call, NotLeft)
            assert call.code == "deadline"
            assert call.retry_at_ms is not None
            assert abs(call.retry_at_ms - desk.clock.wall_ms() - ahead_ms) <= 5

    scene()


@in_virtual_time
async def test_a_deadline_earned_while_another_request_connects_holds_that_one_too() -> None:
    desk = await Desk(connect_s=0.5).synced()
    sending = asyncio.create_task(desk.client.call(ORDER))
    await desk.clock.sleep(0.2)

    desk.budget.deadline_until(desk.exchange_ms() + 60_000, desk.exchange_ms())
    answer = await sending

    assert isinstance(answer, NotLeft)
    assert answer.code == "deadline"
    assert desk.wire.sent == []


@in_virtual_time
async def test_a_time_stamp_that_grew_old_while_connecting_does_not_leave() -> None:
    desk = await Desk().synced()
    desk.wire.connect_s = 2.6

    answer = await desk.client.call(ORDER)

    assert isinstance(answer, NotLeft)
    assert answer.code == "unreachable"
    assert desk.wire.sent == []


@in_virtual_time
async def test_an_order_never_waits_for_its_budget_and_says_when_to_come_back() -> None:
    desk = await Desk((RateLimit("orders", 10_000, 2, "x-mbx-order-count-10s"),)).synced()

    answers = [await desk.client.call(ORDER) for _ in range(3)]
    elapsed_ms = desk.clock.wall_ms() - START_MS

    assert [type(one) for one in answers] == [Replied, Replied, NotLeft]
    last = answers[-1]
    assert isinstance(last, NotLeft)
    assert last.code == "budget"
    assert last.retry_at_ms is not None
    assert (last.retry_at_ms + SKEW_MS) % 10_000 < 20
    assert elapsed_ms < 100


@in_virtual_time
async def test_a_question_waits_for_the_next_window_but_not_for_ever() -> None:
    limits = (RateLimit("weight", 1_000, 10, None),)
    desk = await Desk(limits).synced()
    impatient = await Desk((RateLimit("weight", 60_000, 10, None),)).synced()

    answers = [await desk.client.call(QUERY) for _ in range(40)]
    refused = [await impatient.client.call(QUERY) for _ in range(40)]

    assert all(isinstance(one, Replied) for one in answers)
    assert isinstance(refused[-1], NotLeft)
    assert refused[-1].code == "budget"


@in_virtual_time
async def test_what_never_left_gives_its_budget_back_and_what_was_lost_does_not() -> None:
    desk = await Desk().synced()
    desk.wire.script += [NotConnected("no connection (errno 111)"), Lost("the reply is not HTTP")]

    refused = await desk.client.call(ORDER)
    after_refused = desk.budget.usage(desk.exchange_ms())[1].used
    held = await desk.client.call(ORDER, guard=lambda: "halted by hand")
    after_held = desk.budget.usage(desk.exchange_ms())[1].used
    lost = await desk.client.call(ORDER)

    assert refused == NotLeft("unreachable", "no connection (errno 111)")
    assert held == NotLeft("held", "halted by hand")
    assert lost == NoAnswer("the reply is not HTTP")
    assert (after_refused, after_held) == (0, 0)
    assert desk.budget.usage(desk.exchange_ms())[1].used == 1
    assert desk.client.in_flight == 0


@in_virtual_time
async def test_a_canceled_call_still_counts_and_is_in_flight_no_more() -> None:
    desk = await Desk().synced()
    desk.wire.trip_s = 1.0
    sending = asyncio.create_task(desk.client.call(ORDER))
    await desk.clock.sleep(0.5)
    in_flight = desk.client.in_flight

    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending

    assert (in_flight, desk.client.in_flight) == (1, 0)
    assert desk.budget.usage(desk.exchange_ms())[1].used == 1


@in_virtual_time
async def test_every_reply_corrects_what_is_counted() -> None:
    desk = await Desk().synced()
    desk.wire.script.append(HttpReply(400, {"x-mbx-used-weight-1m": "1234"}, b'{"code":-2013,"msg":""}'))

    await desk.client.call(QUERY)

    assert desk.budget.usage(desk.exchange_ms())[0].used >= 1_234
