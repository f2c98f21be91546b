"""The command line: what was asked, and which part of the worker answers.

Nothing heavy is imported at the top: `--help` and a mistyped option answer at once, and a start
pays only for what it uses. An operator's mistake ends in a sentence and an exit code; a traceback
means a bug.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from config.errors import ConfigError
from store.errors import StoreError
from worker.cli_account import account, cancel_all, flatten
from worker.cli_controls import halt, resolve, resume
from worker.cli_drill import drill
from worker.cli_exchange import exchange
from worker.cli_health import healthcheck
from worker.cli_look import executions, export, report, top
from worker.cli_notify import notify_app
from worker.cli_options import (
    AsJson,
    ConfigFile,
    LogLevelOption,
    ModeOption,
    OutputFolder,
    ShapeName,
    SignalsFolder,
    SinkOption,
    Symbols,
    earlier,
    given_of,
)
from worker.cli_pages import completion, man
from worker.cli_replay import replay
from worker.cli_shadow import shadow_app
from worker.cli_store import store_app
from worker.exits import Exit
from worker.options import RunOptions

if TYPE_CHECKING:
    from config.load import Loaded

PROGRAM = "execution-worker"

OVERVIEW = """Turn each trading signal into at most one order, and record what became of it.

Without a command the worker runs: it reads signals, executes them, and goes on until SIGTERM or
Ctrl-C. Orders leave only in mode testnet and live; the default mode, dry_run, records what it
would have done.
"""

EPILOGUE = """Example:

\b
  execution-worker sample --shape v1-jsonl --count 300 --rate 0 --into ./runtime
  execution-worker check --output ./runtime
  execution-worker --symbols BTCUSDT,ETHUSDT --output ./runtime --once
  execution-worker status --output ./runtime

Each option overrides its environment variable, which overrides the --config file, which overrides
the defaults. `execution-worker config show` lists every setting with its value and its origin.

\b
Exit codes:
   0  done, or stopped as asked     69  exchange unavailable
   1  a bug; the traceback says it  73  the store or an output cannot be written
   2  wrong usage                   75  another worker holds this store or account
   3  no worker is running          77  not permitted
  65  input that cannot be used     78  wrong configuration; each problem is listed
"""


class _Group(TyperGroup):
    """Turns what an operator may cause into a sentence and an exit code, for every command alike."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except ConfigError as error:
            _complain(error.problems)
            raise typer.Exit(Exit.CONFIGURATION) from None
        except StoreError as error:
            _complain((str(error),))
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            raise typer.Exit(Exit.INTERRUPTED) from None


app = typer.Typer(
    name=PROGRAM,
    cls=_Group,
    help=OVERVIEW,
    epilog=EPILOGUE,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    invoke_without_command=True,
    subcommand_metavar="[COMMAND]",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
config_app = typer.Typer(help="Look at the configuration: config show lists it.", no_args_is_help=True)
app.add_typer(config_app, name="config")
app.add_typer(shadow_app, name="shadow")
app.add_typer(notify_app, name="notify")
app.add_typer(store_app, name="store")


def main() -> None:
    """The console script."""
    app(prog_name=PROGRAM)


def _complain(problems: tuple[str, ...]) -> None:
    if len(problems) == 1:
        typer.echo(f"{PROGRAM}: {problems[0]}", err=True)
        return
    typer.echo(f"{PROGRAM}: the configuration has {len(problems)} problems", err=True)
    for problem in problems:
        typer.echo(f"  {problem}", err=True)


def _warn(loaded: Loaded) -> None:
    for warning in loaded.warnings:
        typer.echo(f"{PROGRAM}: warning: {warning}", err=True)


def _start(text: str | None) -> str | int | None:
    """`beginning`, `now`, or UTC epoch milliseconds; raises BadParameter otherwise."""
    if text is None or text in ("beginning", "now"):
        return text
    if not re.fullmatch(r"[1-9][0-9]{12}", text):
        raise typer.BadParameter(
            f"{text!r} is none of beginning, now, or UTC milliseconds such as 1700000000000",
            param_hint="--start",
        )
    return int(text)


def _print_version(wanted: bool) -> None:
    if not wanted:
        return
    from worker.version import VERSION

    typer.echo(f"{PROGRAM} {VERSION}")
    raise typer.Exit(Exit.OK)


@app.callback()
def run(
    ctx: typer.Context,
    config: ConfigFile = None,
    symbols: Symbols = None,
    mode: ModeOption = None,
    sink: SinkOption = None,
    signals: SignalsFolder = None,
    output: OutputFolder = None,
    log_level: LogLevelOption = None,
    start: Annotated[
        str | None,
        typer.Option(
            metavar="WHERE",
            help="First start on old signals: beginning, now or UTC ms [default: now on testnet, live].",
        ),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Execute what is there, then end with 0.")] = False,
    accept_source_change: Annotated[
        bool,
        typer.Option(
            "--accept-source-change",
            help="Go on although the source is another one than before; begins at now.",
        ),
    ] = False,
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and end."),
    ] = False,
) -> None:
    options = RunOptions(once=once, start=_start(start), accept_source_change=accept_source_change)
    given = given_of(config, symbols, mode, sink, signals, output, log_level)
    ctx.obj = given
    if ctx.invoked_subcommand is None:
        raise typer.Exit(_run_daemon(given.load(), options))
    if options != RunOptions():
        raise typer.BadParameter(
            f"--start, --once and --accept-source-change belong to a run, not to {ctx.invoked_subcommand}"
        )


def _run_daemon(loaded: Loaded, options: RunOptions) -> int:
    if not loaded.settings.execution.enabled:
        origin = loaded.origins["execution.enabled"]
        typer.echo(f"{PROGRAM}: execution.enabled is false ({origin}): nothing is executed")
        from worker.notify import Notifier

        # A unit that ends before it was ready counts as failed; this end is the wanted one.
        Notifier.from_environment(os.environ).ready()
        return Exit.OK
    from worker.app import run as run_worker

    return run_worker(loaded, options)


@app.command(short_help="Say whether the worker may start, and what to mend.")
def check(
    ctx: typer.Context,
    config: ConfigFile = None,
    symbols: Symbols = None,
    mode: ModeOption = None,
    sink: SinkOption = None,
    signals: SignalsFolder = None,
    output: OutputFolder = None,
    as_json: AsJson = False,
) -> None:
    """Say whether the worker may start: every doubt in a row, with what to do; ends with 0 or 78."""
    from config.seams import SystemClock
    from worker.check import check as check_all
    from worker.check import check_without_settings

    given = given_of(config, symbols, mode, sink, signals, output).over(earlier(ctx))
    clock = SystemClock()
    try:
        loaded = given.load()
    except ConfigError as error:
        raise typer.Exit(check_without_settings(error, clock, as_json=as_json)) from None
    raise typer.Exit(check_all(loaded, os.environ, clock, as_json=as_json))


@app.command(short_help="Show what the worker did and does.")
def status(
    ctx: typer.Context, config: ConfigFile = None, output: OutputFolder = None, as_json: AsJson = False
) -> None:
    """Show what a worker did and does: counts, lag, what is unresolved; ends with 3 when none runs."""
    from worker.status import print_status

    loaded = given_of(config, output=output).over(earlier(ctx)).load(trades=False)
    _warn(loaded)
    raise typer.Exit(print_status(loaded, as_json=as_json))


@app.command(short_help="Tell the history of one signal, and why.")
def inspect(
    ctx: typer.Context,
    signal_id: Annotated[
        str, typer.Argument(help="The id of a signal, or the client order id of its order.")
    ],
    config: ConfigFile = None,
    output: OutputFolder = None,
    signals: SignalsFolder = None,
    as_json: AsJson = False,
) -> None:
    """Tell the whole history of one signal: each step, its time, its reason, and the original line."""
    from worker.inspect import print_inspection

    loaded = given_of(config, output=output, signals=signals).over(earlier(ctx)).load(trades=False)
    _warn(loaded)
    raise typer.Exit(print_inspection(loaded, signal_id, as_json=as_json))


@config_app.command("show", short_help="List every setting, its value and its origin.")
def show(
    ctx: typer.Context,
    config: ConfigFile = None,
    symbols: Symbols = None,
    mode: ModeOption = None,
    sink: SinkOption = None,
    signals: SignalsFolder = None,
    output: OutputFolder = None,
    as_json: AsJson = False,
) -> None:
    """List every setting with its value and where that came from; credentials never appear."""
    from config.load import credentials_redactor
    from config.show import as_json as json_of
    from config.show import as_text

    loaded = given_of(config, symbols, mode, sink, signals, output).over(earlier(ctx)).load()
    redactor = credentials_redactor(loaded.settings, os.environ)
    _warn(loaded)
    typer.echo(json_of(loaded, redactor) if as_json else as_text(loaded, redactor))


@app.command(short_help="Write sample signals, to try the worker.")
def sample(
    shape: Annotated[
        ShapeName, typer.Option(metavar="SHAPE", help="v1-jsonl, v2-jsonl, v1-sqlite or v2-sqlite.")
    ] = "v1-jsonl",
    rate: Annotated[
        float, typer.Option(metavar="N", min=0, max=1e6, help="Signals per second; 0 is as fast as possible.")
    ] = 5,
    seconds: Annotated[
        float | None,
        typer.Option(metavar="S", min=0, help="End after this long [default: until --count or Ctrl-C]."),
    ] = None,
    count: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="End after this many signals.")
    ] = None,
    symbols: Annotated[
        str, typer.Option(metavar="A,B", help="Symbols to write signals of.")
    ] = "BTCUSDT,ETHUSDT",
    seed: Annotated[int, typer.Option(metavar="K", help="The same seed gives the same signals.")] = 1,
    into: Annotated[Path, typer.Option(metavar="DIR", help="Folder to write below.")] = Path("./runtime"),
) -> None:
    """Write sample signals exactly as the producer does, to try the worker without one."""
    names = [name.strip().upper() for name in symbols.split(",") if name.strip()]
    if not names or not all(re.fullmatch(r"[A-Z0-9]{2,20}", name) for name in names):
        raise typer.BadParameter(f"{symbols!r} is not like BTCUSDT,ETHUSDT", param_hint="--symbols")
    if rate == 0 and count is None and seconds is None:
        raise typer.BadParameter("--rate 0 needs --count or --seconds, or it would fill the disk")
    from config.seams import SystemClock, seeded_random
    from worker.sample import run_sample

    code = run_sample(
        shape=shape,
        rate=rate,
        seconds=seconds,
        symbols=names,
        seed=seed,
        into=into,
        clock=SystemClock(),
        random=seeded_random(seed),
        count=count,
    )
    raise typer.Exit(code)


app.command(short_help="Stop new orders at once, until resume.")(halt)
app.command(short_help="End a halt; no backlog is sent.")(resume)
app.command(short_help="Record what became of an order by hand.")(resolve)
app.command(short_help="Show the account at the exchange.")(account)
app.command("cancel-all", short_help="Cancel all working orders at the exchange.")(cancel_all)
app.command(short_help="Close one position at the exchange.")(flatten)
app.command(short_help="Run a practice exchange on loopback.")(exchange)
app.command(short_help="Replay signals of the past on a simulated venue.")(replay)
app.command(short_help="Say whether the running worker is ready.")(healthcheck)
app.command(short_help="List executions, the newest first.")(executions)
app.command(short_help="Write executions to a Parquet, CSV or JSON Lines file.")(export)
app.command(short_help="Tell what orders came to, as text and as a page.")(report)
app.command(short_help="Kill a worker again and again, and judge what is left.")(drill)
app.command(short_help="Watch the worker in the terminal.")(top)
app.command(short_help="Print the completion script of a shell.")(completion)
app.command(short_help="Print the man page.")(man)
