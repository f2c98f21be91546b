"""Pulses: silence is late, turns and declared waits are life."""

from __future__ import annotations

from worker.pulse import Pulses


class HandClock:
    """A clock that stands still until it is turned."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def wall_ms(self) -> int:
        return int(self.now_s * 1000)

    def monotonic_s(self) -> float:
        return self.now_s

    def boot_s(self) -> float:
        return self.now_s

    async def sleep(self, delay_s: float) -> None:
        self.now_s += delay_s


def test_a_task_that_falls_silent_is_named_once_the_limit_is_over() -> None:
    clock = HandClock()
    pulses = Pulses(clock)
    pulses.of("lane BTCUSDT")
    lively = pulses.of("writer")

    clock.now_s += 10
    lively.turn()
    at_the_limit = pulses.late(10)
    clock.now_s += 0.1
    after_it = pulses.late(10)

    assert (at_the_limit, after_it) == ([], ["lane BTCUSDT"])


def test_a_declared_wait_is_alive_until_its_end_plus_the_limit() -> None:
    clock = HandClock()
    pulses = Pulses(clock)
    pulses.of("lane").waits(300)

    clock.now_s += 310
    assert pulses.late(10) == []
    clock.now_s += 0.1
    assert pulses.late(10) == ["lane"]


def test_a_turn_ends_a_declared_wait() -> None:
    clock = HandClock()
    pulses = Pulses(clock)
    pulse = pulses.of("lane")
    pulse.waits(300)

    pulse.turn()
    clock.now_s += 11

    assert pulses.late(10) == ["lane"]


def test_a_late_task_that_turns_again_is_forgiven() -> None:
    clock = HandClock()
    pulses = Pulses(clock)
    pulse = pulses.of("lane")
    clock.now_s += 60
    assert pulses.late(10) == ["lane"]

    pulse.turn()

    assert pulses.late(10) == []


def test_a_finished_task_is_asked_no_more() -> None:
    clock = HandClock()
    pulses = Pulses(clock)

    pulses.of("recovery").done()
    clock.now_s += 1_000

    assert pulses.late(10) == []


def test_a_restarted_task_replaces_its_former_pulse_and_survives_that_ones_end() -> None:
    clock = HandClock()
    pulses = Pulses(clock)
    former = pulses.of("watcher")
    pulses.of("watcher")

    former.done()
    clock.now_s += 11

    assert pulses.late(10) == ["watcher"]
