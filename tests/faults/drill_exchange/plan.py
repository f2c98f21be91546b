"""The fault plan: everything that a lying exchange can do, often enough that a third of all orders meet it.

Pure. Every number stays inside what the worker is configured to bear (`NUMBERS`): a correct worker loses
nothing under it, however long it runs. Rules of one request stand in order; the first answer that fires
decides, the modifiers `late`, `slow` and `invisible` come on top.
"""

from __future__ import annotations

from typing import Any

Rule = dict[str, Any]

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
# The exchange's side: less than the window, less than the visibility, and both clocks within the margin.
LATE_MS = (60, 180, 350)
INVISIBLE_MS = (120, 300)
SKEW_MS = 80
PAUSE_MS = 300
BEYOND_TIMEOUT_MS = 800

# Kind, whether the order is executed behind it, chance.
ANSWERS: tuple[tuple[str, bool, float], ...] = (
    ("reset_before", False, 0.025),
    ("reset_after", True, 0.035),
    ("silence_before", False, 0.012),
    ("silence_after", True, 0.018),
    ("timeout_1007", False, 0.015),
    ("timeout_1007", True, 0.025),
    ("unknown_1006", False, 0.010),
    ("unknown_1006", True, 0.012),
    ("unknown_503", False, 0.020),
    ("unknown_503", True, 0.025),
    ("unavailable_503", False, 0.015),
    ("unavailable_503", True, 0.012),
    ("internal_503", False, 0.012),
    ("internal_503", True, 0.012),
    ("html_500", False, 0.012),
    ("html_500", True, 0.012),
    ("disconnected_1001", False, 0.010),
    ("disconnected_1001", True, 0.012),
    ("overload_1008", False, 0.015),
    ("overload_1008", True, 0.025),
    ("garbage", True, 0.018),
    ("truncated", True, 0.018),
)
# Definite refusals, which a worker has to go on after: the clock is off, the engine's window has passed. An
# exchange that executes behind one of these cannot be traded on at all, so they have a symbol of their own,
# on which nothing is executed late.
REFUSING_SYMBOL = "SOLUSDT"
REFUSALS: tuple[Rule, ...] = (
    {"kind": "answer", "status": 400, "code": -1021, "text": "Timestamp for this request is outside of it."},
    {"kind": "answer", "status": 400, "code": -5028, "text": "Timestamp for this request is outside of it."},
)
REFUSAL_CHANCE = 0.03
LATE_SYMBOLS = ("BTCUSDT", "ETHUSDT", "AVAXUSDT")
LATE_CHANCE = 0.035
# Pauses that the exchange asks for; behind these it never executes anything.
PAUSES: tuple[Rule, ...] = (
    {"kind": "http_429", "delay_ms": PAUSE_MS},
    {"kind": "http_418", "delay_ms": PAUSE_MS},
)
PAUSE_CHANCE = 0.006
QUESTIONS = ("query_order", "open_orders", "all_orders", "trades")


def rules() -> list[Rule]:
    """The whole plan, as the exchange reads it."""
    return [*_of_orders(), *_of_questions(), *_of_streams(), *_of_clock()]


def _of_orders() -> list[Rule]:
    found: list[Rule] = [
        {"kind": kind, "executed": executed, "probability": chance} for kind, executed, chance in ANSWERS
    ]
    found += [{**rule, "probability": PAUSE_CHANCE} for rule in PAUSES]
    found += [{**rule, "symbol": REFUSING_SYMBOL, "probability": REFUSAL_CHANCE} for rule in REFUSALS]
    found += [
        {"kind": "late", "symbol": symbol, "delay_ms": delay_ms, "probability": LATE_CHANCE}
        for symbol in LATE_SYMBOLS
        for delay_ms in LATE_MS
    ]
    found += [
        {"kind": "invisible", "delay_ms": delay_ms, "scope": scope, "probability": 0.05}
        for delay_ms in INVISIBLE_MS
        for scope in ("query", "all")
    ]
    found += [
        {"kind": "slow", "delay_ms": 60, "probability": 0.05},
        {"kind": "slow", "delay_ms": BEYOND_TIMEOUT_MS, "probability": 0.015},
    ]
    return [{**rule, "endpoint": "new_order"} for rule in found]


def _of_questions() -> list[Rule]:
    """Lost, late and unreadable answers to questions, and an order that is denied now and then."""
    found: list[Rule] = [
        {
            "kind": "answer",
            "endpoint": "query_order",
            "status": 400,
            "code": -2013,
            "text": "Order does not exist.",
            "probability": 0.06,
        }
    ]
    for endpoint in QUESTIONS:
        found += [
            {"kind": "reset_before", "endpoint": endpoint, "probability": 0.03},
            {"kind": "unknown_503", "endpoint": endpoint, "probability": 0.02},
            {"kind": "garbage", "endpoint": endpoint, "probability": 0.02},
            {"kind": "truncated", "endpoint": endpoint, "probability": 0.02},
            {"kind": "slow", "endpoint": endpoint, "delay_ms": 120, "probability": 0.04},
        ]
    found += [
        {"kind": kind, "endpoint": endpoint, "probability": 0.02}
        for endpoint in ("time", "account", "position_risk", "listen_key_create")
        for kind in ("reset_before", "html_500")
    ]
    return found


def _of_streams() -> list[Rule]:
    return [
        {"kind": "stream_gap", "delay_ms": PAUSE_MS, "probability": 0.01},
        {"kind": "stream_loss", "probability": 0.04},
        {"kind": "stream_duplicate", "probability": 0.10},
        {"kind": "stream_reorder", "delay_ms": 120, "probability": 0.06},
        {"kind": "stream_delay", "delay_ms": 150, "probability": 0.05},
    ]


def _of_clock() -> list[Rule]:
    """The exchange's clock runs ahead for a while, is right again, and runs behind for a while."""
    period_ms, ahead = 20_000, True
    found: list[Rule] = []
    for begin_ms in range(period_ms // 2, 40 * 60_000, period_ms):
        skew_ms = SKEW_MS if ahead else -SKEW_MS
        until_ms = begin_ms + period_ms // 2
        found.append({"kind": "clock_skew", "delay_ms": skew_ms, "from_ms": begin_ms, "until_ms": until_ms})
        ahead = not ahead
    return found
