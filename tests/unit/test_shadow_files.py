"""The pairs on disk and the report of them: whole lines whatever happens, and a sum over lives and days."""

from __future__ import annotations

import json
import os
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from adapters.shadow_copies import News
from adapters.shadow_pairs import Outcome, Pair
from worker import cli, shadow_files
from worker.exits import Exit
from worker.shadow_files import DAY_MS, FOLDER, PairFiles, read_pairs

NOON_MS = 1_700_049_600_000


class Noon:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now_ms = NOON_MS

    def wall_ms(self) -> int:
        return self.now_ms

    def monotonic_s(self) -> float:
        return 0.0

    def boot_s(self) -> float:
        return 0.0

    async def sleep(self, delay_s: float) -> None:
        raise AssertionError("nothing waits here")


def differing(number: int = 0, at_ms: int = NOON_MS) -> Pair:
    return Pair(
        at_ms,
        "BTCUSDT",
        "buy",
        Decimal("0.010"),
        f"signal-{number}",
        f"ew1-{number}",
        f"sh1-{number}",
        Outcome("filled", None, Decimal("60000.10")),
        Outcome("rejected", "insufficient_margin"),
        ("status",),
    )


def news(*pairs: Pair, alike: int = 0) -> News:
    return News(list(pairs), Counter({"alike": alike, "different": len(pairs)}), Counter())


def files(folder: Path, clock: Noon, keep_days: int | None = None) -> PairFiles:
    return PairFiles(folder / "executions" / FOLDER, clock, keep_days=keep_days)


def kept(folder: Path, since_ms: int = 0) -> shadow_files.Kept:
    return read_pairs(folder / "executions" / FOLDER, since_ms=since_ms, pairs_max=20)


def test_counts_add_up_over_lives_and_days(tmp_path: Path) -> None:
    clock = Noon()
    assert files(tmp_path, clock).keep(news(differing(1), alike=99)) is None
    clock.now_ms += DAY_MS
    assert files(tmp_path, clock).keep(news(differing(2, clock.now_ms), alike=50)) is None

    found = kept(tmp_path)

    assert found.counts == {"alike": 149, "different": 2}
    assert [pair.signal_id for pair in found.pairs] == ["signal-1", "signal-2"]
    assert found.pairs[0].main == differing().main
    assert found.kinds == {"filled, shadow rejected (insufficient_margin)": 2}
    assert kept(tmp_path, since_ms=clock.now_ms).counts == {"alike": 50, "different": 1}
    assert len(os.listdir(tmp_path / "executions" / FOLDER)) == 2


def test_a_line_that_a_crash_tore_costs_only_itself(tmp_path: Path) -> None:
    clock = Noon()
    files(tmp_path, clock).keep(news(differing(1)))
    [path] = (tmp_path / "executions" / FOLDER).iterdir()
    path.write_bytes(path.read_bytes()[:-10])

    files(tmp_path, clock).keep(news(differing(2)))

    found = kept(tmp_path)
    assert [pair.signal_id for pair in found.pairs] == ["signal-1", "signal-2"]
    assert (found.counts["different"], found.unreadable) == (1, 1)


def test_a_full_disk_leaves_no_torn_line_and_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Noon()
    files(tmp_path, clock).keep(news(differing(1)))
    [path] = (tmp_path / "executions" / FOLDER).iterdir()
    before, writes = path.read_bytes(), iter([7])

    def write(descriptor: int, data: bytes) -> int:
        for size in writes:
            return os.pwrite(descriptor, data[:size], 0)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(shadow_files.os, "write", write)
        told = files(tmp_path, clock).keep(news(differing(2)))

    assert told == f"{path} cannot be written (No space left on device): make room there"
    assert path.read_bytes() == before


def test_files_are_pruned_after_keep_days(tmp_path: Path) -> None:
    clock = Noon()
    log = files(tmp_path, clock, keep_days=2)
    for _ in range(5):
        log.keep(news(differing(at_ms=clock.now_ms)))
        clock.now_ms += DAY_MS

    names = sorted(os.listdir(tmp_path / "executions" / FOLDER))
    assert names == ["pairs_20231117.jsonl", "pairs_20231118.jsonl", "pairs_20231119.jsonl"]


def report(folder: Path, *arguments: str) -> Any:
    silenced = {name: None for name in os.environ if name.startswith("V13_")}
    return CliRunner().invoke(
        cli.app, ["shadow", "report", "--output", str(folder), *arguments], env=silenced
    )


def test_the_report_shows_parity_kinds_and_the_first_pairs(tmp_path: Path) -> None:
    clock = Noon()
    log = files(tmp_path, clock)
    log.keep(news(*(differing(number) for number in range(30)), alike=570))

    text, told = report(tmp_path), json.loads(report(tmp_path, "--json").stdout)

    assert text.exit_code == Exit.OK
    assert "compared      600: 570 alike, 30 different\nparity        0.9500\n" in text.stdout
    assert "      30  filled, shadow rejected (insufficient_margin)\n" in text.stdout
    assert "pairs that differ, the first 20 of 30\n" in text.stdout
    assert "filled at 60000.10  rejected (insufficient_margin)" in text.stdout
    assert text.stdout.count("signal-") == 20
    assert (told["compared"], told["parity"], told["different"]) == (600, 0.95, 30)
    assert told["pairs"][0]["main"] == {"status": "filled", "price": "60000.10"}
    assert len(told["pairs"]) == 20


@pytest.mark.parametrize("since", [(), ("--since", "1700049600001"), ("--since", "15m")])
def test_a_report_without_pairs_says_what_to_do(tmp_path: Path, since: tuple[str, ...]) -> None:
    if since:
        files(tmp_path, Noon()).keep(news(differing()))

    answer = report(tmp_path, *since)

    assert answer.exit_code == Exit.DATA
    assert "holds no pair of orders since then: " in answer.stderr


def test_a_time_that_is_none_is_a_wrong_usage(tmp_path: Path) -> None:
    answer = report(tmp_path, "--since", "yesterday")

    assert answer.exit_code == Exit.USAGE
    assert "is neither like 90s, 15m, 2h or 1d, nor UTC milliseconds" in answer.stderr
