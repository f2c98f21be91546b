"""An execution log on a real store, driven by hand: its lives, what it published, and orders to tell of."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
from rig import rows as rig

from config.seams import Clock
from store.execlog import ExecLogProjector
from store.execlog_line import ExecutionEvent
from store.lifecycle import State
from store.records import Receipt, Reservation, Share
from store.writer import Writer

_decode = msgspec.json.Decoder(ExecutionEvent).decode


class LogLife:
    """One life of the log below `output`: from opening the store to closing it."""

    def __init__(self, output: Path, clock: Clock, make: type[ExecLogProjector] = ExecLogProjector) -> None:
        self.output = output
        folder = output / "executions"
        folder.mkdir(parents=True, exist_ok=True)
        self.ledger = rig.open_ledger(folder, clock)
        self.executor = ThreadPoolExecutor(max_workers=1)
        self.writer = Writer(
            self.ledger, executor=self.executor, clock=clock, on_commit=lambda _: self.log.wake()
        )
        self.log = make(folder, self.writer, clock, output=output)

    async def __aenter__(self) -> LogLife:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.executor.shutdown(wait=True)
        self.ledger._connection.close()
        rig.store_of(self.ledger).lock.release()

    async def commit(self, *shares: Share) -> list[Receipt]:
        """Write shares as lanes would."""
        return [await self.writer.commit(share) for share in shares]

    async def orders(self, *numbers: int, symbol: str = rig.SYMBOL) -> None:
        """Orders that are reserved and filled: two lines each."""
        [receipt] = await self.commit(
            rig.share(*[order(number, symbol) for number in numbers], symbol=symbol)
        )
        moves = [rig.filled(row, qty="0.5", price="101") for row in receipt.row_ids if row is not None]
        await self.commit(rig.share(moves=moves, symbol=symbol))

    async def pass_on(self) -> None:
        """Repair what a crash left, once in a life, then one pass as the running task makes it."""
        if not self.log._started:
            await self.log._start()
        await self.log._pass()


def order(number: int, symbol: str = rig.SYMBOL, **changes: Any) -> Reservation:
    """The row of an order of 0.5 at 100, reserved."""
    sent = {
        "client_order_id": f"{symbol}-{number}",
        "symbol": symbol,
        "side": "buy",
        "order_type": "market",
        "tif": "GTC",
        "qty": "0.5",
        "price": None,
        "signal_id": f"id-{number}",
        "intent_price": "100",
        **changes,
    }
    meta = {"mode": "paper", "warmup": False, "consistency": 0.25, "scenario": "A_H"}
    return rig.reservation(
        number,
        symbol=symbol,
        state=State.RESERVED,
        guard_reason="quiet",
        order_json=msgspec.json.encode(sent).decode(),
        meta_json=msgspec.json.encode(meta).decode(),
    )


def published(output: Path) -> dict[str, bytes]:
    """Every published file and its bytes, by its path below ready/execlog."""
    folder = output / "ready" / "execlog"
    found = sorted(folder.rglob("*"))
    return {str(path.relative_to(folder)): path.read_bytes() for path in found if path.is_file()}


def parts(output: Path) -> list[str]:
    """What is being written, by its path below spool/execlog."""
    folder = output / "spool" / "execlog"
    return [str(path.relative_to(folder)) for path in sorted(folder.rglob("*")) if path.is_file()]


def events_in(data: bytes) -> list[ExecutionEvent]:
    """The lines of one file, each whole and of the promised type."""
    assert data.endswith(b"\n")
    return [_decode(line) for line in data.split(b"\n")[:-1]]


def told(output: Path, symbol: str = rig.SYMBOL) -> list[tuple[str, str | None]]:
    """(event, client order id) of every published line of a symbol, in order."""
    return [
        (one.event, one.client_order_id)
        for name, data in published(output).items()
        if name.startswith(f"{symbol}/")
        for one in events_in(data)
    ]


def two_lines(*numbers: int, symbol: str = rig.SYMBOL) -> list[tuple[str, str]]:
    """What `LogLife.orders` with these numbers leads to."""
    submits = [("submit", f"{symbol}-{number}") for number in numbers]
    return submits + [("filled", f"{symbol}-{number}") for number in numbers]
