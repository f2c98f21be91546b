"""The command `drill`: does this installation keep its promise on this host, under kills and faults?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from worker.cli_options import AsJson, ConfigFile, OutputFolder, earlier, given_of

if TYPE_CHECKING:
    from config.load import Loaded

KindName = Literal["restart", "feed", "exchange", "disk", "clock", "all"]
KILLS_MAX = 100_000

Kind = Annotated[
    KindName, typer.Argument(metavar="KIND", help="restart, feed, exchange, disk, clock, or all of them.")
]
Kills = Annotated[
    int,
    typer.Option(
        "--kills", metavar="N", min=1, max=KILLS_MAX, help="SIGKILLs, shared out among the drills of KIND."
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(
        "--seed",
        metavar="K",
        min=0,
        max=2**31 - 1,
        help="Decides signals, faults and moments [default: any].",
    ),
]
Report = Annotated[
    Path | None, typer.Option("--report", metavar="FILE", help="Also write the report, one HTML file, here.")
]
Into = Annotated[
    Path | None,
    typer.Option("--into", metavar="DIR", help="Folder for the evidence [default: drills, below --output]."),
]


def drill(
    ctx: typer.Context,
    kind: Kind,
    kills: Kills = 20,
    seed: Seed = None,
    report: Report = None,
    into: Into = None,
    config: ConfigFile = None,
    output: OutputFolder = None,
    as_json: AsJson = False,
) -> None:
    """Kill a worker, its feed and a practice exchange again and again, and judge what is left.

    They run in a fresh folder and speak to loopback alone. Nothing of your environment reaches them: no
    key, no address, no confirmation. Ends with 0 when nothing was lost and nothing doubled, else with 1.
    """
    from config.seams import SystemClock
    from worker.drill.command import DrillOptions, run_drill

    given = given_of(config, output=output).over(earlier(ctx))
    loaded: Loaded | None = None
    if into is None or given.config is not None:
        # Where the evidence goes and who is told of a failure; the mode is not the drill's business.
        given.overrides["execution.mode"] = "dry_run"
        loaded = given.load()
    if into is None:
        assert loaded is not None
        into = loaded.settings.execution.output_dir / "drills"
    options = DrillOptions(kind, kills, into, seed, report, as_json)
    code, why = run_drill(options, SystemClock())
    if why is not None and loaded is not None:
        _tell(loaded, why)
    raise typer.Exit(code)


def _tell(loaded: Loaded, why: str) -> None:
    """To whoever the settings name for a drill that failed."""
    from worker.notices.say import say_once

    for sentence in say_once(loaded.settings, "drill_failed", {"why": why}):
        typer.echo(f"execution-worker: {sentence}", err=True)
