"""The judge of the exchange drill sees each fault that it is there for; the plan stays in its bounds."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from drill.judge import expectations
from drill_exchange.figures import percentile, recoveries_s
from drill_exchange.judge import Evidence, Verdict, client_order_id, judge
from drill_exchange.plan import BEYOND_TIMEOUT_MS, INVISIBLE_MS, LATE_MS, NUMBERS, SKEW_MS, rules

from adapters.exchange.faults import FaultKind, parse_rules
from worker import planning

Fields = dict[str, Any]
HOUR_MS = 1_763_226_000_000
FILE = f"BTCUSDT/exec_{datetime.fromtimestamp(HOUR_MS / 1000, UTC):%Y%m%d_%H}.jsonl"
SCORES = (1.1, 0.2, -0.9, 2.0)


def signal_entry(number: int, score: float) -> Fields:
    """One signal as the feed notes it."""
    fields = {"symbol": "BTCUSDT", "ts_ms": HOUR_MS + number, "score": score, "confirm": True, "gating": "ok"}
    return {
        "kind": "signal",
        "place": "signals_20251115_1700.jsonl",
        "free": False,
        "raw": "",
        "fields": {**fields, "regime": None, "div_type": None},
    }


class Scene:
    """Four signals, three of them eligible, traded without a flaw; to be spoiled in one place."""

    def __init__(self) -> None:
        self.feed = [signal_entry(number, score) for number, score in enumerate(SCORES)]
        self.journal: list[Fields] = []
        self.rows: list[Fields] = []
        self.events: list[Fields] = []
        self.alarms: list[str] = []
        for number, signal in enumerate(expectations(self.feed)):
            filled = signal.status == "success"
            self.rows.append(self._row(number, signal.key[2], signal.side, filled=filled))
            if filled:
                self._trade(number, signal.key[2], "BUY" if signal.side == "long" else "SELL")
        self.lines = [dict(row) for row in self.rows]

    def _row(self, number: int, signal_id: str, side: str, *, filled: bool) -> Fields:
        meta = {"exchange_order_id": str(8_000 + number), "fee": "0.1"} if filled else {}
        self.events.append(
            {
                "seq": number,
                "execution_id": number,
                "at_ms": HOUR_MS + number,
                "from_state": "unknown" if number == 0 else "open",
                "to_state": "filled" if filled else "skipped",
                "final": 1,
            }
        )
        return {
            "id": number,
            "symbol": "BTCUSDT",
            "signal_ts_ms": HOUR_MS + number,
            "signal_id": signal_id,
            "state": "filled" if filled else "skipped",
            "status": "success" if filled else "skip",
            "side": side,
            "exec_ts_ms": HOUR_MS + number,
            "qty": "0.004" if filled else None,
            "price": "100.25" if filled else None,
            "error_code": None if filled else "below_threshold",
            "error_msg": None,
            "client_order_id": client_order_id("BTCUSDT", signal_id) if filled else None,
            "meta_json": json.dumps(meta),
            "reserved_ms": HOUR_MS + 100,
        }

    def _trade(self, number: int, signal_id: str, side: str) -> None:
        names = {
            "now_ms": HOUR_MS + 101,
            "symbol": "BTCUSDT",
            "client_order_id": client_order_id("BTCUSDT", signal_id),
            "order_id": 8_000 + number,
            "side": side,
        }
        self.journal.append({"kind": "accepted", **names, "qty": "0.004"})
        self.journal.append({"kind": "fill", **names, "qty": "0.001", "price": "101", "fee": "0.04"})
        self.journal.append({"kind": "fill", **names, "qty": "0.003", "price": "100", "fee": "0.06"})

    def meta(self, **values: Any) -> None:
        """Change what the first row says of its order."""
        self.rows[0]["meta_json"] = json.dumps({**json.loads(self.rows[0]["meta_json"]), **values})

    def judge(self) -> Verdict:
        """The verdict on the scene as it is now."""
        text = "".join(json.dumps(line) + "\n" for line in self.lines).encode()
        return judge(
            Evidence(self.feed, self.journal, self.rows, self.events, {FILE: text}, tuple(self.alarms))
        )


def _lose_the_order(scene: Scene) -> None:
    name = scene.rows[0]["client_order_id"]
    scene.journal = [entry for entry in scene.journal if entry["client_order_id"] != name]


def _trade_the_skip(scene: Scene) -> None:
    name = client_order_id("BTCUSDT", scene.rows[1]["signal_id"])
    scene.journal.append({**scene.journal[0], "client_order_id": name})


def _reject(scene: Scene) -> None:
    scene.rows[0].update(state="rejected", status="failed", error_code="venue_rejected")
    scene.lines[0].update(status="failed")


def _accept_again(scene: Scene) -> None:
    scene.journal.append({**scene.journal[0], "order_id": 9_000})


FAULTS: dict[str, tuple[Callable[[Scene], object], str]] = {
    "an order was accepted twice": (_accept_again, "DOUBLED: "),
    "an order was never accepted": (_lose_the_order, "LOST: "),
    "a skip was traded": (_trade_the_skip, "skipped: "),
    "an order belongs to nobody": (
        lambda scene: scene.journal[0].update(client_order_id="ew1-x"),
        "stranger: ",
    ),
    "an accepted order counts as rejected": (_reject, "states: "),
    "the order was there before its row": (
        lambda scene: scene.journal[0].update(now_ms=HOUR_MS + 99),
        "reservation: ",
    ),
    "the order was found without a row": (lambda scene: scene.meta(adopted=True), "reservation: "),
    "a fill is missing in the store": (lambda scene: scene.rows[0].update(qty="0.003"), "filled quantity"),
    "a fill is missing in the journal": (lambda scene: scene.journal.pop(2), "filled quantity"),
    "the average is another": (lambda scene: scene.rows[0].update(price="100.26"), "average price"),
    "the fee is another": (lambda scene: scene.meta(fee="0.2"), "fee"),
    "the order's number is another": (lambda scene: scene.meta(exchange_order_id="1"), "order number"),
    "the side is another": (lambda scene: scene.journal[0].update(side="SELL"), "side"),
    "an outcome is still open": (lambda scene: scene.rows[0].update(status="pending"), "must be success"),
    "a row was lost": (lambda scene: scene.rows.pop(2), "rows: "),
    "a line was lost": (lambda scene: scene.lines.pop(2), "lines: "),
    "a line stands there twice": (lambda scene: scene.lines.append(dict(scene.lines[3])), "2 times"),
    "a line tells another story": (lambda scene: scene.lines[0].update(side="short"), "lines: "),
    "an outcome became final twice": (
        lambda scene: scene.events.append(dict(scene.events[0])),
        "became final 2 times",
    ),
    "a symbol was halted": (lambda scene: scene.alarms.append("halt of BTCUSDT: why"), "alarm: "),
}


def test_flawless_trading_passes() -> None:
    verdict = Scene().judge()

    assert verdict.complaints == ()
    assert (verdict.signals, verdict.eligible, verdict.rows, verdict.lines) == (4, 3, 4, 4)
    assert (verdict.accepted, verdict.fills, verdict.doubled, verdict.lost) == (3, 6, 0, 0)
    assert verdict.resolved_as_found == 1


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_seen(fault: str) -> None:
    scene = Scene()
    spoil, words = FAULTS[fault]
    spoil(scene)

    complaints = scene.judge().complaints

    assert any(words in complaint for complaint in complaints), complaints


def test_doubled_and_lost_are_counted() -> None:
    scene = Scene()
    _lose_the_order(scene)
    _accept_again(scene)

    verdict = scene.judge()

    assert (verdict.doubled, verdict.lost) == (1, 1)


def test_the_judge_and_the_worker_derive_the_same_id_on_the_wire() -> None:
    assert client_order_id("BTCUSDT", "abc") == planning.client_order_id("BTCUSDT", "abc")


def test_the_plan_holds_every_kind_of_fault() -> None:
    planned = {rule.kind for rule in parse_rules(json.dumps(rules()).encode())}

    assert planned == set(get_args(FaultKind))


def test_the_plan_asks_nothing_of_the_worker_that_its_numbers_exclude() -> None:
    assert max(LATE_MS) < NUMBERS["recv_window_ms"]
    assert max(INVISIBLE_MS) < NUMBERS["visibility_ms"]
    assert NUMBERS["absence_margin_ms"] > 2 * SKEW_MS
    assert NUMBERS["request_timeout_ms"] < BEYOND_TIMEOUT_MS


def test_nothing_is_executed_behind_a_definite_refusal() -> None:
    orders = [rule for rule in rules() if rule.get("endpoint") == "new_order"]

    late = {rule["symbol"] for rule in orders if rule["kind"] == "late"}
    refused = {rule["symbol"] for rule in orders if rule["kind"] == "answer"}

    assert late
    assert refused
    assert not late & refused


def test_a_recovery_counts_from_the_start_that_finished_it() -> None:
    def step(at_ms: int, before: str | None, after: str) -> Fields:
        return {"execution_id": 1, "at_ms": at_ms, "from_state": before, "to_state": after}

    steps = [
        step(100, None, "reserved"),
        step(1_200, "reserved", "unknown"),
        step(5_500, "unknown", "filled"),
    ]

    assert recoveries_s(steps, [50, 1_000, 5_000]) == [0.5]
    assert recoveries_s(steps, [50]) == []


def test_percentiles_of_few_values() -> None:
    assert percentile([], 0.5) == 0.0
    assert percentile([1.0], 0.99) == 1.0
    assert percentile([1.0, 2.0, 3.0], 0.5) == 2.0
