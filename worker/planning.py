"""Planning: what a signal becomes, and why. One reason code per outcome, first rule that applies.

Pure (CONTRACTS 1.5): the same signal, rules and lane memory always give the same decision.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Literal

import msgspec

from config.settings import Execution
from streams.signal import Signal
from worker.precheck import PRE_DENY_CODES, SAMPLED_CODES, PrecheckRules, precheck, precheck_rules

Side = Literal["long", "short"]

FUTURE_TOLERANCE_MS = 5_000
CLIENT_ORDER_ID_PREFIX = "ew1-"
_BASE32 = "abcdefghijklmnopqrstuvwxyz234567"

# Every code that can stand in error_code of a skip; a code never changes its meaning.
SKIP_CODES = (
    "not_confirmed",
    "gate_blocked",
    "from_future",
    "expired",
    "flat",
    "below_threshold",
    *PRE_DENY_CODES,
    *SAMPLED_CODES,
    "cooldown",
    "halted",
    "id_reused",
    "risk_order_usd",
    "risk_rate",
    "risk_position_usd",
    "risk_check_failed",
)


class Rules(msgspec.Struct, frozen=True):
    """The part of the settings that decides.

    `max_age_ms` None: neither age nor expiry is looked at; `precheck` None: nor is the signal's own state.
    """

    long_score_threshold: float
    short_score_threshold: float
    max_age_ms: int | None
    refuse_future: bool
    precheck: PrecheckRules | None = None


class Eligible(msgspec.Struct, frozen=True):
    """The signal becomes an order."""

    side: Side


class Skip(msgspec.Struct, frozen=True):
    """The signal is recorded and never sent; `side` is `flat` for a flat hint, else `skip`."""

    code: str
    text: str
    side: Literal["skip", "flat"] = "skip"


Decision = Eligible | Skip

_LONG = Eligible("long")
_SHORT = Eligible("short")
_NOT_CONFIRMED = Skip("not_confirmed", "the producer did not confirm the signal")
_FLAT = Skip("flat", "the producer hints flat, which is recorded and not traded", "flat")
_BELOW = Skip("below_threshold", "the score lies between the thresholds")
HALTED = Skip("halted", "new orders are halted")


def rules_of(execution: Execution) -> Rules:
    """The rules in force."""
    return Rules(
        long_score_threshold=execution.business.long_score_threshold,
        short_score_threshold=execution.business.short_score_threshold,
        max_age_ms=execution.max_age_ms,
        refuse_future=execution.mode.touches_exchange,
        precheck=precheck_rules(execution),
    )


def plan(signal: Signal, rules: Rules, *, now_ms: int, last_order_ts_ms: int, halted: bool) -> Decision:
    """What becomes of `signal` at `now_ms`, given the time of the symbol's last order (0: none)."""
    if not signal.confirm:
        return _NOT_CONFIRMED
    if not signal.gate_passed:
        why = signal.guard_reason or "no reason given"
        return Skip("gate_blocked", f"the producer's gate blocked it: {why}")
    if rules.refuse_future and signal.ts_ms > now_ms + FUTURE_TOLERANCE_MS:
        return Skip("from_future", f"its time lies {signal.ts_ms - now_ms} ms ahead of the clock")
    if expired(signal.ts_ms, signal.expiry_ms, rules, now_ms=now_ms):
        return Skip("expired", f"it was {now_ms - signal.ts_ms} ms old")
    side = _side(signal, rules)
    if isinstance(side, Skip):
        return side
    if rules.precheck is not None and (denial := precheck(signal, rules.precheck)) is not None:
        return Skip(denial.code, denial.text)
    if signal.cooldown_ms > 0 and 0 <= signal.ts_ms - last_order_ts_ms < signal.cooldown_ms:
        since_ms = signal.ts_ms - last_order_ts_ms
        return Skip("cooldown", f"{since_ms} ms after the last order, cooldown {signal.cooldown_ms} ms")
    return HALTED if halted else side


def expired(ts_ms: int, expiry_ms: int, rules: Rules, *, now_ms: int) -> bool:
    """Whether a signal's life is over: the staleness limit or its own expiry, the shorter one."""
    life_ms = life_of(expiry_ms, rules)
    return life_ms is not None and now_ms - ts_ms > life_ms


def life_of(expiry_ms: int, rules: Rules) -> int | None:
    """Milliseconds from the signal's time during which it may be sent; None: for ever."""
    if rules.max_age_ms is None:
        return None
    return min(rules.max_age_ms, expiry_ms) if expiry_ms > 0 else rules.max_age_ms


def _side(signal: Signal, rules: Rules) -> Eligible | Skip:
    match signal.side_hint:
        case "flat":
            return _FLAT
        case "buy":
            return _LONG
        case "sell":
            return _SHORT
    if signal.score > rules.long_score_threshold:
        return _LONG
    if signal.score < rules.short_score_threshold:
        return _SHORT
    return _BELOW


def client_order_id(symbol: str, signal_id: str) -> str:
    """`ew1-` and 24 lower-case base32 characters of blake2b(`symbol|signal_id`) (CONTRACTS 1.4)."""
    number = int.from_bytes(blake2b(f"{symbol}|{signal_id}".encode(), digest_size=15).digest(), "big")
    letters = "".join(_BASE32[(number >> shift) & 31] for shift in range(115, -1, -5))
    return CLIENT_ORDER_ID_PREFIX + letters
