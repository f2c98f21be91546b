"""The commands `store backup`, `store restore`, `store verify` and `store prune`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from worker.cli_options import AsJson, ConfigFile, OutputFolder, SignalsFolder, earlier, given_of
from worker.durations import seconds_of

store_app = typer.Typer(
    help="Care for the store: back it up, put a backup back, verify it, prune it.", no_args_is_help=True
)


@store_app.command(short_help="Copy the store while the worker runs.")
def backup(
    ctx: typer.Context,
    to: Annotated[
        Path,
        typer.Option("--to", metavar="FILE|DIR", help="A file, or a folder: then the name tells the time."),
    ],
    keep: Annotated[
        int | None,
        typer.Option(
            "--keep", metavar="N", min=1, help="Delete older backups of this store there but the last N."
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that is there.")] = False,
    config: ConfigFile = None,
    output: OutputFolder = None,
    as_json: AsJson = False,
) -> None:
    """Copy the whole store into one file of mode 0600, while the worker runs, and verify the copy."""
    from worker.store_care import print_backup

    loaded = given_of(config, output=output).over(earlier(ctx)).load(trades=False)
    raise typer.Exit(print_backup(loaded, to, keep=keep, force=force, as_json=as_json))


@store_app.command(short_help="Put a backup in the place of the store.")
def restore(
    ctx: typer.Context,
    source: Annotated[Path, typer.Option("--from", metavar="FILE", help="The backup.")],
    force: Annotated[
        bool, typer.Option("--force", help="Also where the backup is of another store than the one in place.")
    ] = False,
    config: ConfigFile = None,
    output: OutputFolder = None,
) -> None:
    """Put a backup in the place of the store; what was there is kept aside. No worker may run meanwhile.

    On testnet and live the next start looks for orders that the backup does not know of before it sends any.
    """
    from worker.store_care import print_restore

    loaded = given_of(config, output=output).over(earlier(ctx)).load(trades=False)
    raise typer.Exit(print_restore(loaded, source, force=force))


@store_app.command(short_help="Verify the store, or a backup of it.")
def verify(
    ctx: typer.Context,
    store: Annotated[
        Path | None,
        typer.Option(
            "--store", metavar="FILE|DIR", help="A backup, or a store's folder [default: of --output]."
        ),
    ] = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Also the execution log, and keys without their indexes.")
    ] = False,
    config: ConfigFile = None,
    output: OutputFolder = None,
    as_json: AsJson = False,
) -> None:
    """Verify that the store is whole and keeps its own rules; works while the worker runs.

    Ends with 0 when it is clean, with 1 when something was found, with 2 when there is nothing to verify.
    """
    from worker.store_care import print_verdict

    loaded = given_of(config, output=output).over(earlier(ctx)).load(trades=False)
    raise typer.Exit(print_verdict(loaded, store, deep=deep, as_json=as_json))


@store_app.command(short_help="Take old rows out of the store.")
def prune(
    ctx: typer.Context,
    older_than: Annotated[
        str, typer.Option("--older-than", metavar="TIME", help="Outcomes older than this, like 12h or 90d.")
    ] = "90d",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, change nothing.")] = False,
    why: Annotated[
        str, typer.Option("--why", metavar="TEXT", help="The reason, kept in the audit trail.")
    ] = "retention",
    config: ConfigFile = None,
    output: OutputFolder = None,
    signals: SignalsFolder = None,
    as_json: AsJson = False,
) -> None:
    """Take old rows and their events out of the store, through the running worker or without one.

    What is unsettled stays, and what a source may still deliver, and what the exchange may still ask about.
    """
    from worker.store_prune import print_prune

    age_s = seconds_of(older_than)
    if age_s is None:
        raise typer.BadParameter(f"{older_than!r} is not like 12h or 90d", param_hint="--older-than")
    loaded = given_of(config, output=output, signals=signals).over(earlier(ctx)).load(trades=False)
    raise typer.Exit(print_prune(loaded, age_s * 1_000, why=why, dry_run=dry_run, as_json=as_json))
