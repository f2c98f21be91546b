"""The command `notify test`: a message to every receiver, and whether it arrived."""

from __future__ import annotations

import os

import typer

from worker.cli_options import AsJson, ConfigFile, earlier, given_of
from worker.exits import Exit

notify_app = typer.Typer(
    help="Look after messages to people: notify test sends one to everybody.", no_args_is_help=True
)


@notify_app.command("test", short_help="Send a test message to every receiver.")
def send_test(ctx: typer.Context, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Send a test message to every receiver, whatever its events are, and ask for the URL of the ping once.

    Ends with 0 when all of them took it, with 69 when one did not, with 78 when nobody is configured. No
    address is shown.
    """
    from worker.notices.trial import print_trial

    loaded = given_of(config).over(earlier(ctx)).load()
    raise typer.Exit(print_trial(loaded, os.environ, as_json=as_json) or Exit.OK)
