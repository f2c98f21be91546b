"""The drill on workers with planted mistakes: `make drill-exchange-planted`. Each of them must be caught.

Caught means that the judge says the sentence that this mistake deserves, not that something went wrong.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from drill.process import DrillError
from drill_exchange.kills import ExchangeDrill, Scale
from drill_exchange.run import say

FOLDER = Path(".drill") / "exchange-planted"
ATTEMPTS = 2


@dataclass(frozen=True, slots=True)
class Plant:
    """What the judge has to say of a mistake, by the first word of its sentences, and where it shows best."""

    deserved: tuple[str, ...]
    points: tuple[str, ...] = ("after_submit", "before_reserve")

    @property
    def scale(self) -> Scale:
        """A short drill on it."""
        return Scale(kills=6, signals=90, duration_s=20.0, points=self.points, last_life_s=12.0, drain_s=10.0)


PLANTS = {
    "blind-resend": Plant(("DOUBLED",)),
    "one-query-then-resend": Plant(("DOUBLED",)),
    "5xx-is-rejected": Plant(("LOST", "states", "alarm")),
    "reserve-after-send": Plant(("reservation",), ("before_reserve", "in_reserve")),
    "position-before-reservation": Plant(("LOST", "rows"), ("before_reserve", "in_reserve")),
    "random-client-ids": Plant(("stranger",)),
    "resend-at-start": Plant(("DOUBLED",), ("after_submit", "before_settle")),
    "fill-is-assumed": Plant(("fills",)),
}


def sentence_on(mistake: str, seed: int, folder: Path) -> str | None:
    """The judge's sentence that this mistake deserves; None when it was not caught."""
    try:
        report = ExchangeDrill(seed, folder, PLANTS[mistake].scale, mistake=mistake).run()
    except DrillError as error:
        say(f"  {mistake}: could not be carried out: {error}")
        return None
    deserved = PLANTS[mistake].deserved
    (folder / "report.txt").write_text("\n".join(report.objections) + "\n")
    return next(
        (text for kind in deserved for text in report.verdict.complaints if text.startswith(f"{kind}:")), None
    )


def main() -> int:
    """Plant one mistake after the other; 1 when one gets through."""
    parser = argparse.ArgumentParser(description="plant mistakes into the worker; the drill must catch each")
    parser.add_argument("--only", choices=sorted(PLANTS), default=None)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3), "big"))
    options = parser.parse_args()
    say(f"seed {options.seed}: repeat with --seed {options.seed}")
    mistakes = [options.only] if options.only else list(PLANTS)
    caught = 0
    for mistake in mistakes:
        began, sentence = time.monotonic(), None
        # A mistake shows when a kill or a fault meets it; a drill this short may miss it once.
        for attempt in range(ATTEMPTS):
            folder = FOLDER / f"{mistake}-{options.seed + attempt}"
            shutil.rmtree(folder, ignore_errors=True)
            sentence = sentence_on(mistake, options.seed + attempt, folder)
            if sentence is not None:
                break
        caught += sentence is not None
        took_s = time.monotonic() - began
        say(f"{mistake} ({took_s:.0f} s): {'NOT CAUGHT' if sentence is None else 'caught: ' + sentence}")
    say(f"{caught} of {len(mistakes)} planted mistakes caught")
    return 0 if caught == len(mistakes) else 1


if __name__ == "__main__":
    sys.exit(main())
