"""The checks just before a send: not halted, still fresh, the store still ours.

They are repeated for every attempt. In doubt the answer is no.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

import msgspec

from adapters.contract import Order
from store.writer import Writer
from worker.planning import HALTED, Rules, Skip, expired, life_of

HALT_FILE = "HALT"


class Pending(msgspec.Struct, gc=False):
    """A reserved row that is this worker's to send.

    `attempts` counts sends that left or may have left; each of them takes a permit of its own.
    """

    row_id: int
    order: Order
    signal_ts_ms: int
    expiry_ms: int
    attempts: int = 0
    has_permit: bool = True


class Gate:
    """Says whether an order may leave now."""

    def __init__(self, store_folder: Path, writer: Writer, rules: Rules) -> None:
        self._halt_path = str(store_folder / HALT_FILE)
        self._writer = writer
        self._rules = rules

    def store_intact(self) -> bool:
        """Whether the store and its lock are still the ones that hold our reservations."""
        return self._writer.intact()

    def halted(self) -> bool:
        """Whether the HALT file is there; a check that fails counts as a halt."""
        try:
            os.stat(self._halt_path)
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return True

    def refusal(self, pending: Pending, *, now_ms: int, halted: bool) -> Skip | None:
        """Why this order must not leave now; None when it may."""
        if halted:
            return HALTED
        if expired(pending.signal_ts_ms, pending.expiry_ms, self._rules, now_ms=now_ms):
            return Skip("expired", f"it was {now_ms - pending.signal_ts_ms} ms old when it was its turn")
        return None

    def life_left_s(self, pending: Pending, *, now_ms: int) -> float:
        """Seconds until this order is too old to be sent; waiting any longer for it is in vain."""
        life_ms = life_of(pending.expiry_ms, self._rules)
        if life_ms is None:
            return math.inf
        return max(0, pending.signal_ts_ms + life_ms + 1 - now_ms) / 1000
