"""The command `shadow report`: what the orders of two venues had in common, and what not."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from worker.cli_options import AsJson, ConfigFile, OutputFolder, earlier, given_of
from worker.durations import seconds_of

_EPOCH_MS = re.compile(r"[1-9][0-9]{12}")

shadow_app = typer.Typer(
    help="Look at the shadow venue: shadow report compares it with the main one.", no_args_is_help=True
)


@shadow_app.command(short_help="Compare the orders of the two venues.")
def report(
    ctx: typer.Context,
    since: Annotated[
        str | None,
        typer.Option(
            "--since", metavar="TIME", help="The last 90s, 15m, 2h or 1d, or UTC ms [default: all there is]."
        ),
    ] = None,
    config: ConfigFile = None,
    output: OutputFolder = None,
    as_json: AsJson = False,
) -> None:
    """Show how alike the shadow venue's outcomes are to the main one's, and the pairs that differ.

    Works while the worker runs and after.
    """
    from config.seams import SystemClock
    from worker.shadow_report import print_report

    since_ms = _since_ms(since, SystemClock().wall_ms())
    loaded = given_of(config, output=output).over(earlier(ctx)).load()
    raise typer.Exit(print_report(loaded, since_ms=since_ms, as_json=as_json))


def _since_ms(text: str | None, now_ms: int) -> int:
    if text is None:
        return 0
    if _EPOCH_MS.fullmatch(text):
        return int(text)
    age_s = seconds_of(text)
    if age_s is None:
        raise typer.BadParameter(
            f"{text!r} is neither like 90s, 15m, 2h or 1d, nor UTC milliseconds such as 1700000000000",
            param_hint="--since",
        )
    return max(0, now_ms - age_s * 1_000)
