"""The life of an execution: its states, the legal moves between them, and what the contract calls them.

Pure, one table. The ledger refuses every move that is not in it.
"""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """Where an execution stands."""

    RESERVED = "reserved"
    UNKNOWN = "unknown"
    OPEN = "open"
    PARTIAL = "partial"
    FILLED = "filled"
    CANCELED = "canceled"
    EXPIRED = "expired"
    REJECTED = "rejected"
    SKIPPED = "skipped"
    QUARANTINED = "quarantined"


_S = State

# A row is born in one of these; the three terminal ones are signals that never became an order.
BIRTH_STATES = frozenset({_S.RESERVED, _S.SKIPPED, _S.REJECTED})

MOVES: dict[State, frozenset[State]] = {
    _S.RESERVED: frozenset(
        {
            # Provably not sent, with a new window to send it in.
            _S.RESERVED,
            _S.OPEN,
            _S.PARTIAL,
            _S.FILLED,
            _S.CANCELED,
            _S.EXPIRED,
            _S.REJECTED,
            _S.UNKNOWN,
            _S.SKIPPED,
        }
    ),
    _S.UNKNOWN: frozenset(
        {
            _S.OPEN,
            _S.PARTIAL,
            _S.FILLED,
            _S.CANCELED,
            _S.EXPIRED,
            _S.REJECTED,
            _S.RESERVED,
            _S.SKIPPED,
            _S.QUARANTINED,
        }
    ),
    _S.OPEN: frozenset({_S.PARTIAL, _S.FILLED, _S.CANCELED, _S.EXPIRED, _S.QUARANTINED}),
    _S.PARTIAL: frozenset({_S.PARTIAL, _S.FILLED, _S.CANCELED, _S.EXPIRED, _S.QUARANTINED}),
    _S.QUARANTINED: frozenset({_S.FILLED, _S.CANCELED, _S.EXPIRED, _S.REJECTED, _S.SKIPPED}),
    _S.FILLED: frozenset(),
    _S.CANCELED: frozenset(),
    _S.EXPIRED: frozenset(),
    _S.REJECTED: frozenset(),
    _S.SKIPPED: frozenset(),
}

TERMINAL_STATES = frozenset(state for state, following in MOVES.items() if not following)

# Legal only as a late fill: evidence against a terminal row.
LATE_FILL_STATES = TERMINAL_STATES - {_S.FILLED}

_STATUS = {
    _S.RESERVED: "pending",
    _S.UNKNOWN: "retry",
    _S.OPEN: "pending",
    _S.PARTIAL: "pending",
    _S.FILLED: "success",
    _S.REJECTED: "failed",
    _S.SKIPPED: "skip",
    _S.QUARANTINED: "retry",
}


def may_move(before: State, after: State) -> bool:
    """Whether an execution may go from one state to the other."""
    return after in MOVES[before]


def may_fill_late(before: State, after: State) -> bool:
    """Whether this is evidence of a fill against a final row, the one way out of it."""
    return before in LATE_FILL_STATES and after is State.FILLED


def status_of(state: State, *, has_fills: bool) -> str:
    """The contract's `status` of a state; canceled and expired orders count by their fills."""
    if state in (State.CANCELED, State.EXPIRED):
        return "success" if has_fills else "failed"
    return _STATUS[state]
