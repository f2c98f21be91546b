"""What differs between two runs over the same signals: replays, or what a worker recorded.

Two executions are a pair by their signal: time, symbol and id. What must differ between modes, as the prefix
of the order id or the moment, is not looked at. One symbol is in memory at a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import msgspec

from worker.replay_output import EXECUTIONS

FIELDS = ("side", "status", "error_code", "qty", "price")
# dry_run records a fixed quantity and the signal's own price.
FIELDS_OF_A_FILL = ("qty", "price")
DRY_RUN = "dry_run"
PAIRS_SHOWN = 20
ALONE_SHOWN = 3
WHERES = ("only here", "only there")

Key = tuple[int, str, str]


class CompareError(Exception):
    """A run cannot be compared; the message is the whole sentence."""


class _Meta(msgspec.Struct):
    mode: str | None = None


class _Execution(msgspec.Struct):
    signal_ts_ms: int
    symbol: str
    signal_id: str
    side: str
    status: str
    error_code: str | None
    qty: Decimal | None
    price: Decimal | None
    meta_json: _Meta


_decode = msgspec.json.Decoder(_Execution).decode


@dataclass(slots=True)
class Comparison:
    """What was found; `pairs` are the first that differ, in order of time, as (key, field, here, there)."""

    equal: int = 0
    differing: int = 0
    fields: Counter[str] = field(default_factory=Counter)
    only_here: int = 0
    only_there: int = 0
    fills_compared: bool = True
    pairs: list[tuple[Key, list[tuple[str, str, str]]]] = field(default_factory=list)
    alone: list[tuple[Key, str]] = field(default_factory=list)

    @property
    def is_equal(self) -> bool:
        """Whether both runs say the same."""
        return not (self.differing or self.only_here or self.only_there)

    def told(self) -> dict[str, object]:
        """For programs."""
        return {
            "equal": self.equal,
            "differing": self.differing,
            "fields": {name: self.fields[name] for name in FIELDS if self.fields[name]},
            "only_here": self.only_here,
            "only_there": self.only_there,
            "qty_and_price_compared": self.fills_compared,
            "first_differing": [
                {
                    "signal_ts_ms": key[0],
                    "symbol": key[1],
                    "signal_id": key[2],
                    **{name: [here, there] for name, here, there in values},
                }
                for key, values in self.pairs
            ],
        }

    def lines(self) -> list[str]:
        """For people."""
        lines = [
            f"compared: {self.equal} equal, {self.differing} differ,"
            f" {self.only_here} only here, {self.only_there} only there"
        ]
        if not self.fills_compared:
            lines.append("qty and price were not compared: dry_run records a fixed quantity and no fill")
        if self.fields:
            counts = ", ".join(f"{name} {self.fields[name]}" for name in FIELDS if self.fields[name])
            lines.append(f"differing fields: {counts}")
        for key, where in self.alone:
            lines.append(f"  {_shown(key)}: {where}")
        if self.pairs:
            more = ", the first of them" if self.differing > len(self.pairs) else ""
            lines.append(f"differing executions, here and there{more}:")
        for key, values in self.pairs:
            told = "; ".join(f"{name} {here} | {there}" for name, here, there in values)
            lines.append(f"  {_shown(key)}: {told}")
        return lines


def _shown(key: Key) -> str:
    return f"{key[0]} {key[1]} {key[2]}"


def executions_folder(run: Path) -> Path:
    """Where the executions of a run stand: below its folder, or in it. Raises CompareError."""
    for folder in (run / EXECUTIONS, run):
        if next(folder.glob("*/exec_*.jsonl"), None) is not None:
            return folder
    raise CompareError(
        f"{run} has no executions/SYMBOL/exec_*.jsonl: name a replay or a worker's output folder"
    )


def compare(here: Path, there: Path, symbols: Sequence[str] | None = None) -> Comparison:
    """The executions below two folders, pair by pair. Raises CompareError."""
    found = Comparison()
    names = {path.parent.name for folder in (here, there) for path in folder.glob("*/exec_*.jsonl")}
    for symbol in sorted(names if symbols is None else names & set(symbols)):
        _compare_symbol(found, _read(here / symbol), _read(there / symbol))
    found.pairs = sorted(found.pairs)[:PAIRS_SHOWN]
    found.alone = [each for where in WHERES for each in _first_of(found.alone, where)]
    return found


def _first_of(alone: Sequence[tuple[Key, str]], where: str) -> list[tuple[Key, str]]:
    return sorted(each for each in alone if each[1] == where)[:ALONE_SHOWN]


def _compare_symbol(found: Comparison, ours: Iterator[_Execution], theirs: Iterator[_Execution]) -> None:
    left: dict[Key, _Execution] = {}
    for execution in theirs:
        left.setdefault((execution.signal_ts_ms, execution.symbol, execution.signal_id), execution)
    alone = [0, 0]
    for execution in ours:
        key = (execution.signal_ts_ms, execution.symbol, execution.signal_id)
        other = left.pop(key, None)
        if other is None:
            _note_alone(found, key, WHERES[0], alone[0])
            alone[0] += 1
            continue
        _compare_pair(found, key, execution, other)
    for key in left:
        _note_alone(found, key, WHERES[1], alone[1])
        alone[1] += 1
    found.only_here += alone[0]
    found.only_there += alone[1]


def _note_alone(found: Comparison, key: Key, where: str, count: int) -> None:
    if count < ALONE_SHOWN:
        found.alone.append((key, where))


def _compare_pair(found: Comparison, key: Key, here: _Execution, there: _Execution) -> None:
    skipped: Sequence[str] = ()
    if (here.meta_json.mode == DRY_RUN) != (there.meta_json.mode == DRY_RUN):
        found.fills_compared = False
        skipped = FIELDS_OF_A_FILL
    values = [
        (name, _text(getattr(here, name)), _text(getattr(there, name)))
        for name in FIELDS
        if name not in skipped and getattr(here, name) != getattr(there, name)
    ]
    if not values:
        found.equal += 1
        return
    found.differing += 1
    found.fields.update(name for name, _, _ in values)
    found.pairs.append((key, values))
    if len(found.pairs) > 100 * PAIRS_SHOWN:
        found.pairs = sorted(found.pairs)[:PAIRS_SHOWN]


def _text(value: object) -> str:
    return "-" if value is None else str(value)


def _read(folder: Path) -> Iterator[_Execution]:
    """The executions of one symbol, file by file. Raises CompareError."""
    for path in sorted(folder.glob("exec_*.jsonl")):
        try:
            with path.open("rb") as file:
                for number, line in enumerate(file, start=1):
                    try:
                        yield _decode(line)
                    except (msgspec.DecodeError, UnicodeDecodeError) as error:
                        raise CompareError(
                            f"{path} line {number} is no execution ({error}): run that again"
                        ) from None
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            raise CompareError(f"{path} cannot be read ({why}): let this user read it") from None
