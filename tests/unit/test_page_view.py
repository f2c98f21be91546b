"""What the page says: whether it trades and why not, in words that no stranger turns against the reader."""

from __future__ import annotations

import shlex
from typing import Any

import msgspec
import pytest

from store.recent import Execution, Recent
from worker.history import Sample
from worker.page.markup import page_of
from worker.page.seen import Drill, DrillRow, Halt, Lane, Limits, Seen, Status, Unsettled, Window
from worker.page.tables import EXECUTIONS_SHOWN, LANES_SHOWN, TABLES, Table
from worker.page.verdict import FAILED_RUNNING_MIN, SILENT_MS, SKIPPED_RUNNING_MIN, verdict_of
from worker.page.view import MODES, view_of
from worker.page.words import TEXT_MAX, at_time, delay, grouped, number, plain, shown, span

NOW_MS = 1_767_323_045_000  # 2026-01-02 03:04:05
SCRIPT = "<script>alert(1)</script>"
RUNS = (Lane("BTCUSDT", last_read_ms=NOW_MS - 3_000), Lane("ETHUSDT", last_read_ms=NOW_MS - 9_000))
WELL: dict[str, Any] = {"mode": "live", "ready": True, "lanes": list(RUNS), "lag_ms": 4}


def seen(recent: Recent | None = None, **status: Any) -> Seen:
    """A worker that is well, apart from `status`."""
    return Seen(
        at_ms=NOW_MS, status=Status(**{**WELL, **status}), recent=recent or Recent(), output="/var/lib/x y"
    )


def execution(row_id: int = 1, **changes: Any) -> Execution:
    """A filled order, apart from `changes`."""
    values: dict[str, Any] = {
        "row_id": row_id,
        "symbol": "BTCUSDT",
        "signal_id": f"s-{row_id}",
        "signal_ts_ms": NOW_MS - 2_000,
        "reserved_ms": NOW_MS - 1_900,
        "exec_ts_ms": NOW_MS - 1_500,
        "state": "filled",
        "status": "success",
        "side": "long",
        "qty": "0.0010",
        "price": "60000.50",
        "error_code": None,
        "error_msg": None,
        "guard_reason": None,
        "client_order_id": f"ew1-{row_id}",
    }
    return Execution(**{**values, **changes})


def failed(row_id: int) -> Execution:
    """An order that the exchange refused."""
    words = {"error_code": "exchange_rejected", "error_msg": f"-2019 {SCRIPT}"}
    return execution(row_id, state="rejected", status="failed", **words)


def skipped(row_id: int, code: str) -> Execution:
    """A signal that came to nothing."""
    return execution(row_id, state="skipped", status="skip", side="skip", error_code=code)


def table(key: str, of: Seen) -> Table:
    """One of the page's tables."""
    return next(made for make in TABLES if (made := make(of)).key == key)


def test_a_worker_that_is_well_says_so_and_when_it_last_did_something() -> None:
    verdict = verdict_of(seen(Recent(orders=[execution()])))

    assert (verdict.tone, verdict.word) == ("ok", "Trading")
    assert verdict.why == ["last signal 3 s ago, last order 1 s ago, lag 4 ms"]


@pytest.mark.parametrize("mode", ["dry_run", "paper"])
def test_what_sends_no_order_is_not_called_trading(mode: str) -> None:
    assert verdict_of(seen(mode=mode)).word == "Running"


@pytest.mark.parametrize(
    ("status", "word", "why"),
    [
        ({"ready": False, "why_not_ready": "disk full"}, "Not ready", "disk full"),
        ({"halts": [Halt("", "odd prices", "anna")]}, "Halted", "odd prices (by anna)"),
        (
            {"halts": [Halt("", "a release", "", until_ms=NOW_MS + 60_000)]},
            "Halted",
            "a release (by a file, until 03:05:05 UTC)",
        ),
        (
            {"limits": Limits(venue_deadline_ms=NOW_MS + 30_000, clock_offset_ms=10_000)},
            "Paused by the exchange",
            "it wants to hear nothing before 03:04:25 UTC",
        ),
        (
            {"lanes": [Lane("BTCUSDT", blocked_by="no price of BTCUSDT is fresh")]},
            "Not trading",
            "BTCUSDT is blocked: no price of BTCUSDT is fresh",
        ),
    ],
)
def test_what_stops_everything_is_the_first_thing_to_read(
    status: dict[str, Any], word: str, why: str
) -> None:
    verdict = verdict_of(seen(**status))

    assert (verdict.tone, verdict.word, verdict.why[0]) == ("bad", word, why)


def test_one_halted_symbol_of_two_is_trading_in_part() -> None:
    verdict = verdict_of(seen(halts=[Halt("ETHUSDT", "odd prices", "anna")]))

    assert (verdict.tone, verdict.word) == ("warn", "Trading in part")
    assert verdict.why == ["ETHUSDT is halted: odd prices (by anna)"]


@pytest.mark.parametrize(
    ("status", "why"),
    [
        ({"lanes": [Lane("BTCUSDT", waiting_for="no file")]}, "no input: BTCUSDT: no file"),
        ({"lanes": [*RUNS, Lane("XRPUSDT", waiting_for="no file")]}, "XRPUSDT: no file"),
        ({"output_trouble": "disk full"}, "the output files are behind: disk full"),
        ({"sources_ignored": ["sqlite"]}, "newer signals lie where nobody reads: sqlite"),
        ({"lanes": [Lane("BTCUSDT", last_read_ms=NOW_MS - SILENT_MS)]}, "no signal has come for 5 min"),
        ({"lanes": [Lane("BTCUSDT")], "uptime_s": 300.0}, "no signal has come since the start"),
    ],
)
def test_what_a_person_should_look_at_is_told_while_it_trades(status: dict[str, Any], why: str) -> None:
    verdict = verdict_of(seen(**status))

    assert (verdict.tone, verdict.word) == ("warn", "Trading, but")
    assert why in verdict.why


def test_orders_that_all_fail_are_not_trading_whatever_the_worker_believes() -> None:
    orders = [failed(number) for number in range(FAILED_RUNNING_MIN)]

    verdict = verdict_of(seen(Recent(orders=[*orders, execution(99)])))

    assert (verdict.tone, verdict.word) == ("bad", "Not trading")
    assert verdict.why[0].startswith("the last 5 orders all failed, the newest with exchange_rejected: -2019")
    assert verdict_of(seen(Recent(orders=[*orders[1:], execution(99)]))).tone == "ok"


@pytest.mark.parametrize(
    ("code", "tone"), [("expired", "warn"), ("stale_price", "warn"), ("below_threshold", "ok")]
)
def test_signals_that_all_expire_are_told_and_those_of_a_quiet_market_are_not(code: str, tone: str) -> None:
    rows = [skipped(number, code) for number in range(SKIPPED_RUNNING_MIN)]

    assert verdict_of(seen(Recent(executions=rows))).tone == tone


@pytest.mark.parametrize("mode", MODES)
def test_each_mode_has_a_word_and_a_colour_of_its_own(mode: str) -> None:
    view = view_of(seen(mode=mode))

    assert view.mode == mode
    assert [view_of(seen(mode=other)).mode_word for other in MODES].count(view.mode_word) == 1
    assert f'class="mode {mode}"' in page_of(view)


def test_nothing_of_a_stranger_becomes_markup() -> None:
    hostile = {
        name: SCRIPT for name in ("symbol", "signal_id", "side", "qty", "price", "guard_reason", "state")
    }
    rows = [
        execution(1, error_code=SCRIPT, error_msg=SCRIPT, exec_ts_ms=None, client_order_id=None, **hostile)
    ]
    status = {
        "version": SCRIPT,
        "mode": SCRIPT,
        "venue": SCRIPT,
        "why_not_ready": SCRIPT,
        "rate_limit_why": SCRIPT,
        "output_trouble": SCRIPT,
        "halts": [Halt(SCRIPT, SCRIPT, SCRIPT)],
        "lanes": [Lane(SCRIPT, blocked_by=SCRIPT, waiting_for=SCRIPT), *RUNS],
        "unsettled": [Unsettled(SCRIPT, "open", 1, 1)],
        "limits": Limits(max_order_usd=SCRIPT, venue=[Window(SCRIPT, 60_000, 1, 2, NOW_MS + 1)]),
    }
    drill = Drill(SCRIPT, passed=False, rows=[DrillRow(SCRIPT, passed=False, why=SCRIPT)])
    looked = seen(Recent(executions=rows, orders=rows, unresolved=rows), **status)
    looked = msgspec.structs.replace(
        looked, drill=drill, drill_folder=SCRIPT, output=SCRIPT, store_trouble=SCRIPT, drill_trouble=SCRIPT
    )

    page = page_of(view_of(looked))

    assert page.count("<script") == 1
    assert '<script src="/page.js" defer></script>' in page
    assert page.count("&lt;script&gt;") > 20
    assert " style=" not in page
    assert "@@" not in page


def test_a_mark_of_the_template_in_a_strangers_words_fills_in_nothing() -> None:
    page = page_of(view_of(seen(ready=False, why_not_ready="@@foot@@")))

    assert "<li>@@foot@@</li>" in page


@pytest.mark.parametrize("text", ["a\u202eb", "a\x00b", "a\x1b[31mb", "a\ud800b", "a\nb"])
def test_what_cannot_be_seen_becomes_a_mark(text: str) -> None:
    assert "\ufffd" in shown(text)
    assert shown(text).isprintable()


def test_long_words_end() -> None:
    assert len(shown("x" * 10_000)) == TEXT_MAX + 1


@pytest.mark.parametrize("name", ["$(rm -rf ~)", "a; reboot", "`x`", "--why", "-h", "it's", '"', "two words"])
def test_the_command_for_a_quarantined_order_is_harmless_in_a_shell(name: str) -> None:
    doubt = execution(state="quarantined", exec_ts_ms=None, client_order_id=None, signal_id=name)

    [(tone, cells)] = table("unresolved", seen(Recent(unresolved=[doubt]))).rows

    words = shlex.split(cells[-1])
    assert tone == "bad"
    assert words[:2] == ["execution-worker", "resolve"]
    assert words.count(name) == (2 if name == "--why" else 1)
    assert "/var/lib/x y" in words
    if name.startswith("-"):
        assert words[-2:] == ["--", name]


def test_an_order_in_doubt_is_named_by_its_client_order_id() -> None:
    doubt = execution(7, state="unknown", status="retry", exec_ts_ms=None, reserved_ms=NOW_MS - 125_000)

    found = table(
        "unresolved", seen(Recent(unresolved=[doubt]), unsettled=[Unsettled("BTCUSDT", "open", 2, 1)])
    )

    [(tone, cells)] = found.rows
    assert tone == "warn"
    assert cells[:5] == ["2 min", "BTCUSDT", "long", "0.001", "unknown"]
    assert shlex.split(cells[-1])[:3] == ["execution-worker", "inspect", "ew1-7"]
    assert found.note == "Working as they should: 2 open of BTCUSDT."


def test_the_newest_fifty_executions_are_shown_with_their_reasons() -> None:
    rows = [failed(1), skipped(2, "halted"), execution(3, state="open", status="pending", exec_ts_ms=None)]
    rows += [execution(number) for number in range(4, 100)]

    shown_rows = table("executions", seen(Recent(executions=rows))).rows

    assert len(shown_rows) == EXECUTIONS_SHOWN
    assert shown_rows[0] == (
        "bad",
        ["03:04:03", "BTCUSDT", "long", "0.001", "60000.5", "failed", f"exchange_rejected: -2019 {SCRIPT}"],
    )
    assert shown_rows[1][1][2:] == ["", "0.001", "60000.5", "skip", "halted"]
    assert shown_rows[2][1][5] == "pending (open)"


def test_of_many_lanes_those_in_trouble_come_first() -> None:
    lanes = [Lane(f"S{number}USDT") for number in range(100)]
    lanes[90] = Lane("S90USDT", waiting_for="no file")
    lanes[99] = Lane("S99USDT", blocked_by="a ban")

    found = table("lanes", seen(lanes=lanes))

    assert [cells[0] for _, cells in found.rows[:3]] == ["S99USDT", "S90USDT", "S0USDT"]
    assert len(found.rows) == LANES_SHOWN
    assert found.note == "70 more are not shown."


def test_limits_show_what_is_spent_and_what_is_near() -> None:
    bounds = Limits(
        max_order_usd="1000",
        max_orders_per_minute=10,
        venue=[Window("weight", 60_000, 2_390, 2_400, NOW_MS + 5), Window("orders", 10_000, 99, 100, NOW_MS)],
        clock_offset_ms=-1_500,
    )
    samples = tuple(Sample(NOW_MS, None, 4.0, rate, 0) for rate in (90.0, *[0.5] * 12))
    looked = seen(Recent(orders_last_minute=9), limits=bounds, rate_limit_qps=10.0, rate_limit_why=None)

    rows = {
        cells[0]: (tone, *cells[1:])
        for tone, cells in table("limits", msgspec.structs.replace(looked, samples=samples)).rows
    }

    assert rows["Orders per second"] == ("", "0.5", "10", "")
    assert rows["Orders per minute"] == ("warn", "9", "10", "over a wire")
    assert rows["Order value"][2] == "1\u202f000 USD"
    assert rows["Position value"][2] == "none"
    assert rows["Exchange: weight per minute"][:3] == ("warn", "2\u202f390", "2\u202f400")
    assert rows["Exchange: orders per 10 s"][:3] == ("", "0", "100")
    assert rows["Clock of the exchange"][:2] == ("warn", "-1\u202f500 ms")


def test_a_failed_drill_says_why() -> None:
    drill = Drill(
        "restart",
        passed=False,
        seed=7,
        ended_ms=NOW_MS - 3_600_000,
        rows=[DrillRow("restart", passed=False, why="2 lost")],
    )
    looked = msgspec.structs.replace(seen(), drill=drill, drill_folder="/x/drills/1")

    found = table("drills", looked)

    assert (found.rows[0][0], found.rows[0][1][-1]) == ("bad", "failed: 2 lost")
    assert found.note == "restart, seed 7, failed 1 h ago: /x/drills/1"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (3_600, "1 h"),
        (12_000, "3 h 20 min"),
        (187_200, "2 d 4 h"),
    ],
)
def test_spans_are_told_in_the_units_that_matter(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_numbers_and_times_are_told_as_people_read_them() -> None:
    assert [number(1_234.56), number(0), number(10, 0), number(0.25, 2)] == [
        "1\u202f234.6",
        "0",
        "10",
        "0.25",
    ]
    assert [plain("0.100"), plain("100"), plain("1E+3"), plain(None)] == ["0.1", "100", "1E+3", ""]
    assert [grouped("1000000.5"), grouped("none")] == ["1\u202f000\u202f000.5", "none"]
    assert [delay(240), delay(12_000)] == ["240 ms", "12 s"]
    assert at_time(NOW_MS, NOW_MS) == "03:04:05"
    assert at_time(NOW_MS - 86_400_000, NOW_MS) == "2026-01-01 03:04:05"
    assert at_time(10**18, NOW_MS) == "1" + "0" * 18
