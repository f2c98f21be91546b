"""Prices from the signals themselves: the signal's own, the fall-back, or the reason for none."""

from __future__ import annotations

from decimal import Decimal

import pytest

from adapters.paper.quotes import NoQuote, Quote
from adapters.paper.signal_quotes import SignalQuotes

NOW_MS = 1_763_225_940_000


def test_a_signals_own_price_is_both_sides_and_no_book() -> None:
    found = SignalQuotes(None).quote("BTCUSDT", Decimal("61000.5"), NOW_MS)

    assert found == Quote(Decimal("61000.5"), Decimal("61000.5"), NOW_MS, is_book=False)


def test_the_fall_back_stands_in_for_a_price_that_is_missing_and_for_no_other() -> None:
    quotes = SignalQuotes(Decimal(1))

    missing, own = quotes.quote("BTCUSDT", None, NOW_MS), quotes.quote("BTCUSDT", Decimal(7), NOW_MS)

    assert isinstance(missing, Quote)
    assert isinstance(own, Quote)
    assert (missing.bid, own.bid) == (Decimal(1), Decimal(7))


def test_without_price_and_fall_back_the_reason_names_the_three_ways_out() -> None:
    found = SignalQuotes(None).quote("BTCUSDT", None, NOW_MS)

    assert isinstance(found, NoQuote)
    assert found.code == "no_price"
    for way in ("execution.paper.fallback_price", "execution.paper.price_file", "book"):
        assert way in found.text


@pytest.mark.parametrize("price", ["0", "-1", "NaN", "-NaN", "Infinity", "1E+999999"])
def test_a_price_that_cannot_be_one_is_bad_and_the_fall_back_does_not_hide_it(price: str) -> None:
    found = SignalQuotes(Decimal(1)).quote("BTCUSDT", Decimal(price), NOW_MS)

    assert isinstance(found, NoQuote)
    assert found.code == "bad_price"


async def test_it_is_always_ready() -> None:
    quotes = SignalQuotes(None)

    assert await quotes.start() is None
    assert quotes.wait_for("BTCUSDT") is None
    await quotes.close()
