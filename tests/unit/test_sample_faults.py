"""Feeds that cannot be written as asked, and feeds that a person ends."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from config.seams import SystemClock, seeded_random
from worker.sample import FeedPlan, SampleError, run_sample

GOOD: dict[str, Any] = {
    "shape": "v1-jsonl",
    "rate": 0.0,
    "symbols": ("BTCUSDT",),
    "seed": 1,
    "into": Path("unused"),
    "base_ms": 1_795_262_400_000,
    "count": 1,
}


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"shape": "v3"}, "shape is 'v3', must be one of v1-jsonl, v2-jsonl, v1-sqlite, v2-sqlite"),
        ({"symbols": ()}, "symbols are none, must be one or more"),
        ({"symbols": ("btcusdt",)}, "symbols are btcusdt, must be"),
        ({"symbols": ("../x",)}, "symbols are ../x, must be"),
        ({"symbols": ("AAA", "AAA")}, "symbols are AAA,AAA, must be"),
        ({"rate": -1}, "rate is -1, must be between 0"),
        ({"rate": float("nan")}, "rate is nan, must be between 0"),
        (
            {"rate": 1_001},
            "rate is 1001, must be between 0 (as fast as possible) and 1000 per second and symbol",
        ),
        ({"count": None}, "rate 0 writes as fast as possible: say how much with a count or seconds"),
    ],
)
def test_a_feed_that_makes_no_sense_is_refused_with_what_may_be(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SampleError, match=f"^{re.escape(sentence)}"):
        FeedPlan(**{**GOOD, **wrong})


@pytest.mark.parametrize("shape", ["v1-jsonl", "v1-sqlite"])
def test_a_folder_that_takes_nothing_is_a_sentence_and_an_exit_code(tmp_path: Path, shape: str) -> None:
    into = tmp_path / "file"
    into.write_text("in the way")
    said: list[str] = []

    code = run_sample(
        shape=shape,
        rate=0,
        seconds=1,
        symbols=["BTCUSDT"],
        seed=1,
        into=into,
        clock=SystemClock(),
        random=seeded_random(1),
        say=said.append,
    )

    assert code == 73
    assert said[0].startswith(f"{into} takes no signals (")


def test_wrong_wishes_end_with_the_usage_code() -> None:
    said: list[str] = []

    code = run_sample(
        shape="v3",
        rate=0,
        seconds=1,
        symbols=["BTCUSDT"],
        seed=1,
        into=Path("unused"),
        clock=SystemClock(),
        random=seeded_random(1),
        say=said.append,
    )

    assert (code, len(said)) == (2, 1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("rate", [50, 1_000])
def test_an_interrupted_feed_ends_cleanly_with_its_summary(
    tmp_path: Path, number: signal.Signals, rate: int
) -> None:
    program = """
import sys
from pathlib import Path
from config.seams import SystemClock, seeded_random
from worker.sample import run_sample

sys.exit(run_sample(shape="v1-jsonl", rate=int(sys.argv[2]), seconds=None, symbols=["BTCUSDT"], seed=1,
                    into=Path(sys.argv[1]), clock=SystemClock(), random=seeded_random(1)))
"""
    arguments = [sys.executable, "-c", program, str(tmp_path), str(rate)]
    with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True) as process:
        folder = tmp_path / "ready/signal/BTCUSDT"
        while not folder.exists() or not any(path.stat().st_size for path in folder.iterdir()):
            assert process.poll() is None
        process.send_signal(number)
        _, said = process.communicate(timeout=20)

    lines = "".join(path.read_text() for path in sorted(folder.iterdir()))
    assert process.returncode == 0
    assert said.startswith(f"wrote {lines.count(chr(10))} signals (")
    assert lines.endswith("}\n")
