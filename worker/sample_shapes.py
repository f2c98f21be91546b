"""The producer's four shapes, byte for byte: what one sample signal looks like as a line or a row.

Pure. The field order, the separators and even the order of flags are those of the real producer's
files; the rules that tie the fields together were read off them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import NamedTuple

from config.seams import seeded_random

SHAPES = ("v1-jsonl", "v2-jsonl", "v1-sqlite", "v2-sqlite")

WARMUP_SIGNALS = 10
CONFIG_HASH = "9ef1d7"
META = {"window_ms": 120_000}
EXPIRY_MS = 60_000
# The producer confirms above these scores, by regime, and calls twice as much strong.
CONFIRM_SCORE = {"active": 0.5, "normal": 0.6, "quiet": 0.7}
CONSISTENCY_MIN = 0.1
WEAK_SCORE, STRONG_SCORE = 0.2, 0.8
TREND_SCORE = 1.0
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Value = str | float | int | None


class Sample(NamedTuple):
    """One signal before it takes a shape; `number` counts over all symbols."""

    number: int
    ts_ms: int
    symbol: str
    run_id: str
    z_ofi: float
    z_cvd: float
    score: float
    regime: str
    div_type: str | None
    consistency_raw: float
    consistency: float
    reasons: tuple[str, ...]
    flags: tuple[str, ...]
    confirm: bool

    @property
    def guard_reason(self) -> str | None:
        """Why the gate blocks, as the producer writes it; None when it does not."""
        return ",".join(self.reasons) or None

    @property
    def signal_type(self) -> str:
        """The producer's word for it."""
        threshold, size = CONFIRM_SCORE[self.regime], abs(self.score)
        if size < threshold:
            return "neutral"
        if self.reasons:
            return "pending"
        return ("strong_" if size >= 2 * threshold else "") + ("buy" if self.score > 0 else "sell")


class Market:
    """What one symbol does: order flow that drifts and comes back, as in the real files."""

    def __init__(self, symbol: str, chance: Random) -> None:
        self.symbol = symbol
        self._chance = chance
        self._drift = self._ofi = self._cvd = 0.0
        self._count = 0

    def next(self, number: int, ts_ms: int, run_id: str) -> Sample:
        """The next signal of this symbol."""
        chance = self._chance
        self._drift = 0.97 * self._drift + chance.gauss(0.0, 0.45)
        self._ofi = 0.35 * self._ofi + 0.65 * self._drift + chance.gauss(0.0, 0.5)
        self._cvd = 0.35 * self._cvd + 0.65 * self._drift + chance.gauss(0.0, 0.55)
        score = 0.75 * self._ofi + 0.5 * self._cvd
        # Drawn always and in this order, so that one signal's luck does not change the next one's.
        regime = chance.choices(("active", "normal", "quiet"), (71, 25, 4))[0]
        divergence = chance.choices((None, "bear_div", "bull_div"), (90, 6, 4))[0]
        self._count += 1
        return _judged(
            Sample(
                number=number,
                ts_ms=ts_ms,
                symbol=self.symbol,
                run_id=run_id,
                z_ofi=self._ofi,
                z_cvd=self._cvd,
                score=score,
                regime=regime,
                div_type=divergence,
                consistency_raw=_agreement(self._ofi, self._cvd),
                consistency=0.0,
                reasons=("warmup",) if self._count <= WARMUP_SIGNALS else (),
                flags=(),
                confirm=False,
            )
        )


def _agreement(first: float, second: float) -> float:
    if first * second <= 0:
        return 0.0
    return min(abs(first), abs(second)) / max(abs(first), abs(second))


def _judged(sample: Sample) -> Sample:
    """The sample with the producer's verdict on it."""
    size, consistency = abs(sample.score), sample.consistency_raw
    if sample.div_type is not None:
        consistency = max(consistency, 0.15)
    low, weak = consistency < CONSISTENCY_MIN, size < WEAK_SCORE
    reasons = (*sample.reasons, *(("low_consistency",) if low else ()), *(("weak_signal",) if weak else ()))
    flags = (*(("weak_signal",) if weak else ()), *(("low_consistency",) if low else ()))
    confirm = not reasons and size >= CONFIRM_SCORE[sample.regime]
    return sample._replace(consistency=consistency, reasons=reasons, flags=flags, confirm=confirm)


def markets_of(symbols: Sequence[str], chance: Random) -> list[Market]:
    """One market per symbol; each has its own luck, so that symbols do not disturb each other."""
    return [Market(symbol, seeded_random(chance.getrandbits(64))) for symbol in symbols]


def v1_line(sample: Sample) -> str:
    """The line of `core_jsonl`, without its line feed; `created_at` is the signal's own time."""
    size = abs(sample.score)
    pending = sample.signal_type == "pending"
    blocked = bool(sample.reasons)
    return _json(
        {
            "_writer": "core_jsonl_v406",
            "confirm": sample.confirm,
            "confirm_v2": sample.confirm or (sample.reasons == ("low_consistency",) and size >= STRONG_SCORE),
            "consistency": sample.consistency,
            "consistency_raw": sample.consistency_raw,
            "created_at": (EPOCH + timedelta(milliseconds=sample.ts_ms)).isoformat(timespec="microseconds"),
            "decision_reason": sample.guard_reason,
            "div_type": sample.div_type,
            "gate_reason": sample.guard_reason,
            "gating": int(not blocked),
            "gating_blocked": blocked,
            "guard_reason": sample.guard_reason,
            "quality_flags": sample.flags,
            "quality_tier": "weak" if size < WEAK_SCORE else "normal" if size < STRONG_SCORE else "strong",
            "regime": sample.regime,
            "run_id": sample.run_id,
            "score": sample.score,
            "signal_type": sample.signal_type,
            "soft_guard_reasons": sample.reasons if pending else (),
            "symbol": sample.symbol,
            "ts_ms": sample.ts_ms,
            "z_cvd": sample.z_cvd,
            "z_ofi": sample.z_ofi,
        }
    )


def v2_line(sample: Sample) -> str:
    """The line of schema `signal/v2`, without its line feed."""
    return _json(_v2_fields(sample))


def v1_row(sample: Sample) -> tuple[Value, ...]:
    """The values of the insert statement."""
    return (
        sample.ts_ms,
        sample.symbol,
        sample.score,
        sample.z_ofi,
        sample.z_cvd,
        sample.regime,
        sample.div_type,
        sample.signal_type,
        int(sample.confirm),
        int(not sample.reasons),
        sample.guard_reason,
        sample.run_id,
    )


def v2_row(sample: Sample) -> tuple[Value, ...]:
    """The values of the insert statement."""
    fields = _v2_fields(sample)
    return (
        sample.ts_ms,
        sample.symbol,
        signal_id_of(sample),
        "signal/v2",
        sample.score,
        "buy" if sample.score > 0 else "sell",
        sample.z_ofi,
        sample.z_cvd,
        None,
        str(fields["regime"]),
        int(sample.confirm),
        int(sample.confirm),
        0,
        EXPIRY_MS,
        str(fields["decision_code"]),
        sample.guard_reason,
        CONFIG_HASH,
        sample.run_id,
        _json(META),
    )


def signal_id_of(sample: Sample) -> str:
    """The v2 producer's own identity."""
    return f"{sample.run_id}-{sample.symbol}-{sample.ts_ms}-{sample.number}"


def _v2_fields(sample: Sample) -> dict[str, object]:
    return {
        "config_hash": CONFIG_HASH,
        "confirm": sample.confirm,
        "cooldown_ms": 0,
        "decision_code": "OK" if sample.confirm else "FAIL_GATING",
        "decision_reason": sample.guard_reason,
        "div_type": None,
        "expiry_ms": EXPIRY_MS,
        "gating": int(sample.confirm),
        "meta": META,
        "regime": "trend" if abs(sample.score) >= TREND_SCORE else "quiet",
        "run_id": sample.run_id,
        "schema_version": "signal/v2",
        "score": sample.score,
        "side_hint": "buy" if sample.score > 0 else "sell",
        "signal_id": signal_id_of(sample),
        "symbol": sample.symbol,
        "ts_ms": sample.ts_ms,
        "z_cvd": sample.z_cvd,
        "z_ofi": sample.z_ofi,
    }


def _json(fields: Mapping[str, object]) -> str:
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
