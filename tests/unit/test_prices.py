"""Book prices: fresh or none, whatever the venue says and however slowly."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from decimal import Decimal

from rig.virtual_clock import in_virtual_time, until, virtual_clock

from adapters.binance.prices import ANSWER_S_MAX, POLL_S_MIN, Prices

Book = Sequence[tuple[str, Decimal, Decimal]]
BOOK: Book = (("BTCUSDT", Decimal("99.9"), Decimal("100.1")),)


class Venue:
    """Answers each question with the next of its answers after `delay_s`; the last one stays."""

    def __init__(self, *answers: Book | None, delay_s: float = 0.0) -> None:
        self.answers = list(answers)
        self.asked = 0
        self.delay_s = delay_s
        self.clock = virtual_clock()

    async def __call__(self, symbols: Sequence[str]) -> Book | None:
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        await self.clock.sleep(self.delay_s)
        return answer


def prices_of(venue: Venue, max_age_ms: int = 2_000) -> Prices:
    return Prices(("BTCUSDT",), venue, venue.clock, max_age_ms=max_age_ms)


@in_virtual_time
async def test_a_price_is_there_once_it_was_asked_for() -> None:
    prices = prices_of(Venue(BOOK))
    assert prices.price("BTCUSDT") is None

    assert await prices.ask_once()

    price = prices.price("BTCUSDT")
    assert price is not None
    assert (price.bid, price.ask) == (Decimal("99.9"), Decimal("100.1"))
    assert prices.price("ETHUSDT") is None


@in_virtual_time
async def test_a_price_is_as_old_as_its_question() -> None:
    venue = Venue(BOOK, delay_s=1.5)
    prices = prices_of(venue)
    await prices.ask_once()
    assert prices.price("BTCUSDT") is not None

    await venue.clock.sleep(0.6)

    assert prices.price("BTCUSDT") is None


@in_virtual_time
async def test_a_late_answer_does_not_replace_a_newer_one() -> None:
    venue = Venue((("BTCUSDT", Decimal(1), Decimal(2)),), BOOK, delay_s=1.0)
    prices = prices_of(venue)
    slow = asyncio.create_task(prices.ask_once())
    await venue.clock.sleep(0.1)
    venue.delay_s = 0.0
    await prices.ask_once()

    await slow

    price = prices.price("BTCUSDT")
    assert price is not None
    assert price.ask == Decimal("100.1")


@in_virtual_time
async def test_half_a_book_and_a_crossed_one_are_no_price() -> None:
    for bid, ask in (("0", "1"), ("1", "0"), ("2", "1"), ("NaN", "1"), ("1", "Infinity")):
        prices = prices_of(Venue((("BTCUSDT", Decimal(bid), Decimal(ask)),)))

        await prices.ask_once()

        assert prices.price("BTCUSDT") is None


@in_virtual_time
async def test_it_asks_often_enough_that_one_lost_answer_leaves_no_gap() -> None:
    venue = Venue(BOOK, None, BOOK, None, BOOK, BOOK)
    prices = prices_of(venue)
    task = asyncio.create_task(prices.run())
    await until(lambda: prices.price("BTCUSDT") is not None, venue.clock)

    for _ in range(80):
        await venue.clock.sleep(0.1)
        assert prices.price("BTCUSDT") is not None

    task.cancel()
    assert 8 <= venue.asked <= 10
    assert prices.unanswered == 2


@in_virtual_time
async def test_silence_is_given_up_and_asked_again() -> None:
    venue = Venue(BOOK, delay_s=3_600.0)
    prices = prices_of(venue)
    started_s = venue.clock.monotonic_s()

    assert not await prices.ask_once()

    assert venue.clock.monotonic_s() - started_s <= ANSWER_S_MAX + 0.01
    assert prices.unanswered == 1


@in_virtual_time
async def test_a_poke_asks_at_once_and_a_hundred_of_them_not_faster() -> None:
    venue = Venue(BOOK)
    prices = prices_of(venue, max_age_ms=600_000)
    task = asyncio.create_task(prices.run())
    await until(lambda: venue.asked == 1, venue.clock)
    await venue.clock.sleep(10)
    started_s = venue.clock.monotonic_s()

    prices.poke()
    await until(lambda: venue.asked == 2, venue.clock)
    assert venue.clock.monotonic_s() - started_s < 0.01

    for _ in range(100):
        prices.poke()
        await venue.clock.sleep(0.01)

    task.cancel()
    assert venue.asked - 2 <= 1.0 / POLL_S_MIN
