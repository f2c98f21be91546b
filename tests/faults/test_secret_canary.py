"""No secret in any output: a marked key, secret and listen key through every way a call can fail.

Everything is at its most talkative: log level debug, the event loop's debug mode with every callback
reported as slow. Then all that was said is searched for the marks and for every signature that was made.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import traceback
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import pytest
from wire_server import Act, WireServer, free_port, reply, self_signed, serving

from adapters.binance import wire
from adapters.binance.aiohttp_transport import AiohttpTransport
from adapters.binance.budget import FUTURES_LIMITS, Budget
from adapters.binance.client import Client
from adapters.binance.exchange_clock import ExchangeClock
from adapters.binance.market import Market, stream_path
from adapters.binance.signing import HmacSigner
from adapters.contract import Guard, Order
from config.seams import SystemClock

KEY = "canaryKey4cf9a2e7"
SECRET = "canarySecretb81d66"
LISTEN_KEY = "canaryListenKey9e07"

ORDER = wire.new_order(
    Market.FUTURES,
    Order("ew1-abcdefghijklmnopqrstuvwx", "BTCUSDT", "buy", "market", "GTC", Decimal("0.010"), None, "s1"),
)
CALLS = {
    "place": ORDER,
    "query": wire.query_order(Market.FUTURES, "BTCUSDT", "ew1-abcdefghijklmnopqrstuvwx"),
    "cancel": wire.cancel_order(Market.FUTURES, "BTCUSDT", "ew1-abcdefghijklmnopqrstuvwx"),
    "listen key": wire.listen_key_extend(),
}
WS_ACCEPTED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"


class MarkedSigner:
    """The real signer, which remembers every signature it made."""

    def __init__(self) -> None:
        self._signer = HmacSigner(KEY, SECRET)
        self.api_key = self._signer.api_key
        self.made: list[str] = []

    def sign(self, payload: bytes) -> str:
        """Sign and remember."""
        self.made.append(self._signer.sign(payload))
        return self.made[-1]


@dataclass
class Ear:
    """All that is said anywhere."""

    capture: pytest.CaptureFixture[str]
    signer: MarkedSigner = field(default_factory=MarkedSigner)
    said: list[str] = field(default_factory=list)

    def hear(self, *things: object) -> None:
        """Keep what a thing says of itself; of an exception its whole traceback too."""
        for thing in things:
            self.said += [str(thing), repr(thing), f"{thing}"]
            if isinstance(thing, BaseException):
                self.said += traceback.format_exception(thing)

    def leaks(self) -> list[str]:
        """Whatever was said with a mark or a signature in it."""
        out, err = self.capture.readouterr()
        marks = (KEY, SECRET, LISTEN_KEY, *self.signer.made)
        return [text for text in (*self.said, out, err) if any(mark in text for mark in marks)]


@pytest.fixture
async def ear(capfd: pytest.CaptureFixture[str]) -> AsyncIterator[Ear]:
    """Every logger, the loop's own complaints, warnings, and both standard streams."""
    listening = Ear(capfd)

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            listening.hear(self.format(record), record.args)

    handler, root = Handler(logging.DEBUG), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    loop.slow_callback_duration = 0.0
    loop.set_exception_handler(lambda _, context: listening.hear(*context.values()))
    with _warnings_heard(listening):
        yield listening
        gc.collect()
    root.removeHandler(handler)
    root.setLevel(level)
    assert len(listening.said) > 10, "nothing was heard: the ear is deaf"
    assert listening.leaks() == []


class _warnings_heard:
    def __init__(self, listening: Ear) -> None:
        self._listening = listening
        self._catching = warnings.catch_warnings(record=True)

    def __enter__(self) -> None:
        self._caught = self._catching.__enter__()
        warnings.simplefilter("always")

    def __exit__(self, *_: object) -> None:
        for warning in self._caught or ():
            self._listening.hear(warning.message, warning.source)
        self._catching.__exit__(None, None, None)


async def call_all(ear: Ear, url: str, *, guard: Guard | None = None, **options: object) -> None:
    """Every kind of call once, at a host that fails; hear what comes back and what holds it."""
    clock = SystemClock()
    transport = AiohttpTransport(url, clock, **options)  # type: ignore[arg-type]  # passed on
    exchange_clock = ExchangeClock(clock)
    for _ in range(5):
        exchange_clock.sample(clock.boot_s(), clock.boot_s(), clock.wall_ms())
    client = Client(
        Market.FUTURES,
        transport,
        ear.signer,
        clock,
        exchange_clock,
        Budget(FUTURES_LIMITS, order_weight=0),
        recv_window_ms=5_000,
        request_timeout_s=0.3,
        on_deadline=ear.hear,
    )
    ear.hear(client, transport, ear.signer, exchange_clock, client.budget)
    try:
        for request in CALLS.values():
            calling = asyncio.create_task(client.call(request, guard=guard))
            (result,) = await asyncio.gather(calling, return_exceptions=True)
            ear.hear(result, calling, client.budget.usage(exchange_clock.now_ms()))
    finally:
        await transport.close()


FAILURES = {
    "reset": Act(then="reset"),
    "closed": Act(then="close"),
    "silence": Act(),
    "garbage": Act(b"\x00\xff nonsense\r\n\r\n"),
    "cut short": Act(reply(b'{"orderId":1}')[:-4], "close"),
    "cut short by reset": Act(reply(b'{"orderId":1}')[:-4], "reset"),
    "bad chunk": Act(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
    "over-long": Act(reply() + b"more"),
    "unreadable 200": Act(reply(b"<html>")),
    "bad signature": Act(reply(b'{"code":-1022,"msg":"Signature for this request is not valid."}', 400)),
    "bad clock": Act(reply(b'{"code":-1021,"msg":"Timestamp for this request"}', 400)),
    "denied": Act(reply(b'{"code":-2015,"msg":"Invalid API-key, IP, or permissions for action."}', 401)),
    "forbidden": Act(reply(b"<html>forbidden</html>", 403)),
    "too many": Act(reply(b'{"code":-1003,"msg":"Too many requests"}', 429, "Retry-After: 1")),
    "banned": Act(reply(b'{"code":-1003,"msg":"banned until 1800000000000"}', 418)),
    "server error": Act(reply(b"", 500)),
    "unknown": Act(reply(b'{"msg":"Unknown error, please check your request"}', 503)),
}


@pytest.mark.parametrize("name", FAILURES)
async def test_no_failure_after_the_first_byte_shows_a_secret(ear: Ear, name: str) -> None:
    async with serving(WireServer(usual=FAILURES[name])) as server:
        await call_all(ear, server.url)

    assert any(KEY.encode() in request for request in server.requests)
    assert len(ear.signer.made) >= 1


async def test_a_redirect_that_quotes_the_signature_shows_none(ear: Ear) -> None:
    def quote(request: bytes) -> Act:
        target = request.split(b" ")[1].decode() + "?" + request.partition(b"\r\n\r\n")[2].decode()
        return Act(reply(target.encode(), 302, f"Location: {target}&key={KEY}"))

    async with serving(WireServer(answer=quote)) as server:
        await call_all(ear, server.url)

    assert len(server.requests) == len(CALLS)


async def test_an_answer_that_echoes_everything_shows_nothing(ear: Ear) -> None:
    async with serving(WireServer(answer=lambda request: Act(reply(request, 400)))) as server:
        await call_all(ear, server.url)


@pytest.mark.parametrize("host", ["127.0.0.1", "exchange.invalid"])
async def test_a_host_that_is_not_there_shows_no_secret(ear: Ear, host: str) -> None:
    await call_all(ear, f"http://{host}:{free_port()}")


async def test_a_tls_failure_shows_no_secret(ear: Ear, tmp_path: Path) -> None:
    tls, _ = self_signed(tmp_path, "127.0.0.1")
    async with serving(tls=tls) as distrusted, serving(WireServer(usual=Act())) as silent:
        await call_all(ear, distrusted.url)
        await call_all(ear, f"https://127.0.0.1:{silent.port}", connect_timeout_s=0.2)

    assert not any(connection.got for connection in distrusted.connections)


async def test_a_guard_that_holds_or_breaks_shows_no_secret(ear: Ear) -> None:
    def broken() -> str | None:
        raise LookupError("the check itself is broken")

    async with serving() as server:
        await call_all(ear, server.url, guard=lambda: "halted by hand")
        await call_all(ear, server.url, guard=broken)

    assert server.requests == []


async def test_a_canceled_call_shows_no_secret(ear: Ear) -> None:
    async with serving(WireServer(usual=Act())) as server:
        calling = asyncio.create_task(call_all(ear, server.url))
        await server.heard.wait()
        ear.hear(calling, *asyncio.all_tasks())
        calling.cancel()
        (result,) = await asyncio.gather(calling, return_exceptions=True)
        ear.hear(result)


STREAM_FAILURES = {
    **{name: FAILURES[name] for name in ("reset", "closed", "garbage", "denied", "server error")},
    "redirect": Act(reply(b"", 302, f"Location: ws://127.0.0.1:1/ws/{LISTEN_KEY}")),
    "echo": Act(reply(LISTEN_KEY.encode(), 400, f"X-Key: {LISTEN_KEY}")),
    "half an upgrade": Act(WS_ACCEPTED, "close"),
    "wrong upgrade": Act(WS_ACCEPTED + b"Sec-WebSocket-Accept: no\r\n\r\n"),
    "silence": Act(),
}


@pytest.mark.parametrize("name", STREAM_FAILURES)
async def test_no_failure_of_the_stream_shows_its_listen_key(ear: Ear, name: str) -> None:
    async with serving(WireServer(usual=STREAM_FAILURES[name])) as server:
        transport = AiohttpTransport(
            server.url, SystemClock(), stream_url=f"ws://127.0.0.1:{server.port}", connect_timeout_s=0.2
        )
        async with aclosing(transport.stream(stream_path(LISTEN_KEY))) as messages:  # type: ignore[type-var]  # a generator
            async for message in messages:
                ear.hear(message, messages, *asyncio.all_tasks())
        await transport.close()

    assert LISTEN_KEY.encode() in server.requests[0]


@pytest.mark.parametrize("url", ["ws://127.0.0.1:{port}", "ws://exchange.invalid:{port}", "ws://[", "x://y"])
async def test_a_stream_host_that_is_not_there_shows_no_listen_key(ear: Ear, url: str) -> None:
    url = url.format(port=free_port())
    transport = AiohttpTransport("http://127.0.0.1:1", SystemClock(), stream_url=url)

    messages = [message async for message in transport.stream(stream_path(LISTEN_KEY))]
    ear.hear(*messages)
    await transport.close()

    assert len(messages) == 1


@pytest.fixture
def deaf_to(ear: Ear) -> Iterator[Ear]:
    """An ear that is asked by the test itself, and forgets before its own last check."""
    yield ear
    ear.said = ["forgotten"] * 11


@pytest.mark.parametrize(
    "tell",
    [
        lambda: logging.getLogger("aiohttp.client").debug("signed with %s", SECRET),
        lambda: logging.getLogger("asyncio").error("lost", exc_info=LookupError(KEY)),
        lambda: warnings.warn(f"unclosed {LISTEN_KEY}", ResourceWarning, stacklevel=1),
        lambda: sys.stderr.write(f"header {KEY}"),
    ],
)
async def test_a_planted_leak_is_found(deaf_to: Ear, tell: Callable[[], object]) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        tell()
        deaf_to.hear(*(warning.message for warning in caught))

    assert deaf_to.leaks() != []
