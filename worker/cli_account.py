"""The commands `account`, `cancel-all` and `flatten`: what a person sees and does at the exchange itself.

They speak to the exchange directly, so that they work when no worker does.
"""

from __future__ import annotations

import re
from typing import Annotated

import typer

from worker.cli_options import (
    AsJson,
    ConfigFile,
    ModeOption,
    OutputFolder,
    Symbols,
    earlier,
    given_of,
)
from worker.exits import Exit

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def account(
    ctx: typer.Context,
    config: ConfigFile = None,
    mode: ModeOption = None,
    symbols: Symbols = None,
    output: OutputFolder = None,
    as_json: AsJson = False,
) -> None:
    """Show balances, positions, working orders, and how much of the exchange's and our limits is used."""
    from worker.account import show_account

    loaded = given_of(config, symbols, mode, output=output).over(earlier(ctx)).load()
    raise typer.Exit(show_account(loaded, as_json=as_json))


def cancel_all(
    ctx: typer.Context,
    config: ConfigFile = None,
    mode: ModeOption = None,
    symbols: Symbols = None,
    yes: Yes = False,
) -> None:
    """Cancel every working order of the symbols at the exchange, whoever placed it."""
    from worker.account import cancel_everything

    loaded = given_of(config, symbols, mode).over(earlier(ctx)).load()
    names = loaded.settings.execution.symbols
    _confirm(f"cancel all working orders of {', '.join(names)} on {_where(loaded)}?", yes=yes)
    raise typer.Exit(cancel_everything(loaded))


def flatten(
    ctx: typer.Context,
    symbol: Annotated[str, typer.Argument(help="The symbol whose position shall be closed.")],
    config: ConfigFile = None,
    mode: ModeOption = None,
    yes: Yes = False,
) -> None:
    """Close the position of one symbol with a reduce-only market order. Halt first, or new signals go on."""
    from worker.account import flatten_symbol

    name = symbol.strip().upper()
    if not re.fullmatch(r"[A-Z0-9]{2,20}", name):
        raise typer.BadParameter(f"{symbol!r} is not like BTCUSDT", param_hint="SYMBOL")
    loaded = given_of(config, name, mode).over(earlier(ctx)).load()
    _confirm(f"close the whole position of {name} at the market on {_where(loaded)}?", yes=yes)
    raise typer.Exit(flatten_symbol(loaded, name))


def _where(loaded: object) -> str:
    from config.load import Loaded

    assert isinstance(loaded, Loaded)
    url = loaded.settings.broker.rest_url
    return f"{loaded.settings.execution.mode.value} ({url})" if url else loaded.settings.execution.mode.value


def _confirm(question: str, *, yes: bool) -> None:
    try:
        if yes or typer.confirm(question, err=True):
            return
        told, code = "nothing was done", Exit.OK
    except typer.Abort:
        # Ctrl-C, or nobody there to answer.
        typer.echo(err=True)
        told, code = "nothing was done: there was no answer; add --yes where nobody can be asked", Exit.USAGE
    typer.echo(f"execution-worker: {told}", err=True)
    raise typer.Exit(code)
