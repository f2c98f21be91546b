"""What a signal is: its fields, whether its gate passed, and who it is.

Pure. The same signal has the same identity in every shape that carries the same fields
(CONTRACTS 1.3 and 1.4), in every process, for ever.
"""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from typing import Literal

import msgspec

try:
    # The interpreter's own takes half of the time that OpenSSL's takes for so few bytes.
    from _md5 import md5 as _md5  # type: ignore[import-not-found]  # has no types
except ImportError:
    from hashlib import md5

    _md5 = partial(md5, usedforsecurity=False)

SideHint = Literal["buy", "sell", "flat"]


class Place(msgspec.Struct, frozen=True, gc=False):
    """Where a record stands in its source, so that the original can be shown again.

    `file` is relative to the signals folder; `offset` is a byte offset (JSONL) or a rowid (SQLite,
    -1 where the table has none); `length` is in bytes, 0 for a row.
    """

    file: str
    offset: int
    length: int


class Signal(msgspec.Struct, frozen=True, gc=False):
    """One well-formed signal.

    Times are UTC epoch milliseconds; `expiry_ms` and `cooldown_ms` are durations (0 = none).
    """

    ts_ms: int
    symbol: str
    signal_id: str
    id_given: bool
    score: float
    confirm: bool
    gate_passed: bool
    place: Place
    guard_reason: str = ""
    # Set for schema_version signal/v2 only: the producer has decided, thresholds do not apply again.
    side_hint: SideHint | None = None
    cooldown_ms: int = 0
    expiry_ms: int = 0
    price: Decimal | None = None
    regime: str | None = None
    div_type: str | None = None
    run_id: str | None = None
    scenario: str | None = None
    warmup: bool | None = None
    consistency: float | None = None
    weak_signal_throttle: bool | None = None


class Malformed(msgspec.Struct, frozen=True, gc=False):
    """A line or row that breaks a rule. `reason` is a fixed code, `raw` at most 4 KiB of the original."""

    symbol: str
    reason: str
    place: Place
    raw: bytes


Record = Signal | Malformed


def gate_passes(
    gating: str | list[str] | int | bool | None,
    *,
    is_v2: bool,
    gating_blocked: bool | None,
    guard_reason: str,
) -> bool:
    """Whether the producer's gate let the signal pass, by the shape of `gating` (CONTRACTS 1.3)."""
    match gating:
        case str():
            return gating == "ok"
        case list():
            return not gating or "ok" in gating or all(item.endswith("_passed") for item in gating)
        case None:
            return not guard_reason
        case _:
            if is_v2:
                return gating == 1
            return not gating_blocked if gating_blocked is not None else not guard_reason


def derived_signal_id(symbol: str, ts_ms: int, score: float, regime: str | None, div_type: str | None) -> str:
    """The identity of a signal whose producer gave none: 32 hex digits of MD5 (CONTRACTS 1.4).

    `score + 0.0` turns -0.0 into 0.0, which formats differently and is the same score.
    """
    text = f"{symbol}|{ts_ms}|{score + 0.0:.4f}|{regime or ''}|{div_type or ''}"
    digest: str = _md5(text.encode()).hexdigest()
    return digest
