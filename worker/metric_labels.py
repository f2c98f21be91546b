"""The label values that are known before anything was counted: so they show from the first scrape, at 0.

A counter that is born at 3 looks to Prometheus as if it had never grown.
"""

from __future__ import annotations

from store.lifecycle import TERMINAL_STATES, State
from worker.precheck import SAMPLED_CODES

RESULT_STATUSES = ("success", "skip", "failed", "retry")
SUBMIT_RESULTS = ("accepted", "rejected", "not_sent", "unknown")
THROTTLE_REASONS = (
    "rate",
    "concurrency",
    "price",
    "budget",
    "deadline",
    "clock",
    "denied",
    "new_store",
    *SAMPLED_CODES,
)
RESET_REASONS = ("truncated", "replaced", "inode_reused", "marker", "rebuilt", "rescan")
# Why an order is refused: the words of every venue, our own, and those of an order that could never be sent.
REJECT_REASONS = (
    "account_restricted",
    "bad_price",
    "clock",
    "deadline",
    "denied",
    "held",
    "insufficient_balance",
    "insufficient_margin",
    "internal_error",
    "invalid_client_order_id",
    "invalid_quantity",
    "min_notional",
    "no_liquidity",
    "no_price",
    "no_symbol_rules",
    "order_type_not_allowed",
    "percent_price",
    "position_limit",
    "position_side",
    "price_filter",
    "rate_limited",
    "reduce_only_rejected",
    "stale_price",
    "symbol_not_trading",
    "time_in_force_not_allowed",
    "too_many_open_orders",
    "unfilled",
    "unknown_symbol",
    "venue_error",
    "venue_rejected",
    "venue_unavailable",
    "window_passed",
)
# What can be in trouble, for as long as it is.
TROUBLE_PARTS = ("store", "outputs", "user_stream", "account", "strategy", "tasks")
UNSETTLED_STATES = tuple(state.value for state in State if state not in TERMINAL_STATES)
RISK_LIMITS = ("order_usd", "orders_per_minute", "position_usd")
