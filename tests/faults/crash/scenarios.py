"""What a seed stands for: the signals, the exchange's faults, the clocks' accidents, and what dies when.

Everything that is drawn is drawn here, before anything runs, so that a point is a seed and a step and nothing
else. The numbers of the absence proof are low: virtual time is free, the steps in it are not.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

from rig.floor import signal
from rig.virtual_clock import START_MS

from adapters.exchange.faults import FaultKind, FaultRule
from adapters.exchange.terms import FillPolicy
from config.seams import seeded_random
from config.settings import Settings
from streams.signal import Malformed, Place, Record

SYMBOLS = ("BTCUSDT", "ETHUSDT")
PRICES = {"BTCUSDT": Decimal("60000.00"), "ETHUSDT": Decimal("3000.00")}

Kind = Literal[
    "plain", "parts", "limit", "short_life", "wall_jumps", "suspended", "stopped", "lost_store",
    "older_store", "long_lag", "broken_stream", "no_stream",
]  # fmt: skip
KINDS: tuple[Kind, ...] = Kind.__args__  # type: ignore[attr-defined]  # the words of the literal
# A life that no run outlasts: then there is no excuse for a signal without an order.
LONG_LIFE_MS = 600_000
SHORT_LIFE_MS = 2_500
RECV_WINDOW_MS = 300
SEND_WINDOW_MS = 300
MARGIN_MS = 200
VISIBILITY_MS = 600
SPACING_MS = 290
# After this long no order can be on its way or unseen any more: nobody restores a backup faster.
RESTORE_S = (RECV_WINDOW_MS + SEND_WINDOW_MS + MARGIN_MS + VISIBILITY_MS) / 1_000 + 2.0


@dataclass(frozen=True, slots=True)
class Accident:
    """Something that befalls the host at a step of the first life; `amount` in milliseconds."""

    kind: Literal["wall", "suspend", "stop"]
    at: float
    amount_ms: int


@dataclass(frozen=True, slots=True)
class Scenario:
    """One seed, spelt out. Steps are given as shares (0…1) of a whole first life."""

    seed: int
    kind: Kind
    settings: Settings
    arrivals: tuple[tuple[float, Record], ...]
    rules: tuple[FaultRule, ...]
    policy: FillPolicy
    walks: bool
    slow_wire: float
    accidents: tuple[Accident, ...] = field(default=())

    @property
    def skew_ms(self) -> int:
        """How far the exchange's clock is ahead of the true time."""
        return sum(rule.delay_ms for rule in self.rules if rule.kind == "clock_skew")

    @property
    def has_long_life(self) -> bool:
        """Whether every eligible signal must become an order."""
        return self.settings.execution.max_age_ms == LONG_LIFE_MS


def scenario_of(seed: int) -> Scenario:
    """The scenario of a seed; kinds take turns, so that any few seeds in a row have all of them."""
    dice = seeded_random(seed)
    kind = KINDS[seed % len(KINDS)]
    return Scenario(
        seed=seed,
        kind=kind,
        settings=_settings(kind, dice),
        arrivals=_arrivals(kind, dice),
        rules=_faults(kind, dice),
        policy=_policy(kind, dice),
        walks=kind in ("parts", "limit") or dice.random() < 0.3,
        slow_wire=dice.choice((0.0, 0.0, 0.05, 0.2)),
        accidents=_accidents(kind, dice),
    )


def _settings(kind: Kind, dice: random.Random) -> Settings:
    life_ms = SHORT_LIFE_MS if kind == "short_life" else LONG_LIFE_MS
    order: dict[str, Any] = {"price_max_age_ms": 10_000}
    if kind == "limit":
        order |= {"type": "limit", "tif": "IOC"}
    broker: dict[str, Any] = {"rest_url": "http://127.0.0.1:8080"}
    execution = {
        "mode": "testnet",
        "symbols": list(SYMBOLS),
        "rate_limit": {"max_qps": 100, "max_concurrency": dice.choice((1, 2, 4))},
        "retry": {"max_attempts": 100, "backoff_ms": 50},
        "staleness": {"max_age_ms": life_ms},
        "order": order,
        "risk": {"max_order_usd": 1_000, "max_orders_per_minute": 1_000, "max_position_usd": 1_000_000},
    }
    broker |= {
        "recv_window_ms": RECV_WINDOW_MS,
        "send_window_ms": SEND_WINDOW_MS,
        "absence_margin_ms": MARGIN_MS,
        "visibility_ms": VISIBILITY_MS,
        "absence_spacing_ms": SPACING_MS,
        "request_timeout_ms": 600,
        "settle_poll_ms": 200,
    }
    return Settings.model_validate({"execution": execution, "broker": broker})


def _arrivals(kind: Kind, dice: random.Random) -> tuple[tuple[float, Record], ...]:
    """Some signals are there before the worker, some come while it works; a few are none of its business."""
    found: list[tuple[float, Record]] = []
    number = 0
    for symbol in SYMBOLS:
        at_s = 0.0
        for _ in range(dice.choice((1, 2, 2))):
            number += 1
            at_s += dice.choice((0.0, 0.02, 0.2, 0.5))
            changes: dict[str, Any] = {"score": dice.choice((0.9, -0.9)), "ts_ms": _ms(at_s) + number}
            if kind == "limit":
                tick = Decimal(dice.choice((-5, 0, 5)))
                changes["price"] = PRICES[symbol] + tick
            found.append((at_s, signal(number, symbol, **changes)))
        number += 1
        odd: Record = signal(number, symbol, score=0.1, ts_ms=_ms(at_s) + number)
        if dice.random() < 0.3:
            place = Place(f"ready/signal/{symbol}/a.jsonl", number, 1)
            odd = Malformed(symbol=symbol, reason="not_json", place=place, raw=b"{")
        found.append((at_s, odd))
        if dice.random() < 0.4:
            found.append((at_s, found[-2][1]))
    return tuple(sorted(found, key=lambda one: one[0]))


def _ms(at_s: float) -> int:
    return START_MS + round(at_s * 1_000)


_HIDING: tuple[FaultKind, ...] = (
    "reset_after", "silence_after", "timeout_1007", "unknown_1006", "unknown_503", "unavailable_503",
    "internal_503", "html_500", "disconnected_1001", "overload_1008", "garbage", "truncated",
)  # fmt: skip
_QUERY_FAULTS: tuple[FaultKind, ...] = ("reset_before", "reset_after", "garbage", "unavailable_503")


def _faults(kind: Kind, dice: random.Random) -> tuple[FaultRule, ...]:
    """Most orders meet trouble; what only looks meets less of it, or nothing would ever be learned."""
    rules = [
        FaultRule(kind=dice.choice(_HIDING), probability=0.35, executed=True),
        FaultRule(kind=dice.choice(_HIDING), probability=0.2, executed=False),
        FaultRule(kind="reset_before", probability=0.1),
        FaultRule(kind="late", probability=0.25, delay_ms=dice.randint(20, RECV_WINDOW_MS)),
        FaultRule(kind="slow", probability=0.2, delay_ms=dice.choice((50, 700))),
        FaultRule(kind=dice.choice(_QUERY_FAULTS), endpoint="query_order", probability=0.15),
        FaultRule(kind=dice.choice(_QUERY_FAULTS), endpoint="trades", probability=0.1),
        FaultRule(kind=dice.choice(_QUERY_FAULTS), endpoint="all_orders", probability=0.1),
        FaultRule(kind="reset_before", endpoint="any", probability=0.02),
        FaultRule(kind="stream_duplicate", probability=0.1),
        FaultRule(kind="stream_loss", probability=0.1),
        FaultRule(kind="stream_delay", probability=0.1, delay_ms=300),
        FaultRule(kind="clock_skew", delay_ms=dice.choice((0, -700, 900))),
    ]
    hidden_ms = VISIBILITY_MS * dice.choice((2, 5)) if kind == "long_lag" else dice.randint(50, VISIBILITY_MS)
    scope: Literal["query", "all"] = dice.choice(("query", "all"))
    likely = 0.6 if kind == "long_lag" else 0.25
    rules.append(FaultRule(kind="invisible", probability=likely, delay_ms=hidden_ms, scope=scope))
    if dice.random() < 0.2:
        rules.append(FaultRule(kind="http_429", endpoint="any", probability=0.03, delay_ms=1_000))
    if kind == "broken_stream":
        rules.append(FaultRule(kind="stream_gap", probability=0.4, delay_ms=dice.choice((50, 400, 2_000))))
        rules.append(FaultRule(kind="stream_reorder", probability=0.3))
    if kind == "no_stream":
        rules.append(FaultRule(kind="unavailable_503", endpoint="listen_key_create"))
    return tuple(rules)


def _policy(kind: Kind, dice: random.Random) -> FillPolicy:
    if kind != "parts":
        return FillPolicy()
    return FillPolicy(parts=dice.choice((2, 3)), part_delay_ms=dice.choice((0, 30)), fill_delay_ms=20)


def _accidents(kind: Kind, dice: random.Random) -> tuple[Accident, ...]:
    count = dice.choice((1, 2, 3))
    match kind:
        case "wall_jumps":
            jumps_ms = (-3_600_000, 3_600_000, -500, 700, 86_400_000)
            return tuple(Accident("wall", dice.random(), dice.choice(jumps_ms)) for _ in range(count))
        case "suspended":
            return tuple(
                Accident("suspend", dice.random(), dice.choice((300, 1_500, 20_000))) for _ in range(count)
            )
        case "stopped":
            return tuple(
                Accident("stop", dice.random(), dice.choice((300, 1_500, 9_000))) for _ in range(count)
            )
    return ()
