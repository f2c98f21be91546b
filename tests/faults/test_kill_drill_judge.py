"""The judge of the kill drill sees each fault that it is there for."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from drill.judge import Verdict, expectations, judge

Fields = dict[str, Any]
HOUR_MS = 1_763_226_000_000
FILE = f"BTCUSDT/exec_{datetime.fromtimestamp(HOUR_MS / 1000, UTC):%Y%m%d_%H}.jsonl"
LETTERS = "deadletter/20251115_17.jsonl"


class Scene:
    """A feed's list and the flawless work of a worker, to be spoiled in one place."""

    def __init__(self) -> None:
        scores = [1.1, 0.2, -0.9, 2.0, -1.5, 0.7]
        places = ["signals_20251115_1700.jsonl"] * 3 + ["signals_20251115_1701.jsonl"] * 3
        self.journal: list[Fields] = [
            {
                "kind": "signal",
                "place": place,
                "free": False,
                "fields": {
                    "symbol": "BTCUSDT",
                    "ts_ms": HOUR_MS + number,
                    "score": score,
                    "confirm": True,
                    "gating": "ok",
                    "regime": None,
                    "div_type": None,
                },
            }
            for number, (score, place) in enumerate(zip(scores, places, strict=True))
        ]
        self.journal.append({"kind": "malformed", "place": places[0], "raw": "BTCUSDT", "free": True})
        self.rows: list[Fields] = [
            {
                "id": number,
                "symbol": signal.key[0],
                "signal_ts_ms": signal.key[1],
                "signal_id": signal.key[2],
                "status": signal.status,
                "side": signal.side,
                "exec_ts_ms": HOUR_MS + number,
            }
            for number, signal in enumerate(expectations(self.journal))
        ]
        self.lines = [dict(row) for row in self.rows]
        self.letters = [{"file": f"ready/signal/BTCUSDT/{places[0]}", "offset": 12}]
        self.tail = b""

    def judge(self) -> Verdict:
        """The verdict on the scene as it is now."""
        text = "".join(json.dumps(line) + "\n" for line in self.lines).encode()
        letters = "".join(json.dumps(line) + "\n" for line in self.letters).encode()
        return judge(self.journal, self.rows, {FILE: text + self.tail, LETTERS: letters})


def _swap(rows: list[Fields], one: int, other: int) -> None:
    rows[one], rows[other] = rows[other], rows[one]


def _lines_out_of_order(scene: Scene) -> None:
    _swap(scene.lines, 2, 3)
    scene.lines[2]["exec_ts_ms"], scene.lines[3]["exec_ts_ms"] = HOUR_MS + 2, HOUR_MS + 3
    scene.rows[3]["exec_ts_ms"], scene.rows[2]["exec_ts_ms"] = HOUR_MS + 2, HOUR_MS + 3


def _time_runs_back(scene: Scene) -> None:
    scene.lines[4]["exec_ts_ms"] = scene.rows[4]["exec_ts_ms"] = HOUR_MS


def _hour_is_wrong(scene: Scene) -> None:
    scene.lines[5]["exec_ts_ms"] = scene.rows[5]["exec_ts_ms"] = HOUR_MS + 3_600_000


FAULTS: dict[str, tuple[Callable[[Scene], object], str]] = {
    "a row was lost": (lambda scene: scene.rows.pop(2), "0 times"),
    "a line was lost": (lambda scene: scene.lines.pop(2), "0 times"),
    "a row stands there twice": (lambda scene: scene.rows.append(dict(scene.rows[0])), "2 times"),
    "a line stands there twice": (lambda scene: scene.lines.append(dict(scene.lines[5])), "2 times"),
    "a line is cut": (lambda scene: setattr(scene, "tail", b'{"symbol":"BTC'), "cut"),
    "a line is torn inside": (lambda scene: setattr(scene, "tail", b'{"symbol":"BTC\n'), "no JSON"),
    "rows changed places": (lambda scene: _swap(scene.rows, 2, 3), "wrote first"),
    "rows of one file changed places": (lambda scene: _swap(scene.rows, 0, 1), "wrote first"),
    "lines changed places": (_lines_out_of_order, "order of success lines"),
    "the time runs back": (_time_runs_back, "goes back"),
    "a line stands in another hour": (_hour_is_wrong, "another file"),
    "a skip was executed": (lambda scene: scene.rows[1].update(status="success"), "must be skip"),
    "a signal was skipped": (lambda scene: scene.rows[0].update(status="skip"), "must be success"),
    "a side was turned": (lambda scene: scene.rows[0].update(side="short"), "must be success long"),
    "an outcome is still open": (lambda scene: scene.rows[0].update(status="pending"), "must be success"),
    "a line tells another story": (lambda scene: scene.lines[0].update(exec_ts_ms=HOUR_MS + 1), "differs"),
    "a stranger was executed": (lambda scene: scene.rows[0].update(signal_id="x"), "never written"),
    "a dead letter was lost": (lambda scene: scene.letters.pop(), "0 of"),
    "a dead letter stands there twice": (lambda scene: scene.letters.append(scene.letters[0]), "2 times"),
}


def test_flawless_work_passes() -> None:
    verdict = Scene().judge()

    assert verdict.complaints == ()
    assert (verdict.signals, verdict.rows, verdict.lines, verdict.dead_letters) == (6, 6, 6, 1)
    assert (verdict.lost, verdict.doubled) == (0, 0)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_seen(fault: str) -> None:
    scene = Scene()
    spoil, words = FAULTS[fault]
    spoil(scene)

    complaints = scene.judge().complaints

    assert any(words in complaint for complaint in complaints), complaints


def test_lost_and_doubled_are_counted() -> None:
    scene = Scene()
    scene.rows.pop(0)
    scene.lines.append(dict(scene.lines[5]))

    verdict = scene.judge()

    assert (verdict.lost, verdict.doubled) == (1, 1)


def _late_append(scene: Scene, *, read_at: int) -> None:
    """The fifth signal went to the older file, after the newer one had begun."""
    scene.journal[4]["place"] = scene.journal[0]["place"]
    row = scene.rows.pop(4)
    scene.rows.insert(read_at, row)


@pytest.mark.parametrize("read_at", [3, 4])
def test_a_late_append_may_be_overtaken_by_what_the_newer_file_held(read_at: int) -> None:
    scene = Scene()
    _late_append(scene, read_at=read_at)

    assert scene.judge().complaints == ()


@pytest.mark.parametrize("read_at", [2, 5])
def test_a_late_append_is_never_overtaken_by_what_was_written_after_it(read_at: int) -> None:
    scene = Scene()
    _late_append(scene, read_at=read_at)

    assert any("wrote first" in complaint for complaint in scene.judge().complaints)


def test_many_complaints_of_a_kind_are_cut_short() -> None:
    scene = Scene()
    scene.rows.clear()

    complaints = scene.judge().complaints

    assert complaints[:6] == (*complaints[:5], "rows: and 1 more")
