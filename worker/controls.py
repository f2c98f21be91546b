"""Controls: what people ask of a running worker, and what halts it by itself; looked at twice a second.

A halt by the file is in force before this looks, because every send asks for the file. Here it becomes
a row, so that it outlives the file, and working orders are canceled.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import msgspec

from adapters.contract import NotYet
from store import control
from store.records import Halt
from worker.clerk import REFUSED, Clerk
from worker.floor import Floor
from worker.pruner import DO as DO_PRUNE
from worker.pruner import Pruner
from worker.pulse import Pulse

TURN_S = 0.5
# Working orders are asked for again until none is left, but not at every turn.
CANCEL_EVERY_S = 2.0


class Controls:
    """One task of the daemon."""

    def __init__(
        self,
        folder: Path,
        floor: Floor,
        symbols: Sequence[str],
        pulse: Pulse,
        *,
        pruner: Pruner | None = None,
    ) -> None:
        self._folder = folder
        self._floor = floor
        self._symbols = symbols
        self._pulse = pulse
        self._pruner = pruner
        self._clerk = Clerk(floor.ledger, floor.writer, floor.halts, floor.report, floor.clock)
        # For which halts a symbol has nothing left that works.
        self._clean: dict[str, frozenset[Halt]] = {}
        self._cancel_at_s = 0.0

    async def run(self) -> None:
        """Until canceled."""
        while True:
            await self.turn()
            self._pulse.waits(TURN_S)
            await self._floor.clock.sleep(TURN_S)
            self._pulse.turn()

    async def turn(self) -> None:
        """Look once."""
        floor = self._floor
        # A full disk holds every commit back for as long as it takes; the writer shows the life then.
        self._pulse.waits(math.inf)
        await floor.halts.adopt_file()
        for halt in floor.halts.over():
            await floor.halts.end(halt)
        denied = floor.adapter.denied
        if denied is not None and floor.halts.why("") is None:
            await floor.halts.halt(
                Halt(scope="", why=denied, who="worker", at_ms=floor.clock.wall_ms(), new_only=True)
            )
        for name, request in control.waiting(self._folder):
            if isinstance(request, control.ControlRequest):
                answer = await self._obey(request)
                if request.do == "resume" and answer.done and not request.args.get("scope"):
                    floor.adapter.allow_again()
            else:
                answer = control.ControlAnswer(
                    done=False, text=request.why, at_ms=floor.clock.wall_ms(), exit_code=REFUSED
                )
                floor.report.log.warning("control_refused", file=name, why=request.why)
            control.answer(self._folder, name, answer)
        self._pulse.turn()
        await self._cancel_working()

    async def _obey(self, request: control.ControlRequest) -> control.ControlAnswer:
        if self._pruner is not None and request.do == DO_PRUNE:
            return await self._pruner.obey(request)
        answer = await self._clerk.obey(request)
        scope = request.args.get("scope")
        if request.do != "halt" or not answer.done or not scope or scope in self._symbols:
            return answer
        # A slip of the pen halts nothing; who believes that it does looks away.
        known = ", ".join(self._symbols)
        return msgspec.structs.replace(answer, text=f"{answer.text}; this worker trades {known} alone")

    async def _cancel_working(self) -> None:
        """A full halt also takes back what still works; asked again until nothing is left."""
        full = [halt for halt in self._floor.halts.in_force() if not halt.new_only]
        now_s = self._floor.clock.monotonic_s()
        if not full or now_s < self._cancel_at_s:
            return
        self._cancel_at_s = now_s + CANCEL_EVERY_S
        for symbol in self._symbols:
            by = frozenset(halt for halt in full if halt.scope in ("", symbol))
            if by and self._clean.get(symbol) != by and await self._cancel_of(symbol):
                self._clean[symbol] = by

    async def _cancel_of(self, symbol: str) -> bool:
        """True when nothing is left: the venue shows nothing, and no order can be on its way there."""
        floor = self._floor
        unsettled = await floor.writer.call(lambda: floor.ledger.unsettled(symbol))
        working = await floor.adapter.open_orders(symbol)
        self._pulse.turn()
        if isinstance(working, NotYet):
            floor.report.log.warning("cancel_awaited", symbol=symbol, why=working.why)
            return False
        for order in working:
            result = await floor.adapter.cancel(order.update.client_order_id, symbol)
            self._pulse.turn()
            floor.report.log.event(
                "order_cancel_asked",
                symbol=symbol,
                client_order_id=order.update.client_order_id,
                done=result.done,
                why=result.text,
            )
        return not working and not unsettled
