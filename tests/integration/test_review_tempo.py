"""The file of the strategy mode in the hands of people and services: late, torn, unreadable, too bold."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

from rig.floor import Worker, signal
from rig.scripted_adapter import ScriptedAdapter
from rig.virtual_clock import VirtualClock, in_virtual_time, virtual_clock

from config.load import load_settings
from config.settings import Execution, Mode, Risk
from config.strategy_mode import read_strategy_mode
from worker.check import settings_rows
from worker.report import Flow
from worker.strategy import Strategy
from worker.tempo import ModeFile, Tempo

BOUNDED = Execution(mode=Mode.TESTNET, risk=Risk(max_order_usd=Decimal(150)))
FORCED = "strategy_mode: {{mode: force_{}, schedule: {{enabled: false}}}}\n"
SMALL = """strategy_mode:
  mode: force_quiet
  schedule: {enabled: false}
  quiet: {order_size_usd: 5}
"""


def a_worker(folder: Path, clock: VirtualClock) -> Worker:
    return Worker(folder, clock, ScriptedAdapter(clock), {"BTCUSDT": []}, execution=BOUNDED)


def tempo_on(worker: Worker, path: Path) -> Tempo:
    """A tempo with the strategy mode that the file has now."""
    settings = read_strategy_mode(path)
    assert settings is not None
    strategy = Strategy(settings, now_ms=worker.clock.wall_ms())
    tempo = Tempo(
        BOUNDED,
        worker.floor,
        worker.metrics,
        worker.pulses.of("tempo"),
        strategy=strategy,
        mode_file=ModeFile(path),
    )
    tempo.apply()
    return tempo


async def a_second(tempo: Tempo, clock: VirtualClock) -> None:
    await tempo.turn()
    await clock.sleep(1.0)


@in_virtual_time
async def test_a_file_that_was_edited_while_the_worker_started_is_followed(tmp_path: Path) -> None:
    clock, path = virtual_clock(), tmp_path / "my.yaml"
    path.write_text(FORCED.format("active"))
    settings = read_strategy_mode(path)
    assert settings is not None
    async with a_worker(tmp_path / "store", clock) as worker:
        # The venue let the start wait; meanwhile somebody wrote.
        path.write_text(FORCED.format("quiet"))
        tempo = Tempo(
            BOUNDED,
            worker.floor,
            worker.metrics,
            worker.pulses.of("tempo"),
            strategy=Strategy(settings, now_ms=clock.wall_ms()),
            mode_file=ModeFile(path),
        )
        await a_second(tempo, clock)

        assert tempo.mode == "quiet"


@in_virtual_time
async def test_a_file_that_can_be_read_again_is_followed_although_nobody_wrote_to_it(tmp_path: Path) -> None:
    clock, path = virtual_clock(), tmp_path / "my.yaml"
    path.write_text(FORCED.format("active"))
    async with a_worker(tmp_path / "store", clock) as worker:
        tempo = tempo_on(worker, path)
        await a_second(tempo, clock)

        # As root has it: what cannot be read is a folder that the file's name leads to.
        (tmp_path / "folder").mkdir()
        link = tmp_path / "link.yaml"
        link.symlink_to(path)
        tempo._file = file = ModeFile(link)
        await a_second(tempo, clock)
        path.write_text(FORCED.format("quiet"))
        reading = file.read
        file.read = ModeFile(tmp_path / "folder").read  # type: ignore[method-assign]  # the disk fails once
        await a_second(tempo, clock)
        assert "cannot be read" in (tempo.trouble or "")
        file.read = reading  # type: ignore[method-assign]  # and not for ever
        await a_second(tempo, clock)

        assert (tempo.mode, tempo.trouble) == ("quiet", None)


@in_virtual_time
async def test_an_edited_size_beyond_the_risk_limit_is_told_and_not_followed(tmp_path: Path) -> None:
    clock, path = virtual_clock(), tmp_path / "my.yaml"
    path.write_text(FORCED.format("active"))
    async with a_worker(tmp_path / "store", clock) as worker:
        tempo = tempo_on(worker, path)

        path.write_text("strategy_mode: {mode: force_active, active: {order_size_usd: 151}}\n")
        await a_second(tempo, clock)

        assert "max_order_usd" in (tempo.trouble or "")
        assert worker.floor.rows.size_usd == 100


@in_virtual_time
async def test_half_a_file_is_not_followed_while_the_rest_is_being_written(tmp_path: Path) -> None:
    clock, path = virtual_clock(), tmp_path / "my.yaml"
    path.write_text(SMALL)
    async with a_worker(tmp_path / "store", clock) as worker:
        tempo = tempo_on(worker, path)
        await a_second(tempo, clock)

        # Without its last line it is whole YAML, with an order size of 50.
        path.write_text("".join(SMALL.splitlines(keepends=True)[:-1]))
        looking = asyncio.create_task(tempo.turn())
        await clock.sleep(0.05)
        path.write_text(SMALL + "# the end\n")
        await looking
        sizes = [worker.floor.rows.size_usd]
        await a_second(tempo, clock)
        sizes.append(worker.floor.rows.size_usd)

    assert sizes == [5, 5]
    assert tempo.trouble is None


def test_a_pipe_is_read_once_by_whoever_gave_it_and_never_waited_for(tmp_path: Path) -> None:
    # As in --config <(decrypt my.yaml): nothing is in it any more.
    os.mkfifo(tmp_path / "pipe")

    assert not ModeFile(tmp_path / "pipe").changed()


def test_the_strategy_mode_of_a_pipe_is_not_lost(tmp_path: Path) -> None:
    there, here = os.pipe()
    with os.fdopen(here, "w") as text:
        text.write(FORCED.format("active"))

    loaded = load_settings(config_file=Path(f"/dev/fd/{there}"), environ={}, overrides={})
    os.close(there)

    assert loaded.strategy is not None
    assert loaded.strategy.mode == "force_active"


def test_regimes_that_nobody_asked_for_take_no_memory() -> None:
    flow = Flow()
    flow.count_regimes(frozenset({"trend 7"}))
    for number in range(5_000):
        flow.read([signal(number, regime=f"trend {number}")], now_ms=signal(number).ts_ms)

    assert (flow.signals, flow.active) == (5_000, 1)
    assert flow.regimes == frozenset({"trend 7"})


def test_a_worker_with_a_strategy_mode_tells_first_that_it_is_ready(tmp_path: Path) -> None:
    path = tmp_path / "my.yaml"
    path.write_text("strategy_mode: {mode: force_active, active: {max_qps: 50}}\n")

    done = subprocess.run(
        [sys.executable, "-m", "worker", "--once", "--config", str(path), "--output", str(tmp_path / "out")],
        env={**os.environ, "V13_EXECUTION__LOG__FORMAT": "json"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    told = [json.loads(line) for line in done.stderr.splitlines()]
    assert told[0]["event"] == "worker_ready"
    assert [(one["mode"], one["rate_limit_qps"]) for one in told if one["event"] == "strategy_begun"] == [
        ("active", 50.0)
    ]


def test_check_tells_the_sizes_that_the_strategy_mode_sets(tmp_path: Path) -> None:
    path = tmp_path / "my.yaml"
    path.write_text("strategy_mode: {mode: force_quiet, active: {order_size_usd: 70}}\n")
    loaded = load_settings(config_file=path, environ={}, overrides={})

    [row] = [row for row in settings_rows(loaded) if row.subject == "strategy_mode"]

    assert row.finding == (
        "force_quiet: active 70 USD an order and 4 at a time, quiet 50 USD an order and 2 at a time"
    )
