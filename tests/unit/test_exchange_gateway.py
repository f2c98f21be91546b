"""The gateway of the exchange: exact bytes, known keys, fresh times, and nothing else."""

from __future__ import annotations

from base64 import b64encode
from typing import Any
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from rig.box import KEY, START_MS, Box, sign

from adapters.exchange.gateway import signed_by
from adapters.exchange.terms import Key

ORDER = "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.01"
SPOT_SECRET = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"


@pytest.mark.parametrize(
    ("secret", "payload", "signature"),
    [
        (
            "2b5eb11e18796d12d88f13dc27dbbd02c2cc51ff7059765ed9821957d82bb4d9",
            "symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=1&price=9000&timeInForce=GTC&recvWindow=5000"
            "&timestamp=1591702613943",
            "3c661234138461fcc7a7d8746c6558c9842d4e10870d2ecbedf7777cad694af9",
        ),
        (
            SPOT_SECRET,
            "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000"
            "&timestamp=1499827319559",
            "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71",
        ),
        (
            SPOT_SECRET,
            "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTCquantity=1&price=0.1&recvWindow=5000"
            "&timestamp=1499827319559",
            "0fd168b8ddb4876a0358a8d14d0c9f3da0e9b20c5d52b2a00fcf7d1c602f9a77",
        ),
        (
            SPOT_SECRET,
            "symbol=%EF%BC%91%EF%BC%92%EF%BC%93%EF%BC%94%EF%BC%95%EF%BC%96&side=BUY&type=LIMIT"
            "&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559",
            "e1353ec6b14d888f1164ae9af8228a3dbd508bc82eb867db8ab6046442f33ef3",
        ),
    ],
)
def test_the_published_signatures_are_right_and_others_wrong(
    secret: str, payload: str, signature: str
) -> None:
    assert signed_by(secret, payload.encode(), signature)
    assert not signed_by(secret, payload.encode() + b"0", signature)
    assert not signed_by(secret + "0", payload.encode(), signature)


def order_text(stamp_ms: int = START_MS, more: str = "") -> str:
    return f"{ORDER}&timestamp={stamp_ms}{more}"


@pytest.mark.parametrize(
    "place", ["query", "body", "split", "signature in the query", "content type with charset"]
)
def test_a_request_may_be_signed_in_the_query_or_in_the_body(place: str) -> None:
    box, text = Box(), order_text()
    half, rest = text.split("&side", 1)[0], "side" + text.split("&side", 1)[1]
    signature = f"&signature={sign(text)}"
    sent: dict[str, tuple[str, str, dict[str, str]]] = {
        "query": (text + signature, "", {}),
        "body": ("", text + signature, {}),
        "split": (half, f"{rest}&signature={sign(half + rest)}", {}),
        "signature in the query": (f"{half}&signature={sign(half + rest)}", rest, {}),
        "content type with charset": (
            "",
            text + signature,
            {"content_type": "application/x-www-form-urlencoded; charset=utf-8"},
        ),
    }
    query, body, headers = sent[place]

    heard = box.raw("POST", "/fapi/v1/order", query, body, x_mbx_apikey=KEY, **headers)

    assert heard.status == 200, heard.body


def test_the_signature_covers_the_bytes_as_they_came() -> None:
    box, text = Box(), order_text(more="&newClientOrderId=a%3Ab")

    encoded = box.raw("POST", "/fapi/v1/order", f"{text}&signature={sign(text)}", x_mbx_apikey=KEY)
    tidied = text.replace("%3A", ":")
    changed = box.raw("POST", "/fapi/v1/order", f"{tidied}&signature={sign(text)}", x_mbx_apikey=KEY)

    assert encoded.body["clientOrderId"] == "a:b"
    assert changed.code == -1022


@pytest.mark.parametrize(
    "query",
    [
        f"signature={sign(order_text())}&{order_text()}",
        f"{order_text()}&signature={sign(order_text())}0",
        f"{order_text()}&signature=",
        f"{order_text().replace('0.01', '0.02')}&signature={sign(order_text())}",
        f"{order_text()}&signature={sign(order_text(), 'another secret')}",
    ],
)
def test_anything_that_was_not_signed_last_and_whole_is_refused(query: str) -> None:
    box = Box()

    assert box.raw("POST", "/fapi/v1/order", query, x_mbx_apikey=KEY).code == -1022
    assert box.journal == []


def test_a_body_that_is_no_form_holds_no_parameters() -> None:
    text = order_text() + f"&signature={sign(order_text())}"

    heard = Box().raw(
        "POST", "/fapi/v1/order", body=text, x_mbx_apikey=KEY, content_type="application/octet-stream"
    )

    assert heard.code == -1102


def test_an_ed25519_key_signs_in_base64() -> None:
    private = Ed25519PrivateKey.generate()
    pem = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    box, text = Box(market="spot", keys={KEY: pem}), order_text()
    signature = b64encode(private.sign(text.encode())).decode()

    good = box.raw("POST", "/api/v3/order", f"{text}&signature={quote(signature, safe='')}", x_mbx_apikey=KEY)
    unquoted_garbage = box.raw("POST", "/api/v3/order", f"{text}&signature=AA%3D%3D", x_mbx_apikey=KEY)
    no_base64 = box.raw("POST", "/api/v3/order", f"{text}&signature=*", x_mbx_apikey=KEY)

    assert good.status == 200
    assert (unquoted_garbage.code, no_base64.code) == (-1022, -1022)


def test_keys_are_asked_for_before_anything_else() -> None:
    box = Box(keys={KEY: "loopback-secret", "reader": Key("s", may_trade=False)})

    missing = box.raw("GET", "/fapi/v1/order", "symbol=BTCUSDT")
    unknown = box.ask("GET", "/fapi/v3/account", key="nobody")
    reads = box.ask("GET", "/fapi/v3/account", key="reader", secret="s")
    trades = box.place(key="reader", secret="s")

    assert (missing.status, missing.code) == (401, -2014)
    assert (unknown.status, unknown.code) == (401, -2015)
    assert reads.status == 200
    assert (trades.status, trades.code) == (401, -2015)


@pytest.mark.parametrize(
    ("offset_ms", "window", "code"),
    [
        (999, None, None),
        (1_000, None, -1021),
        (-5_000, None, None),
        (-5_001, None, -1021),
        (-100, 100, None),
        (-101, 100, -1021),
        (-60_000, 60_000, None),
        (0, 60_001, -1131),
        (0, "5000.5", None),
    ],
)
def test_a_time_stamp_is_good_for_its_window(offset_ms: int, window: object, code: int | None) -> None:
    heard = Box().place(timestamp=START_MS + offset_ms, recvWindow=window)

    assert heard.code == code


@pytest.mark.parametrize(
    ("changes", "code", "word"),
    [
        ({"symbol": None}, -1102, "'symbol'"),
        ({"side": None}, -1102, "'side'"),
        ({"type": None}, -1102, "'type'"),
        ({"quantity": None}, -1102, "'quantity'"),
        ({"timestamp": None}, -1102, "'timestamp'"),
        ({"price": "60000", "timeInForce": None}, -1102, "'timeInForce'"),
        ({"type": "LIMIT", "timeInForce": "GTC"}, -1102, "'price'"),
        ({"price": "60000", "type": "MARKET", "timeInForce": None}, -1106, "'price'"),
        ({"timeInForce": "GTC"}, -1106, "'timeInForce'"),
        ({"quantity": ""}, -1105, "'quantity'"),
        ({"quantity": "1e-3"}, -1100, "'quantity'"),
        ({"quantity": "-1"}, -1100, "'quantity'"),
        ({"newClientOrderId": "a b"}, -1100, "'newClientOrderId'"),
        ({"newClientOrderId": "x" * 37}, -1100, "'newClientOrderId'"),
        ({"symbol": "btcusdt"}, -1100, "'symbol'"),
        ({"timestamp": "now"}, -1100, "'timestamp'"),
        ({"symbol": "XXXUSDT"}, -1121, "symbol"),
        ({"side": "LONG"}, -1117, "side"),
        ({"type": "ICEBERG"}, -1116, "orderType"),
        ({"type": "STOP_MARKET"}, -4120, "Algo Order"),
        ({"type": "LIMIT", "price": "1", "timeInForce": "GTD"}, -1115, "timeInForce"),
    ],
)
def test_a_parameter_that_is_missing_or_wrong_is_named(changes: dict[str, Any], code: int, word: str) -> None:
    box = Box()

    heard = box.place(**changes)

    assert (heard.status, heard.code) == (400, code)
    assert word in heard.body["msg"]
    assert box.journal == []


def test_a_parameter_may_come_once_in_each_place_and_the_query_wins() -> None:
    box = Box()
    query = f"{ORDER}&newClientOrderId=query&timestamp={START_MS}"
    body = "newClientOrderId=body"

    both = box.raw(
        "POST", "/fapi/v1/order", query, f"{body}&signature={sign(query + body)}", x_mbx_apikey=KEY
    )
    twice = box.raw("GET", "/fapi/v1/time", "a=1&a=2")

    assert both.body["clientOrderId"] == "query"
    assert twice.code == -1101


def test_a_path_that_is_not_there_is_named() -> None:
    heard = Box().raw("POST", "/fapi/v1/orders")

    assert (heard.status, heard.code) == (404, -5000)
    assert "/fapi/v1/orders" in heard.body["msg"]
