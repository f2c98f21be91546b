"""The fault plans: what the practice exchange does wrong in a drill, often enough that kills meet it.

Pure. Every number stays inside what the drilled worker is told to bear (`NUMBERS`): a correct worker
loses nothing under it, however long it runs.
"""

from __future__ import annotations

from worker.drill.exchange import Rule

# The worker's side, in milliseconds: how long an order may be on its way, and how long it may stay unseen.
NUMBERS = {
    "recv_window_ms": 600,
    "send_window_ms": 500,
    "request_timeout_ms": 600,
    "absence_margin_ms": 300,
    "visibility_ms": 450,
    "absence_spacing_ms": 100,
    "settle_poll_ms": 250,
}
# A clock that is off by so much needs a margin to match.
SKEW_MS = 1_500
SKEWED_NUMBERS = {**NUMBERS, "recv_window_ms": 1_500, "absence_margin_ms": 2 * SKEW_MS + 500}
SKEW_PERIOD_MS = 7_000
DRILL_MS_MAX = 60 * 60_000
# The exchange's side: less than the window, less than the visibility.
LATE_MS = (60, 180, 350)
INVISIBLE_MS = (120, 300)
PAUSE_MS = 300
BEYOND_TIMEOUT_MS = 800

# Kind, whether the order is executed behind it, chance.
ANSWERS: tuple[tuple[str, bool, float], ...] = (
    ("reset_before", False, 0.04),
    ("reset_after", True, 0.06),
    ("silence_before", False, 0.015),
    ("silence_after", True, 0.025),
    ("timeout_1007", False, 0.02),
    ("timeout_1007", True, 0.03),
    ("unknown_503", False, 0.03),
    ("unknown_503", True, 0.04),
    ("overload_1008", True, 0.02),
    ("html_500", True, 0.02),
    ("garbage", True, 0.02),
    ("truncated", True, 0.02),
)
QUESTIONS = ("query_order", "open_orders", "all_orders", "trades")


def lying() -> list[Rule]:
    """Resets before and after acceptance, silence, 503, -1007, 429, late acceptance, orders not shown yet."""
    orders: list[Rule] = [
        {"kind": kind, "executed": executed, "probability": chance} for kind, executed, chance in ANSWERS
    ]
    orders.append({"kind": "http_429", "delay_ms": PAUSE_MS, "probability": 0.01})
    orders += [{"kind": "late", "delay_ms": delay_ms, "probability": 0.035} for delay_ms in LATE_MS]
    orders += [
        {"kind": "invisible", "delay_ms": delay_ms, "scope": scope, "probability": 0.05}
        for delay_ms in INVISIBLE_MS
        for scope in ("query", "all")
    ]
    orders.append({"kind": "slow", "delay_ms": BEYOND_TIMEOUT_MS, "probability": 0.015})
    found = [{**rule, "endpoint": "new_order"} for rule in orders]
    for endpoint in QUESTIONS:
        found += [
            {"kind": "reset_before", "endpoint": endpoint, "probability": 0.03},
            {"kind": "unknown_503", "endpoint": endpoint, "probability": 0.02},
            {"kind": "garbage", "endpoint": endpoint, "probability": 0.02},
        ]
    found += [
        {"kind": "stream_gap", "delay_ms": PAUSE_MS, "probability": 0.01},
        {"kind": "stream_loss", "probability": 0.04},
        {"kind": "stream_duplicate", "probability": 0.10},
        {"kind": "stream_reorder", "delay_ms": 120, "probability": 0.06},
    ]
    return found


def skewed() -> list[Rule]:
    """The exchange's clock steps ahead, is right again, and steps back, over and over."""
    found: list[Rule] = []
    steps = (SKEW_MS, -SKEW_MS, SKEW_MS // 2, -SKEW_MS // 2)
    for number, begin_ms in enumerate(range(SKEW_PERIOD_MS, DRILL_MS_MAX, 2 * SKEW_PERIOD_MS)):
        until_ms = begin_ms + SKEW_PERIOD_MS
        rule = {"kind": "clock_skew", "delay_ms": steps[number % len(steps)]}
        found.append({**rule, "from_ms": begin_ms, "until_ms": until_ms})
    return [*found, {"kind": "reset_after", "endpoint": "new_order", "probability": 0.05}]
