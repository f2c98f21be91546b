"""`execution-worker report`: what the orders of a time came to, as text and as one HTML page.

It walks the store from its beginning, because average cost needs every order before; only what ended within
the time is counted.
"""

from __future__ import annotations

import sqlite3
import sys
from collections import defaultdict
from dataclasses import dataclass, field, replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import msgspec

from adapters.contract import Order, OrderSide
from adapters.costs import CostModel, cost_model
from adapters.grid import exact_sum, product, quotient, usable
from adapters.paper.venue_orders import quote_asset
from adapters.slippage import BASIS_POINTS, intended_price
from config.load import Loaded
from config.seams import Clock
from config.settings import Cost
from store import statements as sql
from store import statements_look as look
from worker.exits import Exit
from worker.look_executions import folder_of, unreadable
from worker.look_export import ExportError, draft_of, refuse_inside, unwritable
from worker.look_pages import EVENTS_MAX, FOREVER_MS, Look, LookError, Wanted
from worker.look_pnl import Book, Earned, Filled, Outcomes, readable
from worker.look_spread import OverTime, Spread
from worker.progress_bar import ProgressBar

# The pieces of a chart: as many as a person can tell apart on a screen.
PIECES = 240
# Fewer for latency: a quantile of three orders says nothing.
ANSWER_PIECES = 60
# What a venue's answer says of fees in another asset than the quote: the fee is a bare number then.
_FOREIGN_FEES = ("fees ", "; fees ")
_SIDES: dict[str, OrderSide] = {"long": "buy", "short": "sell"}
_ZERO = Decimal(0)


class _Kept(msgspec.Struct, gc=False):
    """What a report reads of meta_json."""

    fee: str | None = None
    latency_ms: float | None = None
    lag_ms: int | None = None


_decode_meta = msgspec.json.Decoder(_Kept).decode
_decode_order = msgspec.json.Decoder(Order).decode


@dataclass(slots=True)
class Curve:
    """Realised profit less fees over time, of one quote asset; the last value of each piece."""

    total: Decimal = _ZERO
    peak: Decimal = _ZERO
    drawdown: Decimal = _ZERO
    points: dict[int, Decimal] = field(default_factory=dict)

    def add(self, piece: int, change: Decimal) -> None:
        """So much more, or less."""
        self.total = exact_sum(self.total, change)
        self.peak = max(self.peak, self.total)
        self.drawdown = max(self.drawdown, exact_sum(self.peak, self.total.copy_negate()))
        self.points[piece] = self.total


@dataclass(slots=True)
class Report:
    """All of it; times in UTC milliseconds."""

    store: str
    mode: str
    made_ms: int
    first_ms: int
    last_ms: int
    cost: str
    symbols: tuple[str, ...] | None
    outcomes: Outcomes
    book: Book
    answers: Spread
    answers_over_time: OverTime
    pieces: OverTime
    lags: Spread
    curves: dict[str, Curve] = field(default_factory=lambda: defaultdict(Curve))
    unreadable: int = 0
    foreign_fees: int = 0
    working: int = 0

    def by_asset(self) -> dict[str, Earned]:
        """The sums of all symbols that are priced in the same asset."""
        found: dict[str, Earned] = {}
        for symbol, earned in sorted(self.book.by_symbol.items()):
            found[quote_asset(symbol)] = _sum(found.get(quote_asset(symbol), Earned()), earned)
        return found


def _sum(one: Earned, other: Earned) -> Earned:
    return Earned(
        filled=one.filled + other.filled,
        unpriced=one.unpriced + other.unpriced,
        fees_assumed=one.fees_assumed + other.fees_assumed,
        traded=exact_sum(one.traded, other.traded),
        fees=exact_sum(one.fees, other.fees),
        realised=exact_sum(one.realised, other.realised),
        closings=one.closings + other.closings,
        won=one.won + other.won,
        intended=exact_sum(one.intended, other.intended),
        lost=exact_sum(one.lost, other.lost),
    )


def print_report(loaded: Loaded, wanted: Wanted, target: Path | None, clock: Clock) -> int:
    """Print the report, and write the page where one is asked for; exit 65 or 73 with a sentence."""
    from worker.look_report_page import page
    from worker.look_report_text import as_text

    execution = loaded.settings.execution
    try:
        if target is not None:
            refuse_inside(target, execution.output_dir, "--html")
        with Look(folder_of(loaded)) as opened:
            bar = ProgressBar(sys.stderr, clock, what="report", things="orders")
            report = collect(opened, wanted, execution.cost, clock.wall_ms(), bar)
            bar.end()
        if target is not None:
            _write(target, page(report))
    except LookError as error:
        sys.stderr.write(f"{error}\n")
        return Exit.DATA
    except sqlite3.Error as error:
        sys.stderr.write(unreadable(folder_of(loaded), error))
        return Exit.DATA
    except ExportError as error:
        sys.stderr.write(f"{error}\n")
        return error.code
    sys.stdout.write(as_text(report))
    if target is not None:
        sys.stdout.write(f"\nthe page is {target}\n")
    return Exit.OK


def _write(target: Path, text: str) -> None:
    try:
        with draft_of(target, force=True) as draft:
            draft.write(text.encode())
    except OSError as error:
        raise unwritable(target, error) from None


def collect(opened: Look, wanted: Wanted, cost: Cost, now_ms: int, bar: ProgressBar | None = None) -> Report:
    """Read and count; `bar` shows how far. Raises sqlite3.Error."""
    first, last = opened.bounds(wanted.since_ms, wanted.until_ms)
    first_ms, last_ms = _times(opened, first, last, wanted, now_ms)
    report = Report(
        store=str(opened.path),
        mode=str(dict(opened.connection.execute(sql.STAMPS).fetchall()).get("mode", "?")),
        made_ms=now_ms,
        first_ms=first_ms,
        last_ms=last_ms,
        cost=f"{cost.model.value}, {cost.fee_bps} bps",
        symbols=wanted.symbols,
        outcomes=Outcomes(),
        book=Book(since_ms=wanted.since_ms),
        answers=Spread(),
        answers_over_time=OverTime(first_ms, last_ms, ANSWER_PIECES),
        pieces=OverTime(first_ms, last_ms, PIECES),
        lags=Spread(),
    )
    for rows in opened.pieces(look.REPORT_COUNTS, wanted, first, last):
        for row in rows:
            report.outcomes.take(*row)
    _orders(opened, wanted, report, last, cost_model(cost), bar)
    return report


def _times(opened: Look, first: int, last: int, wanted: Wanted, now_ms: int) -> tuple[int, int]:
    """What the charts span: the time that was asked for, cut to where there is something."""
    ends = []
    for seq in (first, last):
        row = opened.connection.execute(sql.EVENT_TIME, (seq,)).fetchone() if first <= last else None
        ends.append(now_ms if row is None else int(row[0]))
    return ends[0], max(ends[1], ends[0])


def _orders(
    opened: Look,
    wanted: Wanted,
    report: Report,
    last: int,
    costs: CostModel,
    bar: ProgressBar | None,
) -> None:
    """Every order with a fill, from the first one of the store on; then what works and is filled in part."""
    everything = replace(wanted, since_ms=0, until_ms=FOREVER_MS)
    begin, _ = opened.bounds(0, FOREVER_MS)
    orders = 0
    for number, rows in enumerate(opened.pieces(look.REPORT_ORDERS, everything, begin, last)):
        for row in rows:
            _order(row, report, costs)
        orders += len(rows)
        if bar is not None:
            bar.reached(min((number + 1) * EVENTS_MAX, last - begin + 1), last - begin + 1, orders)
    if wanted.until_ms < report.made_ms:
        return
    for row in opened.connection.execute(look.REPORT_PARTIAL, everything.parameters()).fetchall():
        report.working += 1
        _order((*row[:4], report.last_ms, *row[5:]), report, costs)


def _order(row: tuple[Any, ...], report: Report, costs: CostModel) -> None:
    symbol, side, _, _, at_ms, _, order_json, meta_json, reason = row
    try:
        order = _decode_order(order_json) if order_json else None
    except msgspec.MsgspecError:
        order = None
    try:
        kept = _decode_meta(meta_json)
    except msgspec.MsgspecError:
        kept = _Kept()
    direction = order.side if order is not None else _SIDES.get(side)
    qty, price = _number(row[2]), _number(row[3])
    if direction is None or qty is None or not readable(qty, price):
        report.unreadable += 1
        return
    is_foreign = reason is not None and (reason.startswith(_FOREIGN_FEES[0]) or _FOREIGN_FEES[1] in reason)
    fee = None if is_foreign else _number(kept.fee)
    is_counted = at_ms >= report.book.since_ms
    if is_counted:
        report.foreign_fees += is_foreign
    filled = Filled(
        at_ms=at_ms,
        symbol=symbol,
        side=direction,
        qty=qty,
        price=price,
        fee=_assumed(qty, price, order, costs) if fee is None else fee,
        fee_assumed=fee is None,
        intent=_meant(order),
    )
    earned = report.book.take(filled)
    if is_counted:
        _count(report, filled, earned, kept)


def _count(report: Report, filled: Filled, earned: Decimal | None, kept: _Kept) -> None:
    """What the charts show of one order."""
    if filled.price is not None:
        change = exact_sum(earned or _ZERO, filled.fee.copy_negate())
        piece = report.pieces.piece_of(filled.at_ms)
        report.curves[quote_asset(filled.symbol)].add(piece, change)
    if kept.latency_ms is not None:
        report.answers.add(kept.latency_ms)
        report.answers_over_time.add(filled.at_ms, kept.latency_ms)
    if kept.lag_ms is not None:
        report.lags.add(kept.lag_ms)


def _assumed(qty: Decimal, price: Decimal | None, order: Order | None, costs: CostModel) -> Decimal:
    """The fee by the cost model of the settings; a limit order that could wait counts as a maker."""
    if price is None:
        return _ZERO
    value = product(qty, price)
    maker = order is not None and order.order_type.lower() == "limit" and order.tif.upper() == "GTC"
    return quotient(product(value, costs.costs(notional=value, maker=maker).fee_bps), BASIS_POINTS)


def _meant(order: Order | None) -> Decimal | None:
    intent = None if order is None else intended_price(order)
    return intent if intent is not None and usable(intent) else None


def _number(text: str | None) -> Decimal | None:
    try:
        value = None if text is None else Decimal(text)
    except InvalidOperation:
        return None
    return value if value is not None and value.is_finite() else None
