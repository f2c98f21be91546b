"""The judge of the drills sees each fault that it is there for, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from worker.drill.expected import client_order_id, expectations
from worker.drill.judge import Evidence, Verdict, judge
from worker.drill.left import venue_entries

Fields = dict[str, Any]
NOON_MS = 1_763_226_000_000
# Two eligible ones, and one between the thresholds.
SCORES = (1.1, 0.2, -0.9)
LONG, BELOW, SHORT = range(3)


def fed(number: int, score: float, **more: object) -> Fields:
    """One signal as the feed announces it."""
    fields = {"symbol": "BTCUSDT", "ts_ms": NOON_MS + number, "score": score, "confirm": True, "gating": 1}
    fields |= {"regime": "quiet", "div_type": None, "gating_blocked": False, **more}
    return {"kind": "signal", "number": number, "moment": "now", "fields": fields}


class Scene:
    """Three signals, two of them eligible, traded without a flaw; to be spoiled in one place."""

    def __init__(self) -> None:
        self.feed = [fed(number, score) for number, score in enumerate(SCORES)]
        self.journal: list[Fields] | None = []
        self.rows: list[Fields] = []
        self.letters: list[Fields] = []
        self.alarms: list[str] = []
        for number, signal in enumerate(expectations(self.feed)):
            wire_id = client_order_id("BTCUSDT", signal.key[2]) if signal.eligible else None
            self.rows.append(self._row(number, signal.key[2], signal.side, wire_id, signal.code))
            if wire_id is not None:
                self._trade(number, wire_id, "BUY" if signal.side == "long" else "SELL")
        self.lines = [dict(row) for row in self.rows]

    def _row(self, number: int, signal_id: str, side: str, wire_id: str | None, code: str | None) -> Fields:
        meta = {"exchange_order_id": str(8_000 + number), "fee": "0.1"} if wire_id else {}
        return {
            "symbol": "BTCUSDT",
            "signal_ts_ms": NOON_MS + number,
            "signal_id": signal_id,
            "state": "filled" if wire_id else "skipped",
            "status": "success" if wire_id else "skip",
            "side": side,
            "exec_ts_ms": NOON_MS + 200 + number,
            "qty": "0.004" if wire_id else None,
            "price": "100.25" if wire_id else None,
            "error_code": code,
            "client_order_id": wire_id,
            "meta_json": json.dumps(meta),
            "reserved_ms": NOON_MS + 100,
        }

    def _trade(self, number: int, wire_id: str, side: str) -> None:
        assert self.journal is not None
        names = {"client_order_id": wire_id, "symbol": "BTCUSDT", "now_ms": NOON_MS + 101}
        self.journal.append({"kind": "accepted", "order_id": 8_000 + number, "side": side, **names})
        for qty, price in (("0.001", "100.10"), ("0.003", "100.30")):
            self.journal.append({"kind": "fill", "qty": qty, "price": price, "fee": "0.05", **names})

    def order(self, number: int) -> Fields:
        """The journal's accepted order of the `number`th signal."""
        assert self.journal is not None
        return next(entry for entry in self.journal if entry.get("order_id") == 8_000 + number)

    def verdict(self) -> Verdict:
        """What the judge says."""
        return judge(Evidence(self.feed, self.rows, self.lines, self.journal, self.letters, self.alarms))


def lose_a_row(scene: Scene) -> None:
    del scene.rows[LONG]


def lose_a_line(scene: Scene) -> None:
    del scene.lines[SHORT]


def double_a_line(scene: Scene) -> None:
    scene.lines.append(dict(scene.lines[-1]))


def double_a_row(scene: Scene) -> None:
    scene.rows.append(dict(scene.rows[BELOW]))


def double_an_order(scene: Scene) -> None:
    assert scene.journal is not None
    scene.journal.append({**scene.order(LONG), "order_id": 9_000})


def lose_an_order(scene: Scene) -> None:
    assert scene.journal is not None
    name = scene.order(LONG)["client_order_id"]
    scene.journal = [entry for entry in scene.journal if entry["client_order_id"] != name]


def place_an_order_without_a_signal(scene: Scene) -> None:
    assert scene.journal is not None
    scene.journal.append({**scene.order(LONG), "client_order_id": "ew1-stranger", "order_id": 9_001})


def place_an_order_for_a_skip(scene: Scene) -> None:
    assert scene.journal is not None
    name = client_order_id("BTCUSDT", scene.rows[BELOW]["signal_id"])
    scene.journal.append({**scene.order(LONG), "client_order_id": name, "order_id": 9_002})


def call_an_accepted_order_rejected(scene: Scene) -> None:
    for told in (scene.rows[LONG], scene.lines[LONG]):
        told.update(state="rejected", status="failed", error_code="insufficient_margin")


def tell_another_quantity(scene: Scene) -> None:
    scene.rows[LONG]["qty"] = "0.005"


def tell_another_price(scene: Scene) -> None:
    scene.rows[LONG]["price"] = "100.20"


def tell_another_fee(scene: Scene) -> None:
    scene.rows[LONG]["meta_json"] = json.dumps({"exchange_order_id": "8000", "fee": "0.2"})


def tell_another_order_number(scene: Scene) -> None:
    scene.rows[LONG]["meta_json"] = json.dumps({"exchange_order_id": "8009", "fee": "0.1"})


def sell_what_was_to_be_bought(scene: Scene) -> None:
    scene.order(LONG)["side"] = "SELL"


def send_before_reserving(scene: Scene) -> None:
    scene.order(LONG)["now_ms"] = scene.rows[LONG]["reserved_ms"] - 1


def skip_what_is_eligible(scene: Scene) -> None:
    for told in (scene.rows[SHORT], scene.lines[SHORT]):
        told.update(status="skip", side="skip", error_code="expired")


def give_another_reason(scene: Scene) -> None:
    for told in (scene.rows[BELOW], scene.lines[BELOW]):
        told["error_code"] = "gate_blocked"


def invent_a_signal(scene: Scene) -> None:
    for told in (scene.rows, scene.lines):
        told.append({**told[BELOW], "signal_id": "f" * 32})


def let_a_line_differ_from_its_row(scene: Scene) -> None:
    scene.lines[LONG]["exec_ts_ms"] += 1


def exchange_two_lines(scene: Scene) -> None:
    scene.lines.reverse()


def forget_a_malformed_line(scene: Scene) -> None:
    scene.feed.append({"kind": "malformed", "raw": "no signal at all", "number": 3})


def set_aside_what_nobody_wrote(scene: Scene) -> None:
    scene.letters.append({"raw": "who was that"})


def sound_an_alarm(scene: Scene) -> None:
    scene.alarms.append("halt of all: late fill")


FAULTS: tuple[tuple[Callable[[Scene], None], str, int, int], ...] = (
    (lose_a_row, "lost row", 1, 0),
    (lose_a_line, "lost line", 1, 0),
    (double_a_line, "doubled line", 0, 1),
    (double_a_row, "doubled row", 0, 1),
    (double_an_order, "doubled order", 0, 1),
    (lose_an_order, "lost order", 1, 0),
    (place_an_order_without_a_signal, "strange order", 0, 1),
    (place_an_order_for_a_skip, "strange order", 0, 1),
    (call_an_accepted_order_rejected, "contradiction", 0, 0),
    (tell_another_quantity, "contradiction", 0, 0),
    (tell_another_price, "contradiction", 0, 0),
    (tell_another_fee, "contradiction", 0, 0),
    (tell_another_order_number, "contradiction", 0, 0),
    (sell_what_was_to_be_bought, "contradiction", 0, 0),
    (send_before_reserving, "contradiction", 0, 0),
    (skip_what_is_eligible, "wrong row", 0, 0),
    (give_another_reason, "wrong line", 0, 0),
    (invent_a_signal, "strange row", 0, 2),
    (let_a_line_differ_from_its_row, "wrong line", 0, 0),
    (exchange_two_lines, "wrong line", 0, 0),
    (forget_a_malformed_line, "lost dead letter", 0, 0),
    (set_aside_what_nobody_wrote, "strange dead letter", 0, 0),
    (sound_an_alarm, "alarm", 0, 0),
)


def test_a_drill_without_a_flaw_has_no_objection() -> None:
    verdict = Scene().verdict()

    assert verdict.complaints == ()
    assert (verdict.signals, verdict.eligible, verdict.rows, verdict.lines) == (3, 2, 3, 3)
    assert (verdict.accepted, verdict.duplicates, verdict.lost) == (2, 0, 0)


@pytest.mark.parametrize(
    ("spoil", "kind", "lost", "doubled"), FAULTS, ids=lambda one: getattr(one, "__name__", "")
)
def test_each_planted_fault_is_caught(
    spoil: Callable[[Scene], None], kind: str, lost: int, doubled: int
) -> None:
    scene = Scene()

    spoil(scene)

    verdict = scene.verdict()
    assert any(complaint.startswith(f"{kind}:") for complaint in verdict.complaints), verdict.complaints
    assert (verdict.lost, verdict.duplicates) == (lost, doubled)


def test_where_no_order_leaves_nobody_asks_for_one() -> None:
    scene = Scene()
    scene.journal = None

    verdict = scene.verdict()

    assert verdict.accepted is None
    assert verdict.complaints == ()


def test_a_signal_that_a_dying_feed_announced_and_never_wrote_is_not_missed() -> None:
    scene = Scene()
    scene.feed += [fed(9, 1.5), {"kind": "void", "number": 9}]
    scene.feed += [
        {"kind": "malformed", "raw": "half", "number": 10},
        {"kind": "void_malformed", "raw": "half"},
    ]

    verdict = scene.verdict()

    assert verdict.complaints == ()
    assert verdict.signals == 3


@pytest.mark.parametrize(
    ("moment", "more", "code"),
    [
        ("future", {}, "from_future"),
        ("old", {}, "expired"),
        ("old", {"confirm": False}, "not_confirmed"),
        ("now", {"gating_blocked": True}, "gate_blocked"),
    ],
)
def test_what_the_decision_table_says_is_expected(moment: str, more: Fields, code: str) -> None:
    signal = expectations([{**fed(0, 1.5, **more), "moment": moment}])[0]

    assert (signal.status, signal.side, signal.code) == ("skip", "skip", code)


def test_more_of_a_kind_than_a_person_reads_is_counted() -> None:
    scene = Scene()
    scene.feed += [fed(number, 1.5) for number in range(10, 30)]

    complaints = scene.verdict().complaints

    assert "lost row: and 15 more" in complaints


def test_the_journal_of_the_simulated_venue_is_read_in_the_words_of_the_exchange() -> None:
    order = {"client_order_id": "ew1-a", "symbol": "BTCUSDT", "side": "buy"}
    part = {"qty": "0.1", "price": "100", "fee": "0.01", "at_ms": 6, "maker": False}
    facts = [
        {"fact": "placed", "number": 7, "at_ms": 5, "order": order, "parts": [part]},
        {"fact": "filled", "client_order_id": "ew1-a", "parts": [part]},
    ]

    accepted, *fills = venue_entries(facts)

    assert (accepted["kind"], accepted["order_id"], accepted["side"]) == ("accepted", 7, "BUY")
    assert [fill["client_order_id"] for fill in fills] == ["ew1-a", "ew1-a"]
