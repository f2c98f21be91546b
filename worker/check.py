"""`check`: may the worker start? Every doubt in a row, with what to do about it.

It looks and changes nothing: the output folder is probed with a file that is gone again, lock and
port are given back at once, the producer's database is not opened. On testnet and live the exchange is
asked what a start asks it, in paper the source of prices; no order is placed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import typer

from adapters.registry import available_modes
from config.errors import ConfigError
from config.load import Loaded, credentials_redactor
from config.redact import Redactor
from config.seams import Clock
from config.settings import Mode
from config.strategy_mode import StrategySettings
from store.lock import lock_holder
from worker.check_host import host_rows
from worker.check_notify import notify_rows
from worker.check_output import control_rows, output_rows, stamps_of
from worker.check_source import source_rows
from worker.doubt import Level, Row, as_table, fail, ok, warn
from worker.exits import Exit
from worker.parts import EXECUTIONS_FOLDER

WARNED = "mend it where the sentence points; execution-worker config show tells what is in force"


def check(loaded: Loaded, environ: Mapping[str, str], clock: Clock, *, as_json: bool = False) -> int:
    """Print every doubt; 0 when none of them is a failure, 78 otherwise."""
    execution = loaded.settings.execution
    rows = [
        *host_rows(clock),
        *settings_rows(loaded),
        *source_rows(execution, stamps_of(execution.output_dir / EXECUTIONS_FOLDER).get("source_kind")),
        *output_rows(execution),
        *control_rows(execution.http.token_file, environ),
        *notify_rows(loaded.settings, environ),
    ]
    if execution.mode is Mode.PAPER:
        from worker.check_paper import paper_rows

        rows += paper_rows(loaded.settings, clock)
    if execution.mode.touches_exchange:
        # 0.2 s of imports that other modes need not pay.
        from worker.check_exchange import exchange_rows

        rows += exchange_rows(loaded.settings, environ, clock)
    if execution.shadow.enabled:
        from worker.check_shadow import shadow_rows

        rows += shadow_rows(loaded.settings, environ, clock)
    runs = lock_holder(execution.output_dir / EXECUTIONS_FOLDER)
    return _print(rows, credentials_redactor(loaded.settings, environ), as_json=as_json, runs=runs)


def check_without_settings(error: ConfigError, clock: Clock, *, as_json: bool = False) -> int:
    """What can be said when the configuration is unusable: its problems, and the host; 78."""
    rows = list(host_rows(clock))
    rows += [fail("configuration", problem, "") for problem in error.problems]
    return _print(rows, Redactor([]), as_json=as_json)


def settings_rows(loaded: Loaded) -> Iterator[Row]:
    """The configuration: what it warns of, and what it asks for."""
    execution = loaded.settings.execution
    changed = sum(not origin.startswith("default") for origin in loaded.origins.values())
    yield ok("configuration", f"{changed} of {len(loaded.origins)} settings given, the rest are defaults")
    for warning in loaded.warnings:
        yield warn("configuration", warning, WARNED)
    if not execution.enabled:
        where = loaded.origins["execution.enabled"]
        yield warn("enabled", f"execution.enabled is false ({where}): a start ends at once", "set it to true")
    yield ok("symbols", ", ".join(execution.symbols))
    yield mode_row(execution.mode.value, loaded.origins["execution.mode"], available_modes())
    if loaded.strategy is not None:
        yield strategy_row(loaded.strategy)


def strategy_row(strategy: StrategySettings) -> Row:
    """What the strategy mode sets in the place of execution.business.order_size_usd and its like."""
    sizes = ", ".join(
        f"{name} {profile.order_size_usd} USD an order and {profile.max_concurrency} at a time"
        for name, profile in (("active", strategy.active), ("quiet", strategy.quiet))
    )
    return ok("strategy_mode", f"{strategy.mode.value}: {sizes}")


def mode_row(mode: str, origin: str, available: frozenset[str]) -> Row:
    """Whether this version can execute in the mode."""
    if mode in available:
        return ok("mode", mode)
    names = ", ".join(sorted(available))
    noun = "adapter" if len(available) == 1 else "adapters"
    return fail(
        "mode",
        f"execution.mode is {mode}, this version has the {noun} {names} only ({origin})",
        "set execution.mode or --mode to one of them",
    )


def _print(rows: list[Row], redactor: Redactor, *, as_json: bool, runs: int | None = None) -> int:
    failed = any(row.level is Level.FAIL for row in rows)
    if as_json:
        told = [
            {
                "level": row.level.value,
                "subject": row.subject,
                "finding": redactor.text(row.finding),
                "remedy": redactor.text(row.remedy),
            }
            for row in rows
        ]
        typer.echo(json.dumps({"may_start": not failed, "rows": told}, indent=2))
    else:
        typer.echo(redactor.text(as_table(rows, runs=runs)))
    return Exit.CONFIGURATION if failed else Exit.OK
