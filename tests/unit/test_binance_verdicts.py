"""Verdicts: every row of what an answer proves, on both markets, and doubt wherever no row speaks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.binance.market import Market
from adapters.binance.transport import HttpReply
from adapters.binance.verdicts import (
    REJECTED,
    STALE_RULES,
    Ambiguous,
    Backoff,
    Denied,
    Duplicate,
    NoSuchOrder,
    Ok,
    Refused,
    Resync,
    Verdict,
    reply_verdict,
    verdict,
)

F, S = Market.FUTURES, Market.SPOT
BOTH = (F, S)
EXAMPLES = json.loads((Path(__file__).parent / "binance_examples" / "replies.json").read_text())
UNKNOWN_503 = "Unknown error, please check your request or try again later."


def placing(market: Market, status: int, code: int | None = None, text: str = "") -> Verdict:
    return verdict(market, status, code, text, placing=True, headers={})


def asking(market: Market, status: int, code: int | None = None, text: str = "") -> Verdict:
    return verdict(market, status, code, text, placing=False, headers={})


def reply(status: int, body: object = b"", **headers: str) -> HttpReply:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HttpReply(status, {name.replace("_", "-"): value for name, value in headers.items()}, raw)


@pytest.mark.parametrize("name", ["futures_placed", "futures_order", "spot_ack", "spot_order"])
@pytest.mark.parametrize("market", BOTH)
def test_a_200_with_the_order_is_accepted(market: Market, name: str) -> None:
    assert reply_verdict(market, reply(200, EXAMPLES[name]), placing=True) == Ok()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"<html>",
        b'{"orderId": 1',
        b'{"code": 200, "msg": "ok"}',
        b'{"orderId": "NaN"}',
        b"\xff",
    ],
)
@pytest.mark.parametrize("market", BOTH)
def test_a_200_that_cannot_be_read_is_unknown(market: Market, body: bytes) -> None:
    assert isinstance(reply_verdict(market, reply(200, body), placing=True), Ambiguous)


@pytest.mark.parametrize("market", BOTH)
def test_a_200_to_a_question_is_an_answer(market: Market) -> None:
    assert reply_verdict(market, reply(200, b"[]"), placing=False) == Ok()


@pytest.mark.parametrize(
    ("market", "code", "text"),
    [
        (F, -4116, "clientOrderId is duplicated"),
        (S, -2010, "Duplicate order sent."),
        (F, -2010, "Duplicate order sent."),
        (S, -2010, "DUPLICATE ORDER SENT"),
    ],
)
def test_an_open_order_with_our_id_is_adopted(market: Market, code: int, text: str) -> None:
    assert isinstance(placing(market, 400, code, text), Duplicate)


# Reason, and where the market does not matter both.
REJECTIONS = [
    (BOTH, -1013, "Filter failure: LOT_SIZE", "invalid_quantity"),
    (BOTH, -1013, "Filter failure: MARKET_LOT_SIZE", "invalid_quantity"),
    (BOTH, -1013, "Filter failure: PRICE_FILTER", "price_filter"),
    (BOTH, -1013, "Filter failure: PERCENT_PRICE", "percent_price"),
    (BOTH, -1013, "Filter failure: PERCENT_PRICE_BY_SIDE", "percent_price"),
    (BOTH, -1013, "Filter failure: MIN_NOTIONAL", "min_notional"),
    (BOTH, -1013, "Filter failure: NOTIONAL", "min_notional"),
    (BOTH, -1013, "Filter failure: MAX_POSITION", "position_limit"),
    (BOTH, -1013, "Filter failure: MAX_NUM_ORDERS", "too_many_open_orders"),
    (BOTH, -1013, "Invalid quantity.", "invalid_quantity"),
    (BOTH, -1013, "Invalid price.", "price_filter"),
    (BOTH, -1013, "INVALID_MESSAGE.", "venue_rejected"),
    (BOTH, -1100, "Illegal characters found in a parameter.", "venue_rejected"),
    (BOTH, -1101, "Too many parameters sent for this endpoint.", "venue_rejected"),
    (BOTH, -1102, "A mandatory parameter was not sent.", "venue_rejected"),
    (BOTH, -1103, "An unknown parameter was sent.", "venue_rejected"),
    (BOTH, -1104, "Not all sent parameters were read.", "venue_rejected"),
    (BOTH, -1105, "A parameter was empty.", "venue_rejected"),
    (BOTH, -1106, "A parameter was sent when not required.", "venue_rejected"),
    (BOTH, -1111, "Precision is over the maximum defined for this asset.", "invalid_quantity"),
    (BOTH, -1111, "Parameter 'price' has too much precision.", "price_filter"),
    (BOTH, -1111, "Parameter 'quantity' has too much precision.", "invalid_quantity"),
    (BOTH, -1116, "Invalid orderType.", "venue_rejected"),
    (BOTH, -1121, "Invalid symbol.", "unknown_symbol"),
    (BOTH, -1131, "recvWindow must be less than 60000", "venue_rejected"),
    (BOTH, -2010, "Account has insufficient balance for requested action.", "insufficient_balance"),
    (BOTH, -2010, "Market is closed.", "symbol_not_trading"),
    (BOTH, -2010, "This action is disabled on this account.", "account_restricted"),
    (BOTH, -2010, "This symbol is not permitted for this account.", "account_restricted"),
    (BOTH, -2010, "This account may not place or cancel orders.", "account_restricted"),
    (BOTH, -2010, "Rest API trading is not enabled.", "account_restricted"),
    (BOTH, -2010, "Price * QTY is zero or less.", "invalid_quantity"),
    (BOTH, -2010, "Order book liquidity is less than symbol minimum quantity.", "no_liquidity"),
    (BOTH, -2010, "NEW_ORDER_REJECTED", "venue_rejected"),
    ((F,), -2018, "Balance is insufficient.", "insufficient_margin"),
    ((F,), -2019, "Margin is insufficient.", "insufficient_margin"),
    ((F,), -2020, "Unable to fill.", "no_liquidity"),
    ((F,), -2022, "ReduceOnly Order is rejected.", "reduce_only_rejected"),
    ((F,), -2027, "Exceeded the maximum allowable position at current leverage.", "position_limit"),
    ((F,), -4003, "Quantity less than zero.", "invalid_quantity"),
    ((F,), -4004, "Quantity less than min quantity.", "invalid_quantity"),
    ((F,), -4005, "Quantity greater than max quantity.", "invalid_quantity"),
    ((F,), -4013, "Price less than min price.", "price_filter"),
    ((F,), -4014, "Price not increased by tick size.", "price_filter"),
    ((F,), -4015, "Client order id is not valid.", "invalid_client_order_id"),
    ((F,), -4016, "Price is higher than mark price multiplier cap.", "percent_price"),
    ((F,), -4023, "Qty not increased by step size.", "invalid_quantity"),
    ((F,), -4061, "Order's position side does not match user's setting.", "position_side"),
    (
        (F,),
        -4131,
        "The counterparty's best price does not meet the PERCENT_PRICE filter limit",
        "percent_price",
    ),
    ((F,), -4164, "Order's notional must be no smaller than 50", "min_notional"),
    ((F,), -5021, "The FOK order has been rejected.", "unfilled"),
    ((F,), -5022, "The Post Only order will be rejected.", "unfilled"),
]


@pytest.mark.parametrize(
    ("market", "code", "text", "reason"),
    [(market, code, text, reason) for markets, code, text, reason in REJECTIONS for market in markets],
)
def test_a_listed_4xx_is_a_rejection_with_its_reason(
    market: Market, code: int, text: str, reason: str
) -> None:
    assert placing(market, 400, code, text) == Refused(reason, f"HTTP 400 code {code}: {text}")


@pytest.mark.parametrize(("market", "code"), [(market, code) for market in BOTH for code in REJECTED[market]])
def test_every_code_of_the_table_is_a_rejection_and_only_as_a_4xx(market: Market, code: int) -> None:
    assert isinstance(placing(market, 400, code), Refused)
    for status in (500, 502, 503, 302, 408):
        assert isinstance(placing(market, status, code), Ambiguous)


@pytest.mark.parametrize(
    "code", [-2018, -2019, -2021, -2022, -2026, -4003, -4116, -4164, -5021, -5028, -4088]
)
def test_a_code_of_futures_proves_nothing_on_spot(code: int) -> None:
    assert isinstance(placing(S, 400, code), Ambiguous)


@pytest.mark.parametrize("code", [-9999, -1016, -1010, -1099, -2011, -2013, -4999, 0, 1, 200, None])
@pytest.mark.parametrize("market", BOTH)
def test_an_unlisted_4xx_to_an_order_is_unknown(market: Market, code: int | None) -> None:
    assert isinstance(placing(market, 400, code, "anything"), Ambiguous)


@pytest.mark.parametrize(("market", "code"), [(F, -1021), (F, -5028), (S, -1021)])
def test_a_wrong_clock_is_measured_again(market: Market, code: int) -> None:
    for verdict_of in (placing, asking):
        assert isinstance(verdict_of(market, 400, code, "Timestamp for this request is outside."), Resync)


@pytest.mark.parametrize(
    ("status", "code"),
    [(429, -1003), (418, -1003), (429, None), (418, None), (400, -1003), (400, -1015), (429, -1015)],
)
@pytest.mark.parametrize("market", BOTH)
def test_too_much_was_not_done_and_nobody_sends_before_the_deadline(
    market: Market, status: int, code: int | None
) -> None:
    for is_placing in (True, False):
        answer = verdict(market, status, code, "slow", placing=is_placing, headers={"retry-after": "17"})

        assert answer == Backoff(None, 17, f"HTTP {status}{'' if code is None else f' code {code}'}: slow")


def test_a_ban_that_stands_in_the_text_has_its_end() -> None:
    text = "Way too many requests; IP(10.1.2.3) banned until 1700000600000. Please use the websocket."

    answer = placing(F, 418, -1003, text)

    assert isinstance(answer, Backoff)
    assert (answer.until_ms, answer.retry_after_s) == (1_700_000_600_000, None)


@pytest.mark.parametrize(
    "value", ["", "soon", "-5", "1.5", "Wed, 21 Oct 2026 07:28:00 GMT", "9" * 30, "\u0665"]
)
def test_a_retry_after_that_is_no_number_is_not_told(value: str) -> None:
    answer = verdict(F, 429, None, "", placing=True, headers={"retry-after": value})

    assert answer == Backoff(None, None, "HTTP 429")


@pytest.mark.parametrize(
    ("market", "status", "code"),
    [(market, status, None) for market in BOTH for status in (401, 403, 451)]
    + [(market, 400, code) for market in BOTH for code in (-1002, -1022, -2014, -2015)]
    + [(market, 401, code) for market in BOTH for code in (-2014, -2015)]
    + [(F, 400, code) for code in (-4087, -4088, -4109, -2017, -1011)],
)
def test_what_is_not_ours_to_retry_asks_for_a_halt(market: Market, status: int, code: int | None) -> None:
    for verdict_of in (placing, asking):
        assert isinstance(verdict_of(market, status, code, "no"), Denied)


@pytest.mark.parametrize(
    ("status", "code", "text"),
    [
        (503, None, "Service Unavailable."),
        (503, None, "Internal error; unable to process your request. Please try again."),
        (503, None, UNKNOWN_503),
        (503, -1001, "Internal error; unable to process your request. Please try again."),
        (503, -1008, "Request throttled by system-level protection."),
        (400, -1001, "Internal error"),
        (400, -1008, "Server is currently overloaded with other requests."),
        (408, None, ""),
        (408, -1007, "Timeout waiting for response from backend server."),
        (400, -1000, "An unknown error occurred while processing the request."),
        (400, -1006, "An unexpected response was received from the message bus."),
        (400, -1007, "Timeout waiting for response from backend server."),
        (429, -1007, "Timeout waiting for response from backend server."),
        (401, -1000, ""),
        (500, None, ""),
        (502, None, ""),
        (504, None, ""),
        (520, None, ""),
        (503, -2010, "Duplicate order sent."),
        (503, -1003, "Too many requests"),
        (503, -1021, "Timestamp for this request is outside of the recvWindow."),
        (100, None, ""),
        (202, None, ""),
        (204, None, ""),
        (301, None, ""),
        (307, None, ""),
        (400, None, ""),
        (404, None, ""),
        (999, None, ""),
    ],
)
@pytest.mark.parametrize("market", BOTH)
def test_everything_else_is_unknown(market: Market, status: int, code: int | None, text: str) -> None:
    assert isinstance(placing(market, status, code, text), Ambiguous)


@pytest.mark.parametrize("status", [400, 500, 502, 503, 504])
@pytest.mark.parametrize(
    "body", [b"", b"<html>503</html>", b"[]", b'{"code":', b'{"code": "x"}', b'{"code": NaN}']
)
def test_an_unreadable_error_to_an_order_is_unknown(status: int, body: bytes) -> None:
    for market in BOTH:
        assert isinstance(reply_verdict(market, reply(status, body), placing=True), Ambiguous)


def test_an_edge_that_refuses_in_html_is_still_obeyed() -> None:
    html = b"<html>blocked</html>"

    assert isinstance(reply_verdict(F, reply(403, html), placing=True), Denied)
    assert reply_verdict(F, reply(429, html, retry_after="3"), placing=True) == Backoff(None, 3, "HTTP 429")


def test_an_error_body_is_read_for_its_code_and_words() -> None:
    answer = reply_verdict(F, reply(400, EXAMPLES["error"]), placing=True)

    assert answer == Refused("insufficient_margin", "HTTP 400 code -2019: Margin is insufficient.")
    assert reply_verdict(F, reply(503, EXAMPLES["error_without_code"]), placing=True) == Ambiguous(
        f"HTTP 503: {UNKNOWN_503}"
    )


@pytest.mark.parametrize(("code", "text"), [(-2013, "Order does not exist."), (-2011, "Unknown order sent.")])
@pytest.mark.parametrize("market", BOTH)
def test_an_order_that_is_not_there_is_no_such_order(market: Market, code: int, text: str) -> None:
    assert isinstance(asking(market, 400, code, text), NoSuchOrder)


@pytest.mark.parametrize(
    ("code", "text", "reason"),
    [
        (-2011, "Order was not canceled due to cancel restrictions.", "venue_rejected"),
        (-1121, "Invalid symbol.", "unknown_symbol"),
        (-1100, "Illegal characters", "venue_rejected"),
        (-9999, "new", "venue_rejected"),
    ],
)
def test_a_question_that_is_refused_is_refused(code: int, text: str, reason: str) -> None:
    answer = asking(F, 400, code, text)

    assert isinstance(answer, Refused)
    assert answer.code == reason


@pytest.mark.parametrize(
    ("status", "code"), [(503, None), (500, -1000), (408, -1007), (400, -1008), (400, None), (404, None)]
)
def test_a_question_without_an_answer_says_nothing_about_the_order(status: int, code: int | None) -> None:
    assert isinstance(asking(S, status, code), Ambiguous)


def test_the_words_of_the_exchange_are_one_short_line_without_what_looks_like_a_secret() -> None:
    signature = "3c661234138461fcc7a7d8746c6558c9842d4e10870d2ecbedf7777cad694af9"
    text = f"bad\r\n\x1b[31m signature={signature} in key {'K' * 64}\u2028" + "long " * 100_000

    answer = placing(F, 400, -2019, text)

    assert isinstance(answer, Refused)
    assert signature not in answer.text
    assert "KKKK" not in answer.text
    assert answer.text.isprintable()
    assert len(answer.text) < 260


def test_rules_count_as_stale_for_reasons_that_a_filter_gives() -> None:
    reasons = {reason for table in REJECTED.values() for reason in table.values()}

    assert STALE_RULES - {"percent_price"} <= reasons
    assert "insufficient_margin" not in STALE_RULES


@given(
    market=st.sampled_from(BOTH),
    status=st.integers(min_value=0, max_value=999),
    code=st.none() | st.integers(min_value=-10_000, max_value=10_000),
    text=st.text(max_size=50),
)
def test_only_a_4xx_of_the_tables_ever_says_that_an_order_was_not_accepted(
    market: Market, status: int, code: int | None, text: str
) -> None:
    answer = placing(market, status, code, text)

    if isinstance(answer, Refused | Duplicate | Resync | Backoff | Denied):
        assert 400 <= status < 500
        assert status != 408
    if isinstance(answer, Refused):
        assert code in REJECTED[market] or code in (-1013, -1111, -2010)
        assert "duplicate" not in text.casefold() or code != -2010
    assert not isinstance(answer, NoSuchOrder)
