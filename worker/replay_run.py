"""The command `replay`, put together: settings, prices, venue, input and output, and what is told at the end.

What a user may get wrong ends in one sentence and an exit code, and leaves the output folder as it was.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from adapters.backtest_venue import BacktestError, BacktestVenue
from adapters.paper.positions import Position
from adapters.paper.signal_quotes import SignalQuotes
from config.seams import Clock
from config.settings import Execution, PriceSource
from streams.whole import InputFile, Part, WholeInputError
from worker.exits import Exit
from worker.progress_bar import ProgressBar
from worker.replay import Replay
from worker.replay_compare import CompareError, Comparison, compare, executions_folder
from worker.replay_input import LINES, Input
from worker.replay_output import EXECUTIONS, PRODUCT, ReplayOutput, ReplayOutputError, as_json
from worker.replay_processes import ProcessEndedError, run_jobs
from worker.replay_share import Job, join, joined
from worker.replay_summary import Tally, table
from worker.replay_venue import FIXED_PRICE, replay_venue
from worker.version import VERSION

# Below this a process costs more than it saves: it takes a third of a second to begin.
SHARED_BYTES_MIN = 64 * 2**20
_DIGEST_BYTES = 2**20
_BUSINESS = ("long_score_threshold", "short_score_threshold", "order_size_usd")


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """What one replay was asked to do. `symbols` None: all that are found.

    `processes` is how many may work at a time; None: as many as cores, where the input is worth it.
    """

    signals: Path
    out: Path
    symbols: Sequence[str] | None = None
    prices: Path | None = None
    compare: Path | None = None
    as_json: bool = False
    processes: int | None = None


def run_replay(options: ReplayOptions, execution: Execution, clock: Clock) -> int:
    """Replay, tell, and compare if asked to; the exit code."""
    try:
        summary, comparison = _replay(options, execution, clock)
    except (WholeInputError, CompareError) as error:
        return _complain(Exit.DATA, str(error))
    except BacktestError as error:
        return _complain(Exit.CONFIGURATION, str(error))
    except ReplayOutputError as error:
        return _complain(Exit.CANNOT_WRITE, str(error))
    except ProcessEndedError as error:
        return _complain(Exit.BUG, str(error))
    _tell(options, summary, comparison)
    return Exit.OK if comparison is None or comparison.is_equal else Exit.DATA


def _complain(code: Exit, sentence: str) -> int:
    sys.stderr.write(f"execution-worker: {sentence}\n")
    return code


def _replay(
    options: ReplayOptions, execution: Execution, clock: Clock
) -> tuple[dict[str, object], Comparison | None]:
    there = None if options.compare is None else executions_folder(options.compare)
    price_file = _price_file(options, execution)
    venue = replay_venue(execution, price_file, options.symbols)
    signals = Input(options.signals, options.symbols, execution, clock)
    try:
        output = ReplayOutput(options.out)
        try:
            simulate = _Simulation(options, execution, clock, signals, output)
            summary, digests = simulate.run(venue, price_file)
            files = [file for file in (price_file, execution.paper.rules_file) if file is not None]
            run = _run_of(options, execution, signals, digests, files)
            comparison = None
            if there is not None:
                output.flush()
                comparison = compare(output.part / EXECUTIONS, there, options.symbols)
            output.publish(summary, run)
        finally:
            output.discard()
    finally:
        signals.close()
    return summary, comparison


@dataclass(frozen=True, slots=True)
class _Simulation:
    """The long part: every signal read, decided, filled and written."""

    options: ReplayOptions
    execution: Execution
    clock: Clock
    signals: Input
    output: ReplayOutput

    def run(self, venue: BacktestVenue, price_file: Path | None) -> tuple[dict[str, object], list[str]]:
        """The summary of what the signals came to, and the digests of their files."""
        signals = self.signals
        progress = ProgressBar(sys.stderr, self.clock, what="replay", things="signals")
        processes = self._processes()
        with ThreadPoolExecutor(1) as thread:
            # Lines are hashed beside the replay. A database is hashed when it is closed: closing any other
            # descriptor of it would drop SQLite's locks.
            hashing = thread.submit(_digests, signals.files) if signals.kind == LINES else None
            try:
                if processes > 1:
                    tally, positions = self._beside(processes, price_file, progress)
                else:
                    tally, positions = self._here(venue, progress)
            finally:
                progress.end()
            if not tally.signals:
                raise WholeInputError(_nothing(tally))
            if hashing is None:
                signals.close()
                hashing = thread.submit(_digests, signals.files)
            digests = hashing.result()
        return tally.summary(positions), digests

    def _processes(self) -> int:
        """How many processes are worth it; 1: this one."""
        signals, asked = self.signals, self.options.processes
        shares = len(_parts(signals)) if signals.kind == LINES else 1
        if asked is None:
            asked = (os.cpu_count() or 1) if signals.total >= SHARED_BYTES_MIN else 1
        return min(shares, asked)

    def _here(self, venue: BacktestVenue, progress: ProgressBar) -> tuple[Tally, Mapping[str, Position]]:
        own_prices = isinstance(venue.quotes, SignalQuotes)
        replay = Replay(self.execution, venue, self.output, own_prices=own_prices)
        replay.run(self.signals, progress.reached)
        return replay.tally, venue.positions

    def _beside(
        self, processes: int, price_file: Path | None, progress: ProgressBar
    ) -> tuple[Tally, Mapping[str, Position]]:
        parts, among = _parts(self.signals), len(self.signals.parts)
        # The longest first: begun last, it would be waited for alone.
        jobs = [
            Job(self.execution, self.options.signals, part.symbol, among, price_file, self.options.out)
            for part in sorted(parts, key=lambda part: -part.total)
        ]
        total = self.signals.total
        outcomes = run_jobs(
            jobs, processes, self.output.lock, lambda done, records: progress.reached(done, total, records)
        )
        join(self.output, [part.symbol for part in parts])
        return joined(outcomes)


def _parts(signals: Input) -> list[Part]:
    """The symbols of a folder of lines that have any; one alone for a file."""
    return [part for part in signals.parts if part.files]


def _nothing(tally: Tally) -> str:
    if not tally.malformed:
        return "the input has no signals of the symbols asked for: see --signals and --symbols"
    reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(tally.malformed.items()))
    return f"the input has no signals, its lines are malformed ({reasons}): see --signals"


def _price_file(options: ReplayOptions, execution: Execution) -> Path | None:
    """--prices, else the file of the settings where they name one as the source."""
    if options.prices is not None:
        return options.prices
    return execution.paper.price_file if execution.paper.prices is PriceSource.FILE else None


def _digests(files: Sequence[InputFile]) -> list[str]:
    return [_digest(file.path) for file in files]


def _digest(path: Path) -> str:
    """Raises WholeInputError."""
    hashed = blake2b(digest_size=32)
    try:
        with path.open("rb") as file:
            while data := file.read(_DIGEST_BYTES):
                hashed.update(data)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise WholeInputError(f"{path} cannot be read ({why}): let this user read it") from None
    return hashed.hexdigest()


def _run_of(
    options: ReplayOptions,
    execution: Execution,
    signals: Input,
    digests: Sequence[str],
    others: Sequence[Path],
) -> dict[str, object]:
    """What the run was made of; nothing in it differs between two runs over the same input."""
    paper = execution.paper.model_dump(mode="json", exclude={"price_file", "rules_file", "prices"})
    paper["fallback_price"] = str(execution.paper.fallback_price or FIXED_PRICE)
    return {
        "made_by": PRODUCT,
        "version": VERSION,
        "seed": execution.paper.seed,
        "symbols": None if options.symbols is None else list(options.symbols),
        "source": signals.kind,
        "inputs": [
            {"name": file.name, "bytes": file.size, "blake2b": digest}
            for file, digest in zip(signals.files, digests, strict=True)
        ],
        "other_files": [
            {"name": path.name, "bytes": path.stat().st_size, "blake2b": _digest(path)} for path in others
        ],
        "settings": {
            "run_source": execution.run_source.value,
            "business": execution.business.model_dump(mode="json", include=set(_BUSINESS)),
            "order": execution.order.model_dump(mode="json"),
            "cost": execution.cost.model_dump(mode="json"),
            "paper": paper,
            "precheck": execution.precheck.model_dump(mode="json") if execution.precheck_on else None,
            "max_line_bytes": execution.source.max_line_bytes,
        },
    }


def _tell(options: ReplayOptions, summary: dict[str, object], comparison: Comparison | None) -> None:
    if options.as_json:
        told = summary if comparison is None else {**summary, "comparison": comparison.told()}
        sys.stdout.write(as_json(told).decode())
        return
    lines = [*table(summary), f"written to {options.out}"]
    if comparison is not None:
        lines += comparison.lines()
    sys.stdout.write("\n".join(lines) + "\n")
