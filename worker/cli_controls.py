"""The commands `halt`, `resume` and `resolve`: what a person decides, and why."""

from __future__ import annotations

import re
from typing import Annotated, Literal

import typer

from worker.cli_options import ConfigFile, OutputFolder, earlier, given_of
from worker.durations import EXAMPLES, seconds_of
from worker.exits import Exit

Why = Annotated[str, typer.Option("--why", metavar="TEXT", help="The reason, kept in the audit trail.")]
OfSymbol = Annotated[
    str | None, typer.Option("--symbol", metavar="S", help="This symbol alone [default: everything].")
]


def halt(
    ctx: typer.Context,
    why: Why,
    new_only: Annotated[
        bool, typer.Option("--new-only", help="Leave working orders alone instead of canceling them.")
    ] = False,
    duration: Annotated[
        str | None,
        typer.Option("--for", metavar="TIME", help="End by itself after 90s, 15m, 2h or 1d."),
    ] = None,
    symbol: OfSymbol = None,
    config: ConfigFile = None,
    output: OutputFolder = None,
) -> None:
    """Stop new orders at once, and cancel those that work; holds across restarts until `resume`.

    Works whether the worker runs or not. Without the program: create a file named HALT in the store's
    folder, which is OUTPUT/executions.
    """
    from config.seams import SystemClock
    from store.control import ControlRequest
    from store.records import Halt
    from worker.requests import ask, halt_everything, who_asks

    loaded = given_of(config, output=output).over(earlier(ctx)).load(trades=False)
    clock, who, scope = SystemClock(), who_asks(), _scope(symbol)
    now_ms = clock.wall_ms()
    until_ms = None if duration is None else now_ms + 1_000 * _seconds(duration)
    if not scope:
        halt_everything(
            loaded,
            Halt(scope="", why=why, who=who, at_ms=now_ms, new_only=new_only, until_ms=until_ms),
        )
    args = {"scope": scope, "why": why, "new_only": "yes" if new_only else "no"}
    if until_ms is not None:
        args["until_ms"] = str(until_ms)
    code, text = ask(loaded, ControlRequest(do="halt", args=args, who=who, at_ms=now_ms), clock)
    if code is Exit.NOT_RUNNING and not scope:
        # A wrong folder, most likely: nobody shall go to sleep on it.
        text = f"no worker was reached: {text}; the file HALT is there now and holds one that starts there"
    elif code is not Exit.OK and not scope:
        # The file holds all the same.
        text = f"new orders are halted by the file HALT; {text}"
        code = Exit.OK
    _end(code, text)


def resume(
    ctx: typer.Context,
    why: Why,
    symbol: OfSymbol = None,
    config: ConfigFile = None,
    output: OutputFolder = None,
) -> None:
    """End a halt. Signals from before this moment stay skipped: no backlog is sent."""
    _ask(ctx, config, output, "resume", {"scope": _scope(symbol), "why": why})


def resolve(
    ctx: typer.Context,
    signal_id: Annotated[str, typer.Argument(help="The signal id, or the client order id of its order.")],
    state: Annotated[
        Literal["filled", "canceled", "expired", "rejected", "skipped"],
        typer.Option("--as", metavar="STATE", help="filled, canceled, expired, rejected or skipped."),
    ],
    why: Why,
    symbol: Annotated[
        str | None, typer.Option("--symbol", metavar="S", help="Where an id stands under several symbols.")
    ] = None,
    qty: Annotated[
        str | None, typer.Option("--qty", metavar="N", help="The filled quantity [default: as ordered].")
    ] = None,
    price: Annotated[str | None, typer.Option("--price", metavar="N", help="The average price.")] = None,
    config: ConfigFile = None,
    output: OutputFolder = None,
) -> None:
    """Record what became of an order whose fate the worker could not prove. Look at the exchange first."""
    args = {"signal_id": signal_id, "as": state, "why": why}
    for name, value in (("symbol", symbol), ("qty", qty), ("price", price)):
        if value is not None:
            args[name] = value
    _ask(ctx, config, output, "resolve", args)


def _ask(ctx: typer.Context, config: ConfigFile, output: OutputFolder, do: str, args: dict[str, str]) -> None:
    from config.seams import SystemClock
    from store.control import ControlRequest
    from worker.requests import ask, who_asks

    loaded = given_of(config, output=output).over(earlier(ctx)).load(trades=False)
    clock = SystemClock()
    request = ControlRequest(do=do, args=args, who=who_asks(), at_ms=clock.wall_ms())
    _end(*ask(loaded, request, clock))


def _end(code: Exit, text: str) -> None:
    typer.echo(text if code is Exit.OK else f"execution-worker: {text}", err=code is not Exit.OK)
    raise typer.Exit(code)


def _scope(symbol: str | None) -> str:
    if symbol is None:
        return ""
    name = symbol.strip().upper()
    if not re.fullmatch(r"[A-Z0-9]{2,20}", name):
        raise typer.BadParameter(f"{symbol!r} is not like BTCUSDT", param_hint="--symbol")
    return name


def _seconds(text: str) -> int:
    seconds = seconds_of(text)
    if seconds is None:
        raise typer.BadParameter(f"{text!r} is not like {EXAMPLES}", param_hint="--for")
    return seconds
