"""What the contract makes of a signal, worked out a second time.

Pure, and written from the contract alone, not from the worker's rules: a fault in those must not hide
itself. The drills judge by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b, md5
from typing import Any

Fields = dict[str, Any]
Key = tuple[str, int, str]

BASE32 = "abcdefghijklmnopqrstuvwxyz234567"
SCORE_MIN = 0.5


@dataclass(frozen=True, slots=True)
class Expected:
    """One signal of the feed's list and what has to become of it: `code` is the reason of a skip."""

    key: Key
    status: str
    side: str
    code: str | None

    @property
    def eligible(self) -> bool:
        """Whether it has to become an order."""
        return self.status == "success"


def identity(fields: Fields) -> str:
    """The signal's id: the producer's, or the MD5 of what makes it itself."""
    if fields.get("signal_id"):
        return str(fields["signal_id"])
    text = (
        f"{fields['symbol']}|{fields['ts_ms']}|{fields['score']:.4f}|"
        f"{fields['regime'] or ''}|{fields['div_type'] or ''}"
    )
    return md5(text.encode(), usedforsecurity=False).hexdigest()


def client_order_id(symbol: str, signal_id: str) -> str:
    """The id on the wire that the contract gives a signal: `ew1-` and 24 characters of base32."""
    digest = blake2b(f"{symbol}|{signal_id}".encode(), digest_size=15).digest()
    bits = "".join(f"{byte:08b}" for byte in digest)
    return "ew1-" + "".join(BASE32[int(bits[at : at + 5], 2)] for at in range(0, 120, 5))


def gate_is_open(fields: Fields) -> bool:
    """Whether the producer's gate let it pass; the drills' feed writes numbers there."""
    if fields.get("schema_version") == "signal/v2":
        return bool(fields["gating"] == 1)
    blocked = fields.get("gating_blocked")
    return not fields.get("guard_reason") if blocked is None else not blocked


def outcome(fields: Fields, moment: str = "now") -> tuple[str, str, str | None]:
    """Status, side and reason of the decision table; `moment` is old or future where age is looked at."""
    reasons = (
        (not fields["confirm"], "not_confirmed"),
        (not gate_is_open(fields), "gate_blocked"),
        (moment == "future", "from_future"),
        (moment == "old", "expired"),
    )
    code = next((name for holds, name in reasons if holds), None)
    if code is not None:
        return "skip", "skip", code
    if fields.get("schema_version") == "signal/v2":
        return "success", {"buy": "long", "sell": "short"}[fields["side_hint"]], None
    if abs(fields["score"]) <= SCORE_MIN:
        return "skip", "skip", "below_threshold"
    return "success", "long" if fields["score"] > 0 else "short", None


def expectations(feed: Sequence[Fields]) -> list[Expected]:
    """The signals of the feed's list, those apart that a dying feed announced and never wrote."""
    void = {entry["number"] for entry in feed if entry["kind"] == "void"}
    found = []
    for entry in feed:
        if entry["kind"] == "signal" and entry["number"] not in void:
            fields = entry["fields"]
            key = (fields["symbol"], fields["ts_ms"], identity(fields))
            found.append(Expected(key, *outcome(fields, entry["moment"])))
    return found
