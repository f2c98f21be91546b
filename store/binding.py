"""How reservations become statement parameters. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import TypeVar

from msgspec.structs import asdict, replace

from store.lifecycle import BIRTH_STATES, TERMINAL_STATES, State, status_of
from store.records import Audit, DeadLetter, Halt, Move, Position, Reservation

Record = TypeVar("Record", Move, Position, DeadLetter, Halt, Audit)

MESSAGE_CHARACTERS_MAX = 200
INTEGER_MAX = 2**63 - 1

# State, status and whether that is final, looked up once a row: an enum's `value` alone costs more.
_BORN = {
    state: (state.value, status_of(state, has_fills=False), state in TERMINAL_STATES)
    for state in BIRTH_STATES
}
_WORDS = {state: state.value for state in State}


def row_values(new: Reservation, now_ms: int) -> tuple[object, ...]:
    """The values of one row, in the order of RESERVATION_COLUMNS; `now_ms` is the commit's time."""
    assert new.state in _BORN, new.state
    state, status, final = _BORN[new.state]
    return (
        new.signal_ts_ms,
        new.symbol,
        new.signal_id,
        1 if new.id_given else 0,
        state,
        status,
        now_ms if final else None,
        new.order_id,
        new.side,
        new.qty,
        new.price,
        1 if new.gating else 0,
        new.guard_reason,
        new.error_code,
        new.error_msg,
        new.run_source,
        new.meta_json,
        new.client_order_id,
        new.order_json,
        new.score,
        new.place_file,
        new.place_offset,
        new.place_length,
        now_ms,
    )


def never_sent(reservation: Reservation, code: str, error: Exception | None) -> Reservation:
    """The row that a reservation becomes when it cannot be written as it is: a skip, or a failure."""
    skipped = error is None
    text = f"signal id {reservation.signal_id} was used at another time" if skipped else str(error)
    return Reservation(
        signal_ts_ms=reservation.signal_ts_ms,
        symbol=reservation.symbol,
        signal_id=_escaped(reservation.signal_id),
        # A failed row keeps out of the index on given ids, whatever the fault was.
        id_given=reservation.id_given and skipped,
        state=State.SKIPPED if skipped else State.REJECTED,
        side="skip" if skipped else _escaped(reservation.side),
        gating=reservation.gating,
        run_source=reservation.run_source,
        meta_json="{}",
        place_file=_escaped(reservation.place_file),
        place_offset=min(reservation.place_offset, INTEGER_MAX),
        place_length=min(reservation.place_length, INTEGER_MAX),
        error_code=code,
        error_msg=text[:MESSAGE_CHARACTERS_MAX],
    )


def storable(record: Record) -> Record:
    """The record with what UTF-8 cannot hold written as escapes; any other record as it is."""
    texts = {name: _escaped(value) for name, value in asdict(record).items() if type(value) is str}
    return replace(record, **texts)


def _escaped(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def move_values(move: Move, now_ms: int) -> tuple[object, ...]:
    """The values of one step, in the order of the `step` table of statements.move."""
    after = move.after
    return (
        move.row_id,
        _WORDS[move.before],
        _WORDS[after],
        status_of(after, has_fills=has_fills(move)),
        now_ms if after in TERMINAL_STATES else None,
        move.qty,
        move.price,
        move.error_code,
        move.error_msg,
        move.patch,
        move.order_json,
    )


def has_fills(move: Move) -> bool:
    """Whether the order has fills after the step; one that was partly filled has them whatever follows."""
    return move.has_fills or move.before is State.PARTIAL


def alike(moves: Iterable[Move]) -> Iterable[list[Move]]:
    """The moves in groups that differ in nothing but their row."""
    groups: dict[tuple[object, ...], list[Move]] = {}
    for move in moves:
        price, code, text = move.price, move.error_code, move.error_msg
        before, after, has, order = move.before, move.after, move.has_fills, move.order_json
        effect = (before, after, has, move.qty, price, code, text, move.patch, order)
        groups.setdefault(effect, []).append(move)
    return groups.values()


def event_values(move: Move, now_ms: int) -> tuple[object, ...]:
    """The values of the event that tells of a step. A late fill comes after the outcome was final."""
    final = int(move.after in TERMINAL_STATES and not move.late)
    reason = move.reason or move.error_code
    words = (_WORDS[move.before], _WORDS[move.after])
    return (move.row_id, now_ms, *words, final, reason, move.qty, move.price)


def slices(count: int, size_max: int) -> Iterable[tuple[int, int]]:
    """Cut `count` rows into (start, size) of few different sizes, so that prepared statements are re-used."""
    start = 0
    size = size_max
    while start < count:
        while size > count - start:
            size = 1 << (count - start).bit_length() - 1
        yield start, size
        start += size


def flat(rows: Sequence[tuple[object, ...]]) -> list[object]:
    """All values of all rows, one after the other."""
    return list(chain.from_iterable(rows))
