"""Orders in line with the exchange's rules: down and never up, to the nearest tick, or a reason."""

from __future__ import annotations

import decimal
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.contract import OrderSide, Reject
from adapters.filters import Aligned, Band, Notional, SymbolRules, Wanted, align, size
from adapters.grid import Grid

D = Decimal

BTC = SymbolRules(
    symbol="BTCUSDT",
    order_types=("LIMIT", "MARKET"),
    times_in_force=("GTC", "IOC", "FOK"),
    price=Grid(step=D("0.10"), minimum=D("556.80"), maximum=D("4529764")),
    lot=Grid(step=D("0.001"), minimum=D("0.001"), maximum=D("1000")),
    market_lot=Grid(step=D("0.001"), minimum=D("0.001"), maximum=D("120")),
    notional=Notional(minimum=D("50"), reduce_only_exempt=True),
    bands={"buy": Band(up=D("1.05")), "sell": Band(down=D("0.95"))},
)

STEPS = st.builds(
    lambda digits, exponent: D(digits).scaleb(exponent), st.integers(1, 9_999), st.integers(-8, 2)
)
AMOUNTS = st.builds(
    lambda digits, exponent: D(digits).scaleb(exponent), st.integers(1, 10**15), st.integers(-12, 0)
)
ANY_DECIMAL = st.one_of(
    st.decimals(allow_nan=True, allow_infinity=True),
    st.sampled_from([D("sNaN"), D("-0"), D("1E+999999"), D("1E-999999"), D("0E+500"), D("-1"), D("9E+31")]),
)


def market(qty: str | Decimal, *, side: OrderSide = "buy", at: str | None = "67000") -> Wanted:
    return Wanted(side, "market", "GTC", D(qty), book_price=None if at is None else D(at))


def limit(qty: str | Decimal, price: str | Decimal | None, *, side: OrderSide = "buy") -> Wanted:
    return Wanted(side, "limit", "GTC", D(qty), price=None if price is None else D(price))


def aligned(rules: SymbolRules, wanted: Wanted) -> Aligned:
    result = align(rules, wanted)
    assert isinstance(result, Aligned), result
    return result


def code(rules: SymbolRules, wanted: Wanted) -> str:
    result = align(rules, wanted)
    assert isinstance(result, Reject), result
    assert result.text
    return result.code


def test_a_quantity_is_rounded_down_and_the_rest_is_told() -> None:
    result = aligned(BTC, market("0.0019999"))

    assert result.qty == D("0.001")
    assert result.price is None
    assert result.rounding_diff == {"price_diff": "0", "qty_diff": "0.0009999"}


@pytest.mark.parametrize(
    ("wanted", "sent", "diff"),
    [
        ("60000.04", "60000", "0.04"),
        ("60000.05", "60000.1", "-0.05"),
        ("60000.0499999999999999999999999999999", "60000", "0.0499999999999999999999999999999"),
        ("60000.15", "60000.2", "-0.05"),
        ("6.00001E+4", "60000.1", "0"),
    ],
)
def test_a_limit_price_goes_to_the_nearest_tick_half_up(wanted: str, sent: str, diff: str) -> None:
    result = aligned(BTC, limit("1", wanted))

    assert str(result.price) == sent
    assert result.rounding_diff == (None if diff == "0" else {"price_diff": diff, "qty_diff": "0"})


def test_what_needs_no_rounding_has_no_difference() -> None:
    assert aligned(BTC, limit("1.500", "60000.10")) == Aligned(qty=D("1.5"), price=D("60000.1"))


def test_numbers_leave_as_plain_text() -> None:
    result = aligned(BTC, limit(D("1E+2"), D("6E+4")))

    assert (str(result.qty), str(result.price)) == ("100", "60000")


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        (market("0.0009"), "invalid_quantity"),
        (market("120.0010001"), "invalid_quantity"),
        (limit("1000.001", "60000"), "invalid_quantity"),
        (market("0"), "invalid_quantity"),
        (market("-1"), "invalid_quantity"),
        (market("NaN"), "invalid_quantity"),
        (market("Infinity"), "invalid_quantity"),
        (market("1E+400"), "invalid_quantity"),
        (limit("1", None), "price_filter"),
        (limit("1", "0"), "price_filter"),
        (limit("1", "-5"), "price_filter"),
        (limit("1", "NaN"), "price_filter"),
        (limit("1", "556.74"), "price_filter"),
        (limit("1", "4529764.1"), "price_filter"),
        (limit("0.001", "49999.9"), "min_notional"),
        (market("0.001", at="49999.99"), "min_notional"),
        (Wanted("buy", "stop_market", "GTC", D(1)), "order_type_not_allowed"),
        (Wanted("buy", "limit", "GTX", D(1), price=D(60_000)), "time_in_force_not_allowed"),
    ],
)
def test_what_the_exchange_would_refuse_is_refused_here(wanted: Wanted, reason: str) -> None:
    assert code(BTC, wanted) == reason


@pytest.mark.parametrize("wanted", [market("120.0009"), market("0.001", at="50000"), limit("1", "556.75")])
def test_what_just_keeps_to_the_rules_is_taken(wanted: Wanted) -> None:
    aligned(BTC, wanted)


def test_a_symbol_that_does_not_trade_takes_nothing() -> None:
    rules = SymbolRules(symbol="LUNAUSDT", status="SETTLING")

    assert align(rules, market("1")) == Reject(
        "symbol_not_trading", "LUNAUSDT has status SETTLING, must be TRADING"
    )


def test_a_refusal_says_what_would_be_taken() -> None:
    assert align(BTC, market("0.0019", at="40000")) == Reject(
        "min_notional", "BTCUSDT takes orders worth at least 50, not 40 (0.001 at 40000)"
    )
    assert align(BTC, market("0.0009")) == Reject(
        "invalid_quantity",
        "BTCUSDT takes quantities from 0.001 to 1000 and from 0.001 to 120, not 0.0009 cut to 0",
    )


def test_a_minimum_is_measured_after_rounding_and_never_reached_by_rounding_up() -> None:
    assert code(BTC, limit("0.0019999", "40000")) == "min_notional"


def test_a_reduce_only_order_needs_no_minimum_on_futures() -> None:
    small = Wanted("sell", "market", "GTC", D("0.001"), book_price=D(1_000), reduce_only=True)
    spot = SymbolRules(symbol="BTCUSDT", notional=Notional(minimum=D(5)))

    assert aligned(BTC, small).qty == D("0.001")
    assert code(spot, small) == "min_notional"


def test_a_market_order_without_any_price_leaves_its_value_to_the_exchange() -> None:
    assert aligned(BTC, market("0.001", at=None)).qty == D("0.001")


@pytest.mark.parametrize(
    ("side", "price", "mark", "refused"),
    [
        ("buy", "63000.0", "60000", False),
        ("buy", "63000.1", "60000", True),
        ("buy", "1000.0", "60000", False),
        ("sell", "57000.0", "60000", False),
        ("sell", "56999.9", "60000", True),
        ("sell", "99000.0", "60000", False),
        ("buy", "99000.0", None, False),
        ("buy", "99000.0", "NaN", False),
    ],
)
def test_a_price_too_far_from_the_mark_is_refused_when_the_mark_is_known(
    side: OrderSide, price: str, mark: str | None, refused: bool
) -> None:
    reference = None if mark is None else D(mark)
    wanted = Wanted(side, "limit", "GTC", D(1), price=D(price), reference_price=reference)

    result = align(BTC, wanted)

    assert isinstance(result, Reject) == refused
    if isinstance(result, Reject):
        assert result.code == "percent_price"


def test_a_step_of_zero_does_not_bind_but_places_do() -> None:
    rules = SymbolRules(symbol="X", qty_places=4, price_places=2)

    result = aligned(rules, limit("1.23456789", "9.876"))

    assert (result.qty, result.price) == (D("1.2345"), D("9.88"))


def test_a_market_step_of_zero_leaves_the_ordinary_step_in_force() -> None:
    rules = SymbolRules(symbol="X", lot=Grid(step=D("0.01")), market_lot=Grid(maximum=D(100)))

    assert aligned(rules, market("99.999")).qty == D("99.99")
    assert code(rules, market("100.01")) == "invalid_quantity"


def test_a_market_order_meets_both_of_its_steps() -> None:
    rules = SymbolRules(symbol="X", lot=Grid(step=D("0.4"), minimum=D("0.2")), market_lot=Grid(step=D("0.3")))

    assert aligned(rules, market("3.5")).qty == D("3.0")
    assert aligned(rules, limit("3.5", "1")).qty == D("3.4")


def test_steps_that_never_meet_are_refused() -> None:
    rules = SymbolRules(symbol="X", lot=Grid(step=D("2")), market_lot=Grid(step=D("2"), minimum=D("1")))

    assert code(rules, market("7")) == "invalid_quantity"


def test_an_order_worth_too_much_is_refused_where_the_exchange_says_so() -> None:
    limits_only = Notional(maximum=D(100), maximum_of_market=False)
    rules = SymbolRules(symbol="X", notional=limits_only)

    assert code(rules, limit("11", "10")) == "max_notional"
    assert aligned(rules, market("11", at="10")).qty == 11


@pytest.mark.parametrize(
    ("usd", "price", "qty"),
    [("100", "67000", "0.00149253731343283582"), ("100", "3", "33.3333333333333333"), ("100", "0.5", "200")],
)
def test_a_size_is_the_order_value_over_the_price_rounded_down(usd: str, price: str, qty: str) -> None:
    assert size(D(usd), D(price)) == D(qty)


@pytest.mark.parametrize(
    ("usd", "price"), [("0", "1"), ("-1", "1"), ("NaN", "1"), ("1", "0"), ("1", "Infinity")]
)
def test_a_size_of_nonsense_is_refused(usd: str, price: str) -> None:
    assert isinstance(size(D(usd), D(price)), Reject)


@given(usd=ANY_DECIMAL, price=ANY_DECIMAL)
def test_no_input_of_size_raises(usd: Decimal, price: Decimal) -> None:
    result = size(usd, price)

    assert isinstance(result, Reject) or (result > 0 and result * price <= usd * (1 + D("1e-17")))


@given(
    qty=ANY_DECIMAL,
    price=st.none() | ANY_DECIMAL,
    reference=st.none() | ANY_DECIMAL,
    order_type=st.sampled_from(["limit", "market", "LIMIT", "", "stop"]),
)
def test_no_input_of_align_raises(
    qty: Decimal, price: Decimal | None, reference: Decimal | None, order_type: str
) -> None:
    wanted = Wanted(
        "buy", order_type, "GTC", qty, price=price, reference_price=reference, book_price=reference
    )

    assert isinstance(align(BTC, wanted), Aligned | Reject)


@given(qty=AMOUNTS, step=STEPS, minimum=STEPS, market_step=STEPS, price=AMOUNTS, tick=STEPS, least=STEPS)
def test_every_aligned_order_passes_the_published_formulas(
    qty: Decimal,
    step: Decimal,
    minimum: Decimal,
    market_step: Decimal,
    price: Decimal,
    tick: Decimal,
    least: Decimal,
) -> None:
    rules = SymbolRules(
        symbol="X",
        lot=Grid(step=step, minimum=minimum),
        market_lot=Grid(step=market_step, minimum=minimum),
        price=Grid(step=tick, minimum=least),
    )
    for wanted in (market(qty, at=None), limit(qty, price)):
        result = align(rules, wanted)
        if isinstance(result, Reject):
            continue
        exact_qty = Fraction(result.qty)
        steps = (step, market_step) if wanted.price is None else (step,)
        assert all((exact_qty - Fraction(minimum)) % Fraction(each) == 0 for each in steps)
        assert minimum <= result.qty <= qty
        if len(steps) == 1:
            assert Fraction(qty) - exact_qty < Fraction(step)
        if result.price is not None:
            assert (Fraction(result.price) - Fraction(least)) % Fraction(tick) == 0
            assert -Fraction(tick) / 2 <= Fraction(price) - Fraction(result.price) < Fraction(tick) / 2


@given(qty=AMOUNTS, price=AMOUNTS, step=STEPS, tick=STEPS)
def test_what_was_sent_and_the_difference_make_up_what_was_wanted(
    qty: Decimal, price: Decimal, step: Decimal, tick: Decimal
) -> None:
    rules = SymbolRules(symbol="X", lot=Grid(step=step), price=Grid(step=tick))
    result = align(rules, limit(qty, price))
    if isinstance(result, Reject):
        return
    assert result.price is not None
    diff = result.rounding_diff or {"price_diff": "0", "qty_diff": "0"}

    assert Fraction(result.qty) + Fraction(diff["qty_diff"]) == Fraction(qty)
    assert Fraction(result.price) + Fraction(diff["price_diff"]) == Fraction(price)
    for text in (*diff.values(), format(result.qty, "f"), format(result.price, "f")):
        assert "E" not in text
        assert "." not in text or not text.endswith(("0", "."))
    assert align(rules, limit(result.qty, result.price)) == Aligned(qty=result.qty, price=result.price)


@given(qty=AMOUNTS, price=AMOUNTS, precision=st.integers(1, 9))
def test_the_decimal_context_of_the_process_changes_nothing(
    qty: Decimal, price: Decimal, precision: int
) -> None:
    usual = align(BTC, limit(qty, price)), size(qty, price)
    with decimal.localcontext() as context:
        context.prec = precision
        context.rounding = decimal.ROUND_UP

        assert (align(BTC, limit(qty, price)), size(qty, price)) == usual
