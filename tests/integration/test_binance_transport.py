"""The real wire against bare sockets: what leaves, when it leaves, and that it leaves once."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from wire_server import Act, WireServer, free_port, reply, self_signed, serving

from adapters.binance.aiohttp_transport import KEEPALIVE_S, AiohttpTransport
from adapters.binance.transport import HttpReply, HttpRequest, Lost, NotConnected
from config.seams import SystemClock

KEY = ("X-MBX-APIKEY", "loopback-key")
# Everything that a library likes to quote anew: %3A, a full-width digit, @, +, ', *, doubled and lone %.
ODD_QUERY = "a=%3A%EF%BC%91&b=@+'*()!~%7E%2f%2F&c=%25&d=;,$&e=&signature=ab%2Bcd%3D%3D"
ORDER = HttpRequest("POST", "/fapi/v1/order", body=b"symbol=BTCUSDT&signature=ab", headers=(KEY,))
METHODS = ("GET", "POST", "PUT", "DELETE")


@pytest.fixture
async def server() -> AsyncIterator[WireServer]:
    async with serving() as serving_it:
        yield serving_it


@pytest.fixture
async def wire(server: WireServer) -> AsyncIterator[AiohttpTransport]:
    transport = AiohttpTransport(server.url, SystemClock())
    yield transport
    await transport.close()


def asked(method: str) -> HttpRequest:
    if method == "POST":
        return ORDER
    return HttpRequest(method, "/fapi/v1/order", query="symbol=BTCUSDT&signature=ab", headers=(KEY,))


async def turns(count: int = 20) -> None:
    """Let the loop turn: on loopback, what was written is there at once."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_the_bytes_of_a_query_leave_untouched(server: WireServer, wire: AiohttpTransport) -> None:
    request = HttpRequest("GET", "/fapi/v1/order", query=ODD_QUERY, headers=(KEY,))

    answer = await wire.request(request, timeout_s=5)

    assert isinstance(answer, HttpReply)
    line, *headers = server.requests[0].split(b"\r\n\r\n")[0].split(b"\r\n")
    assert line == b"GET /fapi/v1/order?" + ODD_QUERY.encode() + b" HTTP/1.1"
    assert headers[0] == f"Host: 127.0.0.1:{server.port}".encode()
    assert b"X-MBX-APIKEY: loopback-key" in headers
    assert b"Accept-Encoding: gzip" in headers
    assert not [header for header in headers if header.lower().startswith((b"content-", b"cookie"))]


async def test_the_bytes_of_a_body_leave_untouched_and_in_one_piece(
    server: WireServer, wire: AiohttpTransport
) -> None:
    body = ODD_QUERY.encode() + bytes(range(256))

    await wire.request(HttpRequest("POST", "/fapi/v1/order", body=body, headers=(KEY,)), timeout_s=5)

    head, _, sent = server.requests[0].partition(b"\r\n\r\n")
    assert sent == body
    assert b"POST /fapi/v1/order HTTP/1.1\r\n" in head
    assert f"Content-Length: {len(body)}".encode() in head
    assert head.lower().count(b"content-type: application/x-www-form-urlencoded") == 1


async def test_a_request_without_a_body_says_so(server: WireServer, wire: AiohttpTransport) -> None:
    await wire.request(HttpRequest("PUT", "/fapi/v1/listenKey", headers=(KEY,)), timeout_s=5)

    assert b"\r\nContent-Length: 0\r\n" in server.requests[0]


async def test_a_reply_comes_whole_with_its_headers_in_lower_case(
    server: WireServer, wire: AiohttpTransport
) -> None:
    server.usual = Act(reply(b'{"orderId":1}', 200, "X-MBX-USED-WEIGHT-1M: 7", "Retry-After: 3"))
    before_ms = SystemClock().wall_ms()

    answer = await wire.request(ORDER, timeout_s=5)

    assert isinstance(answer, HttpReply)
    assert (answer.status, answer.body) == (200, b'{"orderId":1}')
    assert (answer.headers["x-mbx-used-weight-1m"], answer.headers["retry-after"]) == ("7", "3")
    assert before_ms <= answer.sent_ms <= answer.received_ms <= SystemClock().wall_ms()


@pytest.mark.parametrize("then", ["close", "reset"])
@pytest.mark.parametrize("method", METHODS)
async def test_nothing_is_repeated_when_a_kept_connection_drops_the_request(
    server: WireServer, wire: AiohttpTransport, method: str, then: str
) -> None:
    await wire.request(asked(method), timeout_s=5)
    server.script.append(Act(then=then))  # type: ignore[arg-type]  # one of the words it knows

    answer = await wire.request(asked(method), timeout_s=5)

    assert isinstance(answer, Lost)
    assert len(server.requests) == 2
    assert len(server.connections) == 1


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_the_session_of_aiohttp_would_have_repeated_it(server: WireServer, method: str) -> None:
    async with aiohttp.ClientSession() as session:
        async with session.request(method, server.url):
            server.script.append(Act(then="close"))
        async with session.request(method, server.url):
            pass

    assert len(server.requests) == 3


async def test_a_connection_that_was_closed_while_it_was_kept_is_not_used(
    server: WireServer, wire: AiohttpTransport
) -> None:
    server.usual = Act(reply(), then="close")

    answers = [await wire.request(ORDER, timeout_s=5) for _ in range(50)]

    assert [type(answer) for answer in answers] == [HttpReply] * 50
    assert len(server.requests) == 50


async def test_an_end_that_the_event_loop_has_not_seen_yet_is_seen(
    server: WireServer, wire: AiohttpTransport
) -> None:
    server.usual = Act(reply(b'{"number":0}'))
    await wire.request(ORDER, timeout_s=5)
    way = server.connections[0].way
    assert way is not None
    kept: socket.socket = way.get_extra_info("socket")

    # In one step, so that no turn of the loop can notice it in between.
    kept.shutdown(socket.SHUT_RDWR)
    answer = await wire.request(ORDER, timeout_s=5)

    assert isinstance(answer, HttpReply)
    assert len(server.connections) == 2


async def test_a_reply_that_nobody_asked_for_never_answers_the_next_request(
    server: WireServer, wire: AiohttpTransport
) -> None:
    await wire.request(ORDER, timeout_s=5)
    server.connections[0].do(Act(reply(b'{"code":-1007}', 408)))
    await turns()

    answer = await wire.request(ORDER, timeout_s=5)

    assert isinstance(answer, HttpReply)
    assert answer.status == 200
    assert len(server.connections) == 2


async def test_connections_are_kept_and_shorter_than_exchanges_keep_them(
    server: WireServer, wire: AiohttpTransport
) -> None:
    for _ in range(20):
        await wire.request(ORDER, timeout_s=5)

    assert len(server.connections) == 1
    assert KEEPALIVE_S < 60


async def test_overlapping_requests_get_their_own_answers(server: WireServer, wire: AiohttpTransport) -> None:
    server.answer = lambda request: Act(reply(request.partition(b"\r\n\r\n")[2]))
    requests = [HttpRequest("POST", "/", body=f"number={number}".encode()) for number in range(60)]

    answers = await asyncio.gather(*(wire.request(request, timeout_s=5) for request in requests))

    assert [answer.body for answer in answers if isinstance(answer, HttpReply)] == [
        request.body for request in requests
    ]


async def test_a_redirect_is_an_answer_and_nobody_follows_it(
    server: WireServer, wire: AiohttpTransport
) -> None:
    async with serving() as other:
        server.usual = Act(reply(b"", 307, f"Location: {other.url}/fapi/v1/order"))

        answer = await wire.request(ORDER, timeout_s=5)

    assert isinstance(answer, HttpReply)
    assert answer.status == 307
    assert (len(server.requests), other.requests) == (1, [])


async def test_cookies_are_not_kept(server: WireServer, wire: AiohttpTransport) -> None:
    server.usual = Act(reply(b"{}", 200, "Set-Cookie: who=you; Path=/"))

    await wire.request(ORDER, timeout_s=5)
    await wire.request(ORDER, timeout_s=5)

    assert b"cookie" not in server.requests[1].lower()


async def test_small_packets_leave_at_once(server: WireServer, wire: AiohttpTransport) -> None:
    await wire.request(ORDER, timeout_s=5)

    connection, _, way = await wire._connection(5)
    no_delay = way.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    connection.release()

    assert no_delay == 1


@pytest.mark.parametrize(
    "request_",
    [
        HttpRequest("GET", "/", headers=(("X-MBX-APIKEY", "key\r\nX-Evil: 1"),)),
        HttpRequest("GET", "/", headers=(("X-MBX\r\nKEY", "key"),)),
        HttpRequest("GET", "/ HTTP/1.1\r\nX-Evil: 1"),
        HttpRequest("GET", "/", query="a=1 b"),
        HttpRequest("GET", "/", query="a=ä"),
        HttpRequest("GET /", "/"),
    ],
)
async def test_what_would_change_the_meaning_of_the_request_never_leaves(
    server: WireServer, wire: AiohttpTransport, request_: HttpRequest
) -> None:
    answer = await wire.request(request_, timeout_s=5)

    assert isinstance(answer, NotConnected)
    assert server.connections == []


async def test_the_proxy_of_the_environment_is_not_used_unless_asked_for(
    server: WireServer, wire: AiohttpTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")

    assert isinstance(await wire.request(ORDER, timeout_s=5), HttpReply)


async def test_a_proxy_that_is_asked_for_gets_a_tunnel_and_no_order(
    server: WireServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", f"http://some:body@127.0.0.1:{server.port}")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    server.usual = Act(reply(b"", 403), then="close")
    wire = AiohttpTransport("https://exchange.invalid", SystemClock(), trust_env=True)

    answer = await wire.request(ORDER, timeout_s=5)
    await wire.close()

    assert answer == NotConnected("the proxy did not connect")
    assert server.requests[0].startswith(b"CONNECT exchange.invalid:443 HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic c29tZTpib2R5" in server.requests[0]
    assert b"symbol" not in server.connections[0].got


async def test_certificates_and_names_are_verified(tmp_path: Path) -> None:
    serving_tls, trusting = self_signed(tmp_path, "127.0.0.1")
    other_tls, trusting_other = self_signed(tmp_path, "exchange.invalid")
    cases = [(serving_tls, None), (other_tls, trusting_other), (serving_tls, trusting)]
    answers = []

    for server_context, client_context in cases:
        async with serving(tls=server_context) as server:
            wire = AiohttpTransport(server.url, SystemClock(), ssl_context=client_context)
            answers.append(await wire.request(ORDER, timeout_s=5))
            await wire.close()

    invalid = NotConnected("the host's certificate is not valid for it")
    assert answers[:2] == [invalid, invalid]
    assert isinstance(answers[2], HttpReply)


async def test_a_context_that_verifies_nothing_is_refused() -> None:
    trusting_all = ssl.create_default_context()
    trusting_all.check_hostname = False
    trusting_all.verify_mode = ssl.CERT_NONE

    with pytest.raises(ValueError, match="must verify certificates"):
        AiohttpTransport("https://127.0.0.1:1", SystemClock(), ssl_context=trusting_all)


async def test_what_carries_secrets_shows_none_in_its_repr() -> None:
    request = HttpRequest("GET", "/fapi/v1/order", query="signature=ab", body=b"signature=cd", headers=(KEY,))
    answer = HttpReply(200, {}, b'{"listenKey":"ef"}')

    assert repr(request) == "HttpRequest(GET /fapi/v1/order)"
    assert repr(answer) == "HttpReply(200, 18 bytes)"
    assert request.__rich_repr__() == [("method", "GET"), ("path", "/fapi/v1/order")]
    assert answer.__rich_repr__() == [("status", 200), ("body_bytes", 18)]
