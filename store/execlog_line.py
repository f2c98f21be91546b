"""The line of the execution log: which moves make one, what it is called, and what stands in it.

Pure. The JSON Schema in docs/ is made of the types here, and so is every line. A line is a function of its
event, of the order as it was sent and of what never changes in the row: made again it has the same bytes.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from typing import Annotated, Any, Literal, NamedTuple, cast

import msgspec

from store.lifecycle import BIRTH_STATES, LATE_FILL_STATES, MOVES, State, status_of

EventName = Literal[
    "submit", "ack", "partial", "filled", "canceled", "rejected", "expired", "unknown", "resolved"
]
Status = Literal["pending", "success", "skip", "failed", "retry"]
Step = tuple[State | None, State]

_S = State

# What reaching a state is called, whatever state it was before.
_REACHED: dict[State, EventName] = {
    _S.OPEN: "ack",
    _S.PARTIAL: "partial",
    _S.FILLED: "filled",
    _S.CANCELED: "canceled",
    _S.EXPIRED: "expired",
    _S.REJECTED: "rejected",
    _S.UNKNOWN: "unknown",
    _S.QUARANTINED: "unknown",
    # An order that was reserved and never sent after all.
    _S.SKIPPED: "canceled",
}
_BORN: dict[State, EventName] = {_S.RESERVED: "submit", _S.REJECTED: "rejected"}
# The states of an order that the venue has accepted: only their lines tell what its answer added to the row.
ACCEPTED_STATES = frozenset({_S.OPEN, _S.PARTIAL, _S.FILLED, _S.CANCELED, _S.EXPIRED})


def event_of(before: State | None, after: State) -> EventName | None:
    """The event of a legal step, `before` None at birth; None where a step makes no line.

    A doubt that has ended, by proof of absence, by a person or by a late fill, is `resolved`. A signal that
    was skipped at once never was an order; a new window to send it in changes nothing that a reader sees.
    """
    if before is None:
        return _BORN.get(after)
    if before is _S.QUARANTINED or before in LATE_FILL_STATES:
        return "resolved"
    if after is _S.RESERVED:
        return "resolved" if before is _S.UNKNOWN else None
    return _REACHED[after]


def all_steps() -> list[Step]:
    """Every legal step: births, moves and late fills, in the order of the lifecycle's table."""
    births: list[Step] = [(None, state) for state in State if state in BIRTH_STATES]
    moves: list[Step] = [(before, after) for before in MOVES for after in State if after in MOVES[before]]
    late: list[Step] = [(before, _S.FILLED) for before in State if before in LATE_FILL_STATES]
    return births + moves + late


def _says(text: str) -> msgspec.Meta:
    return msgspec.Meta(description=text)


TimeMs = Annotated[int, msgspec.Meta(ge=0)]


class RoundingDiff(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """What alignment to the venue's grid took away: wanted minus sent."""

    price_diff: Decimal
    qty_diff: Decimal


class EventMeta(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """What the worker and the signal say beside the order."""

    mode: Annotated[str | None, _says("dry_run, paper, testnet, live, backtest")]
    latency_ms: Annotated[float | None, _says("from the call of the adapter to its answer; after acceptance")]
    warmup: Annotated[bool | None, _says("the signal's own word")]
    guard_reason: Annotated[str | None, _says("the signal's own word")]
    consistency: Annotated[float | None, _says("the signal's own word")]
    scenario: Annotated[str | None, _says("the signal's own word")]


class ExecutionEvent(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """One line of the execution log: one event in the life of one order (executor_contract/v1).

    Prices and quantities are exact decimals, times UTC epoch milliseconds. What is unknown or does not apply
    is null; no key is ever missing.
    """

    ts_ms: Annotated[TimeMs, _says("when it was committed; never decreases from line to line")]
    symbol: Annotated[str, msgspec.Meta(pattern="^[A-Z0-9]{2,20}$", description="upper case")]
    event: Annotated[EventName, _says("what happened to the order")]
    signal_row_id: Annotated[int, _says("executions.id in the store: the same for all lines of one order")]
    client_order_id: Annotated[str | None, _says("the id on the wire; dryrun:… where there is no wire")]
    exchange_order_id: Annotated[str | None, _says("the venue's own id; after acceptance")]
    side: Annotated[Literal["buy", "sell"] | None, _says("null where no order could be made of the signal")]
    qty: Annotated[
        Decimal | None, _says("filled so far; the ordered quantity in a line that tells of no fill")
    ]
    px_intent: Annotated[
        Decimal | None, _says("a limit price before its rounding, else the price the order was sized with")
    ]
    px_sent: Annotated[Decimal | None, _says("the price in the order; null where it has none")]
    px_fill: Annotated[Decimal | None, _says("average price of what is filled so far")]
    rounding_diff: Annotated[RoundingDiff | None, _says("wanted minus sent; null where there is no order")]
    slippage_bps: Annotated[
        Decimal | None, _says("px_fill against px_intent in basis points; above 0 is worse for us")
    ]
    status: Annotated[Status, _says("the contract's status after this event")]
    reason: Annotated[str | None, _says("reason code or sentence")]
    sent_ts_ms: Annotated[TimeMs | None, _says("when the request left; after acceptance")]
    ack_ts_ms: Annotated[TimeMs | None, _says("when the answer came; after acceptance")]
    fill_ts_ms: Annotated[TimeMs | None, _says("when the fill was recorded, in lines that tell of one")]
    meta: EventMeta


class Fact(NamedTuple):
    """One row of statements.EXECLOG_FACTS: an event and the execution that it happened to."""

    seq: int
    symbol: str
    at_ms: int
    before: str | None
    after: str
    reason: str | None
    qty: str | None
    price: str | None
    row_id: int
    side: str
    order_json: str | None
    meta_json: str
    guard_reason: str | None
    order_id: str | None


class _Terms(msgspec.Struct, frozen=True, gc=False):
    """What a line tells of the order as it was sent."""

    client_order_id: str | None = None
    side: Literal["buy", "sell"] | None = None
    qty: Decimal | None = None
    price: Decimal | None = None
    intent_price: Decimal | None = None
    rounding_diff: dict[str, Decimal] | None = None


class _Kept(msgspec.Struct, frozen=True, gc=False):
    """What a line tells of meta_json."""

    mode: str | None = None
    exchange_order_id: str | None = None
    latency_ms: float | None = None
    warmup: bool | None = None
    consistency: float | None = None
    scenario: str | None = None
    sent_ts_ms: int | None = None
    ack_ts_ms: int | None = None


# What was taken away from no order, or from one that was not rounded.
_NOTHING = Decimal(0)
_NOT_ROUNDED = RoundingDiff(_NOTHING, _NOTHING)
_NO_TERMS, _NOTHING_KEPT = _Terms(), _Kept()
_SIDES: dict[str, Literal["buy", "sell"]] = {"long": "buy", "short": "sell"}
# Fifty digits, so that no price of any market is rounded before the last step; nothing traps, NaN is null.
_CONTEXT = Context(prec=50, traps=[])
_BASIS_POINTS = Decimal(10_000)
# A millionth of a basis point.
_PLACES = Decimal("0.000001")


class _Said(NamedTuple):
    """What a step says by itself."""

    name: EventName
    accepted: bool
    status: Status
    status_with_fills: Status


def _said(before: State | None, after: State, name: EventName) -> _Said:
    has_fills = before is _S.PARTIAL
    plain, filled = status_of(after, has_fills=has_fills), status_of(after, has_fills=True)
    # A status is one of the contract's words by the lifecycle's own table.
    return _Said(name, after in ACCEPTED_STATES, cast(Status, plain), cast(Status, filled))


_SAID = {
    (before and before.value, after.value): _said(before, after, name)
    for before, after in all_steps()
    if (name := event_of(before, after)) is not None
}

_encode = msgspec.json.Encoder(decimal_format="number").encode
_decode_terms = msgspec.json.Decoder(_Terms).decode
_decode_kept = msgspec.json.Decoder(_Kept).decode


def line_of(fact: Fact) -> bytes:
    """The line of a step that has a name, with its line feed.

    What cannot be read in the row is null in the line, so that it holds back no other one.
    """
    return _encode(told(fact)) + b"\n"


def told(fact: Fact) -> ExecutionEvent:
    """What the line of a step says."""
    name, accepted, status, status_with_fills = _SAID[fact.before, fact.after]
    terms, kept = _terms_of(fact), _kept_of(fact)
    filled = _number(fact.qty)
    fill = None if filled is None else _number(fact.price)
    side = terms.side or _SIDES.get(fact.side)
    intent = _intent(terms)
    # By position, in the order of the fields: by name the call takes three times as long.
    return ExecutionEvent(
        fact.at_ms,
        fact.symbol,
        name,
        fact.row_id,
        terms.client_order_id or fact.order_id,
        kept.exchange_order_id if accepted else None,
        side,
        _finite(terms.qty) if filled is None else filled,
        intent,
        _finite(terms.price),
        fill,
        None if terms is _NO_TERMS else _rounded(terms),
        _slippage_bps(side, intent, fill),
        status if filled is None else status_with_fills,
        fact.reason,
        kept.sent_ts_ms if accepted else None,
        kept.ack_ts_ms if accepted else None,
        None if filled is None else fact.at_ms,
        EventMeta(
            kept.mode,
            kept.latency_ms if accepted else None,
            kept.warmup,
            fact.guard_reason,
            kept.consistency,
            kept.scenario,
        ),
    )


def _terms_of(fact: Fact) -> _Terms:
    if fact.order_json is None:
        return _NO_TERMS
    try:
        return _decode_terms(fact.order_json)
    except msgspec.MsgspecError:
        return _NO_TERMS


def _kept_of(fact: Fact) -> _Kept:
    try:
        return _decode_kept(fact.meta_json)
    except msgspec.MsgspecError:
        return _NOTHING_KEPT


def _number(text: str | None) -> Decimal | None:
    if text is None:
        return None
    try:
        return _finite(Decimal(text))
    except InvalidOperation:
        return None


def _finite(value: Decimal | None) -> Decimal | None:
    return value if value is not None and value.is_finite() else None


def _intent(terms: _Terms) -> Decimal | None:
    """What the order was meant to trade at: its price before the rounding, else what it was sized with."""
    if terms.price is None:
        return _finite(terms.intent_price)
    diff = terms.rounding_diff
    if diff is None or not (lost := diff.get("price_diff", _NOTHING)):
        return _finite(terms.price)
    return _finite(_CONTEXT.add(terms.price, lost))


def _rounded(terms: _Terms) -> RoundingDiff:
    diff = terms.rounding_diff
    if diff is None:
        return _NOT_ROUNDED
    return RoundingDiff(
        _finite(diff.get("price_diff")) or _NOTHING, _finite(diff.get("qty_diff")) or _NOTHING
    )


def _slippage_bps(side: str | None, intent: Decimal | None, fill: Decimal | None) -> Decimal | None:
    """Signed: above 0 is worse for us. The adapters have the same formula (a test compares the two)."""
    if side is None or intent is None or fill is None or intent <= 0:
        return None
    if fill == intent:
        return _NOTHING
    lost = _CONTEXT.subtract(fill, intent) if side == "buy" else _CONTEXT.subtract(intent, fill)
    share = _CONTEXT.divide(_CONTEXT.multiply(lost, _BASIS_POINTS), intent)
    return _finite(share.quantize(_PLACES, ROUND_HALF_EVEN, _CONTEXT))


def schema() -> dict[str, Any]:
    """The JSON Schema of a line."""
    found: dict[str, Any] = _with_numbers(msgspec.json.schema(ExecutionEvent))
    return found


def _with_numbers(value: Any) -> Any:
    """A schema in which exact decimals are numbers, as they are written here."""
    if isinstance(value, dict):
        if value.get("format") == "decimal":
            return {**value, "type": "number"}
        return {key: _with_numbers(one) for key, one in value.items()}
    return [_with_numbers(one) for one in value] if isinstance(value, list) else value
