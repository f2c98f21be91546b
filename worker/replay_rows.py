"""What a replay writes: one line an execution, in the record of CONTRACTS 2.1, and one line a trade.

Pure. The keys stand in the order in which the store writes them; a test holds both side by side.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from adapters.backtest import NAME, ORDER_ID_PREFIX
from adapters.backtest_venue import Placement
from adapters.contract import OrderCtx, OrderSide, Reject
from config.settings import Execution
from store.lifecycle import State, status_of
from streams.signal import Signal
from worker.planning import Eligible, Side, Skip, client_order_id
from worker.rows import Meta

SIDES: dict[Side, OrderSide] = {"long": "buy", "short": "sell"}
_STATES = {state.value: state for state in State}


class Line(msgspec.Struct, gc=False):
    """One execution; exact decimals are written as numbers."""

    exec_ts_ms: int
    signal_ts_ms: int
    symbol: str
    signal_id: str
    order_id: str | None
    side: str
    qty: Decimal | None
    price: Decimal | None
    gating: int
    guard_reason: str | None
    status: str
    error_code: str | None
    error_msg: str | None
    run_source: str
    meta_json: Meta


class FillLine(msgspec.Struct, frozen=True, gc=False):
    """One trade; `slippage_bps` is against the price that was meant, above 0 is worse for us."""

    ts_ms: int
    symbol: str
    signal_id: str
    order_id: str
    trade_id: str
    side: str
    qty: Decimal
    price: Decimal
    fee: Decimal
    maker: bool
    slippage_bps: Decimal | None


class LineBuilder:
    """Makes the lines of one replay."""

    def __init__(self, execution: Execution, *, rolls_dice: bool) -> None:
        self._run_source = execution.run_source.value
        self._order_type = execution.order.type.value
        self._tif = execution.order.tif.value
        self._rolls_dice = rolls_dice

    def context(self, signal: Signal, decision: Eligible) -> OrderCtx:
        """What is wanted. Dice fall by the id that the order has on a wire, so that they fall as in paper."""
        signal_id = signal.signal_id
        wire_id = client_order_id(signal.symbol, signal_id) if self._rolls_dice else signal_id
        return OrderCtx(
            wire_id,
            signal.symbol,
            SIDES[decision.side],
            None,
            self._order_type,
            signal.price,
            self._tif,
            signal.ts_ms,
            signal.ts_ms,
            signal_id,
        )

    def skip(self, signal: Signal, decision: Skip) -> Line:
        """The line of a signal that becomes no order."""
        return self._line(signal, decision.side, "skip", decision.code, decision.text, self._meta(signal))

    def reused(self, signal: Signal) -> Line:
        """The line of a signal whose id another signal of the symbol has had; as the store writes it."""
        text = f"signal id {signal.signal_id} was used at another time"
        line = self._line(signal, "skip", "skip", "id_reused", text, Meta())
        line.guard_reason = None
        return line

    def refused(self, signal: Signal, side: str, reject: Reject) -> Line:
        """The line of an order that was refused before it was sent."""
        line = self._line(signal, side, "failed", reject.code, reject.text, self._meta(signal))
        line.order_id = ORDER_ID_PREFIX + signal.signal_id
        return line

    def placed(self, signal: Signal, side: str, placement: Placement) -> Line:
        """The line of an order that was sent; `settle` brings it up to date when more of it fills."""
        meta = self._meta(signal)
        order = placement.order
        meta.attempts = placement.attempts
        meta.rounding_diff = order.rounding_diff
        line = self._line(signal, side, "failed", None, None, meta)
        line.order_id = ORDER_ID_PREFIX + signal.signal_id
        line.qty = order.qty
        line.price = order.intent_price if order.price is None else order.price
        refusal = placement.refusal
        if refusal is None:
            self.settle(line, placement)
        else:
            line.error_code, line.error_msg = refusal.code, refusal.text
        return line

    def settle(self, line: Line, placement: Placement) -> None:
        """What has become of the order by now."""
        meta = line.meta_json
        meta.exchange_order_id = str(placement.number)
        line.exec_ts_ms = placement.at_ms
        if placement.state == "filled":
            line.status = "success"
        else:
            line.status = status_of(_STATES[placement.state], has_fills=bool(placement.trades))
        if placement.trades:
            line.qty = placement.filled_qty
            line.price = placement.average_price
            meta.fee = str(placement.fee)

    def fills(self, line: Line, placement: Placement) -> list[FillLine]:
        """The lines of its trades."""
        side, number = placement.order.side, placement.number
        order_id = line.order_id
        assert order_id is not None, line.signal_id
        return [
            FillLine(
                trade.part.at_ms,
                line.symbol,
                line.signal_id,
                order_id,
                f"{number}-{count}",
                side,
                trade.part.qty,
                trade.part.price,
                trade.part.fee,
                trade.part.maker,
                trade.slippage_bps,
            )
            for count, trade in enumerate(placement.trades, start=1)
        ]

    def _line(
        self, signal: Signal, side: str, status: str, code: str | None, text: str | None, meta: Meta
    ) -> Line:
        # By position, in the order of the fields: by name the call takes three times as long.
        return Line(
            signal.ts_ms,
            signal.ts_ms,
            signal.symbol,
            signal.signal_id,
            None,
            side,
            None,
            None,
            1 if signal.gate_passed else 0,
            signal.guard_reason or None,
            status,
            code,
            text,
            self._run_source,
            meta,
        )

    def _meta(self, signal: Signal) -> Meta:
        return Meta(
            NAME,
            NAME,
            None,
            None,
            None,
            0,
            None,
            signal.run_id,
            signal.expiry_ms,
            signal.regime,
            signal.scenario,
            signal.warmup,
            signal.consistency,
        )
