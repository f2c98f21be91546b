"""What is wrong with a strategy_mode node: one sentence each, all at once, with the line and the way out."""

from __future__ import annotations

import sys
import zoneinfo
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from config.errors import ConfigError
from config.strategy_mode import read_strategy_mode


def problems_of(tmp_path: Path, text: str) -> list[str]:
    """The problems of a file called my.yaml; none when it can be read."""
    path = tmp_path / "my.yaml"
    path.write_text(text)
    try:
        read_strategy_mode(path)
    except ConfigError as error:
        return [problem.replace(f"{tmp_path}/", "") for problem in error.problems]
    return []


WINDOWS = (
    'must be a list of windows such as "09:00-12:00" or "21:30-02:00" in quotes, '
    "with two different ends, the last one 24:00"
)
DAYS = "must be a list of weekdays: Mon to Sun, monday to sunday, or 1 (Monday) to 7"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("mode: AUTO", "mode is AUTO, must be one of auto, force_active, force_quiet"),
        ("mode: [auto]", "mode is a list, must be one of auto, force_active, force_quiet"),
        ("mode: ", "mode is null, must be one of auto, force_active, force_quiet"),
        ("mode: !mine auto", "mode is a text with a tag, must be one of auto, force_active, force_quiet"),
        ("combine: both", "combine is both, must be one of any, all"),
        ("hysteresis: 3", "hysteresis holds no mapping, must be a mapping of window_s, active_windows, qu"),
        (
            "hysteresis: {window_s: 1:00}",
            "hysteresis.window_s is 1:00, must be a whole number from 1 to 3600",
        ),
        ("hysteresis: {window_s: 010}", "hysteresis.window_s is 010, must be a whole number from 1 to 3600"),
        ("hysteresis: {window_s: 0}", "hysteresis.window_s is 0, must be a whole number from 1 to 3600"),
        ("hysteresis: {quiet_windows: 1.5}", "hysteresis.quiet_windows is 1.5, must be a whole number fro"),
        ("hysteresis: {active_windows: yes}", "hysteresis.active_windows is yes, must be a whole number f"),
        ("schedule: {enabled: 1}", "schedule.enabled is 1, must be true or false"),
        ("schedule: {active_windows: [9:00]}", f"schedule.active_windows holds 9:00, {WINDOWS}"),
        ("schedule: {active_windows: [21:30, 2:00-3:00]}", f"schedule.active_windows holds 21:30, {WINDOWS}"),
        ("schedule: {active_windows: 9:00-12:00}", f"schedule.active_windows is 9:00-12:00, {WINDOWS}"),
        ("schedule: {active_windows: }", f"schedule.active_windows is null, {WINDOWS}"),
        ("schedule: {active_windows: [[1]]}", f"schedule.active_windows holds a list, {WINDOWS}"),
        (
            "schedule: {active_windows: [24:00-02:00]}",
            f"schedule.active_windows holds 24:00-02:00, {WINDOWS}",
        ),
        (
            "schedule: {active_windows: [09:00-24:01]}",
            f"schedule.active_windows holds 09:00-24:01, {WINDOWS}",
        ),
        (
            "schedule: {active_windows: [09:60-10:00]}",
            f"schedule.active_windows holds 09:60-10:00, {WINDOWS}",
        ),
        (
            "schedule: {active_windows: [09:00-09:00]}",
            f"schedule.active_windows holds 09:00-09:00, {WINDOWS}",
        ),
        ("schedule: {weekdays: [0]}", f"schedule.weekdays holds 0, {DAYS}"),
        ("schedule: {weekdays: [8]}", f"schedule.weekdays holds 8, {DAYS}"),
        ("schedule: {weekdays: [M]}", f"schedule.weekdays holds M, {DAYS}"),
        ("schedule: {weekdays: Mon}", f"schedule.weekdays is Mon, {DAYS}"),
        (
            "market: {signals_per_min: .nan}",
            "market.signals_per_min is .nan, must be a number from 0 to 1000000",
        ),
        (
            "market: {signals_per_min: nan}",
            "market.signals_per_min is nan, must be a number from 0 to 1000000",
        ),
        ("market: {regime_share: 1.1}", "market.regime_share is 1.1, must be a number from 0 to 1"),
        ("market: {active_regimes: [~]}", "market.active_regimes holds null, must be a list of texts"),
        (
            f"market: {{active_regimes: [{','.join(f'a{n}' for n in range(101))}]}}",
            "market.active_regimes has 101 items, must have 100 at most",
        ),
        (
            "active: {order_size_usd: 0}",
            "active.order_size_usd is 0, must be a number above 0, at most 10000",
        ),
        ("active: {order_size_usd: null}", "active.order_size_usd is null, must be a number above 0"),
        ("active: {order_size_usd: Infinity}", "active.order_size_usd is Infinity, must be a number above 0"),
        ("quiet: {max_concurrency: 65}", "quiet.max_concurrency is 65, must be a whole number from 1 to 64"),
        ("quiet: {max_qps: 0}", "quiet.max_qps is 0, must be a number from 0.1 to 100000 or null"),
        (
            "quiet: {max_qps: {a: 1}}",
            "quiet.max_qps is a mapping, must be a number from 0.1 to 100000 or null",
        ),
        (
            "quiet: {max_qps: 1, max_qps: 2}",
            "quiet.max_qps is given twice, must be given once (my.yaml lines",
        ),
    ],
)
def test_a_wrong_value_is_one_sentence(tmp_path: Path, text: str, problem: str) -> None:
    found = problems_of(tmp_path, f"strategy_mode: {{{text}}}\n")

    assert len(found) == 1
    assert found[0].startswith(f"strategy_mode.{problem}")
    assert found[0].endswith("; see docs/strategy_mode.md)")


def test_every_mistake_is_told_at_once_with_its_line(tmp_path: Path) -> None:
    text = "strategy_mode:\n  mode: x\n  schedule:\n    timezone: Asia/Hongkong\n    weekdays: [9, Mon]\n"

    found = problems_of(tmp_path, text)

    assert [problem.rpartition("(")[2] for problem in found] == [
        f"my.yaml line {line}; see docs/strategy_mode.md)" for line in (2, 4, 5)
    ]


def test_a_node_given_twice_is_a_mistake(tmp_path: Path) -> None:
    text = "strategy_mode: {mode: auto}\nx: 1\nstrategy_mode: {mode: force_active}\n"

    assert problems_of(tmp_path, text) == [
        "strategy_mode is given twice, must be given once (my.yaml lines 1 and 3; see docs/strategy_mode.md)"
    ]


def test_auto_needs_something_to_decide_by(tmp_path: Path) -> None:
    off = "schedule: {enabled: false}, market: {enabled: false}"

    assert "nothing is left to decide by" in problems_of(tmp_path, f"strategy_mode: {{{off}}}")[0]
    assert problems_of(tmp_path, f"strategy_mode: {{mode: force_quiet, {off}}}") == []


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("Asia/Hongkong", ": Asia/Hong_Kong was meant?"),
        ("asia/hong_kong", ": Asia/Hong_Kong was meant?"),
        ("Mars/Olympus_Mons_Crater", ""),
        ("../../etc/passwd", ""),
        ("/etc/passwd", ""),
        ("Asia", ""),
        ("tzdata.zi", ""),
    ],
)
def test_an_unknown_time_zone_is_named_with_the_nearest_one(tmp_path: Path, name: str, hint: str) -> None:
    found = problems_of(tmp_path, f"strategy_mode: {{schedule: {{timezone: {name}}}}}\n")

    assert len(found) == 1
    assert f"timezone is {name}, must be a time zone such as Asia/Hong_Kong" in found[0]
    assert hint in found[0]


@pytest.fixture
def no_time_zones(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A host on which no time zone data is installed, neither by the system nor as a package."""
    for name in [name for name in sys.modules if name.split(".")[0] == "tzdata"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tzdata", None)
    zoneinfo.reset_tzpath(to=[])
    zoneinfo.ZoneInfo.clear_cache()
    yield
    zoneinfo.reset_tzpath()


@pytest.mark.usefixtures("no_time_zones")
@pytest.mark.parametrize(
    ("text", "place"), [("", "(its default; "), ("timezone: Europe/Oslo", "(my.yaml line 1; ")]
)
def test_a_host_without_time_zones_is_told_what_to_install(tmp_path: Path, text: str, place: str) -> None:
    found = problems_of(tmp_path, f"strategy_mode: {{schedule: {{{text}}}}}\n")

    assert len(found) == 1
    assert "this host has no time zone data: apt install tzdata" in found[0]
    assert place in found[0]


@pytest.mark.usefixtures("no_time_zones")
def test_a_schedule_that_is_off_needs_no_time_zone(tmp_path: Path) -> None:
    assert problems_of(tmp_path, "strategy_mode: {schedule: {enabled: false}}") == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("- 1\n", "my.yaml is not a mapping"),
        ("a: [\n", "my.yaml line 2 is not YAML"),
        ("strategy_mode: " + "[" * 70 + "]" * 70, "my.yaml line 1 is nested over 64 levels deep"),
        ("x: " + "y" * 1_048_576, "--config my.yaml is over 1048576 bytes long"),
    ],
)
def test_a_file_that_is_no_configuration_is_told_as_ever(tmp_path: Path, text: str, problem: str) -> None:
    assert problems_of(tmp_path, text)[0].startswith(problem)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot be read: no such file"):
        read_strategy_mode(tmp_path / "none.yaml")


def test_an_alias_bomb_is_not_expanded(tmp_path: Path) -> None:
    bomb = "a0: &a0 {k: 1}\n" + "".join(
        f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}\n" for n in range(1, 9)
    )

    found = problems_of(tmp_path, f"{bomb}strategy_mode: {{active: {{<<: *a8}}}}\n")

    assert "merges too deeply or too much" in found[0]


KEYS = (
    "mode",
    "combine",
    "hysteresis.window_s",
    "schedule.timezone",
    "schedule.weekdays",
    "schedule.active_windows",
    "market.regime_share",
    "active.order_size_usd",
    "quiet.max_qps",
)


@given(
    key=st.sampled_from(KEYS),
    value=st.one_of(st.text(max_size=30), st.integers(), st.floats(), st.booleans(), st.none()),
)
def test_whatever_a_value_is_it_is_taken_or_told_in_one_sentence(
    tmp_path: Path, key: str, value: object
) -> None:
    above, _, name = key.rpartition(".")
    inner = {above: {name: value}} if above else {name: value}

    problems = problems_of(tmp_path, yaml.safe_dump({"strategy_mode": inner}))

    assert all(f"strategy_mode.{key} " in problem and problem.isprintable() for problem in problems)
    assert len(problems) <= 1
