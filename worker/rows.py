"""Translation between the edges: a signal and its decision to a row, a venue's answer to a move.

Pure. Hot path: one struct and two small encodings a signal.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from adapters.contract import ExecutionAdapter, Order, OrderCtx, OrderUpdate, PastOrder, Reject
from config.settings import Execution
from store.lifecycle import State
from store.records import DeadLetter, Move, Position, Reservation, Unsettled
from streams.position import SourcePosition
from streams.signal import Malformed, Signal
from worker.gate import Pending
from worker.planning import Eligible, Skip, client_order_id


class Meta(msgspec.Struct, omit_defaults=True, gc=False):
    """What stands in meta_json; durations in milliseconds. Absent means unknown or not applicable."""

    mode: str | None = None
    adapter: str | None = None
    client_order_id: str | None = None
    exchange_order_id: str | None = None
    attempts: int | None = None
    lag_ms: int | None = None
    latency_ms: float | None = None
    run_id: str | None = None
    expiry_ms: int = 0
    regime: str | None = None
    scenario: str | None = None
    warmup: bool | None = None
    consistency: float | None = None
    fee: str | None = None
    sent_ts_ms: int | None = None
    ack_ts_ms: int | None = None
    rounding_diff: dict[str, str] | None = None
    adopted: bool | None = None


# A look-up here takes a tenth of the time of State(word).
_STATES = {state.value: state for state in State}

_encode = msgspec.json.Encoder().encode
_decode_order = msgspec.json.Decoder(Order).decode
_decode_meta = msgspec.json.Decoder(Meta).decode


class RowBuilder:
    """Makes reservations for one mode and adapter."""

    def __init__(self, execution: Execution, adapter: ExecutionAdapter) -> None:
        self._adapter = adapter
        self._adapter_name = adapter.name
        self._mode = execution.mode.value
        self._run_source = execution.run_source.value
        self._order_type = execution.order.type.value
        self._tif = execution.order.tif.value
        self._prefix = adapter.order_id_prefix
        self._on_wire = adapter.batch_max == 1
        # The value of an order in quote units; None: as the adapter was set up.
        self.size_usd: Decimal | None = None

    def skip(self, signal: Signal, decision: Skip, now_ms: int) -> Reservation:
        """The row of a signal that is never sent."""
        return self._row(
            signal,
            now_ms,
            state=State.SKIPPED,
            side=decision.side,
            error_code=decision.code,
            error_msg=decision.text,
        )

    def order(
        self, signal: Signal, decision: Eligible, now_ms: int, life_end_ms: int | None
    ) -> tuple[Reservation, Order | None]:
        """The row of an eligible signal and its order; no order when the adapter refuses it locally.

        `life_end_ms` is when the signal is too old to be sent, by the host's clock; None: never.
        """
        own_id = f"{self._prefix}{signal.signal_id}" if self._prefix else None
        wire_id = client_order_id(signal.symbol, signal.signal_id) if self._on_wire else None
        ctx = self._context(signal, decision, wire_id or own_id or signal.signal_id, now_ms, life_end_ms)
        prepared = self._adapter.prepare(ctx)
        if isinstance(prepared, Reject):
            row = self._row(
                signal,
                now_ms,
                state=State.REJECTED,
                side=decision.side,
                order_id=own_id or wire_id,
                error_code=prepared.code,
                error_msg=prepared.text,
            )
            return row, None
        return self._reserved(signal, now_ms, decision.side, own_id or wire_id, prepared, wire_id), prepared

    def adopted(self, signal: Signal, past: PastOrder, now_ms: int) -> tuple[Reservation, Order]:
        """The row of a signal whose order the venue has already, and that order as it was placed."""
        wire_id = past.update.client_order_id
        order = Order(
            client_order_id=wire_id,
            symbol=past.symbol,
            side=past.side,
            order_type=past.order_type,
            tif=past.tif,
            qty=past.qty,
            price=past.price,
            signal_id=signal.signal_id,
            send_before_ms=past.at_ms,
        )
        side = "long" if past.side == "buy" else "short"
        order_id = f"{self._prefix}{signal.signal_id}" if self._prefix else wire_id
        return self._reserved(signal, now_ms, side, order_id, order, wire_id, adopted=True), order

    def _reserved(
        self,
        signal: Signal,
        now_ms: int,
        side: str,
        order_id: str | None,
        order: Order,
        wire_id: str | None,
        *,
        adopted: bool | None = None,
    ) -> Reservation:
        price = order.price if order.price is not None else order.intent_price
        return self._row(
            signal,
            now_ms,
            state=State.RESERVED,
            side=side,
            order_id=order_id,
            qty=str(order.qty),
            price=None if price is None else str(price),
            wire_id=wire_id,
            order=order,
            adopted=adopted,
        )

    def _context(
        self, signal: Signal, decision: Eligible, order_id: str, now_ms: int, life_end_ms: int | None
    ) -> OrderCtx:
        # By position, in the order of the fields: by name the call takes three times as long.
        return OrderCtx(
            order_id,
            signal.symbol,
            "buy" if decision.side == "long" else "sell",
            None,
            self._order_type,
            signal.price,
            self._tif,
            now_ms,
            signal.ts_ms,
            signal.signal_id,
            None,
            signal.regime,
            signal.scenario,
            signal.warmup,
            signal.guard_reason,
            signal.consistency,
            signal.weak_signal_throttle,
            None,
            None,
            None,
            None,
            None,
            life_end_ms,
            self.size_usd,
        )

    def _row(
        self,
        signal: Signal,
        now_ms: int,
        *,
        state: State,
        side: str,
        order_id: str | None = None,
        qty: str | None = None,
        price: str | None = None,
        error_code: str | None = None,
        error_msg: str | None = None,
        wire_id: str | None = None,
        order: Order | None = None,
        adopted: bool | None = None,
    ) -> Reservation:
        place = signal.place
        return Reservation(
            signal.ts_ms,
            signal.symbol,
            signal.signal_id,
            signal.id_given,
            state,
            side,
            signal.gate_passed,
            self._run_source,
            self._meta(signal, wire_id, now_ms, order, adopted),
            place.file,
            place.offset,
            place.length,
            signal.score,
            order_id,
            qty,
            price,
            signal.guard_reason or None,
            error_code,
            error_msg,
            wire_id,
            None if order is None else _encode(order).decode(),
            adopted is True,
        )

    def _meta(
        self, signal: Signal, wire_id: str | None, now_ms: int, order: Order | None, adopted: bool | None
    ) -> str:
        # By position, as in _context: mode, adapter and client order id, then what the signal says.
        meta = Meta(
            self._mode,
            self._adapter_name,
            wire_id,
            None,
            None,
            now_ms - signal.ts_ms,
            None,
            signal.run_id,
            signal.expiry_ms,
            signal.regime,
            signal.scenario,
            signal.warmup,
            signal.consistency,
            None,
            None,
            None,
            None if order is None else order.rounding_diff,
            adopted,
        )
        return _encode(meta).decode()


def pending_of(row: Unsettled) -> Pending:
    """The order of a row found at start, exactly as it was reserved."""
    assert row.order_json is not None, row.row_id
    meta = _decode_meta(row.meta_json)
    return Pending(
        row_id=row.row_id,
        order=_decode_order(row.order_json),
        signal_ts_ms=row.signal_ts_ms,
        expiry_ms=meta.expiry_ms,
        attempts=meta.attempts or 0,
        has_permit=False,
    )


def accepted_move(
    row_id: int,
    before: State,
    update: OrderUpdate,
    *,
    attempts: int | None,
    latency_ms: float | None,
    sent_ts_ms: int | None = None,
    ack_ts_ms: int | None = None,
) -> Move:
    """The move that a venue's word on an order stands for."""
    patch = Meta(
        exchange_order_id=update.exchange_order_id,
        attempts=attempts,
        latency_ms=latency_ms,
        fee=None if update.fee is None else str(update.fee),
        sent_ts_ms=sent_ts_ms,
        ack_ts_ms=ack_ts_ms,
    )
    has_fills = update.filled_qty > 0
    return Move(
        row_id,
        before,
        _STATES[update.state],
        update.reason,
        has_fills,
        str(update.filled_qty) if has_fills else None,
        None if update.average_price is None else str(update.average_price),
        None,
        None,
        _encode(patch).decode(),
    )


def late_fill_move(row_id: int, before: State, update: OrderUpdate) -> Move:
    """The move of a final row that the venue has filled all the same."""
    patch = Meta(
        exchange_order_id=update.exchange_order_id, fee=None if update.fee is None else str(update.fee)
    )
    return Move(
        row_id=row_id,
        before=before,
        after=State.FILLED,
        reason=f"late fill of {update.filled_qty}",
        has_fills=True,
        qty=str(update.filled_qty),
        price=None if update.average_price is None else str(update.average_price),
        patch=_encode(patch).decode(),
        late=True,
    )


def renewed_move(pending: Pending, before: State, order: Order, reason: str) -> Move:
    """The move of an order that was provably not accepted and gets a new window to be sent in."""
    return Move(
        row_id=pending.row_id,
        before=before,
        after=State.RESERVED,
        reason=reason,
        order_json=_encode(order).decode(),
    )


def refused_move(pending: Pending, before: State, after: State, code: str, text: str) -> Move:
    """The move of an order that came to nothing, with its reason."""
    patch = _encode(Meta(attempts=pending.attempts)).decode()
    return Move(
        row_id=pending.row_id, before=before, after=after, error_code=code, error_msg=text, patch=patch
    )


def unknown_move(pending: Pending, before: State, why: str) -> Move:
    """The move of an order that may have been accepted."""
    patch = _encode(Meta(attempts=pending.attempts)).decode()
    return Move(row_id=pending.row_id, before=before, after=State.UNKNOWN, reason=why, patch=patch)


def positions_of(positions: Iterable[SourcePosition]) -> list[Position]:
    """Source positions in the store's words."""
    return [Position(*msgspec.structs.astuple(position)) for position in positions]


def source_positions_of(positions: Iterable[Position]) -> list[SourcePosition]:
    """Stored positions in the streams' words."""
    return [SourcePosition(*msgspec.structs.astuple(position)) for position in positions]


def dead_letter_of(malformed: Malformed, source: str) -> DeadLetter:
    """A malformed record, set aside."""
    return DeadLetter(
        symbol=malformed.symbol,
        source=source,
        file=malformed.place.file,
        offset=malformed.place.offset,
        reason=malformed.reason,
        raw=malformed.raw,
    )
