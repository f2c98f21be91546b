"""`execution-worker shadow report`: how alike the two venues did, and where they did not.

It reads what the worker has written, whether one runs or not.
"""

from __future__ import annotations

import os
import sys

import msgspec

from adapters.shadow_pairs import COUNTS, Pair
from config.load import Loaded
from worker.exits import Exit
from worker.parts import EXECUTIONS_FOLDER
from worker.shadow_files import FOLDER, Kept, read_pairs
from worker.when import moment

PAIRS_SHOWN_MAX = 20
_HEADS = ("compared at", "symbol", "side", "qty", "signal", "main", "shadow")


def print_report(loaded: Loaded, *, since_ms: int, as_json: bool) -> int:
    """Print what was compared since then; exit 65 when nothing was kept or it cannot be read."""
    folder = loaded.settings.execution.output_dir / EXECUTIONS_FOLDER / FOLDER
    try:
        kept = read_pairs(folder, since_ms=since_ms, pairs_max=PAIRS_SHOWN_MAX)
    except OSError as error:
        why = os.strerror(error.errno or 0)
        sys.stderr.write(f"{folder} cannot be read ({why}): run it as the worker's user\n")
        return Exit.DATA
    if not (kept.counts or kept.pairs):
        sys.stderr.write(
            f"{folder} holds no pair of orders since then: run the worker with "
            "execution.shadow.enabled, or name its folder with --output\n"
        )
        return Exit.DATA
    sys.stdout.write(as_json_text(kept) if as_json else as_text(kept))
    return Exit.OK


def parity_of(kept: Kept) -> float:
    """Like pairs by compared ones, 1 while there is none."""
    compared = _compared(kept)
    return kept.counts["alike"] / compared if compared else 1.0


def as_json_text(kept: Kept) -> str:
    """For programs: the same, with the pairs as they are kept."""
    told: dict[str, object] = {
        "compared": _compared(kept),
        **{str(what): kept.counts[what] for what in COUNTS},
        "parity": parity_of(kept),
        "why_not_compared": dict(kept.why_not),
        "differences": dict(kept.kinds.most_common()),
        "pairs": kept.pairs,
        "unreadable_lines": kept.unreadable,
    }
    return msgspec.json.format(msgspec.json.encode(told), indent=2).decode() + "\n"


def as_text(kept: Kept) -> str:
    """For people."""
    why = ", ".join(f"{reason} {count}" for reason, count in kept.why_not.most_common())
    counts = kept.counts
    lines = [
        f"compared      {_compared(kept)}: {counts['alike']} alike, {counts['different']} different",
        f"parity        {parity_of(kept):.4f}",
        f"not compared  {counts['not_compared']}" + (f" ({why})" if why else ""),
        f"dropped       {counts['dropped']}",
    ]
    if kept.unreadable:
        lines.append(f"unreadable    {kept.unreadable} lines")
    if kept.kinds:
        lines += ["", "differences"]
        lines += [f"{count:>8}  {kind}" for kind, count in kept.kinds.most_common()]
        total = kept.kinds.total()
        shown = f"the first {len(kept.pairs)} of {total}" if total > len(kept.pairs) else f"all {total}"
        lines += ["", f"pairs that differ, {shown}", *_table(kept.pairs)]
    return "\n".join(lines) + "\n"


def _compared(kept: Kept) -> int:
    return kept.counts["alike"] + kept.counts["different"]


def _table(pairs: list[Pair]) -> list[str]:
    rows = [_HEADS, *(_row(pair) for pair in pairs)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def _row(pair: Pair) -> tuple[str, ...]:
    told = []
    for outcome in (pair.main, pair.shadow):
        price = "" if outcome.price is None else f" at {outcome.price:f}"
        told.append(f"{outcome.status}{price}" + ("" if outcome.reason is None else f" ({outcome.reason})"))
    return (moment(pair.at_ms), pair.symbol, pair.side, f"{pair.qty:f}", pair.signal_id, *told)
