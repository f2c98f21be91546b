"""Identity and gate: the same signal is the same signal in every shape (CONTRACTS 1.3, 1.4)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.codec import decode_lines, decode_row
from streams.signal import Place, Signal, derived_signal_id, gate_passes

SIGNALS = Path(__file__).resolve().parents[3] / "shared" / "signals"
needs_real_signals = pytest.mark.skipif(not SIGNALS.is_dir(), reason="the real signals are not beside us")

Key = tuple[str, int, str]


def from_lines(folder: str) -> dict[Key, Signal]:
    found: dict[Key, Signal] = {}
    for path in sorted((SIGNALS / folder / "ready" / "signal").glob("*/*.jsonl")):
        records = decode_lines(
            path.read_bytes(), base_offset=0, symbol=path.parent.name, file=path.name, max_line_bytes=65_536
        )
        found.update(keyed(records))
    return found


def from_rows(copy_in: Path, name: str) -> dict[Key, Signal]:
    # A copy: SQLite writes beside a database in WAL mode even when it only reads.
    copy = copy_in / Path(name).name
    copy.write_bytes((SIGNALS / name).read_bytes())
    connection = sqlite3.connect(copy)
    connection.row_factory = sqlite3.Row
    rows = [dict(row) for row in connection.execute("SELECT * FROM signals")]
    connection.close()
    return dict(keyed(decode_row(row, symbol=row["symbol"], place=Place(copy.name, -1, 0)) for row in rows))


def keyed(records: object) -> Iterator[tuple[Key, Signal]]:
    assert hasattr(records, "__iter__")
    for record in records:
        assert isinstance(record, Signal), record
        yield (record.symbol, record.ts_ms, record.signal_id), record


def decisive(signal: Signal) -> tuple[object, ...]:
    return (
        signal.score,
        signal.confirm,
        signal.gate_passed,
        signal.guard_reason,
        signal.side_hint,
        signal.expiry_ms,
        signal.id_given,
        signal.regime,
        signal.div_type,
    )


@needs_real_signals
@pytest.mark.parametrize(
    ("lines", "table"),
    [("v1-jsonl", "v1-sqlite/signals.db"), ("v2-jsonl", "v2-sqlite/signals_v2.db")],
)
def test_the_real_signals_are_equal_in_both_shapes(lines: str, table: str, tmp_path: Path) -> None:
    in_files = from_lines(lines)
    in_rows = from_rows(tmp_path, table)

    assert len(in_files) == 600
    assert {key: decisive(signal) for key, signal in in_files.items()} == {
        key: decisive(signal) for key, signal in in_rows.items()
    }
    eligible = [s for s in in_files.values() if s.confirm and s.gate_passed and abs(s.score) > 0.5]
    assert len(eligible) == 479


@needs_real_signals
def test_real_lines_with_lists_as_gating_are_read() -> None:
    data = (SIGNALS / "debug_list_gating.jsonl").read_bytes()

    records = decode_lines(data, base_offset=0, symbol="BTCUSDT", file="f", max_line_bytes=65_536)

    gates = [record.gate_passed for record in records if isinstance(record, Signal)]
    # 50 with ["fallback"], 23 with an empty list.
    assert (gates.count(False), gates.count(True)) == (50, 23)


@pytest.mark.parametrize(
    ("gating", "is_v2", "blocked", "guard", "passes"),
    [
        ("ok", False, None, "x", True),
        ("no", False, None, "", False),
        ("", False, None, "", False),
        ([], False, True, "x", True),
        (["ok", "late"], False, None, "", True),
        (["a_passed", "b_passed"], False, None, "", True),
        (["a_passed", "b"], False, None, "", False),
        (None, False, None, "", True),
        (None, False, False, "warmup", False),
        (1, True, True, "x", True),
        (0, True, False, "", False),
        (True, True, None, "", True),
        (0, False, False, "warmup", True),
        (1, False, True, "", False),
        (0, False, None, "", True),
        (1, False, None, "warmup", False),
        (False, False, None, "", True),
    ],
)
def test_the_gate_by_the_shape_of_gating(
    gating: str | list[str] | int | None, is_v2: bool, blocked: bool | None, guard: str, passes: bool
) -> None:
    assert gate_passes(gating, is_v2=is_v2, gating_blocked=blocked, guard_reason=guard) is passes


@pytest.mark.parametrize(
    ("score", "regime", "div_type", "signal_id"),
    [
        (0.5, "quiet", None, "bfb8a5a7ee29c54138bbd8a837613e33"),
        (-0.0, None, None, "ded041353fd42b60540640ce2010b2c5"),
        (1.23456, "", "bull", "141d1e38467876b2ace563757967b8b6"),
    ],
)
def test_an_identity_never_changes(
    score: float, regime: str | None, div_type: str | None, signal_id: str
) -> None:
    assert derived_signal_id("BTCUSDT", 1_763_225_940_000, score, regime, div_type) == signal_id


def test_minus_zero_is_zero() -> None:
    assert derived_signal_id("A1", 1, -0.0, None, None) == derived_signal_id("A1", 1, 0.0, None, None)


@given(st.floats(-10, 10), st.sampled_from(["quiet", "", None]), st.sampled_from(["bull", "", None]))
def test_absent_and_empty_words_are_the_same_identity(
    score: float, regime: str | None, div_type: str | None
) -> None:
    found = derived_signal_id("BTCUSDT", 1, score, regime, div_type)

    assert found == derived_signal_id("BTCUSDT", 1, score, regime or "", div_type or "")
    assert len(found) == 32
    assert int(found, 16) >= 0
