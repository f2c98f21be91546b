"""What the commands `account`, `cancel-all` and `flatten` do and print."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from decimal import Decimal
from typing import TypeVar

import typer

from adapters.binance import people
from adapters.binance.adapter import DEADLINE_KEY, BinanceAdapter
from adapters.binance.asking import Trouble
from adapters.binance.connect import open_binance
from adapters.binance.credentials import CredentialsError
from adapters.registry import credentials_for
from config.load import Loaded
from config.seams import SystemClock
from config.settings import Settings
from store import statements as sql
from store.connection import open_reader
from store.paths import DATABASE
from worker.check_output import stamps_of
from worker.exits import Exit
from worker.parts import EXECUTIONS_FOLDER
from worker.view import KEPT_STAMP

T = TypeVar("T")

_EXITS = {
    "unavailable": Exit.EXCHANGE_UNAVAILABLE,
    "deadline": Exit.EXCHANGE_UNAVAILABLE,
    "denied": Exit.PERMISSION,
}


def show_account(loaded: Loaded, *, as_json: bool) -> Exit:
    """Print the account at one look."""

    async def look(adapter: BinanceAdapter) -> people.AccountState | Trouble:
        return await people.look(adapter, loaded.settings.execution.symbols)

    found = _with_adapter(loaded.settings, look)
    if not isinstance(found, people.AccountState):
        return found
    limits = _limits_used(loaded)
    if as_json:
        typer.echo(json.dumps(_as_values(found, limits), default=str, indent=2))
    else:
        typer.echo("\n".join(_as_lines(found, limits)))
    return Exit.OK


def cancel_everything(loaded: Loaded) -> Exit:
    """Cancel what works, symbol by symbol; 69 when something is left."""

    async def cancel(adapter: BinanceAdapter) -> list[people.Canceled] | Trouble:
        done = []
        for symbol in loaded.settings.execution.symbols:
            result = await people.cancel_all(adapter, symbol)
            if isinstance(result, Trouble):
                return result
            done.append(result)
        return done

    found = _with_adapter(loaded.settings, cancel)
    if isinstance(found, Exit):
        return found
    for one in found:
        typer.echo(
            f"{one.symbol}: {len(one.ended)} orders ended, {len(one.left)} still work {one.text}".rstrip()
        )
    return Exit.OK if all(one.done for one in found) else Exit.EXCHANGE_UNAVAILABLE


def flatten_symbol(loaded: Loaded, symbol: str) -> Exit:
    """Close one position; 69 when it is not closed afterwards."""
    clock, broker = SystemClock(), loaded.settings.broker

    async def flatten(adapter: BinanceAdapter) -> people.Flattened | Trouble:
        return await people.flatten(
            adapter,
            symbol,
            clock,
            send_window_ms=broker.send_window_ms,
            recv_window_ms=broker.recv_window_ms,
        )

    found = _with_adapter(loaded.settings, flatten)
    if not isinstance(found, people.Flattened):
        return found
    after = "unknown" if found.after is None else found.after
    words = "nothing to close" if found.done and found.order is None else found.text
    typer.echo(f"{symbol}: position was {found.before}, is {after}" + (f"; {words}" if words else ""))
    return Exit.OK if found.done else Exit.EXCHANGE_UNAVAILABLE


def _with_adapter(settings: Settings, act: Callable[[BinanceAdapter], Awaitable[T | Trouble]]) -> T | Exit:
    """Open the venue, act, and close it; every fault is a sentence and an exit code."""
    mode = settings.execution.mode
    if not mode.touches_exchange:
        _complain(f"execution.mode is {mode.value}, which has no account: add --mode testnet or live")
        return Exit.CONFIGURATION
    try:
        credentials = credentials_for(settings, os.environ)
        assert credentials is not None
        adapter = open_binance(settings, credentials, SystemClock())
    except CredentialsError as error:
        _complain(str(error))
        return Exit.PERMISSION if error.kind == "permission" else Exit.CONFIGURATION

    async def run() -> T | Trouble:
        try:
            trouble = await people.ready(adapter, _kept_deadline_ms(settings))
            return trouble if trouble is not None else await act(adapter)
        finally:
            await adapter.close()

    found = asyncio.run(run())
    if isinstance(found, Trouble):
        _complain(found.text)
        return _EXITS.get(found.kind, Exit.DATA)
    return found


def _kept_deadline_ms(settings: Settings) -> int:
    """Until when (the exchange's clock) it wants to hear nothing, as a worker was told; 0: it does."""
    kept = stamps_of(settings.execution.output_dir / EXECUTIONS_FOLDER).get(KEPT_STAMP + DEADLINE_KEY, "")
    return int(kept) if kept.isascii() and kept.isdigit() else 0


def _complain(sentence: str) -> None:
    typer.echo(f"execution-worker: {sentence}", err=True)


def _limits_used(loaded: Loaded) -> dict[str, str]:
    """Our own hard limits, and how much of them is used, as far as a store is there."""
    execution = loaded.settings.execution
    used: int | None = None
    path = execution.output_dir / EXECUTIONS_FOLDER / DATABASE
    try:
        if path.exists():
            since_ms = SystemClock().wall_ms() - 60_000
            with closing(open_reader(path)) as reader:
                used = int(reader.execute(sql.COUNT_SENDS, (since_ms,)).fetchone()[0])
    except sqlite3.Error:
        used = None
    risk = execution.risk
    sent = "?" if used is None else used
    return {
        "risk.max_order_usd": _limit(risk.max_order_usd),
        "risk.max_orders_per_minute": f"{_limit(risk.max_orders_per_minute)} (used {sent})",
        "risk.max_position_usd": _limit(risk.max_position_usd),
    }


def _limit(value: Decimal | int | None) -> str:
    return "none" if value is None else str(value)


def _as_values(found: people.AccountState, limits: dict[str, str]) -> dict[str, object]:
    return {
        "balances": found.balances,
        "positions": [
            {
                "symbol": one.symbol,
                "qty": one.position_amt,
                "entry_price": one.entry_price,
                "mark_price": one.mark_price,
            }
            for one in found.positions
        ],
        "orders": [
            {
                "symbol": one.symbol,
                "client_order_id": one.update.client_order_id,
                "side": one.side,
                "type": one.order_type,
                "qty": one.qty,
                "filled": one.update.filled_qty,
                "price": one.price,
            }
            for one in found.orders
        ],
        "usage": [
            {"limit": one.kind, "window_ms": one.length_ms, "used": one.used, "of": one.limit}
            for one in found.usage
        ],
        "limits": limits,
        "deadline_ms": found.deadline_ms,
        "clock_offset_ms": found.clock_offset_ms,
    }


def _as_lines(found: people.AccountState, limits: dict[str, str]) -> list[str]:
    lines = [f"balance    {asset} {free}" for asset, free in sorted(found.balances.items()) if free]
    lines += [
        f"position   {one.symbol} {one.position_amt} at {one.entry_price}"
        for one in found.positions
        if one.position_amt
    ]
    if not any(one.position_amt for one in found.positions):
        lines.append("position   none")
    lines += [
        f"order      {one.symbol} {one.side} {one.order_type} {one.qty} at {one.price or 'market'}, "
        f"filled {one.update.filled_qty}, {one.update.client_order_id}"
        for one in found.orders
    ]
    if not found.orders:
        lines.append("order      none works")
    lines += [
        f"exchange   {one.kind} {one.used} of {one.limit} per {one.length_ms // 1_000} s"
        for one in found.usage
    ]
    lines += [f"limit      {name} {value}" for name, value in limits.items()]
    if found.deadline_ms:
        lines.append(f"deadline   the exchange wants to hear nothing before {found.deadline_ms}")
    lines.append(f"clock      the exchange is {found.clock_offset_ms} ms ahead of this host")
    return lines
