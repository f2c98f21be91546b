"""Prices and rules from an exchange's book: without a key, kept fresh, and waited for when they are not."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest
from rig.exchange_transport import ExchangeHost, InProcessTransport
from rig.venue import settings_of
from rig.virtual_clock import VirtualClock, in_virtual_time, until, virtual_clock

from adapters.binance.market import Market
from adapters.contract import StartRefusal, Wait
from adapters.exchange.engine import Exchange
from adapters.exchange.faults import FaultRule
from adapters.exchange.server import ExchangeServer
from adapters.paper.book_quotes import LOOKS_PER_S, BookQuotes
from adapters.paper.quotes import NoQuote, Quote
from config.seams import SystemClock

D = Decimal


class Book:
    """An exchange whose book is looked at, in virtual time."""

    def __init__(self, *, market: str = "binance-futures", **execution: Any) -> None:
        self.clock: VirtualClock = virtual_clock()
        name = "spot" if market == "binance-spot" else "futures"
        self.exchange = Exchange(start_ms=self.clock.wall_ms(), market=name)  # type: ignore[arg-type]  # one of two
        self.host = ExchangeHost(self.exchange, self.clock, start_ms=self.clock.wall_ms())
        self.transport = InProcessTransport(self.host, self.clock, lambda: 0.005)
        settings = settings_of("paper", {"name": market}, **execution)
        self.quotes = BookQuotes(settings, self.clock, transport=self.transport)

    def quote(self, symbol: str = "BTCUSDT") -> Quote | NoQuote:
        return self.quotes.quote(symbol, None, self.clock.wall_ms())


@asynccontextmanager
async def book(*, started: bool = True, **given: Any) -> AsyncIterator[Book]:
    made = Book(**given)
    try:
        if started:
            assert await made.quotes.start() is None
        yield made
    finally:
        await made.quotes.close()
        await made.host.close()


@pytest.mark.parametrize("market", list(Market))
@in_virtual_time
async def test_the_best_bid_and_ask_are_there_from_the_start_with_the_rules_and_no_key_is_shown(
    market: str,
) -> None:
    async with book(market=market) as b:
        found = b.quote()

        assert isinstance(found, Quote)
        assert found.is_book
        assert D(60_000) - found.bid == found.ask - D(60_000) > 0
        assert b.quotes.rules.keys() == {"BTCUSDT", "ETHUSDT"}
        assert {header for request in b.transport.requests for header in request.headers} == set()
        assert not any("signature" in request.query for request in b.transport.requests)


@in_virtual_time
async def test_it_follows_the_book() -> None:
    async with book() as b:
        b.exchange.set_price("BTCUSDT", D(61_000))
        await b.clock.sleep(1.5)

        found = b.quote()

        assert isinstance(found, Quote)
        assert (found.bid, found.ask) == (D("60999.9"), D("61000.1"))
        assert b.clock.wall_ms() - 1_100 <= found.at_ms <= b.clock.wall_ms()


@in_virtual_time
async def test_a_price_that_is_too_old_is_waited_for_and_no_quote() -> None:
    async with book() as b:
        b.host.refusing = True
        await b.clock.sleep(2.5)

        waits, found = b.quotes.wait_for("BTCUSDT"), b.quote()

        assert isinstance(waits, Wait)
        assert waits.code == "price"
        assert b.clock.wall_ms() < waits.until_ms
        assert isinstance(found, NoQuote)
        assert found.code == "stale_price"
        b.host.refusing = False
        await until(lambda: b.quotes.wait_for("BTCUSDT") is None, b.clock, within_s=5)


@in_virtual_time
async def test_an_exchange_that_answers_after_a_while_is_waited_for_at_the_start() -> None:
    async with book(started=False) as b:
        b.exchange.faults.replace([FaultRule(kind="html_500", endpoint="any", times=3)])

        assert await b.quotes.start() is None

        assert len(b.transport.requests) > 3


@in_virtual_time
async def test_an_exchange_that_is_not_there_refuses_the_start() -> None:
    async with book(started=False) as b:
        b.host.refusing = True

        refusal = await b.quotes.start()

        assert isinstance(refusal, StartRefusal)
        assert refusal.kind == "unavailable"
        assert refusal.text.startswith("127.0.0.1:8080 cannot be asked (")


@in_virtual_time
async def test_a_symbol_that_the_exchange_does_not_have_is_named() -> None:
    async with book(started=False, symbols=["BTCUSDT", "NOSUCHUSDT"]) as b:
        refusal = await b.quotes.start()

        assert refusal == StartRefusal(
            "configuration", "127.0.0.1:8080 has no symbol NOSUCHUSDT: take it out of execution.symbols"
        )


@in_virtual_time
async def test_a_venue_of_another_name_has_no_book() -> None:
    quotes = BookQuotes(settings_of("paper", {"name": "kraken"}), virtual_clock())

    refusal = await quotes.start()

    assert refusal == StartRefusal(
        "configuration",
        "broker.name is kraken, must be binance-futures or binance-spot for the book that"
        " execution.paper.prices asks for",
    )
    await quotes.close()


async def test_the_book_is_read_over_real_sockets() -> None:
    clock = SystemClock()
    exchange = Exchange(start_ms=clock.wall_ms())
    server = ExchangeServer(exchange, clock, socket.create_server(("127.0.0.1", 0)))
    await server.start()
    settings = settings_of("paper", {"rest_url": f"http://127.0.0.1:{server.port}"})
    quotes = BookQuotes(settings, clock)
    try:
        assert await quotes.start() is None

        assert quotes.wait_for("ETHUSDT") is None
        assert isinstance(quotes.quote("ETHUSDT", None, 0), Quote)
    finally:
        await quotes.close()
        await server.close()


@in_virtual_time
async def test_a_look_brings_the_book_of_that_moment_and_looks_leave_room_for_the_turns() -> None:
    async with book() as b:
        await b.clock.sleep(1.1)
        b.exchange.set_price("BTCUSDT", D(61_000))
        before = b.quote()
        await b.quotes.look("BTCUSDT")
        after = b.quote()
        asked = len(b.transport.requests)
        for _ in range(100):
            await b.quotes.look("BTCUSDT")

        assert isinstance(before, Quote)
        assert isinstance(after, Quote)
        assert (before.bid, after.bid) == (D("59999.9"), D("60999.9"))
        assert len(b.transport.requests) - asked <= LOOKS_PER_S + 5


@in_virtual_time
async def test_a_look_that_is_not_answered_leaves_the_price_that_is_known() -> None:
    async with book() as b:
        await b.clock.sleep(1.1)
        b.host.refusing = True

        await b.quotes.look("BTCUSDT")

        assert isinstance(b.quote(), Quote)
