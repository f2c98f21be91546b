"""The strategy_mode node: what is read, what is left alone, and one sentence for each mistake."""

from __future__ import annotations

import zoneinfo
from decimal import Decimal
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from config.errors import ConfigError
from config.load import load_settings
from config.strategy_mode import (
    Combine,
    DayWindow,
    Hysteresis,
    Market,
    Profile,
    Schedule,
    StrategyMode,
    StrategySettings,
    read_strategy_mode,
)

PAGE = Path(__file__).resolve().parents[2] / "docs" / "strategy_mode.md"
EVENING = DayWindow(21 * 60 + 30, 2 * 60)
MORNING = DayWindow(9 * 60, 12 * 60)


def defaults() -> StrategySettings:
    """What holds where the node says nothing. Time zones are equal when they are the same object."""
    return StrategySettings(
        mode=StrategyMode.AUTO,
        hysteresis=Hysteresis(window_s=60, active_windows=3, quiet_windows=6),
        schedule=Schedule(
            True, zoneinfo.ZoneInfo("Asia/Hong_Kong"), frozenset(range(1, 6)), (MORNING, EVENING)
        ),
        market=Market(True, frozenset({"active", "trend", "volatile"}), 10, 0.5),
        combine=Combine.ANY,
        active=Profile(Decimal(100), 4, None),
        quiet=Profile(Decimal(50), 2, None),
    )


def read(tmp_path: Path, text: str) -> StrategySettings | None:
    """What a file called my.yaml says."""
    path = tmp_path / "my.yaml"
    path.write_text(text)
    return read_strategy_mode(path)


def node(tmp_path: Path, text: str) -> StrategySettings:
    """What a file with this node says; `text` stands in braces."""
    settings = read(tmp_path, f"strategy_mode: {{{text}}}\n")
    assert settings is not None
    return settings


def test_the_example_of_the_page_says_the_defaults_and_every_key(tmp_path: Path) -> None:
    example = PAGE.read_text().partition("```yaml\n")[2].partition("```")[0]

    assert read(tmp_path, example) == defaults()
    keys = yaml.safe_load(example)["strategy_mode"]
    assert set(keys) == set(StrategySettings.__struct_fields__) - {"warnings"}
    assert set(keys["hysteresis"]) == set(Hysteresis.__struct_fields__)
    assert set(keys["market"]) == set(Market.__struct_fields__)
    assert set(keys["active"]) == set(keys["quiet"]) == set(Profile.__struct_fields__)


@pytest.mark.parametrize(
    "text", ["", "~", "execution: {}\n", "strategy_mode:\n", "strategy_mode: null\n", "# strategy_mode: 1\n"]
)
def test_a_file_without_the_node_has_no_strategy(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text) is None


@pytest.mark.parametrize("text", ["", "mode: auto", "schedule: , market: null, hysteresis: ~, active: {}"])
def test_what_is_not_said_is_a_default(tmp_path: Path, text: str) -> None:
    assert node(tmp_path, text) == defaults()


def test_foreign_keys_and_nodes_are_left_alone(tmp_path: Path) -> None:
    text = (
        "other: &anchor {api_key: !secret zzz, api_key: twice}\n"
        "strategy_mode:\n  triggers: [*anchor, *anchor]\n  mode: force_quiet\n"
        "  hysteresis: {owner: !them x, owner: y}\n"
    )

    settings = read(tmp_path, text)

    assert settings is not None
    assert settings.mode is StrategyMode.FORCE_QUIET
    assert settings.warnings == ()


def test_the_rest_of_the_configuration_does_not_mind_the_node(tmp_path: Path) -> None:
    path = tmp_path / "my.yaml"
    path.write_text("execution: {mode: paper}\nstrategy_mode: {mode: force_quiet, triggers: {a: 1}}\n")

    loaded = load_settings(config_file=path, environ={}, overrides={})

    assert loaded.warnings == []
    assert loaded.settings.execution.mode == "paper"


def test_a_key_that_looks_like_one_of_ours_is_a_warning(tmp_path: Path) -> None:
    settings = node(tmp_path, "hysteresis: {windows_s: 5}, schedule: {weekday: [Mon], weekdays: [Tue]}")

    assert [text.replace(f"{tmp_path}/", "") for text in settings.warnings] == [
        "strategy_mode.hysteresis.windows_s is not read: strategy_mode.hysteresis.window_s was meant? "
        "(my.yaml line 1; see docs/strategy_mode.md)"
    ]


def test_every_value_can_be_given(tmp_path: Path) -> None:
    settings = node(
        tmp_path,
        "mode: force_active, hysteresis: {window_s: 30, active_windows: 1, quiet_windows: 2}, "
        "schedule: {enabled: no, timezone: UTC, weekdays: [7], active_windows: ['00:00-24:00']}, "
        "market: {enabled: False, active_regimes: [on, no], signals_per_min: .5, regime_share: 1}, "
        "combine: all, active: {order_size_usd: 1_000.50, max_concurrency: 64, max_qps: 3}, "
        "quiet: {order_size_usd: '0.1', max_concurrency: 1, max_qps: 0.1}",
    )

    assert settings == StrategySettings(
        mode=StrategyMode.FORCE_ACTIVE,
        hysteresis=Hysteresis(30, 1, 2),
        schedule=Schedule(False, zoneinfo.ZoneInfo("UTC"), frozenset({7}), (DayWindow(0, 1_440),)),
        market=Market(False, frozenset({"on", "no"}), 0.5, 1.0),
        combine=Combine.ALL,
        active=Profile(Decimal("1000.50"), 64, 3.0),
        quiet=Profile(Decimal("0.1"), 1, 0.1),
    )


@pytest.mark.parametrize(
    ("words", "days"),
    [
        ("[Mon, Tue, Wed, Thu, Fri, Sat, Sun]", {1, 2, 3, 4, 5, 6, 7}),
        ("[monday, SUNDAY]", {1, 7}),
        ("[1, '7', mon]", {1, 7}),
        ("[]", set()),
    ],
)
def test_weekdays_have_names_or_numbers(tmp_path: Path, words: str, days: set[int]) -> None:
    assert node(tmp_path, f"schedule: {{weekdays: {words}}}").schedule.weekdays == days


@pytest.mark.parametrize(
    ("words", "windows"),
    [
        ("['09:00-12:00', \"21:30-02:00\"]", (MORNING, EVENING)),
        ("[09:00-12:00, 21:30-02:00]", (MORNING, EVENING)),
        ("[9:00 - 12:00]", (MORNING,)),
        ("[00:00-24:00]", (DayWindow(0, 1_440),)),
        ("[22:00-00:00, 22:00-24:00]", (DayWindow(22 * 60, 1_440),)),
        ("[]", ()),
    ],
)
def test_windows_are_read_as_they_are_written(
    tmp_path: Path, words: str, windows: tuple[DayWindow, ...]
) -> None:
    schedule = node(tmp_path, f"schedule: {{active_windows: {words}}}").schedule

    assert schedule.active_windows == windows


def test_merged_and_aliased_values_count(tmp_path: Path) -> None:
    text = (
        "shared: &quiet {order_size_usd: 7, max_concurrency: 3, foreign: 1}\n"
        "strategy_mode:\n  quiet: *quiet\n  active: {<<: *quiet, max_concurrency: 5}\n"
    )

    settings = read(tmp_path, text)

    assert settings is not None
    assert (settings.quiet, settings.active) == (Profile(Decimal(7), 3), Profile(Decimal(7), 5))


@given(start=st.integers(0, 1_439), end=st.integers(1, 1_440))
def test_a_window_reads_back_as_it_shows_itself(tmp_path: Path, start: int, end: int) -> None:
    if start == end:
        return
    window = DayWindow(start, end)

    assert node(tmp_path, f"schedule: {{active_windows: ['{window}']}}").schedule.active_windows == (window,)


def test_a_mode_whose_every_order_the_limit_would_refuse_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "my.yaml"
    path.write_text("execution: {risk: {max_order_usd: 75}}\nstrategy_mode: {mode: force_active}\n")

    with pytest.raises(ConfigError, match=r"active\.order_size_usd is 100, must be at most .* which is 75"):
        load_settings(config_file=path, environ={}, overrides={})
