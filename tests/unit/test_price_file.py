"""A file of prices: the last one at a signal's time, exactly as written, or the sentence that refuses it."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.contract import StartRefusal
from adapters.paper import price_file
from adapters.paper.price_file import FileQuotes, PriceTable, load_prices
from adapters.paper.quotes import NoQuote, Quote

T = 1_763_225_940_000
JSON_LINE = f'{{"ts_ms":{T},"symbol":"BTCUSDT","price":61000.5}}\n'


def written(folder: Path, text: str | bytes, name: str = "prices.jsonl") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def loaded(path: Path, **more: object) -> PriceTable:
    found = load_prices(path, max_age_ms=2_000, **more)  # type: ignore[arg-type]  # keywords of tests
    assert isinstance(found, PriceTable), found
    return found


def refusal(path: Path) -> str:
    found = load_prices(path, max_age_ms=2_000)
    assert isinstance(found, StartRefusal)
    assert found.kind == "configuration"
    return found.text


@pytest.mark.parametrize(
    "text",
    [
        f'{JSON_LINE}{{"ts_ms":{T + 1000},"symbol":"BTCUSDT","price":"61001.25","venue":"x"}}\n',
        f"ts_ms,symbol,price\n{T},BTCUSDT,61000.5\n\n{T + 1000},btcusdt, 61001.25\n",
        f'\ufeffvenue,price,symbol,ts_ms\r\n"a,b",61000.5,BTCUSDT,{T}\r\nx,61001.25,BTCUSDT,{T + 1000}',
    ],
)
def test_the_last_price_at_or_before_the_moment_answers(text: str, tmp_path: Path) -> None:
    table = loaded(written(tmp_path, text))

    found = [table.quote("BTCUSDT", T + after) for after in (0, 999, 1000, 3000)]

    prices = [(one.bid, one.ask, one.at_ms, one.is_book) for one in found if isinstance(one, Quote)]
    first, second = Decimal("61000.5"), Decimal("61001.25")
    assert prices == [(first, first, T, False)] * 2 + [(second, second, T + 1000, False)] * 2
    assert (table.rows, table.symbols, table.span_ms("BTCUSDT")) == (2, {"BTCUSDT"}, (T, T + 1000))


@pytest.mark.parametrize(
    "text",
    [
        f'{{"ts_ms":{T},"symbol":"BTCUSDT","bid":61000.1,"ask":61000.3,"price":1}}\n',
        f"symbol,ts_ms,bid,ask\nBTCUSDT,{T},61000.1,61000.3\n",
    ],
)
def test_bid_and_ask_are_a_book(text: str, tmp_path: Path) -> None:
    found = loaded(written(tmp_path, text)).quote("BTCUSDT", T)

    assert found == Quote(Decimal("61000.1"), Decimal("61000.3"), T, is_book=True)


def test_of_prices_of_one_moment_the_last_one_counts(tmp_path: Path) -> None:
    path = written(tmp_path, f"ts_ms,symbol,price\n{T},BTCUSDT,1\n{T},BTCUSDT,2\n")

    found = loaded(path).quote("BTCUSDT", T)

    assert isinstance(found, Quote)
    assert found.bid == 2


def test_what_is_too_old_too_early_or_of_another_symbol_is_no_price(tmp_path: Path) -> None:
    table = loaded(written(tmp_path, JSON_LINE))

    found = [table.quote("BTCUSDT", T + 2_001), table.quote("BTCUSDT", T - 1), table.quote("ETHUSDT", T)]

    assert [one.code for one in found if isinstance(one, NoQuote)] == ["stale_price", "no_price", "no_price"]
    assert isinstance(table.quote("BTCUSDT", T + 2_000), Quote)


def test_only_the_wanted_symbols_are_kept_and_all_are_checked(tmp_path: Path) -> None:
    good = written(tmp_path, f"ts_ms,symbol,price\n{T},BTCUSDT,1\n{T},ETHUSDT,2\n")
    bad = written(tmp_path, f"ts_ms,symbol,price\n{T},BTCUSDT,1\n{T},ETHUSDT,NaN\n", "bad.csv")

    table = loaded(good, symbols=["ETHUSDT"])

    assert table.symbols == {"ETHUSDT"}
    assert isinstance(load_prices(bad, max_age_ms=1, symbols=["BTCUSDT"]), StartRefusal)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("not json", "line 2 is no JSON object with ts_ms, symbol and price, or bid and ask"),
        ('{"ts_ms":1763225940000,"symbol":"BTCUSDT","price":NaN}', "line 2 is no JSON object"),
        (
            '{"ts_ms":1763225940000,"symbol":"BTCUSDT","price":"NaN"}',
            "line 2 has the price NaN, must be a number above 0: correct the line or take it out",
        ),
        ('{"ts_ms":1763225940000,"symbol":"BTCUSDT","price":0}', "line 2 has the price 0, must be"),
        ('{"ts_ms":1763225940000,"symbol":"BTCUSDT","price":-5}', "line 2 has the price -5, must be"),
        ('{"ts_ms":1763225940000,"symbol":"BTCUSDT","price":1e99}', "line 2 has the price 1E+99, must be"),
        ('{"ts_ms":1763225940000,"symbol":"BTCUSDT"}', "line 2 has no price, must have ts_ms, symbol"),
        ('{"ts_ms":1763225940000,"symbol":"BTCUSDT","bid":1}', "line 2 has no price"),
        ('{"ts_ms":1763225940000,"symbol":"BTCUSDT","bid":2,"ask":1}', "a bid of 2 above its ask of 1"),
        ('{"ts_ms":1763225940000,"symbol":"BTCUSDT","bid":1,"ask":2}', "mixes price with bid and ask"),
        ('{"ts_ms":1763225939,"symbol":"BTCUSDT","price":1}', "must be UTC epoch milliseconds"),
        ('{"ts_ms":1763225939999,"symbol":"BTCUSDT","price":1}', "goes back in time"),
        ('{"ts_ms":1763225940000,"symbol":"BTC/USDT","price":1}', "has the symbol 'BTC/USDT'"),
        ('{"ts_ms":1763225940000,"symbol":"BTCUSDT","price":0.00000000001}', "at most 10 decimal places"),
        ('{"ts_ms":1763225940000,"symbol":"BTCUSDT","price":1e9}', "must be at most 922337203"),
        ("[" * 5_000, "line 2 is longer than 4096 bytes"),
        ("[" * 4_000, "line 2 is no JSON object"),
        ('"\ud800"'.encode("utf-8", "surrogatepass").decode("latin-1"), "line 2 is no JSON object"),
    ],
)
def test_one_line_that_cannot_be_meant_refuses_the_file_by_its_number(
    line: str, said: str, tmp_path: Path
) -> None:
    path = written(tmp_path, (JSON_LINE + line + "\n").encode("latin-1"))

    text = refusal(path)

    assert text.startswith(f"price file {path} line 2 ")
    assert said in text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no price, must have lines with"),
        ("ts_ms,symbol,price\n", "has no price, must have lines with"),
        ("time,symbol,price\n1,2,3\n", "line 1 is no header with ts_ms, symbol and price"),
        ("ts_ms,symbol,price,price\n1,2,3,4\n", "line 1 names a column twice, must have ts_ms, symbol"),
        (f"ts_ms,symbol,price\n{T},BTCUSDT,6_0\n", "line 2 has ts_ms '1763225940000', symbol 'BTCUSDT'"),
        ("ts_ms,symbol,bid\n1,2,3\n", "line 1 is no header"),
        (f"ts_ms,symbol,price\n{T},BTCUSDT\n", "line 2 has 2 fields, must have 3 as the header"),
        (f"ts_ms,symbol,price\n{T},BTCUSDT,abc\n", "line 2 has ts_ms '1763225940000', symbol 'BTCUSDT'"),
        (f"ts_ms,symbol,price\n{T}.5,BTCUSDT,1\n", "must have numbers in ts_ms and price"),
        (f"ts_ms,symbol,price\n{T},BTCUSDT,nan\n", "line 2 has the price NaN, must be a number above 0"),
        (f"ts_ms,symbol,price\n{T},BTCUSDT,\n", "line 2 has no price"),
        (f'ts_ms,symbol,price\n{T},"BTCUSDT,1\n', "line 2 is no line of CSV"),
    ],
)
def test_a_csv_that_cannot_be_meant_is_refused(text: str, said: str, tmp_path: Path) -> None:
    assert said in refusal(written(tmp_path, text, "prices.csv"))


@pytest.mark.parametrize("name", ["missing.csv", "folder"])
def test_a_file_that_cannot_be_read_is_named_with_its_setting(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()

    text = refusal(tmp_path / name)

    assert text.startswith(f"price file {tmp_path / name} cannot be read (")
    assert text.endswith("name it with execution.paper.price_file")


def test_more_prices_than_memory_is_meant_for_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(price_file, "ROWS_MAX", 2)
    lines = "".join(f"{T + number},BTCUSDT,1\n" for number in range(3))

    assert "line 4 is beyond 2 prices" in refusal(written(tmp_path, f"ts_ms,symbol,price\n{lines}"))


@given(
    st.lists(
        st.tuples(
            st.integers(0, 5_000), st.decimals("0.0000000001", "900000000", places=10, allow_nan=False)
        ),
        min_size=1,
        max_size=20,
    ),
    st.integers(-1_000, 9_000),
)
def test_it_answers_as_a_search_through_the_lines_would(rows: list[tuple[int, Decimal]], at: int) -> None:
    table = PriceTable(max_age_ms=2_000)
    rows.sort(key=lambda row: row[0])
    for number, (after, price) in enumerate(rows):
        table.add(number, price_file._Row(T + after, "BTCUSDT", price))

    found = table.quote("BTCUSDT", T + at)

    before = [(after, price) for after, price in rows if after <= at]
    if not before:
        assert isinstance(found, NoQuote)
        assert found.code == "no_price"
    elif at - before[-1][0] > 2_000:
        assert isinstance(found, NoQuote)
        assert found.code == "stale_price"
    else:
        assert isinstance(found, Quote)
        assert (found.at_ms, found.bid, found.ask) == (T + before[-1][0], before[-1][1], before[-1][1])


async def test_as_a_source_it_reads_the_file_when_it_starts_and_asks_nothing_of_the_signal(
    tmp_path: Path,
) -> None:
    quotes = FileQuotes(written(tmp_path, JSON_LINE), symbols=["BTCUSDT"], max_age_ms=2_000)

    assert await quotes.start() is None

    assert quotes.wait_for("BTCUSDT") is None
    found = quotes.quote("BTCUSDT", Decimal(5), T)
    assert isinstance(found, Quote)
    assert found.bid == Decimal("61000.5")
    await quotes.close()


async def test_as_a_source_it_hands_on_why_the_file_cannot_be_used(tmp_path: Path) -> None:
    quotes = FileQuotes(written(tmp_path, json.dumps([1])), symbols=["BTCUSDT"], max_age_ms=2_000)

    assert isinstance(await quotes.start(), StartRefusal)
