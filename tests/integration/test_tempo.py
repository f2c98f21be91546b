"""Rate, size and parallelism follow strategy mode and throttle while the worker runs; switches are kept."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path
from typing import Any

from rig.floor import Worker, signal
from rig.rows import rows
from rig.scripted_adapter import ScriptedAdapter
from rig.virtual_clock import VirtualClock, in_virtual_time, virtual_clock

from config.settings import Execution, Mode, RateLimit
from config.strategy_mode import read_strategy_mode
from worker.strategy import Strategy
from worker.tempo import ModeFile, Tempo

LIMITED = Execution(mode=Mode.TESTNET, rate_limit=RateLimit(max_qps=10.0, max_concurrency=3))
FORCED = "strategy_mode: {{mode: force_{}, schedule: {{enabled: false}}}}\n"
AT_NIGHT = """
strategy_mode:
  schedule:
    enabled: true
    timezone: Asia/Hong_Kong
    weekdays: [Mon, Tue, Wed, Thu, Fri, Sat, Sun]
    active_windows: ["22:30-01:15"]
  market: {enabled: false}
  active: {order_size_usd: 100, max_concurrency: 4, max_qps: 20}
"""
DAY_S = 86_400


def tempo_on(worker: Worker, path: Path | None, execution: Execution = LIMITED) -> Tempo:
    """A tempo as the worker has it, with the strategy mode of a file."""
    strategy = None
    if path is not None:
        settings = read_strategy_mode(path)
        assert settings is not None
        strategy = Strategy(settings, now_ms=worker.clock.wall_ms())
    mode_file = None if path is None else ModeFile(path)
    tempo = Tempo(
        execution, worker.floor, worker.metrics, worker.pulses.of("t"), strategy=strategy, mode_file=mode_file
    )
    tempo.apply()
    return tempo


def a_worker(folder: Path, clock: VirtualClock, *signals: Any) -> Worker:
    return Worker(folder, clock, ScriptedAdapter(clock), {"BTCUSDT": list(signals)}, execution=LIMITED)


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def audit(folder: Path) -> list[tuple[str, str]]:
    return rows(folder, "action, detail", "audit", order="id")


async def a_second(tempo: Tempo, clock: VirtualClock, seconds: int = 1) -> None:
    for _ in range(seconds):
        await tempo.turn()
        await clock.sleep(1.0)


@in_virtual_time
async def test_an_edited_file_takes_effect_without_a_restart_and_is_audited(tmp_path: Path) -> None:
    clock = virtual_clock()
    path = written(tmp_path / "my.yaml", FORCED.format("active"))
    async with a_worker(tmp_path / "store", clock) as worker:
        tempo, floor = tempo_on(worker, path), worker.floor
        assert (floor.rows.size_usd, floor.slots.limit, tempo.rate) == (100, 4, 10.0)

        await a_second(tempo, clock)
        written(path, "# edited\n" + FORCED.format("quiet"))
        await a_second(tempo, clock)

        assert (tempo.mode, floor.rows.size_usd, floor.slots.limit) == ("quiet", 50, 2)
    assert audit(tmp_path / "store") == [("strategy_mode", "active to quiet")]


@in_virtual_time
async def test_an_edited_file_that_is_wrong_is_told_and_changes_nothing(tmp_path: Path) -> None:
    clock = virtual_clock()
    path = written(tmp_path / "my.yaml", FORCED.format("active"))
    async with a_worker(tmp_path / "store", clock) as worker:
        tempo = tempo_on(worker, path)

        written(path, "strategy_mode: {mode: force_qiet}\n")
        await a_second(tempo, clock)
        assert "force_qiet" in (tempo.trouble or "")
        written(path, "execution: {}\n")
        await a_second(tempo, clock)
        assert "restart" in (tempo.trouble or "")
        path.unlink()
        await a_second(tempo, clock)
        written(path, FORCED.format("active") + "\n")
        await a_second(tempo, clock)

        assert tempo.trouble is None
        assert (tempo.mode, worker.floor.rows.size_usd) == ("active", 100)
    assert audit(tmp_path / "store") == []


@in_virtual_time
async def test_two_days_of_a_schedule_across_midnight_switch_four_times(tmp_path: Path) -> None:
    clock = virtual_clock()
    path = written(tmp_path / "my.yaml", AT_NIGHT)
    async with a_worker(tmp_path / "store", clock) as worker:
        tempo = tempo_on(worker, path)
        seen = []
        for _ in range(2 * DAY_S // 60):
            await tempo.turn()
            seen.append((tempo.mode, worker.floor.slots.limit, tempo.rate))
            await clock.sleep(60.0)

    # 165 minutes of each day, never a mixture of two modes.
    assert seen.count(("active", 4, 20.0)) == 2 * 165
    assert seen.count(("quiet", 2, 10.0)) == len(seen) - 2 * 165
    switches = [detail for _, detail in audit(tmp_path / "store")]
    assert sorted(switches) == ["active to quiet"] * 2 + ["quiet to active"] * 2


@in_virtual_time
async def test_denials_slow_the_orders_down_and_their_end_lets_them_go_again(tmp_path: Path) -> None:
    clock = virtual_clock()
    denied = [signal(number, warmup=True) for number in range(300)]
    async with a_worker(tmp_path / "store", clock, *denied) as worker:
        tempo = tempo_on(worker, None)
        await worker.drained()
        rates = []
        for _ in range(300):
            await a_second(tempo, clock)
            rates.append(tempo.rate)

    assert set(worker.codes().values()) == {"warmup"}
    assert min(rate for rate in rates if rate is not None) == 5.0
    assert rates[-1] == 10.0
    assert len([now for now, after in itertools.pairwise(rates) if now != after]) <= 4


@in_virtual_time
async def test_orders_that_are_planned_after_a_switch_have_the_new_size(tmp_path: Path) -> None:
    clock = virtual_clock()
    path = written(tmp_path / "my.yaml", FORCED.format("quiet"))
    adapter = ScriptedAdapter(clock)
    sizes: asyncio.Queue[Any] = asyncio.Queue()
    prepare = adapter.prepare
    adapter.prepare = lambda ctx: (sizes.put_nowait(ctx.size_usd), prepare(ctx))[1]
    worker = Worker(tmp_path / "store", clock, adapter, {"BTCUSDT": [signal(0)]}, once=False)
    async with worker:
        tempo = tempo_on(worker, path)
        first = await sizes.get()
        written(path, FORCED.format("active"))
        await a_second(tempo, clock)
        worker.feeds["BTCUSDT"].add(signal(1))
        second = await sizes.get()
        await worker.stop()

    assert (first, second) == (50, 100)


@in_virtual_time
async def test_only_fresh_signals_tell_of_the_market(tmp_path: Path) -> None:
    clock = virtual_clock()
    now_ms = clock.wall_ms()
    signals = [signal(n, ts_ms=now_ms - n * 1_000, regime="trend" if n % 2 else "quiet") for n in range(200)]
    async with a_worker(tmp_path / "store", clock, *signals) as worker:
        flow = worker.floor.report.flow
        flow.count_regimes(frozenset({"trend"}))
        await worker.drained()

    assert flow.signals == 61
    assert flow.active == 30
