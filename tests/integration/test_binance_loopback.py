"""The whole way on real sockets: the adapter, its own wire, and the exchange in the box on loopback."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from rig.venue import KEY, Ear, Memory, free, settings_of, wanted

from adapters.binance.adapter import BinanceAdapter
from adapters.binance.connect import open_binance
from adapters.binance.credentials import Credentials
from adapters.contract import Accepted, Found, NotSent, Order, Unknown
from adapters.exchange.engine import Exchange
from adapters.exchange.faults import FaultRule
from adapters.exchange.server import ExchangeServer
from adapters.exchange.terms import MarketName
from config.seams import SystemClock

CLOCK = SystemClock()


class Loopback:
    """An exchange that listens, and an adapter that has begun on it."""

    def __init__(self, exchange: Exchange, server: ExchangeServer, adapter: BinanceAdapter) -> None:
        self.exchange = exchange
        self.server = server
        self.adapter = adapter
        self.ear = Ear(adapter)

    def prepared(self, number: int) -> Order:
        """An order that the adapter has agreed to."""
        order = self.adapter.prepare(wanted(number))
        assert isinstance(order, Order), order
        return order


@asynccontextmanager
async def loopback(
    name: str = "binance-futures", credentials: Credentials = KEY, **given: Any
) -> AsyncIterator[Loopback]:
    market: MarketName = "spot" if name == "binance-spot" else "futures"
    exchange = Exchange(start_ms=CLOCK.wall_ms(), market=market, **given)
    sock = socket.create_server(("127.0.0.1", 0))
    server = ExchangeServer(exchange, CLOCK, sock)
    await server.start()
    url = f"http://127.0.0.1:{server.port}"
    settings = settings_of(broker={"rest_url": url, "name": name, "settle_poll_ms": 100})
    adapter = open_binance(settings, credentials, CLOCK)
    try:
        assert await adapter.start(Memory()) is None
        yield Loopback(exchange, server, adapter)
    finally:
        await adapter.close()
        await server.close()


async def within(seconds: float, condition: Callable[[], bool]) -> None:
    """Until it holds; fails after that long."""
    end_s = CLOCK.monotonic_s() + seconds
    while not condition():
        assert CLOCK.monotonic_s() < end_s, f"nothing of the kind within {seconds} s"
        await CLOCK.sleep(0.005)


@pytest.mark.parametrize("name", ["binance-futures", "binance-spot"])
async def test_orders_leave_by_http_and_their_fills_come_back(name: str) -> None:
    async with loopback(name) as v:
        orders = [v.prepared(number) for number in range(5)]

        for order in orders:
            assert isinstance(await v.adapter.submit(order, free), Accepted)

        await within(10, lambda: all(v.ear.has(order.client_order_id, "filled")() for order in orders))
        accepted = [entry["client_order_id"] for entry in v.exchange.journal if entry["kind"] == "accepted"]
        assert accepted == [order.client_order_id for order in orders]


async def test_spot_takes_an_ed25519_key() -> None:
    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    credentials = Credentials("ed-key", pem, "a test")
    async with loopback("binance-spot", credentials, keys={"ed-key": public}) as v:
        assert isinstance(await v.adapter.submit(v.prepared(1), free), Accepted)


async def test_a_connection_that_is_cut_after_the_order_leaves_a_doubt_that_the_lookup_ends() -> None:
    async with loopback() as v:
        order = v.prepared(1)
        v.exchange.faults.replace([FaultRule(kind="reset_after", executed=True, times=1)])

        result = await v.adapter.submit(order, free)

        assert isinstance(result, Unknown)
        assert isinstance(await v.adapter.lookup(order.client_order_id, order), Found)


async def test_a_guard_that_says_no_lets_no_byte_leave() -> None:
    async with loopback() as v:
        result = await v.adapter.submit(v.prepared(1), lambda: "halted by hand")

        assert result == NotSent("held", "halted by hand")
        assert [entry for entry in v.exchange.journal if entry["kind"] == "accepted"] == []


async def test_an_exchange_that_is_gone_is_unreachable_and_nothing_is_raised() -> None:
    async with loopback() as v:
        order = v.prepared(1)
        await v.server.close()

        result = await v.adapter.submit(order, free)

        assert isinstance(result, NotSent)
        assert result.code == "unreachable"
