"""What looking back writes: tables that fit, cells without formulas, whole files, a safe page."""

from __future__ import annotations

import csv
import json
import os
import re
from decimal import Decimal
from pathlib import Path

import pytest
from rig import rows as rig
from rig.virtual_clock import START_MS, ManualClock
from rig.wire_rows import move, reserved, wire
from typer.testing import CliRunner

from config.settings import Cost
from store.lifecycle import State
from store.statements_look import RECORD_KEYS
from worker import cli
from worker.exits import Exit
from worker.look_export import ExportError, draft_of
from worker.look_pages import Look, Wanted
from worker.look_report import collect
from worker.look_report_page import page
from worker.look_report_text import as_text
from worker.look_table import Column, csv_line, table
from worker.look_times import TimeError, given_ms, span

EVIL = "=HYPERLINK(1)<script>alert(1)</script>\x1b[2J"


class Told:
    """What a command printed, and how it ended."""

    def __init__(self, *arguments: str) -> None:
        silenced = {name: None for name in os.environ if name.startswith("V13_")}
        result = CliRunner().invoke(cli.app, list(arguments), env=silenced)
        self.code, self.out, self.err = result.exit_code, result.stdout, result.stderr
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """A long of 2 at 100, half of it sold at 110, a failure, a skip with odd words, an open order."""
    clock = ManualClock()
    folder = tmp_path / "out" / "executions"
    folder.mkdir(parents=True)
    ledger = rig.open_ledger(folder, clock)
    order = {"client_order_id": "c", "symbol": "BTCUSDT", "order_type": "market", "tif": "GTC", "price": None}
    sides = ("buy", "sell", "buy", "buy")
    orders = [
        wire(
            number,
            side=side,
            order_json=json.dumps(
                {**order, "side": side, "qty": "2", "signal_id": "s", "intent_price": "100"}
            ),
        )
        for number, side in enumerate(sides)
    ]
    row_ids = reserved(ledger, *orders)
    ledger.commit([rig.share(rig.skip(9, guard_reason=EVIL, error_code="gate_blocked"))])
    for row_id, (qty, price, fee) in zip(row_ids, (("2", "100", "0.1"), ("1", "110", "0.2")), strict=False):
        clock.now_ms += 1_000
        patch = json.dumps({"fee": fee, "latency_ms": 12.5, "lag_ms": 40, "sent_ts_ms": clock.now_ms - 20})
        move(ledger, row_id, State.RESERVED, State.FILLED, has_fills=True, qty=qty, price=price, patch=patch)
    move(ledger, row_ids[2], State.RESERVED, State.REJECTED, error_code="<b>no_money</b>")
    move(ledger, row_ids[3], State.RESERVED, State.OPEN)
    ledger.close()
    return tmp_path / "out"


def test_json_lines_are_those_of_the_hourly_files_with_all_their_digits(output: Path) -> None:
    told = Told("executions", "--output", str(output), "--json")

    lines = [json.loads(line, parse_float=Decimal) for line in told.out.splitlines()]
    assert [line["signal_id"] for line in lines] == ["id-3", "id-2", "id-1", "id-0", "id-9"]
    assert all(tuple(line) == RECORD_KEYS for line in lines)
    assert lines[2]["meta_json"]["fee"] == "0.2"


def test_the_table_shows_no_control_characters_and_exact_decimals(output: Path) -> None:
    told = Told("executions", "--output", str(output))

    assert "\x1b" not in told.out
    assert "gate_blocked: =HYPERLINK" in told.out
    assert re.search(r"BTCUSDT +short +1 +110 +success", told.out)
    assert told.out.splitlines()[1].startswith("not final yet")


def test_a_cell_is_never_a_formula_and_numbers_stay_numbers() -> None:
    assert csv_line(["=1+1", "@x", "\tx", "-5", "+1.5e3", "-x", None, 'a"b']) == (
        "'=1+1,'@x,'\tx,-5,+1.5e3,'-x,,\"a\"\"b\"\r\n"
    )


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_a_table_fits_its_terminal(width: int) -> None:
    columns = (Column("when"), Column("qty", True, 2), Column("id", False, 1, 6), Column("more", False, 7))

    lines = table(columns, [("2026-01-31 12:00:00", "0.12345678", "x" * 40, "y" * 40)], width)

    assert max(map(len, lines)) <= width
    assert lines[1].startswith("2026-01-31 12:00:00")


@pytest.mark.parametrize("shape", ["jsonl", "csv", "parquet"])
def test_an_export_has_every_execution_once_with_exact_numbers(
    shape: str, output: Path, tmp_path: Path
) -> None:
    target = tmp_path / f"all.{shape}"

    told = Told("export", "--output", str(output), "--to", str(target))

    assert told.out == f"5 executions in {target} ({target.stat().st_size} bytes)\n"
    if shape == "jsonl":
        rows = [json.loads(line) for line in target.read_text().splitlines()]
    elif shape == "csv":
        with target.open(newline="") as opened:
            rows = list(csv.DictReader(opened))
    else:
        parquet = pytest.importorskip(
            "pyarrow.parquet", reason="pyarrow is not installed: no Parquet was read"
        )
        read = parquet.read_table(target)
        assert [str(read.schema.field(key).type) for key in ("exec_ts_ms", "qty", "gating")] == [
            "int64",
            "string",
            "int8",
        ]
        rows = read.to_pylist()
    assert [row["signal_id"] for row in rows] == ["id-9", "id-0", "id-1", "id-2", "id-3"]
    assert tuple(rows[0]) == RECORD_KEYS
    assert Decimal(str(rows[2]["price"])) == 110


def test_a_file_that_is_there_stays_unless_force_says_otherwise(output: Path, tmp_path: Path) -> None:
    target = tmp_path / "all.jsonl"
    target.write_text("mine")

    told = Told("export", "--output", str(output), "--to", str(target))

    assert (told.code, target.read_text()) == (Exit.CANNOT_WRITE, "mine")
    assert "is there already: give another name, or --force" in told.err
    assert Told("export", "--output", str(output), "--to", str(target), "--force").code == Exit.OK
    assert target.read_text() != "mine"


def test_an_export_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    target = tmp_path / "all.csv"

    def interrupted() -> None:
        with draft_of(target, force=False) as draft:
            draft.write(b"half")
            raise KeyboardInterrupt

    def overtaken() -> None:
        with draft_of(target, force=False):
            target.write_text("came meanwhile")

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ExportError, match="is there already"):
        overtaken()
    assert [path.read_text() for path in tmp_path.iterdir()] == ["came meanwhile"]


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["executions", "--since", "yesterday"], Exit.USAGE, "'yesterday' is no time: 90s, 15m, 2h or 1d"),
        (["executions", "--since", "1h", "--until", "2h"], Exit.USAGE, "--since 1h is after --until 2h"),
        (["executions", "--status", "done"], Exit.USAGE, "'done' is not made of success, skip"),
        (["executions", "--symbol", "../x"], Exit.USAGE, "'../x' is not like BTCUSDT,ETHUSDT"),
        (["executions", "--json", "--csv"], Exit.USAGE, "give one of them"),
        (["export"], Exit.USAGE, "Missing option '--to'"),
        (["export", "--to", "a.xls"], Exit.USAGE, "says no shape, must end in .parquet, .csv, .jsonl"),
        (["export", "--to", "nowhere/a.csv"], Exit.CANNOT_WRITE, "see that its folder exists"),
        (["report", "--html", "out/executions/x.html"], Exit.USAGE, "where only the worker writes"),
        (["executions", "--output", "elsewhere"], Exit.DATA, "does not exist yet: start the worker once"),
        (["report", "--output", "elsewhere"], Exit.DATA, "does not exist yet"),
        (["inspect", "nobody"], Exit.DATA, "no execution has the signal id nobody"),
    ],
)
def test_a_mistake_is_one_sentence(
    arguments: list[str], code: Exit, sentence: str, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(output.parent)
    given = arguments if "--output" in arguments else [*arguments, "--output", "out"]

    told = Told(*given)

    assert (told.code, told.out) == (code, "")
    assert sentence in told.err


def test_the_report_counts_profit_fees_and_slippage(output: Path) -> None:
    with Look(output / "executions") as opened:
        report = collect(opened, Wanted(), Cost(), START_MS)

    earned = report.book.by_symbol["BTCUSDT"]
    assert (earned.filled, earned.realised, earned.fees, earned.net) == (
        2,
        10,
        Decimal("0.3"),
        Decimal("9.7"),
    )
    assert earned.slippage_bps == pytest.approx(-10_000 * 10 / 300)
    assert report.outcomes.by_status == {"success": 2, "failed": 1, "skip": 1}
    assert report.curves["USDT"].total == Decimal("9.7")
    text = as_text(report)
    assert re.search(r"BTCUSDT +2 +1 +1 +310.00 +0.3000 .* 10.00 +9.70 +1 +100.0% +1 +100\n", text)
    assert "All fees are the venue's own." in text


def test_fees_that_no_venue_told_are_assumed_and_said_to_be(output: Path) -> None:
    with Look(output / "executions") as opened:
        opened.connection.close()
    clock = ManualClock(START_MS + 10_000)
    ledger = rig.open_ledger(output / "executions", clock)
    [row_id] = reserved(ledger, wire(50))
    move(ledger, row_id, State.RESERVED, State.FILLED, has_fills=True, qty="1", price="1000")
    ledger.close()

    with Look(output / "executions") as opened:
        report = collect(opened, Wanted(since_ms=START_MS + 9_000), Cost(fee_bps=Decimal(2)), clock.now_ms)

    assert report.book.by_symbol["BTCUSDT"].fees == Decimal("0.2")
    assert "Fees of 1 of 1 filled orders are assumed" in as_text(report)
    # The half that was still held is in the position, and what ended before is not counted.
    assert report.book.positions["BTCUSDT"].qty == 2
    assert report.outcomes.by_status == {"success": 1}


def test_the_page_runs_nothing_fetches_nothing_and_is_the_same_each_time(
    output: Path, tmp_path: Path
) -> None:
    target = tmp_path / "page.html"
    assert Told("report", "--output", str(output), "--html", str(target)).code == Exit.OK
    with Look(output / "executions") as opened:
        pages = [page(collect(opened, Wanted(), Cost(), START_MS)) for _ in range(2)]

    text = target.read_text()
    assert pages[0] == pages[1]
    assert "&lt;b&gt;no_money&lt;/b&gt;" in text
    assert not re.search(r"<script|<b>no_money|https?:|src=|href=|@import|url\(", text)
    assert text.count("<svg") == text.count("</svg>") == 3
    assert "default-src 'none'" in text


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("2h", 10_000_000_000_000 - 7_200_000),
        ("90s", 10_000_000_000_000 - 90_000),
        ("now", 10_000_000_000_000),
        ("1700000000000", 1_700_000_000_000),
        ("1970-01-02", 86_400_000),
        ("1970-01-01T00:01", 60_000),
        ("1970-01-01 00:00:02Z", 2_000),
    ],
)
def test_times_are_given_in_many_ways(text: str, ms: int) -> None:
    assert given_ms(text, 10_000_000_000_000) == ms


@pytest.mark.parametrize("text", ["", "0s", "2w", "2026-13-01", "1700000000", "2026-01-01T25:00", "-1h"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(TimeError, match="is no time"):
        given_ms(text, 1)


def test_spans_are_told_as_people_say_them() -> None:
    told = [span(ms) for ms in (0, 0.012, 84, 45.4, 1_250, 200_000, 18_720_000, 273_600_000, -5)]

    assert told == [
        "0 ms",
        "0.012 ms",
        "84 ms",
        "45.4 ms",
        "1.25 s",
        "3 m 20 s",
        "5 h 12 m",
        "3 d 4 h",
        "-5 ms",
    ]
