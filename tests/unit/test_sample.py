"""The sample feed: the same signals in every shape, spelled as the producer spells them."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest

from config.seams import seeded_random
from streams.codec import decode_lines, decode_row
from streams.signal import Place, Record, Signal
from worker.sample import FeedPlan, run_sample, write_feed
from worker.sample_shapes import SHAPES

NOON_MS = 1_795_262_400_000  # 2026-11-21T12:00:00Z
SYMBOLS = ("BTCUSDT", "ETHUSDT")


class VirtualClock:
    """A clock that jumps over every sleep and remembers them."""

    def __init__(self) -> None:
        self.now_s = 50.0
        self.slept: list[float] = []

    def wall_ms(self) -> int:
        return NOON_MS + int((self.now_s - 50.0) * 1_000)

    def monotonic_s(self) -> float:
        return self.now_s

    def boot_s(self) -> float:
        return self.now_s

    async def sleep(self, delay_s: float) -> None:
        self.slept.append(delay_s)
        self.now_s += delay_s
        await asyncio.sleep(0)


def feed(
    into: Path,
    shape: str,
    *,
    count: int | None = 600,
    seed: int = 42,
    rate: float = 0,
    base_ms: int = NOON_MS,
    symbols: Sequence[str] = SYMBOLS,
    seconds: float | None = None,
    minute_files: bool = False,
) -> list[str]:
    """Write a feed; what it said."""
    said: list[str] = []
    code = run_sample(
        shape=shape,
        rate=rate,
        seconds=seconds,
        symbols=symbols,
        seed=seed,
        into=into,
        clock=VirtualClock(),
        random=seeded_random(seed),
        count=count,
        base_ms=base_ms,
        minute_files=minute_files,
        say=said.append,
    )
    assert code == 0, said
    return said


def records_of(into: Path) -> list[Record]:
    """Every record in `into`, decoded as the worker does, by symbol and time."""
    records: list[Record] = []
    for path in sorted(into.rglob("*.jsonl")):
        records += decode_lines(
            path.read_bytes(), base_offset=0, symbol=path.parent.name, file=path.name, max_line_bytes=65_536
        )
    for path in into.glob("*.db"):
        connection = sqlite3.connect(path)
        connection.row_factory = sqlite3.Row
        for row in connection.execute("SELECT * FROM signals ORDER BY symbol, ts_ms"):
            records.append(decode_row(dict(row), symbol=row["symbol"], place=Place(path.name, -1, 0)))
        connection.close()
    return records


def signals_of(into: Path) -> list[Signal]:
    """Every signal in `into`; nothing may be malformed."""
    records = records_of(into)
    assert [record for record in records if not isinstance(record, Signal)] == []
    return [record for record in records if isinstance(record, Signal)]


def test_the_four_shapes_carry_the_same_signals(tmp_path: Path) -> None:
    for shape in SHAPES:
        feed(tmp_path / shape, shape)

    found = {shape: signals_of(tmp_path / shape) for shape in SHAPES}

    judged = {
        shape: [(s.symbol, s.ts_ms, s.score, s.confirm and s.gate_passed) for s in signals]
        for shape, signals in found.items()
    }
    assert len(judged["v1-jsonl"]) == 600
    assert all(signals == judged["v1-jsonl"] for signals in judged.values())
    for version in ("v1", "v2"):
        ids = [[s.signal_id for s in found[f"{version}-{kind}"]] for kind in ("jsonl", "sqlite")]
        assert ids[0] == ids[1]
        assert len(set(ids[0])) == 600
    assert all(s.id_given and s.side_hint for s in found["v2-sqlite"])
    assert not any(s.id_given for s in found["v1-sqlite"])


def test_the_same_seed_and_base_give_the_same_bytes(tmp_path: Path) -> None:
    for folder in ("first", "second"):
        feed(tmp_path / folder, "v1-jsonl")
    feed(tmp_path / "other", "v1-jsonl", seed=43)

    first, second, other = (
        [path.read_bytes() for path in sorted((tmp_path / folder).rglob("*.jsonl"))]
        for folder in ("first", "second", "other")
    )
    assert first == second
    assert first != other


def test_another_base_moves_the_time_stamps_and_nothing_else(tmp_path: Path) -> None:
    feed(tmp_path / "a", "v1-jsonl", count=100)
    feed(tmp_path / "b", "v1-jsonl", count=100, base_ms=NOON_MS + 7)

    first, second = signals_of(tmp_path / "a"), signals_of(tmp_path / "b")
    assert [s.ts_ms + 7 for s in first] == [s.ts_ms for s in second]
    assert [s.score for s in first] == [s.score for s in second]


@pytest.mark.parametrize("seed", range(5))
def test_about_a_fifth_is_not_eligible_as_in_the_real_files(tmp_path: Path, seed: int) -> None:
    feed(tmp_path, "v1-jsonl", count=2_000, seed=seed)

    signals = signals_of(tmp_path)
    eligible = [s for s in signals if s.confirm and s.gate_passed and abs(s.score) > 0.5]

    assert 0.70 < len(eligible) / len(signals) < 0.90
    assert {s.score > 0 for s in eligible} == {True, False}
    assert {s.regime for s in signals} == {"active", "normal", "quiet"}


def test_a_v1_line_is_spelled_as_the_producer_spells_it(tmp_path: Path) -> None:
    feed(tmp_path, "v1-jsonl", count=40, base_ms=NOON_MS + 60_000)

    (path,) = (tmp_path / "ready/signal/BTCUSDT").iterdir()
    lines = path.read_text().splitlines()
    assert " ".join(json.loads(lines[0])) == (
        "_writer confirm confirm_v2 consistency consistency_raw created_at decision_reason div_type "
        "gate_reason gating gating_blocked guard_reason quality_flags quality_tier regime run_id score "
        "signal_type soft_guard_reasons symbol ts_ms z_cvd z_ofi"
    )
    assert all(json.dumps(json.loads(line), separators=(",", ":")) == line for line in lines)
    assert lines[0].startswith(
        '{"_writer":"core_jsonl_v406","confirm":false,"confirm_v2":false,"consistency":'
    )
    assert '"created_at":"2026-11-21T12:00:56.100000+00:00"' in lines[0]


def test_a_v2_line_is_spelled_as_the_producer_spells_it(tmp_path: Path) -> None:
    feed(tmp_path, "v2-jsonl", count=40, base_ms=NOON_MS + 60_000)

    (path,) = (tmp_path / "ready/signal/ETHUSDT").iterdir()
    lines = path.read_text().splitlines()
    assert " ".join(json.loads(lines[0])) == (
        "config_hash confirm cooldown_ms decision_code decision_reason div_type expiry_ms gating meta regime "
        "run_id schema_version score side_hint signal_id symbol ts_ms z_cvd z_ofi"
    )
    assert all(json.dumps(json.loads(line), separators=(",", ":")) == line for line in lines)
    assert json.loads(lines[-1])["signal_id"] == f"r42-ETHUSDT-{NOON_MS + 60_000}-39"


@pytest.mark.parametrize(
    ("shape", "name", "key", "has_rowid"),
    [
        ("v1-sqlite", "signals.db", ["run_id", "ts_ms", "symbol"], True),
        ("v2-sqlite", "signals_v2.db", ["symbol", "ts_ms", "signal_id"], False),
    ],
)
def test_a_table_is_the_producers(
    tmp_path: Path, shape: str, name: str, key: list[str], has_rowid: bool
) -> None:
    feed(tmp_path, shape, count=40)

    connection = sqlite3.connect(tmp_path / name)
    columns = connection.execute("PRAGMA table_info(signals)").fetchall()
    (text,) = connection.execute("SELECT sql FROM sqlite_master WHERE type = 'table'").fetchone()
    indexes = connection.execute("SELECT sql FROM sqlite_master WHERE type = 'index' AND sql > ''").fetchall()
    mode = connection.execute("PRAGMA journal_mode").fetchone()
    connection.close()
    assert [row[1] for row in sorted(columns, key=lambda row: int(row[5])) if row[5]] == key
    assert ("WITHOUT ROWID" not in text) is has_rowid
    assert text.startswith("CREATE TABLE signals (\n")
    assert indexes == [("CREATE INDEX idx_signals_symbol_ts ON signals(symbol, ts_ms)",)]
    assert mode == ("wal",)


def test_the_file_is_chosen_by_the_signals_own_time(tmp_path: Path) -> None:
    feed(tmp_path / "hours", "v2-jsonl", seconds=60, count=None, base_ms=NOON_MS + 30_000)
    feed(
        tmp_path / "minutes", "v2-jsonl", seconds=60, count=None, base_ms=NOON_MS + 30_000, minute_files=True
    )

    folder = Path("ready/signal/BTCUSDT")
    hours = sorted(path.name for path in (tmp_path / "hours" / folder).iterdir())
    minutes = sorted(path.name for path in (tmp_path / "minutes" / folder).iterdir())
    assert hours == ["signals-20261121-11.jsonl", "signals-20261121-12.jsonl"]
    assert minutes == ["signals_20261121_1159.jsonl", "signals_20261121_1200.jsonl"]
    assert len(signals_of(tmp_path / "hours")) == len(signals_of(tmp_path / "minutes")) == 600


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_there_already_is_added_to_and_never_cut(tmp_path: Path, shape: str) -> None:
    feed(tmp_path, shape, count=20)
    before = signals_of(tmp_path)

    feed(tmp_path, shape, count=20, base_ms=NOON_MS + 60_000)

    after = signals_of(tmp_path)
    assert len(after) == 40
    assert {s.signal_id for s in before} < {s.signal_id for s in after}


def test_times_rise_strictly_within_each_symbol_at_the_highest_rate(tmp_path: Path) -> None:
    feed(tmp_path, "v1-sqlite", count=400, rate=2_000)

    for symbol in SYMBOLS:
        times = [s.ts_ms for s in signals_of(tmp_path) if s.symbol == symbol]
        assert times == list(range(NOON_MS, NOON_MS + 200))


async def test_a_live_feed_keeps_its_pace_and_stamps(tmp_path: Path) -> None:
    clock = VirtualClock()
    plan = FeedPlan("v1-jsonl", 4, SYMBOLS, 1, tmp_path, NOON_MS, seconds=30)

    said: list[str] = []
    written = await write_feed(
        plan, clock=clock, chance=seeded_random(1), stop=asyncio.Event(), say=said.append
    )

    assert written == 120
    assert clock.now_s == pytest.approx(50.0 + 119 / 4)
    assert sorted(s.ts_ms for s in signals_of(tmp_path)) == [NOON_MS + 250 * n for n in range(120)]
    assert said[0].startswith("wrote 120 signals (")


async def test_rows_of_a_live_feed_are_visible_within_half_a_second(tmp_path: Path) -> None:
    class WatchingClock(VirtualClock):
        """Looks into the table before every sleep, as a reader would."""

        def __init__(self) -> None:
            super().__init__()
            self.oldest_hidden_s = 0.0

        async def sleep(self, delay_s: float) -> None:
            due = int((self.now_s - 50.0) * 20) + 1
            shown = reader.execute("SELECT count(*) FROM signals").fetchone()[0]
            if shown < due:
                self.oldest_hidden_s = max(self.oldest_hidden_s, self.now_s + delay_s - 50.0 - shown / 20)
            await super().sleep(delay_s)

    nothing = FeedPlan("v1-sqlite", 20, SYMBOLS, 1, tmp_path, NOON_MS, count=0)
    plan = FeedPlan("v1-sqlite", 20, SYMBOLS, 1, tmp_path, NOON_MS, seconds=10)
    await write_feed(
        nothing, clock=VirtualClock(), chance=seeded_random(1), stop=asyncio.Event(), say=lambda _: None
    )
    reader = sqlite3.connect(tmp_path / "signals.db")
    clock = WatchingClock()

    await write_feed(plan, clock=clock, chance=seeded_random(1), stop=asyncio.Event(), say=lambda _: None)
    reader.close()

    assert 0 < clock.oldest_hidden_s <= 0.5


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_feed_that_is_stopped_leaves_whole_signals(tmp_path: Path, shape: str) -> None:
    stop = asyncio.Event()

    class StoppingClock(VirtualClock):
        """Stops the feed after three seconds."""

        async def sleep(self, delay_s: float) -> None:
            await super().sleep(delay_s)
            if self.now_s > 53.0:
                stop.set()

    plan = FeedPlan(shape, 10, SYMBOLS, 1, tmp_path, NOON_MS)
    written = await write_feed(
        plan, clock=StoppingClock(), chance=seeded_random(1), stop=stop, say=lambda _: None
    )

    assert 25 <= written <= 35
    assert len(signals_of(tmp_path)) == written
