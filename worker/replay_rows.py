"""What a replay writes: one line an execution, in the record of CONTRACTS 2.1, and one line a trade.

Pure. Hot path: a line is put together from pieces, and those that many lines share are made once. The keys
stand in the order in which the store writes them; a test holds both side by side.
"""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache

import msgspec

from adapters.backtest import NAME, ORDER_ID_PREFIX
from adapters.backtest_venue import Fate, Placement
from adapters.contract import OrderCtx, OrderSide, Reject
from adapters.paper.facts import Part
from adapters.slippage import intended_price
from config.settings import Execution
from store.lifecycle import State, status_of
from streams.signal import Signal
from worker.planning import Side, Skip, client_order_id
from worker.replay_summary import meant
from worker.rows import Meta

SIDES: dict[Side, OrderSide] = {"long": "buy", "short": "sell"}
_STATES = {state.value: state for state in State}
_WHO = f'{{"mode":"{NAME}","adapter":"{NAME}"'

_encode = msgspec.json.Encoder().encode


class Pieces:
    """What all orders of one fate have in common: parts of their lines, and sums of the summary."""

    __slots__ = ("fate", "intended", "lost", "meta", "terms", "trade")

    def __init__(self, fate: Fate, side: Side) -> None:
        order, part = fate.order, fate.part
        self.fate = fate
        # Each number is written once, and by str(), which takes a third of the time that format() takes: with
        # a price of its own for each signal, this is made for each.
        numbers = f'"qty":{part.qty!s},"price":{part.price!s},'
        fee = str(part.fee)
        self.terms = f'"side":"{side}",{numbers}'
        self.meta = _end_of_meta(order.rounding_diff, fee)
        self.trade = f'"side":"{order.side}",{numbers}{_rest_of_trade(part, intended_price(order), fee)}'
        self.intended, self.lost = meant(order, part)


class LineBuilder:
    """Makes the lines of one replay."""

    def __init__(self, execution: Execution, *, wire_ids: bool) -> None:
        self._run_source = execution.run_source.value
        self._order_type = execution.order.type.value
        self._tif = execution.order.tif.value
        self._wire_ids = wire_ids
        self._success = self._outcome("success", None, None)
        self._outcome_of = lru_cache(maxsize=4_096)(self._outcome)

    def context(self, signal: Signal, side: Side) -> OrderCtx:
        """What is wanted. An order that is placed has the id of a wire: dice fall by that, as in paper."""
        signal_id = signal.signal_id
        # By position, in the order of the fields: by name the call takes three times as long.
        return OrderCtx(
            client_order_id(signal.symbol, signal_id) if self._wire_ids else signal_id,
            signal.symbol,
            SIDES[side],
            None,
            self._order_type,
            signal.price,
            self._tif,
            signal.ts_ms,
            signal.ts_ms,
            signal_id,
        )

    def filled(self, signal: Signal, pieces: Pieces, number: int, at_ms: int) -> tuple[str, str]:
        """The line of a market order that was filled at once, and that of its trade."""
        signal_id = _bare_id(signal) if signal.id_given else signal.signal_id
        ids = (
            f'"symbol":"{signal.symbol}","signal_id":"{signal_id}","order_id":"{ORDER_ID_PREFIX}{signal_id}",'
        )
        guard_reason = _json(signal.guard_reason) if signal.guard_reason else "null"
        # Not by way of _record: it is a third of the time that an order takes.
        return (
            f'{{"exec_ts_ms":{at_ms},"signal_ts_ms":{signal.ts_ms},{ids}{pieces.terms}'
            f'"gating":{int(signal.gate_passed)},"guard_reason":{guard_reason},{self._success}'
            f'"meta_json":{_WHO},"exchange_order_id":"{number}","attempts":1,"lag_ms":0'
            f"{_about(signal)}{pieces.meta}}}\n",
            f'{{"ts_ms":{at_ms},{ids}"trade_id":"{number}-1",{pieces.trade}',
        )

    def skip(self, signal: Signal, decision: Skip) -> str:
        """The line of a signal that becomes no order."""
        return self._unsent(signal, decision.side, "null", "skip", decision.code, decision.text)

    def reused(self, signal: Signal) -> str:
        """The line of a signal whose id another signal of the symbol has had; as the store writes it."""
        text = f"signal id {signal.signal_id} was used at another time"
        outcome = self._outcome("skip", "id_reused", text)
        bare = msgspec.structs.replace(signal, guard_reason="")
        return _record(
            bare, signal.ts_ms, _bare_id(signal), "null", _terms("skip", None, None), outcome, "{}"
        )

    def refused(self, signal: Signal, side: Side, reject: Reject) -> str:
        """The line of an order that was refused before it was sent."""
        order_id = f'"{ORDER_ID_PREFIX}{_bare_id(signal)}"'
        return self._unsent(signal, side, order_id, "failed", reject.code, reject.text)

    def _unsent(self, signal: Signal, side: str, order_id: str, status: str, code: str, text: str) -> str:
        meta = f'{_WHO},"lag_ms":0{_about(signal)}}}'
        outcome = self._outcome_of(status, code, text)
        return _record(
            signal, signal.ts_ms, _bare_id(signal), order_id, _terms(side, None, None), outcome, meta
        )

    def placed(self, signal: Signal, side: Side, placement: Placement, number: int) -> tuple[str, list[str]]:
        """The line of an order that was sent, as it stands, and those of its trades."""
        signal_id = _bare_id(signal)
        order_id = f'"{ORDER_ID_PREFIX}{signal_id}"'
        order, refusal = placement.order, placement.refusal
        price = order.intent_price if order.price is None else order.price
        begin = f'{_WHO},"attempts":{placement.attempts},"lag_ms":0{_about(signal)}'
        if refusal is not None:
            outcome = self._outcome_of("failed", refusal.code, refusal.text)
            meta = begin + _end_of_meta(order.rounding_diff, None)
            terms = _terms(side, order.qty, price)
            return _record(signal, signal.ts_ms, signal_id, order_id, terms, outcome, meta), []
        fills = bool(placement.parts)
        terms = _terms(
            side,
            placement.filled_qty if fills else order.qty,
            placement.average_price if fills else price,
        )
        meta = f'{begin},"exchange_order_id":"{number}"'
        meta += _end_of_meta(order.rounding_diff, None if placement.fee is None else str(placement.fee))
        outcome = self._outcome(status_of(_STATES[placement.state], has_fills=fills), None, None)
        intended = intended_price(order)
        trades = [
            f'{{"ts_ms":{part.at_ms},"symbol":"{signal.symbol}","signal_id":"{signal_id}",'
            f'"order_id":{order_id},"trade_id":"{number}-{count}",'
            f'"side":"{order.side}","qty":{part.qty},"price":{part.price},'
            f"{_rest_of_trade(part, intended, str(part.fee))}"
            for count, part in enumerate(placement.parts, start=1)
        ]
        return _record(signal, placement.at_ms, signal_id, order_id, terms, outcome, meta), trades

    def _outcome(self, status: str, code: str | None, text: str | None) -> str:
        return (
            f'"status":"{status}","error_code":{_json(code)},"error_msg":{_json(text)},'
            f'"run_source":"{self._run_source}",'
        )


def _record(
    signal: Signal, at_ms: int, signal_id: str, order_id: str, terms: str, outcome: str, meta: str
) -> str:
    """One line: `order_id` and `meta` are JSON, `terms` and `outcome` members of it with a comma behind."""
    guard_reason = _json(signal.guard_reason) if signal.guard_reason else "null"
    return (
        f'{{"exec_ts_ms":{at_ms},"signal_ts_ms":{signal.ts_ms},"symbol":"{signal.symbol}",'
        f'"signal_id":"{signal_id}","order_id":{order_id},{terms}"gating":{int(signal.gate_passed)},'
        f'"guard_reason":{guard_reason},{outcome}"meta_json":{meta}}}\n'
    )


def _bare_id(signal: Signal) -> str:
    """The signal's id as it stands between quotes; a derived one has nothing to escape."""
    return _json(signal.signal_id)[1:-1] if signal.id_given else signal.signal_id


@lru_cache(maxsize=1_024)
def _json(text: str | None) -> str:
    return _encode(text).decode()


@lru_cache(maxsize=1_024)
def _shared(
    run_id: str | None, expiry_ms: int, regime: str | None, scenario: str | None, warmup: bool | None
) -> str:
    meta = Meta(run_id=run_id, expiry_ms=expiry_ms, regime=regime, scenario=scenario, warmup=warmup)
    members = _encode(meta).decode()[1:-1]
    return f",{members}" if members else ""


def _about(signal: Signal) -> str:
    """What the signal says of itself, as members of meta_json with a comma before."""
    shared = _shared(signal.run_id, signal.expiry_ms, signal.regime, signal.scenario, signal.warmup)
    consistency = signal.consistency
    return shared if consistency is None else f'{shared},"consistency":{consistency!r}'


def _terms(side: str, qty: Decimal | None, price: Decimal | None) -> str:
    return f'"side":"{side}","qty":{_number(qty)},"price":{_number(price)},'


def _number(value: Decimal | None) -> str:
    # As the store keeps it; a plain number would take longer and say the same.
    return "null" if value is None else str(value)


def _end_of_meta(rounding_diff: dict[str, str] | None, fee: str | None) -> str:
    rest = "" if fee is None else f',"fee":"{fee}"'
    if rounding_diff is not None:
        price_diff, qty_diff = rounding_diff["price_diff"], rounding_diff["qty_diff"]
        rest += f',"rounding_diff":{{"price_diff":"{price_diff}","qty_diff":"{qty_diff}"}}'
    return rest + "}"


def _rest_of_trade(part: Part, intended: Decimal | None, fee: str) -> str:
    maker = "true" if part.maker else "false"
    return f'"intended_price":{_number(intended)},"fee":{fee},"maker":{maker}}}\n'
