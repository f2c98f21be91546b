"""What holds at the simulated venue whatever comes: nothing is filled twice, rounded up or up to chance."""

from __future__ import annotations

from decimal import Decimal

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from rig.paper_orders import NOW_MS, RULES, THOUSAND, USUAL, venue, wanted

from adapters.binance.preparing import Window
from adapters.binance.preparing import prepare as prepare_on_binance
from adapters.binance.prices import BookPrice
from adapters.contract import Accepted, Order, OrderCtx, OrderSide
from adapters.filters import Notional, SymbolRules
from adapters.grid import Grid
from adapters.paper.dice import Dice, gaps_ms, split
from adapters.paper.quotes import Quote
from adapters.paper.short_way import ShortWay
from adapters.paper.trade_sim import Outcome, TradeSim

D = Decimal
SIDES: st.SearchStrategy[OrderSide] = st.sampled_from(["buy", "sell"])
# Of any size, so that each bound of the rules is met from both sides.
PRICES = st.builds(
    lambda digits, places: D(digits).scaleb(places), st.integers(1, 99_999), st.integers(-4, 1)
)
SIZES = st.builds(lambda digits, places: D(digits).scaleb(places), st.integers(1, 9_999), st.integers(-2, 2))
SHARES = st.sampled_from([0.0, 0.3, 1.0])


@st.composite
def rules(draw: st.DrawFn) -> SymbolRules:
    """The rules of a symbol, sensible or not."""
    step = D(draw(st.sampled_from([1, 1, 1, 5]))).scaleb(draw(st.integers(-6, 1)))
    market_step = draw(st.sampled_from([step, D(0), step * 2]))
    return SymbolRules(
        symbol="BTCUSDT",
        status=draw(st.sampled_from(["TRADING"] * 9 + ["BREAK"])),
        order_types=draw(st.sampled_from([()] * 4 + [("LIMIT", "MARKET")] * 4 + [("LIMIT",)])),
        price=Grid(step=draw(st.sampled_from([D(0), D("0.01"), D("0.5")]))),
        lot=Grid(step, draw(st.sampled_from([D(0), step, 20 * step])), draw(st.sampled_from([D(0), D(500)]))),
        market_lot=Grid(market_step, D(0), draw(st.sampled_from([D(0), D(20)]))),
        notional=Notional(
            minimum=draw(st.sampled_from([D(0), D(5), D(1_000)])),
            maximum=draw(st.sampled_from([D(0), D(0), D(10_000)])),
            minimum_of_market=draw(st.booleans()),
            maximum_of_market=draw(st.booleans()),
        ),
        qty_places=draw(st.integers(0, 8)),
    )


@st.composite
def quotes(draw: st.DrawFn) -> Quote:
    """One price, or a book that is narrow or wide."""
    bid = draw(PRICES)
    if draw(st.booleans()):
        return Quote(bid, bid, NOW_MS)
    spread = D(draw(st.sampled_from([0, 1, 100, 10**6]))).scaleb(-4)
    return Quote(bid, bid + bid * spread, NOW_MS, is_book=True)


@st.composite
def contexts(draw: st.DrawFn) -> OrderCtx:
    """A market or limit order, by size or by quantity."""
    return wanted(
        draw(st.integers(0, 99)),
        draw(SIDES),
        order_type=draw(st.sampled_from(["market", "market", "limit"])),
        price=draw(st.none() | PRICES),
        qty=draw(st.none() | st.none() | SIZES),
        size_usd=draw(st.none() | SIZES),
    )


@settings(max_examples=300)
@given(contexts(), quotes(), rules(), SIZES)
def test_the_same_book_gives_the_same_order_as_on_the_exchange_and_never_a_larger_one(
    ctx: OrderCtx, quote: Quote, rules: SymbolRules, size_usd: Decimal
) -> None:
    window = Window(now_ms=NOW_MS, offset_ms=0, send_window_ms=1, recv_window_ms=1)

    here = venue(rules={"BTCUSDT": rules}).prepare(ctx, quote, size_usd)

    there = prepare_on_binance(
        ctx, rules, BookPrice(quote.bid, quote.ask, 0.0), window, order_size_usd=size_usd
    )
    if isinstance(there, Order):
        there = msgspec.structs.replace(
            there, send_before_ms=None, recv_window_ms=None, event_ts_ms=ctx.event_ts_ms
        )
    assert here == there
    assert msgspec.json.encode(here) == msgspec.json.encode(there)
    if isinstance(here, Order):
        lost = D(here.rounding_diff["qty_diff"]) if here.rounding_diff is not None else D(0)
        assert lost >= 0, "a quantity was rounded up"
        assert ctx.qty is None or here.qty + lost == ctx.qty


def test_an_ordinary_order_goes_the_short_way() -> None:
    quote = Quote(D("43210.1"), D("43210.2"), NOW_MS)

    assert ShortWay(RULES["BTCUSDT"]).order(wanted(), quote, THOUSAND) is not None


@st.composite
def evenings(draw: st.DrawFn) -> list[tuple[Order, Quote]]:
    """Orders with the quotes that they meet, some of them the same ones again."""
    count = draw(st.integers(1, 8))
    placements = []
    for _ in range(count):
        number = draw(st.integers(0, 5))
        kind = number % 3
        order = Order(
            client_order_id=f"ew1-{number}",
            symbol="BTCUSDT",
            side="buy" if number % 2 else "sell",
            order_type="limit" if kind else "market",
            tif="IOC" if kind == 1 else "GTC",
            qty=D(number + 1) / 1000,
            price=D(50_000) if kind else None,
            signal_id=str(number),
        )
        price = D(draw(st.integers(49_998, 50_002)))
        placements.append((order, Quote(price, price, NOW_MS)))
    return placements


def fate(sim: TradeSim, order: Order) -> object:
    """All that there is to say of an order, but for its number at the venue."""
    known = sim.orders.get(order.client_order_id)
    return known and (known.parts, known.end, known.filled_qty)


@given(evenings(), SHARES, SHARES, SHARES, st.integers(0, 9))
def test_what_is_told_adds_up_to_what_was_filled_and_never_beyond_what_was_ordered(
    placements: list[tuple[Order, Quote]], parts: float, errors: float, timeouts: float, seed: int
) -> None:
    sim = venue(USUAL, seed=seed, partial_share=parts, error_share=errors, timeouts={"BTCUSDT": timeouts})
    told: list[Outcome] = []

    for order, quote in placements:
        told.append(sim.place(order, quote, NOW_MS))
        sim.look("BTCUSDT", quote, NOW_MS)

    held = D(0)
    for known in sim.orders.values():
        assert sum((fill.qty for fill in known.fills()), D(0)) == known.filled_qty <= known.order.qty
        assert known.works == (known in sim.working("BTCUSDT"))
        held += known.filled_qty if known.order.side == "buy" else -known.filled_qty
    assert held == (sim.positions["BTCUSDT"].qty if "BTCUSDT" in sim.positions else 0)
    accepted = [one.answer.update.client_order_id for one in told if isinstance(one.answer, Accepted)]
    assert len(accepted) == len(set(accepted))
    for outcome in told:
        quantities = [update.filled_qty for update in outcome.later]
        assert quantities == sorted(quantities)


@given(evenings(), st.integers(0, 9), st.randoms(use_true_random=False))
def test_an_order_meets_the_same_fate_in_any_company_and_order(
    placements: list[tuple[Order, Quote]], seed: int, random: object
) -> None:
    dice = {"partial_share": 0.5, "error_share": 0.2, "timeouts": {"BTCUSDT": 0.3}}
    ordered = list({order.client_order_id: (order, quote) for order, quote in placements}.values())
    shuffled = ordered[:]
    random.shuffle(shuffled)

    found = []
    for company in (ordered, shuffled):
        sim = venue(USUAL, seed=seed, **dice)
        answers = {
            order.client_order_id: type(sim.place(order, quote, NOW_MS).answer) for order, quote in company
        }
        found.append((answers, {order.client_order_id: fate(sim, order) for order, _ in ordered}))

    assert found[0] == found[1]
    for order, quote in ordered:
        alone = venue(USUAL, seed=seed, **dice)
        alone.place(order, quote, NOW_MS)
        assert fate(alone, order) == found[0][1][order.client_order_id]


@given(st.integers(1, 10**6), st.integers(0, 99), st.text(max_size=8))
def test_parts_are_whole_and_add_up(units: int, seed: int, order_id: str) -> None:
    parts = split(units, Dice(seed), order_id)

    assert sum(parts) == units
    assert min(parts) >= 1
    assert len(parts) <= 4
    assert (len(parts) == 1) == (units == 1)
    moments = gaps_ms(len(parts), Dice(seed), order_id)
    assert list(moments) == sorted(set(moments))


@given(st.integers(0, 99), st.text(max_size=8), st.text(max_size=8))
def test_a_roll_is_the_same_whenever_it_is_rolled(seed: int, order_id: str, purpose: str) -> None:
    first, second = Dice(seed), Dice(seed)
    second.roll("another", purpose)

    assert first.roll(order_id, purpose) == second.roll(order_id, purpose)
    assert 0 <= first.roll(order_id, purpose) < 1
    assert not first.hits(0.0, order_id, purpose)
    assert first.hits(1.0, order_id, purpose)
