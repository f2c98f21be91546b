"""What the commands `store backup`, `store restore` and `store verify` do and print."""

from __future__ import annotations

import json
import os
from pathlib import Path

import typer

from config.load import Loaded
from config.seams import SystemClock
from store.backup import back_up
from store.findings import Rules
from store.paths import DATABASE
from store.restore import put_back
from store.verify import Verdict, verify
from streams.choice import SOURCE_KINDS
from worker.exits import Exit
from worker.parts import EXECUTIONS_FOLDER
from worker.planning import client_order_id
from worker.requests import who_asks

# The verifier's own answers, as its contract gives them.
CLEAN, FOUND = 0, 1
# The worker goes first wherever the two want the same processor.
NICENESS = 10

RULES = Rules(wire_id=client_order_id, sources=SOURCE_KINDS)


def folder_of(loaded: Loaded) -> Path:
    """The folder of the store that the settings name."""
    return loaded.settings.execution.output_dir / EXECUTIONS_FOLDER


def print_backup(loaded: Loaded, to: Path, *, keep: int | None, force: bool, as_json: bool) -> int:
    """Make a backup and tell of it. Raises StoreError."""
    os.nice(NICENESS)
    path = folder_of(loaded) / DATABASE
    if not path.exists():
        typer.echo(f"execution-worker: there is no store {path}: name its folder with --output", err=True)
        return Exit.NOT_RUNNING
    made = back_up(path, to, clock=SystemClock(), force=force, keep=keep, check=findings_of)
    if as_json:
        values = {
            "path": str(made.path),
            "bytes": made.size,
            "rows": made.rows,
            "seconds": round(made.took_s, 3),
            "pruned": made.pruned,
        }
        typer.echo(json.dumps(values))
        return Exit.OK
    typer.echo(f"{made.path}: {made.size} bytes, {made.rows} rows, {made.took_s:.1f} s, verified")
    for name in made.pruned:
        typer.echo(f"deleted {name}")
    return Exit.OK


def findings_of(path: Path) -> list[str]:
    """What is wrong with a copy, in sentences: pages, rows and events."""
    return [found.text for found in verify(path, RULES, quick=True, files=False).findings.told]


def print_restore(loaded: Loaded, source: Path, *, force: bool) -> int:
    """Put a backup in place and tell of it. Raises StoreError."""
    folder = folder_of(loaded)
    wanted = {"mode": loaded.settings.execution.mode.value}
    done = put_back(
        source, folder, clock=SystemClock(), stamps=wanted, force=force, check=findings_of, who=who_asks()
    )
    typer.echo(
        f"{folder / DATABASE} is the backup {source} now: {done.rows} rows, the last of {done.last_at}"
    )
    if done.aside is not None:
        typer.echo(f"what was there before lies in {done.aside}")
    typer.echo(
        "signals from after the backup are read again: on testnet and live the next start first looks "
        "for their orders at the exchange, elsewhere they are recorded again"
    )
    return Exit.OK


def print_verdict(loaded: Loaded, store: Path | None, *, deep: bool, as_json: bool) -> int:
    """Verify and tell; 0 clean, 1 something was found. Raises UnverifiableError (2)."""
    path = folder_of(loaded) if store is None else store
    if path.is_dir():
        inside = path / EXECUTIONS_FOLDER
        path = (inside if (inside / DATABASE).exists() else path) / DATABASE
    verdict = verify(path, RULES, deep=deep)
    typer.echo(json.dumps(_as_values(verdict), indent=2) if as_json else _as_text(verdict))
    return CLEAN if verdict.clean else FOUND


def _as_values(verdict: Verdict) -> dict[str, object]:
    return {
        "path": str(verdict.path),
        "clean": verdict.clean,
        "rows": verdict.rows,
        "events": verdict.events,
        "files": verdict.files,
        "in_use_by": verdict.in_use_by,
        "counts": dict(verdict.findings.counts),
        "findings": [{"code": found.code, "text": found.text} for found in verdict.findings.told],
        "notes": verdict.findings.notes,
    }


def _as_text(verdict: Verdict) -> str:
    findings = verdict.findings
    lines = [f"{found.code:<12} {found.text}" for found in findings.told]
    for code, count in findings.counts.items():
        told = sum(found.code == code for found in findings.told)
        if count > told:
            lines.append(f"{code:<12} and {count - told} more of these")
    lines += [f"note         {text}" for text in findings.notes]
    total = sum(findings.counts.values())
    said = "clean" if verdict.clean else f"{total} findings; docs/store_care.md says what to do about each"
    lines.append(
        f"{verdict.path}: {verdict.rows} rows, {verdict.events} events, {verdict.files} files: {said}"
    )
    return "\n".join(lines)
