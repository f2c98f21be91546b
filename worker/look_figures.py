"""The figures of a report as rows of text, made once for the terminal and for the page. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import TYPE_CHECKING

from adapters.grid import plain
from adapters.paper.venue_orders import quote_asset
from worker.look_pnl import Earned
from worker.look_times import day, span
from worker.when import moment

if TYPE_CHECKING:
    from worker.look_report import Report

_CENT = Decimal("0.01")
_FOUR_PLACES = Decimal("0.0001")
_TINY = Decimal("0.01")
_WIDE = Context(prec=60, rounding=ROUND_HALF_EVEN)
_EIGHT_DIGITS = Context(prec=8)

EARNED_HEADS = (
    "traded",
    "fees",
    "slippage bps",
    "realised",
    "after fees",
    "closing",
    "won",
)
# The states an execution may be in at its end.
_ENDS = ("success", "failed", "skip")


def money(value: Decimal | None) -> str:
    """To two places from 1 up, to four below, tiny ones to eight digits; `export` has them exact."""
    if value is None:
        return "-"
    if abs(value) >= 1:
        return format(_WIDE.quantize(value, _CENT), "f")
    places = _WIDE.quantize(value, _FOUR_PLACES)
    return format(places, "f") if places and abs(value) >= _TINY else short(value)


def short(value: Decimal | None) -> str:
    """A price or a quantity to eight digits."""
    return "-" if value is None else plain(_EIGHT_DIGITS.create_decimal(value))


def earned_cells(earned: Earned) -> tuple[str, ...]:
    """The cells below EARNED_HEADS."""
    return (
        money(earned.traded),
        money(earned.fees),
        "-" if earned.slippage_bps is None else f"{round(earned.slippage_bps, 4) + 0.0:.4f}",
        money(earned.realised),
        money(earned.net),
        str(earned.closings),
        "-" if earned.win_rate is None else f"{earned.win_rate:.1%}",
    )


def by_symbol(report: Report) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Head and rows: each symbol, then the sums of each quote asset."""
    rows = []
    symbols = sorted({*report.outcomes.by_symbol, *report.book.by_symbol})
    for symbol in symbols:
        ends: Mapping[str, int] = report.outcomes.by_symbol.get(symbol, {})
        earned = report.book.by_symbol.get(symbol, Earned())
        position = report.book.positions.get(symbol)
        held = "-" if position is None or not position.qty else short(position.qty)
        at = "-" if position is None or not position.qty else short(position.average_cost)
        rows.append((symbol, *_ended(ends), *earned_cells(earned), held, at))
    if len(symbols) > 1:
        for asset, earned in report.by_asset().items():
            counts = [
                sum(report.outcomes.by_symbol[name][end] for name in symbols if quote_asset(name) == asset)
                for end in _ENDS
            ]
            rows.append((f"all in {asset}", *map(str, counts), *earned_cells(earned), "", ""))
    return ("symbol", *_ENDS, *EARNED_HEADS, "held at the end", "at cost"), rows


def by_day(report: Report) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Head and rows: each day and symbol."""
    keys = sorted({*report.outcomes.by_day, *report.book.by_day})
    rows = [
        (
            day(number),
            symbol,
            *_ended(report.outcomes.by_day.get((number, symbol), {})),
            *earned_cells(report.book.by_day.get((number, symbol), Earned())),
        )
        for number, symbol in keys
    ]
    return ("day (UTC)", "symbol", *_ENDS, *EARNED_HEADS), rows


def _ended(ends: Mapping[str, int]) -> tuple[str, ...]:
    return tuple(str(ends.get(end, 0)) for end in _ENDS)


def spread_line(report: Report) -> str:
    """The latency of the venue's answers in one line."""
    spread = report.answers
    if not spread.count:
        return "no order tells how long its answer took"
    told = ", ".join(
        f"p{share:g} {span(value)}"
        for share in (50, 95, 99)
        if (value := spread.quantile(share / 100)) is not None
    )
    return f"{told}, longest {span(spread.largest)} over {spread.count} orders"


def lag_line(report: Report) -> str:
    """How old signals were when they were read."""
    middle, high = report.lags.quantile(0.5), report.lags.quantile(0.95)
    if middle is None or high is None:
        return "no order tells"
    return f"p50 {span(middle)}, p95 {span(high)}"


def title(report: Report) -> str:
    """What and when."""
    names = f", {', '.join(report.symbols)}" if report.symbols else ""
    return f"{moment(report.first_ms)[:19]} to {moment(report.last_ms)[:19]} UTC{names}, mode {report.mode}"


def assumptions(report: Report) -> list[str]:
    """What a reader has to know to trust the numbers."""
    sums = list(report.by_asset().values())
    assumed, filled = sum(one.fees_assumed for one in sums), sum(one.filled for one in sums)
    unpriced = sum(one.unpriced for one in sums)
    found = [
        "Profit is realised at average cost over every order of this store since its first one; what was "
        "held before the store began is not known to it.",
        "An order counts at the time when its outcome became final, with all that it filled.",
        "What is still held earns nothing here: no prices are known to value it with, so profit that is not "
        "realised is left out.",
        "Won are orders that closed something and earned more than their own fee.",
    ]
    if assumed:
        found.append(
            f"Fees of {assumed} of {filled} filled orders are assumed by the cost model of the settings "
            f"({report.cost}); the others are the venue's."
        )
    elif filled > unpriced:
        found.append("All fees are the venue's own.")
    if unpriced:
        found.append(
            f"{unpriced} filled orders have no price, as their signals had none: they earn nothing here."
        )
    if report.foreign_fees:
        found.append(f"{report.foreign_fees} orders paid fees in another asset; theirs are assumed as well.")
    if report.working:
        found.append(f"{report.working} orders still work and count with what they filled so far.")
    if report.unreadable:
        found.append(f"{report.unreadable} orders have a quantity or price that is no number: left out.")
    return found
