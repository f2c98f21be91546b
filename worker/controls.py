"""Controls: what people ask of a running worker, and what halts it by itself; looked at four times a second.

A halt by the file is in force before this looks, because every send asks for the file. Here it becomes
a row, so that it outlives the file, and working orders are canceled.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from adapters.contract import NotYet
from store import control
from store.records import Halt
from worker.clerk import REFUSED, Clerk
from worker.floor import Floor
from worker.pulse import Pulse

TURN_S = 0.25
# Working orders are asked for again until none is left, but not at every turn.
CANCEL_EVERY_S = 2.0


class Controls:
    """One task of the daemon."""

    def __init__(self, folder: Path, floor: Floor, symbols: Sequence[str], pulse: Pulse) -> None:
        self._folder = folder
        self._floor = floor
        self._symbols = symbols
        self._pulse = pulse
        self._clerk = Clerk(floor.ledger, floor.writer, floor.halts, floor.report, floor.clock)
        self._clean: set[str] = set()
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
        await floor.halts.adopt_file()
        for halt in floor.halts.over():
            await floor.halts.resume(halt.scope, who="worker", why="its time was over")
        denied = floor.adapter.denied
        if denied is not None and floor.halts.why("") is None:
            await floor.halts.halt(
                Halt(scope="", why=denied, who="worker", at_ms=floor.clock.wall_ms(), new_only=True)
            )
        for name, request in control.waiting(self._folder):
            if isinstance(request, control.ControlRequest):
                answer = await self._clerk.obey(request)
                if request.do == "resume" and answer.done and not request.args.get("scope"):
                    floor.adapter.allow_again()
            else:
                answer = control.ControlAnswer(
                    done=False, text=request.why, at_ms=floor.clock.wall_ms(), exit_code=REFUSED
                )
                floor.report.log.warning("control_refused", file=name, why=request.why)
            control.answer(self._folder, name, answer)
        await self._cancel_working()

    async def _cancel_working(self) -> None:
        """A full halt also takes back what still works; asked again until nothing is left."""
        halts = [halt for halt in self._floor.halts.in_force() if not halt.new_only]
        if not halts:
            self._clean.clear()
            return
        now_s = self._floor.clock.monotonic_s()
        if now_s < self._cancel_at_s:
            return
        self._cancel_at_s = now_s + CANCEL_EVERY_S
        scopes = {halt.scope for halt in halts}
        for symbol in self._symbols:
            if symbol not in self._clean and ("" in scopes or symbol in scopes):
                await self._cancel_of(symbol)

    async def _cancel_of(self, symbol: str) -> None:
        floor = self._floor
        working = await floor.adapter.open_orders(symbol)
        if isinstance(working, NotYet):
            floor.report.log.warning("cancel_awaited", symbol=symbol, why=working.why)
            return
        if not working:
            self._clean.add(symbol)
        for order in working:
            result = await floor.adapter.cancel(order.update.client_order_id, symbol)
            floor.report.log.event(
                "order_cancel_asked",
                symbol=symbol,
                client_order_id=order.update.client_order_id,
                done=result.done,
                why=result.text,
            )
