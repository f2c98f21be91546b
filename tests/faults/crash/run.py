"""The crash points as a command: `make crash-points`, or one of them with `--seed S --point K`.

PYTHONPATH=tests/faults:tests/integration python -m crash.run --points 500
PYTHONPATH=tests/faults:tests/integration python -m crash.run --seed 7 --point after_reserve:2
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait

from crash.campaign import WHOLE_SEED_EVERY, Tally, play_seed, quiet_memory, whole_life
from crash.planted import BUGS
from crash.points import Moment, play
from crash.scenarios import scenario_of

from config.seams import CRASH_POINTS

BAD_SHOWN_MAX = 10
PROGRESS_EVERY = 2_000


def say(line: str) -> None:
    """Print at once: it is watched."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="kill a worker in virtual time, and judge what is left")
    parser.add_argument("--points", type=int, default=500, help="how many points at least")
    parser.add_argument("--steps", type=int, default=30, help="steps of each seed that are points")
    parser.add_argument("--whole", action="store_true", help="every seventh seed at each of its steps")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--seed", type=int, default=None, help="the first seed; drawn when left out")
    parser.add_argument("--point", default=None, help="play one alone: a step, NAME or NAME:N, or - for none")
    parser.add_argument("--bug", default=None, help=f"plant one of: {', '.join(BUGS)}")
    return parser.parse_args()


def main() -> int:
    """0 when the judge objects to nothing."""
    options = _arguments()
    seed = options.seed if options.seed is not None else int.from_bytes(os.urandom(3), "big")
    say(f"seed {seed}")
    if options.point is not None:
        return _one(seed, options.point, options.bug)
    began_s = time.monotonic()
    tally = _many(seed, options)
    if options.bug is not None:
        return _caught(tally, options.bug)
    took_s = time.monotonic() - began_s
    duplicates = sum(_has(words, "duplicate") for _, _, words in tally.bad)
    lost = sum(_has(words, "lost") for _, _, words in tally.bad)
    say(
        f"{tally.points} points, {tally.lives} lives, {tally.orders} orders in {took_s:.0f} s "
        f"({tally.points / took_s:.1f} points/s): {duplicates} duplicates, {lost} lost, "
        f"{len(tally.bad)} objections"
    )
    missed = sorted(set(CRASH_POINTS) - tally.named)
    if missed:
        say(f"named points that were never passed: {', '.join(missed)}")
    return 1 if tally.bad or missed else 0


def _caught(tally: Tally, bug: str) -> int:
    """A planted bug that nobody objects to is a fault of the harness."""
    for seed, point, words in tally.bad[:1]:
        say(f"{bug}: caught after {tally.points} points, --seed {seed} --point {point}: {words[0]}")
    if not tally.bad:
        say(f"{bug}: not caught in {tally.points} points")
    return 0 if tally.bad else 1


def _has(words: list[str], kind: str) -> bool:
    return any(word.startswith(kind) for word in words)


def _one(seed: int, point: str, bug: str | None) -> int:
    """One point alone, with everything that the judge says."""
    quiet_memory()
    plant = BUGS[bug] if bug else None
    scenario = scenario_of(seed)
    whole = whole_life(scenario, plant)
    outcome = whole if point == "-" else play(scenario, Moment.parse(point), plant)
    say(
        f"{scenario.kind}: lives of {outcome.steps} steps, {outcome.accepted} orders, {outcome.ended_s:.1f} s"
    )
    for words in outcome.complaints:
        say(words)
    return 1 if outcome.complaints else 0


def _many(seed: int, options: argparse.Namespace) -> Tally:
    """Seeds in a row until there are enough points."""
    total, running = Tally(), set[Future[Tally]]()
    with ProcessPoolExecutor(options.processes) as pool:
        while total.points < options.points or running:
            while total.points < options.points and len(running) < options.processes:
                steps = None if options.whole and seed % WHOLE_SEED_EVERY == 0 else options.steps
                running.add(pool.submit(_play_seed, seed, steps, options.bug))
                seed += 1
            done, running = wait(running, return_when=FIRST_COMPLETED)
            before = total.points
            for one in done:
                tally = one.result()
                total.add(tally)
                for bad_seed, point, words in tally.bad[:BAD_SHOWN_MAX]:
                    say(f"--seed {bad_seed} --point {point}: {words[0]}")
            if total.points // PROGRESS_EVERY > before // PROGRESS_EVERY:
                say(f"{total.points} points, {len(total.bad)} objections")
            if options.bug and total.bad:
                break
    return total


def _play_seed(seed: int, steps: int | None, bug: str | None) -> Tally:
    return play_seed(seed, steps, sys.maxsize, BUGS[bug] if bug else None)


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":
        # Sets of strings must have the same order each time, or a point would be another one.
        os.execve(
            sys.executable,
            [sys.executable, "-m", "crash.run", *sys.argv[1:]],
            {**os.environ, "PYTHONHASHSEED": "0"},
        )
    sys.exit(main())
