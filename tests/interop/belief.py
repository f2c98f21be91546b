"""What a client believes after its turn: orders as it decoded them, refusals, fills.

Each client script runs in an environment of its own, so this needs the standard library alone. The runner
compares the belief with the exchange's journal, and the journal decides.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from importlib.metadata import version
from typing import Any

REST_URL = os.environ.get("INTEROP_REST_URL", "")
STREAM_URL = os.environ.get("INTEROP_STREAM_URL", "")
KEY = os.environ.get("INTEROP_KEY", "")
SECRET = os.environ.get("INTEROP_SECRET", "")
PREFIX = os.environ.get("INTEROP_PREFIX", "")

SYMBOL = "BTCUSDT"
QTY = Decimal("0.010")
# Below the market by less than the percent-price filter allows: such an order waits in the book.
RESTING_PRICE = Decimal("58000.10")
# Worth less than the least an order may be worth.
SMALL_SYMBOL = "ETHUSDT"
SMALL_QTY = Decimal("0.001")
MIN_NOTIONAL = -4164
BAD_SIGNATURE = -1022
NO_SUCH_ORDER = -2013
CLOCK_MS_MAX = 5_000
PATIENCE_S = 10.0


class Belief:
    """Filled by a client script, told to the runner as the last line of standard output."""

    def __init__(self, package: str) -> None:
        self._said: dict[str, Any] = {"package": package, "version": version(package)}
        self._orders: dict[str, dict[str, str]] = {}
        self._refused: list[str] = []
        self._fills: list[dict[str, str]] = []
        self._checks: list[str] = []

    def holds(self, what: str, condition: object) -> None:
        """One check; the script ends at the first that fails."""
        if not condition:
            raise AssertionError(f"{what}: {condition!r}")
        self._checks.append(what)

    def same(self, what: str, found: object, wanted: object) -> None:
        """The client decoded `wanted`; numbers are compared as numbers, however they are written."""
        if isinstance(wanted, Decimal):
            found = Decimal(str(found))
        if found != wanted:
            raise AssertionError(f"{what}: found {found!r}, wanted {wanted!r}")
        self._checks.append(what)

    def near(self, what: str, server_ms: int) -> None:
        """The exchange's time is the host's, but for a few seconds."""
        self.holds(what, abs(int(server_ms) - int(time.time() * 1_000)) <= CLOCK_MS_MAX)

    def order(
        self, name: str, *, side: str, kind: str, price: object, state: str, filled: object, order_id: object
    ) -> None:
        """An order that the client believes to be accepted, as it decoded it last."""
        self._orders[PREFIX + name] = {
            "symbol": SYMBOL,
            "side": side.upper(),
            "type": kind.upper(),
            "price": str(price),
            "state": state.upper(),
            "filled": str(filled),
            "order_id": str(order_id),
        }

    def refused(self, name: str) -> None:
        """An order that the client believes to be refused."""
        self._refused.append(PREFIX + name)

    def fill(self, trade_id: object, order_id: object, qty: object, price: object) -> None:
        """A trade as the client decoded it."""
        self._fills.append(
            {"trade_id": str(trade_id), "order_id": str(order_id), "qty": str(qty), "price": str(price)}
        )

    def say(self) -> None:
        """Tell the runner."""
        self._said |= {
            "orders": self._orders,
            "refused": self._refused,
            "fills": self._fills,
            "checks": self._checks,
        }
        sys.stdout.write(json.dumps(self._said) + "\n")


def wait_until(what: str, ask: Callable[[], Any]) -> Any:
    """The first answer of `ask` that is true."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        answer = ask()
        if answer:
            return answer
        time.sleep(0.05)
    raise AssertionError(f"{what} did not come true within {PATIENCE_S:.0f} s")
