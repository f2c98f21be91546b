"""The exchange drill as a command: `make drill-exchange`, or `python -m drill_exchange.run --kills 20`."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

from drill.process import DrillError
from drill_exchange.figures import table
from drill_exchange.kills import SHORT, ExchangeDrill, Report, Scale

FOLDER = Path(".drill") / "exchange"
STRUCK_SHARE_MIN = 0.30


def say(line: str) -> None:
    """Print at once: a drill is watched."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="kill a worker that trades on a lying exchange, and judge what is left"
    )
    parser.add_argument("--short", action="store_true", help="what `make test` runs, whatever else is given")
    parser.add_argument("--kills", type=int, default=200, help="SIGKILLs of the worker")
    parser.add_argument("--signals", type=int, default=2_200, help="signals fed at least")
    parser.add_argument(
        "--duration", type=float, default=600.0, help="seconds that the kills are spread over"
    )
    parser.add_argument("--exchange-kills", type=int, default=5, help="SIGKILLs of the exchange")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3), "big"))
    return parser.parse_args()


def _words(options: argparse.Namespace) -> str:
    """The arguments that repeat this drill."""
    if options.short:
        return f"--seed {options.seed} --short"
    return " ".join(
        f"--{name.replace('_', '-')} {value}" for name, value in vars(options).items() if name != "short"
    )


def shortfalls(report: Report, scale: Scale) -> list[str]:
    """Where the drill itself was not what it promises to be."""
    found = []
    if report.killed < scale.kills:
        found.append(f"{report.killed} kills instead of {scale.kills}")
    if report.verdict.signals < scale.signals:
        found.append(f"{report.verdict.signals} signals instead of {scale.signals}")
    if report.orders_struck < STRUCK_SHARE_MIN * report.orders_asked:
        found.append(
            f"{report.orders_struck} of {report.orders_asked} requests for orders met a fault, "
            f"must be {STRUCK_SHARE_MIN:.0%}"
        )
    return found


def main() -> int:
    """Run one drill; 1 when the judge or anything else objects."""
    options = _arguments()
    say(f"seed {options.seed}: repeat with PYTHONPATH=tests/faults .venv/bin/python -m drill_exchange.run \\")
    say(f"  {_words(options)}")
    scale = SHORT
    if not options.short:
        scale = Scale(options.kills, options.signals, options.duration, options.exchange_kills)
    folder = FOLDER / str(options.seed)
    # An earlier drill with this seed left its evidence there; this one begins with nothing.
    shutil.rmtree(folder, ignore_errors=True)
    drill = ExchangeDrill(options.seed, folder, scale)
    try:
        report = drill.run()
    except DrillError as error:
        say(f"FAILED, it could not be carried out: {error}")
        return 1
    objections = [*report.objections, *shortfalls(report, scale)]
    lines = [
        f"exactly-once drill on the exchange, seed {options.seed}, {report.took_s:.0f} s",
        *table(report),
    ]
    lines += [f"objection: {objection}" for objection in objections]
    lines.append(
        "FAILED" if objections else "passed: one order for each eligible signal, none doubled, none lost"
    )
    (folder / "report.txt").write_text("\n".join(lines) + "\n")
    for line in lines:
        say(line)
    say(f"the evidence is in {folder}")
    return 1 if objections else 0


if __name__ == "__main__":
    sys.exit(main())
