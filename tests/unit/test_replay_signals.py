"""What a replay makes of lines: the first of a key wins, late ones count, symbols merge in one order."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.seams import SystemClock
from config.settings import Execution
from streams.signal import Place, Signal
from worker.progress_bar import ProgressBar
from worker.replay_input import Item, merged_items
from worker.replay_run import ReplayOptions, run_replay

START_MS = 1_763_225_940_000


def line(at_ms: int, symbol: str = "BTCUSDT", **fields: object) -> str:
    signal = {"ts_ms": START_MS + at_ms, "symbol": symbol, "score": 0.7, "confirm": True}
    return json.dumps(signal | fields, separators=(",", ":"))


def replayed(folder: Path, *lines: str, settings: dict[str, object] | None = None) -> dict[str, Any]:
    """The summary of one file with these lines; what was written stands in `folder/out`."""
    (folder / "signals.jsonl").write_text("\n".join(lines) + "\n")
    execution = Execution.model_validate({"mode": "paper", **(settings or {})})
    options = ReplayOptions(signals=folder / "signals.jsonl", out=folder / "out")
    assert run_replay(options, execution, SystemClock()) == 0
    summary: dict[str, Any] = json.loads((folder / "out" / "summary.json").read_bytes())
    return summary


def executions(folder: Path, symbol: str = "BTCUSDT") -> list[dict[str, object]]:
    files = sorted((folder / "out" / "executions" / symbol).glob("*.jsonl"))
    return [json.loads(text) for file in files for text in file.read_text().splitlines()]


def test_the_first_line_of_a_key_wins(tmp_path: Path) -> None:
    summary = replayed(
        tmp_path,
        line(0, signal_id="a"),
        line(0, signal_id="a", score=-0.9),
        line(5),
        line(5),
    )

    assert (summary["signals"], summary["duplicates"]) == (2, 2)
    assert [found["side"] for found in executions(tmp_path)] == ["long", "long"]


def test_an_id_of_another_time_is_a_skip_and_its_repetition_nothing(tmp_path: Path) -> None:
    summary = replayed(tmp_path, line(0, signal_id="a"), line(9, signal_id="a"), line(9, signal_id="a"))

    assert (summary["skips"], summary["duplicates"]) == ({"id_reused": 1}, 1)
    reused = executions(tmp_path)[-1]
    assert (reused["side"], reused["status"], reused["meta_json"]) == ("skip", "skip", {})
    assert reused["error_msg"] == "signal id a was used at another time"


def test_a_late_line_is_executed_in_its_own_time(tmp_path: Path) -> None:
    replayed(tmp_path, line(7_200_000, signal_id="b"), line(0, signal_id="a"))

    hours = sorted((tmp_path / "out" / "executions" / "BTCUSDT").iterdir())
    assert [json.loads(hour.read_text())["signal_id"] for hour in hours] == ["a", "b"]
    assert [json.loads(hour.read_text())["exec_ts_ms"] - START_MS for hour in hours] == [0, 7_200_000]


def test_a_malformed_line_is_set_aside_in_the_time_of_its_neighbour(tmp_path: Path) -> None:
    summary = replayed(tmp_path, "{broken", line(0), line(3_600_000), "[]")

    assert summary["malformed_reasons"] == {"not_json": 1, "not_object": 1}
    letters = sorted((tmp_path / "out" / "executions" / "deadletter").iterdir())
    told = [json.loads(letter.read_text()) for letter in letters]
    assert [letter["ts_ms"] - START_MS for letter in told] == [0, 3_600_000]
    assert list(told[0]) == ["ts_ms", "source", "file", "offset", "reason", "raw"]
    assert (told[0]["file"], told[0]["offset"], told[0]["raw"]) == ("signals.jsonl", 0, "{broken")


def test_one_id_in_two_symbols_is_two_orders_where_orders_are_placed(tmp_path: Path) -> None:
    summary = replayed(
        tmp_path,
        line(0, signal_id="a", price=60_000.5),
        line(0, "ETHUSDT", signal_id="a", price=3_000.5),
        settings={"cost": {"model": "linear"}},
    )

    assert summary["filled"] == 2


def test_a_resting_order_is_filled_by_the_first_price_that_reaches_it(tmp_path: Path) -> None:
    summary = replayed(
        tmp_path,
        line(0, signal_id="a", price=60_000.04),
        line(1_000, signal_id="b", score=0.1, price=60_100),
        line(2_000, signal_id="c", score=0.1, price=59_999),
        settings={"order": {"type": "limit"}},
    )

    assert (summary["filled"], summary["working"]) == (1, 0)
    filled = next(found for found in executions(tmp_path) if found["signal_id"] == "a")
    assert (filled["price"], filled["exec_ts_ms"]) == (60_000.0, START_MS + 2_000)


def test_a_symbol_without_rules_is_rejected_with_its_reason(tmp_path: Path) -> None:
    summary = replayed(tmp_path, line(0, "DOGEUSDT"))

    assert summary["rejects"] == {"no_symbol_rules": 1}
    (found,) = executions(tmp_path, "DOGEUSDT")
    assert (found["side"], found["status"], found["qty"]) == ("long", "failed", None)


def test_a_pre_check_that_is_on_denies_as_live(tmp_path: Path) -> None:
    settings: dict[str, object] = {"precheck": {"enabled": True}}

    assert replayed(tmp_path, line(0, warmup=True), settings=settings)["skips"] == {"warmup": 1}


def test_profit_is_at_average_cost_and_slippage_against_the_signals_price(tmp_path: Path) -> None:
    summary = replayed(
        tmp_path,
        line(0, signal_id="a", price=50_000),
        line(1, signal_id="b", score=-0.7, price=60_000),
        settings={"business": {"order_size_usd": 3_000}, "cost": {"slippage_bps": 10, "fee_bps": 1}},
    )

    symbol = summary["symbols"]["BTCUSDT"]
    assert symbol["realised_pnl"] == "494.5"
    assert symbol["fees"] == "0.6"
    assert symbol["slippage_bps"] == "10"
    assert symbol["position"] == {"qty": "0.01", "average_cost": "50050"}


def test_money_is_exact_however_it_is_counted(tmp_path: Path) -> None:
    """The short way of equal orders, and the long way of each order for itself, say the same."""
    lines = [line(at, score=0.7 if at % 3 else -0.7, price=60_000 + at % 7) for at in range(200)]
    for name in ("short", "long"):
        (tmp_path / name).mkdir()
    # A bound that no order meets makes the venue look at each of them.
    bound: dict[str, object] = {"paper": {"slippage_bps_max": 9_999}}

    short = replayed(tmp_path / "short", *lines)
    long = replayed(tmp_path / "long", *lines, settings=bound)

    assert short == long
    for found, other in zip(executions(tmp_path / "short"), executions(tmp_path / "long"), strict=True):
        assert found == other
    fills = [(tmp_path / name / "out" / "fills.jsonl").read_bytes() for name in ("short", "long")]
    assert fills[0] == fills[1]


def signal_at(ts_ms: int, symbol: str, number: int) -> Signal:
    return Signal(ts_ms, symbol, str(number), True, 0.7, True, True, Place("x", number, 0))


@given(
    st.lists(
        st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=4), max_size=4), min_size=1, max_size=3
    )
)
def test_streams_are_merged_by_time_then_symbol_then_place(times: list[list[list[int]]]) -> None:
    streams: list[list[list[Item]]] = []
    wanted: list[tuple[int, int, int, Item]] = []
    for stream, bursts in enumerate(times):
        latest, number = 0, 0
        streams.append([])
        for burst in bursts:
            streams[-1].append([])
            for ts_ms in burst:
                # A late line keeps its place behind the lines before it.
                latest, number = max(latest, ts_ms), number + 1
                item = signal_at(ts_ms, f"S{stream}", number)
                streams[-1][-1].append(item)
                wanted.append((latest, stream, number, item))

    found = [item for burst in merged_items([iter(stream) for stream in streams]) for item in burst]

    assert found == [item for *_, item in sorted(wanted, key=lambda each: each[:3])]


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("stream", [Terminal(), io.StringIO()])
def test_a_bar_is_drawn_on_a_terminal_alone(stream: io.StringIO) -> None:
    progress = ProgressBar(stream, SystemClock(), what="replay", things="signals", begin_s=0.0)

    progress.reached(50, 200, 1_000)
    drawn = stream.getvalue()
    progress.end()

    assert ("25%  1,000 signals" in drawn) == stream.isatty()
    assert stream.getvalue().endswith("\r") == stream.isatty()


def test_a_line_that_is_too_long_is_passed_over_without_being_held(tmp_path: Path) -> None:
    summary = replayed(tmp_path, line(0), line(1, x="y" * 300_000), line(2))

    assert (summary["signals"], summary["malformed_reasons"]) == (2, {"line_too_long": 1})
