"""The commands that look back: what was executed, as a list, a file, a report, or live."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from worker.cli_options import ConfigFile, OutputFolder, earlier, given_of

if TYPE_CHECKING:
    from worker.look_pages import Wanted

STATUSES = ("success", "skip", "failed", "retry", "pending")
LIMIT_MAX = 1_000_000

Since = Annotated[
    str | None,
    typer.Option(
        "--since", metavar="TIME", help="From 90s, 15m, 2h or 1d ago, 2026-01-31, 2026-01-31T12:00 or UTC ms."
    ),
]
Until = Annotated[
    str | None, typer.Option("--until", metavar="TIME", help="Up to a time, given in the same ways.")
]
SymbolList = Annotated[str | None, typer.Option("--symbol", metavar="A,B", help="Only these symbols.")]
StatusList = Annotated[
    str | None,
    typer.Option("--status", metavar="S,T", help="Only these of success, skip, failed, retry, pending."),
]
SideName = Literal["long", "short", "flat", "skip"]


def executions(
    ctx: typer.Context,
    symbol: SymbolList = None,
    since: Since = None,
    until: Until = None,
    status: StatusList = None,
    reason: Annotated[
        str | None, typer.Option("--reason", metavar="CODE", help="Only this error_code, as below_threshold.")
    ] = None,
    side: Annotated[
        SideName | None, typer.Option("--side", metavar="SIDE", help="long, short, flat or skip.")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=1, max=LIMIT_MAX, help="At most so many.")
    ] = 50,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object a line, as in the hourly files.")
    ] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="CSV with a head, for spreadsheets.")] = False,
    config: ConfigFile = None,
    output: OutputFolder = None,
) -> None:
    """List executions, the newest first; what is not final yet stands on top.

    Times are UTC. It reads the store, whether a worker runs or not, and never disturbs one.
    """
    if as_json and as_csv:
        raise typer.BadParameter("--json and --csv are two shapes: give one of them")
    from worker.look_executions import print_executions

    wanted = _wanted(symbol, since, until, status, reason, side)
    loaded = given_of(config, output=output).over(earlier(ctx)).load(trades=False)
    shape: Literal["table", "json", "csv"] = "json" if as_json else "csv" if as_csv else "table"
    raise typer.Exit(print_executions(loaded, wanted, limit=limit, shape=shape))


def export(
    ctx: typer.Context,
    to: Annotated[Path, typer.Option("--to", metavar="FILE", help="Ends in .parquet, .csv or .jsonl.")],
    symbol: SymbolList = None,
    since: Since = None,
    until: Until = None,
    status: StatusList = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there already.")] = False,
    config: ConfigFile = None,
    output: OutputFolder = None,
) -> None:
    """Write executions to a file, oldest first: Parquet, CSV or JSON Lines, by the file's ending.

    Everything by default, millions of rows in little memory. The file is there as a whole or not at all. What
    is not final yet stands at its end.
    """
    from worker.look_export import print_export

    wanted = _wanted(symbol, since, until, status)
    loaded = given_of(config, output=output).over(earlier(ctx)).load(trades=False)
    raise typer.Exit(print_export(loaded, wanted, to, force=force))


def report(
    ctx: typer.Context,
    since: Since = None,
    until: Until = None,
    symbol: SymbolList = None,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Also write a page that needs no network.")
    ] = None,
    config: ConfigFile = None,
    output: OutputFolder = None,
) -> None:
    """Tell what orders came to: fills, fees, slippage, realised profit, reasons, latency.

    Profit is at average cost over all orders of the store; only what ended within the time is counted. What
    it assumes stands at its end.
    """
    from config.seams import SystemClock
    from worker.look_report import print_report

    wanted = _wanted(symbol, since, until, None)
    loaded = given_of(config, output=output).over(earlier(ctx)).load(trades=False)
    raise typer.Exit(print_report(loaded, wanted, html, SystemClock()))


def top(
    ctx: typer.Context,
    once: Annotated[
        bool, typer.Option("--once", help="Print one frame and end; also without a terminal.")
    ] = False,
    config: ConfigFile = None,
    output: OutputFolder = None,
) -> None:
    """Watch the worker in the terminal: lanes, counts, rates, lag, halts, unresolved, last executions.

    Once a second, until q or Ctrl-C. One frame ends with 3 when no worker runs.
    """
    from config.seams import SystemClock
    from worker.look_screen import show_top

    loaded = given_of(config, output=output).over(earlier(ctx)).load(trades=False)
    raise typer.Exit(show_top(loaded, SystemClock(), once=once))


def _wanted(
    symbol: str | None,
    since: str | None,
    until: str | None,
    status: str | None,
    reason: str | None = None,
    side: str | None = None,
) -> Wanted:
    """What the options ask for; raises BadParameter with a sentence."""
    from config.seams import SystemClock
    from worker.look_pages import FOREVER_MS, Wanted

    now_ms = SystemClock().wall_ms()
    wanted = Wanted(
        symbols=_symbols(symbol),
        statuses=_statuses(status),
        reason=reason,
        side=side,
        since_ms=0 if since is None else _time(since, now_ms, "--since"),
        until_ms=FOREVER_MS if until is None else _time(until, now_ms, "--until"),
    )
    if wanted.since_ms > wanted.until_ms:
        raise typer.BadParameter(
            f"--since {since} is after --until {until}: give the earlier time to --since"
        )
    return wanted


def _time(text: str, now_ms: int, option: str) -> int:
    from worker.look_times import TimeError, given_ms

    try:
        return given_ms(text, now_ms)
    except TimeError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def _symbols(text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    names = tuple(name.strip().upper() for name in text.split(",") if name.strip())
    if not names or not all(re.fullmatch(r"[A-Z0-9]{2,20}", name) for name in names):
        raise typer.BadParameter(f"{text!r} is not like BTCUSDT,ETHUSDT", param_hint="--symbol")
    return names


def _statuses(text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names or not set(names) <= set(STATUSES):
        raise typer.BadParameter(f"{text!r} is not made of {', '.join(STATUSES)}", param_hint="--status")
    return names
