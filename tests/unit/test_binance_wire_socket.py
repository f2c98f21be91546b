"""The WebSocket API's one request, signed over sorted parameters, and its replies in the form of HTTP's."""

from __future__ import annotations

import hashlib
import hmac

import msgspec
import pytest

from adapters.binance.signing import HmacSigner
from adapters.binance.wire_socket import read_reply, subscription

NO_KEY = b'{"id":"ew1","status":401,"error":{"code":-2015,"msg":"Invalid API-key."}}'


def test_the_signature_covers_the_parameters_in_alphabetical_order() -> None:
    signer = HmacSigner("key-1", "secret-1")

    message = msgspec.json.decode(subscription(signer, timestamp_ms=1_747_385_641_636, recv_window_ms=5_000))

    payload = b"apiKey=key-1&recvWindow=5000&timestamp=1747385641636"
    assert message == {
        "id": "ew1",
        "method": "userDataStream.subscribe.signature",
        "params": {
            "apiKey": "key-1",
            "recvWindow": 5000,
            "timestamp": 1_747_385_641_636,
            "signature": hmac.new(b"secret-1", payload, hashlib.sha256).hexdigest(),
        },
    }


def test_a_reply_brings_its_status_and_the_weight_that_was_counted() -> None:
    reply = read_reply(
        b'{"id":"ew1","status":200,"result":{"subscriptionId":0},"rateLimits":['
        b'{"rateLimitType":"ORDERS","interval":"SECOND","intervalNum":10,"limit":50,"count":9},'
        b'{"rateLimitType":"REQUEST_WEIGHT","interval":"MINUTE","intervalNum":1,"limit":6000,"count":4}]}'
    )

    assert reply is not None
    assert (reply.status, reply.headers) == (200, {"x-mbx-used-weight-1m": "4"})


def test_an_error_has_the_body_that_rest_would_have_sent() -> None:
    reply = read_reply(NO_KEY)

    assert reply is not None
    assert reply.status == 401
    assert msgspec.json.decode(reply.body) == {"code": -2015, "msg": "Invalid API-key."}


@pytest.mark.parametrize(("after_ms", "seconds"), [(1_500, "2"), (60_000, "60"), (0, "0"), (-5_000, "0")])
def test_a_pause_is_told_in_whole_seconds_and_never_too_short(after_ms: int, seconds: str) -> None:
    now_ms = 1_747_385_641_636
    body = b'{"id":1,"status":418,"error":{"code":-1003,"msg":"x","data":{"serverTime":%d,"retryAfter":%d}}}'

    reply = read_reply(body % (now_ms, now_ms + after_ms))

    assert reply is not None
    assert reply.headers == {"retry-after": seconds}


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\xff{",
        b"[]",
        b'{"subscriptionId":0,"event":{"e":"executionReport","X":"NEW"}}',
        b'{"event":{"e":"serverShutdown","E":1770123456789}}',
        b'{"id":"ew1","status":"200"}',
        b'{"status":9e99}',
    ],
)
def test_what_is_no_reply_is_none(message: bytes) -> None:
    assert read_reply(message) is None
