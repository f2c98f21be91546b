"""The command `replay`: signals of the past on the simulated venue, as fast as the machine allows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from worker.cli_options import AsJson, ConfigFile, Symbols, earlier, given_of

Signals = Annotated[
    Path,
    typer.Option(
        "--signals",
        metavar="PATH",
        help="A folder with signals, or one file: .jsonl, .parquet, signals.db or signals_v2.db.",
    ),
]
Out = Annotated[
    Path, typer.Option("--out", metavar="DIR", help="Folder to write to: empty, or that of a former replay.")
]
Prices = Annotated[
    Path | None,
    typer.Option(
        "--prices",
        metavar="FILE",
        help="Prices by time, JSON lines or CSV [default: the signals' own, else a fixed 1].",
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(
        "--seed", metavar="K", min=0, max=2**32 - 1, help="Decides what is left to dice [default: 0]."
    ),
]
Processes = Annotated[
    int | None,
    typer.Option(
        "--processes",
        metavar="N",
        min=1,
        help="Symbols of a folder that are replayed at a time [default: as many as cores, if it is long].",
    ),
]
Run = Annotated[
    Path | None,
    typer.Option(
        "--compare",
        metavar="RUN",
        help="Say what differs from an earlier replay, or a worker's output folder; ends with 65 if any.",
    ),
]


def replay(
    ctx: typer.Context,
    signals: Signals,
    out: Out,
    symbols: Symbols = None,
    prices: Prices = None,
    seed: Seed = None,
    config: ConfigFile = None,
    compare: Run = None,
    processes: Processes = None,
    as_json: AsJson = False,
) -> None:
    """Replay signals of the past: decide as the worker decides, fill on the simulated venue.

    Time is that of the signals, so the same input, settings and seed write the same bytes. The venue is
    that of mode paper, with its costs (execution.cost, execution.paper). Rate and concurrency limits, the
    age of signals and halts are not simulated.
    """
    from config.seams import SystemClock
    from worker.replay_run import ReplayOptions, run_replay

    given = given_of(config, symbols, mode="paper").over(earlier(ctx))
    given.overrides.update({"execution.mode": "paper", "execution.paper.seed": seed})
    execution = given.load().settings.execution
    named = given.overrides.get("execution.symbols") is not None
    options = ReplayOptions(
        signals=signals,
        out=out,
        symbols=execution.symbols if named else None,
        prices=prices,
        compare=compare,
        as_json=as_json,
        processes=processes,
    )
    raise typer.Exit(run_replay(options, execution, SystemClock()))
