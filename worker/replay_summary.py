"""What a replay came to: counted while it runs, told once as JSON for programs and as a table for people.

Pure. Money is exact; profit is at average cost and before fees, as the simulated venue keeps its positions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from decimal import Context, Decimal

from adapters.backtest_venue import Placement
from adapters.contract import Order
from adapters.grid import canonical, exact_difference, exact_sum, plain, quotient
from adapters.paper.facts import Part
from adapters.paper.positions import Position
from adapters.paper.venue_orders import quote_asset
from adapters.slippage import intended_price
from worker.when import moment

_ZERO = Decimal(0)
_BASIS_POINTS = Decimal(10_000)
_BPS_PLACES = Decimal("0.0001")
_CENT = Decimal("0.01")
_EIGHT_DIGITS = Context(prec=8)


def meant(order: Order, part: Part) -> tuple[Decimal, Decimal]:
    """What a trade would have been worth at the price that was meant, and what it lost against that.

    Exact where the context is; both 0 for an order that was meant at no price.
    """
    intended = intended_price(order)
    if intended is None:
        return _ZERO, _ZERO
    moved = part.price - intended if order.side == "buy" else intended - part.price
    return intended * part.qty, moved * part.qty


class SymbolTally:
    """The counts of one symbol."""

    def __init__(self) -> None:
        self.signals = 0
        self.orders = 0
        # Eligible signals that name no price themselves.
        self.unpriced = 0
        self.first_ms = 0
        self.last_ms = 0
        self.filled = 0
        self.expired = 0
        self.working = 0
        self.skips: Counter[str] = Counter()
        self.rejects: Counter[str] = Counter()
        # What trades were worth at the prices that were meant, and what they lost against those.
        self.intended = _ZERO
        self.lost = _ZERO

    def signal(self, ts_ms: int) -> None:
        """One more signal."""
        self.signals += 1
        if ts_ms > self.last_ms:
            self.last_ms = ts_ms
        if ts_ms < self.first_ms or not self.first_ms:
            self.first_ms = ts_ms

    def ended(self, placement: Placement) -> None:
        """An order came to its end."""
        if placement.state == "filled":
            self.filled += 1
        else:
            self.expired += 1
        for part in placement.parts:
            intended, lost = meant(placement.order, part)
            self.intended += intended
            self.lost += lost

    def told(self, symbol: str, position: Position) -> dict[str, object]:
        """For the summary."""
        return {
            "signals": self.signals,
            "first_ts_ms": self.first_ms,
            "last_ts_ms": self.last_ms,
            "orders": self.orders,
            "filled": self.filled,
            "expired": self.expired,
            "working": self.working,
            "rejected": sum(self.rejects.values()),
            "skipped": sum(self.skips.values()),
            "without_own_price": self.unpriced,
            "fills": position.fills,
            "quote_asset": quote_asset(symbol),
            "traded": plain(position.traded),
            "fees": plain(position.fees),
            "slippage_bps": self._slippage_bps(),
            "realised_pnl": plain(position.realised),
            "realised_pnl_after_fees": plain(exact_difference(position.realised, position.fees)),
            "position": {
                "qty": plain(position.qty),
                "average_cost": None if position.average_cost is None else plain(position.average_cost),
            },
            "skips": _sorted(self.skips),
            "rejects": _sorted(self.rejects),
        }

    def _slippage_bps(self) -> str | None:
        """Over all fills, weighted by value."""
        if not self.intended:
            return None
        return plain(canonical(quotient(self.lost * _BASIS_POINTS, self.intended).quantize(_BPS_PLACES)))


class Tally:
    """The counts of a replay."""

    def __init__(self) -> None:
        self.symbols: dict[str, SymbolTally] = {}
        self.duplicates = 0
        self.unfinished = 0
        self.malformed: Counter[str] = Counter()

    @property
    def signals(self) -> int:
        """How many there were, each once."""
        return sum(tally.signals for tally in self.symbols.values())

    def of(self, symbol: str) -> SymbolTally:
        """The tally of one symbol."""
        found = self.symbols.get(symbol)
        if found is None:
            found = self.symbols[symbol] = SymbolTally()
        return found

    def summary(self, positions: Mapping[str, Position]) -> dict[str, object]:
        """All of it, in a fixed order."""
        symbols = {
            symbol: self.symbols[symbol].told(symbol, positions.get(symbol) or Position())
            for symbol in sorted(self.symbols)
        }
        totals = {
            name: sum(int(str(told[name])) for told in symbols.values())
            for name in (
                "signals",
                "orders",
                "filled",
                "expired",
                "working",
                "rejected",
                "skipped",
                "fills",
                "without_own_price",
            )
        }
        return {
            **totals,
            "duplicates": self.duplicates,
            "malformed": sum(self.malformed.values()),
            "unfinished_lines": self.unfinished,
            "skips": _sorted(sum((tally.skips for tally in self.symbols.values()), Counter())),
            "rejects": _sorted(sum((tally.rejects for tally in self.symbols.values()), Counter())),
            "malformed_reasons": _sorted(self.malformed),
            "by_quote_asset": self._by_asset(positions),
            "symbols": symbols,
        }

    def _by_asset(self, positions: Mapping[str, Position]) -> dict[str, dict[str, str]]:
        found: dict[str, dict[str, Decimal]] = {}
        for symbol in sorted(self.symbols):
            position = positions.get(symbol) or Position()
            sums = found.setdefault(quote_asset(symbol), {})
            for name, value in (
                ("traded", position.traded),
                ("fees", position.fees),
                ("realised_pnl", position.realised),
            ):
                sums[name] = exact_sum(sums.get(name, _ZERO), value)
        return {asset: {name: plain(value) for name, value in sums.items()} for asset, sums in found.items()}


def _sorted(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items()))


_COLUMNS = (
    ("signals", "signals"),
    ("orders", "orders"),
    ("filled", "filled"),
    ("rejected", "rejected"),
    ("skipped", "skipped"),
    ("traded", "traded"),
    ("fees", "fees"),
    ("slippage bps", "slippage_bps"),
    ("realised", "realised_pnl"),
)


def table(summary: Mapping[str, object]) -> list[str]:
    """The summary for people: a row a symbol, then what was skipped and why."""
    symbols = summary["symbols"]
    assert isinstance(symbols, dict)
    rows = [["symbol", *(title for title, _ in _COLUMNS), "position", "at"]]
    for symbol, told in symbols.items():
        position = told["position"]
        rows.append(
            [
                symbol,
                *(_shown(told[name]) for _, name in _COLUMNS),
                _short(position["qty"]),
                _short(position["average_cost"]),
            ]
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    times = [(told["first_ts_ms"], told["last_ts_ms"]) for told in symbols.values()]
    first, last = min(time[0] for time in times), max(time[1] for time in times)
    lines.append(f"signals from {moment(first)} to {moment(last)}")
    for title, name in (
        ("skipped", "skips"),
        ("rejected", "rejects"),
        ("malformed", "malformed_reasons"),
    ):
        reasons = summary[name]
        assert isinstance(reasons, dict)
        if reasons:
            lines.append(f"{title}: {', '.join(f'{code} {count}' for code, count in reasons.items())}")
    for title, name in (
        ("working orders at the end", "working"),
        ("expired without a fill", "expired"),
        ("repeated lines", "duplicates"),
        ("last lines without an end", "unfinished_lines"),
    ):
        if summary[name]:
            lines.append(f"{title}: {summary[name]}")
    return lines


def _shown(value: object) -> str:
    """A count, or money to two places; small amounts to eight digits."""
    if value is None:
        return "-"
    if isinstance(value, int):
        return str(value)
    number = Decimal(str(value))
    return plain(number.quantize(_CENT)) if abs(number) >= 1 else _short(value)


def _short(value: object) -> str:
    """A price or a quantity to eight digits."""
    return "-" if value is None else plain(_EIGHT_DIGITS.create_decimal(str(value)))
