"""The clerk: carries out what a person asks of the store, and keeps who asked, when and why.

The same whether the worker runs (the request came through the control folder) or not (the command holds
the store itself).
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation

from config.seams import Clock
from store.control import ControlAnswer, ControlRequest
from store.ledger import Ledger
from store.lifecycle import TERMINAL_STATES, State, may_move
from store.records import Audit, Halt, Move, Share, Unsettled
from store.writer import Writer
from worker.halts import Halts
from worker.report import Report
from worker.rows import pending_of
from worker.when import moment

# What cannot be done as asked, in the words of Exit.DATA.
REFUSED = 65
RESOLVABLE = (State.UNKNOWN, State.QUARANTINED, State.OPEN, State.PARTIAL)
_SCOPE = re.compile(r"[A-Z0-9]{2,20}|")
_UNTIL = re.compile(r"[0-9]{1,13}")


class Clerk:
    """Obeys one request after the other; every answer is a sentence."""

    def __init__(self, ledger: Ledger, writer: Writer, halts: Halts, report: Report, clock: Clock) -> None:
        self._ledger = ledger
        self._writer = writer
        self._halts = halts
        self._report = report
        self._clock = clock

    async def obey(self, request: ControlRequest) -> ControlAnswer:
        """Carry it out; what cannot be done changes nothing and says why."""
        match request.do:
            case "halt":
                return await self._halt(request)
            case "resume":
                return await self._resume(request)
            case "resolve":
                return await self._resolve(request)
        return self._no(f"{request.do!r} is none of halt, resume, resolve")

    def _yes(self, text: str) -> ControlAnswer:
        return ControlAnswer(done=True, text=text, at_ms=self._clock.wall_ms())

    def _no(self, text: str) -> ControlAnswer:
        return ControlAnswer(done=False, text=text, at_ms=self._clock.wall_ms(), exit_code=REFUSED)

    async def _halt(self, request: ControlRequest) -> ControlAnswer:
        scope, until = request.args.get("scope", ""), request.args.get("until_ms")
        if not _SCOPE.fullmatch(scope) or (until is not None and not _UNTIL.fullmatch(until)):
            return self._no("the request names no symbol or no time that could be read")
        halt = Halt(
            scope=scope,
            why=request.args.get("why", "no reason given"),
            who=request.who,
            at_ms=self._clock.wall_ms(),
            new_only=request.args.get("new_only") == "yes",
            until_ms=None if until is None else int(until),
        )
        await self._halts.halt(halt)
        return self._yes(f"new orders of {scope or 'all symbols'} are halted{self._until(halt)}")

    def _until(self, asked: Halt) -> str:
        """When the halt ends by itself: an earlier one of its scope may hold longer than was asked for."""
        if asked.until_ms is None:
            return ""
        held = next((one for one in self._halts.in_force() if one.scope == asked.scope), asked)
        if held.until_ms is None:
            return " until resume: the halt that was in force already has no end"
        return f" until {moment(held.until_ms)}"

    async def _resume(self, request: ControlRequest) -> ControlAnswer:
        scope = request.args.get("scope", "")
        if not _SCOPE.fullmatch(scope):
            return self._no("the request names no symbol that could be read")
        if scope and not self._halts.holds(scope):
            return self._no(f"{scope} is not halted by itself: nothing to resume")
        await self._halts.resume(scope, who=request.who, why=request.args.get("why", "no reason given"))
        left = self._halts.in_force()
        text = f"{scope or 'everything'} may send orders again; signals up to now stay skipped"
        if left:
            text += f"; still halted: {', '.join(halt.scope or 'all' for halt in left)}"
        return self._yes(text)

    async def _resolve(self, request: ControlRequest) -> ControlAnswer:
        wanted = request.args.get("signal_id", "")
        rows = await self._writer.call(lambda: self._ledger.row_by_signal(wanted))
        symbol = request.args.get("symbol")
        rows = [row for row in rows if symbol is None or row.symbol == symbol]
        if len(rows) > 1:
            names = ", ".join(row.symbol for row in rows)
            return self._no(f"{wanted} is a signal of {names}: name one with --symbol")
        if not rows:
            return self._no(
                f"no execution that is unsettled has signal id or client order id {wanted}: "
                "execution-worker inspect tells what is recorded"
            )
        return await self._settle(rows[0], request)

    async def _settle(self, row: Unsettled, request: ControlRequest) -> ControlAnswer:
        after = _state(request.args.get("as", ""))
        if row.state not in RESOLVABLE:
            text = f"{row.signal_id} is {row.state.value}, only {_words(RESOLVABLE)} can be resolved"
            return self._no(text)
        if after is None or not may_move(row.state, after):
            legal = [state for state in TERMINAL_STATES if may_move(row.state, state)]
            return self._no(f"{row.signal_id} is {row.state.value}, can be resolved as {_words(legal)}")
        qty, price = _amount(request.args.get("qty")), _amount(request.args.get("price"))
        if "bad" in (qty, price):
            return self._no("quantity and price must be positive decimal numbers")
        why = request.args.get("why", "no reason given")
        if qty is None:
            qty = await self._quantity(row, after)
        move = Move(
            row_id=row.row_id,
            before=row.state,
            after=after,
            reason=f"resolved by {request.who}: {why}",
            has_fills=qty is not None,
            qty=qty,
            price=price,
            error_code=None if after is State.FILLED else "resolved",
            error_msg=None if after is State.FILLED else why,
        )
        audit = Audit(
            action="resolve",
            subject=row.signal_id,
            who=request.who,
            why=why,
            detail=f"{row.symbol} {row.state.value} to {after.value}",
        )
        share = Share(symbol=row.symbol, moves=[move], audits=[audit])
        receipt = await self._writer.commit(share)
        if receipt.refused:
            return self._no(f"{row.signal_id} has changed meanwhile: look at it again")
        self._report.committed(share, receipt)
        self._report.log.warning(
            "order_resolved",
            symbol=row.symbol,
            signal_id=row.signal_id,
            after=after,
            who=request.who,
            why=why,
        )
        return self._yes(f"{row.signal_id} of {row.symbol} is recorded as {after.value}")

    async def _quantity(self, row: Unsettled, after: State) -> str | None:
        """What has filled where the person does not say; None: nothing."""
        ordered = pending_of(row).order.qty
        if after is State.FILLED:
            return format(ordered, "f")
        on_record = await self._writer.call(lambda: self._ledger.quantity_of(row.row_id))
        # A row that was partly filled has the filled part as its quantity, and keeps it.
        return format(on_record, "f") if on_record < ordered else None


def _state(word: str) -> State | None:
    return next((state for state in TERMINAL_STATES if state.value == word), None)


def _words(states: object) -> str:
    assert isinstance(states, list | tuple)
    return ", ".join(sorted(state.value for state in states))


def _amount(text: str | None) -> str | None:
    """The decimal text, None when nothing was given, `bad` when it is no positive number."""
    if text is None:
        return None
    try:
        value = Decimal(text)
    except InvalidOperation:
        return "bad"
    return format(value, "f") if value.is_finite() and value > 0 else "bad"
