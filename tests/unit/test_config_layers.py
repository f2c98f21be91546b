"""Four layers, the later one wins, and every value knows where it came from."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from config.load import Loaded, load_settings
from config.settings import ExecLog, Mode, SinkKind


def load(
    tmp_path: Path,
    text: str | None = None,
    environ: dict[str, str] | None = None,
    overrides: dict[str, object] | None = None,
) -> Loaded:
    path = None
    if text is not None:
        path = tmp_path / "my.yaml"
        path.write_text(text)
    return load_settings(config_file=path, environ=environ or {}, overrides=overrides or {})


def test_the_later_layer_wins_key_by_key(tmp_path: Path) -> None:
    text = "execution:\n  symbols: [AAVEUSDT]\n  rate_limit:\n    max_qps: 3\n    max_concurrency: 4\n"

    loaded = load(
        tmp_path,
        text,
        {"V13_SYMBOLS": "BTCUSDT", "V13_EXECUTION__RATE_LIMIT__MAX_QPS": "5"},
        {"execution.symbols": "ethusdt,solusdt", "execution.mode": None},
    )

    execution = loaded.settings.execution
    assert execution.symbols == ("ETHUSDT", "SOLUSDT")
    assert execution.rate_limit.max_qps == 5
    assert execution.rate_limit.max_concurrency == 4
    assert loaded.origins["execution.symbols"] == "command line --symbols"
    assert loaded.origins["execution.rate_limit.max_qps"] == "environment V13_EXECUTION__RATE_LIMIT__MAX_QPS"
    assert loaded.origins["execution.rate_limit.max_concurrency"] == f"{tmp_path}/my.yaml:5"
    assert loaded.origins["execution.mode"] == "default (config/defaults.yaml)"


@pytest.mark.parametrize(
    ("variable", "value", "key", "expected"),
    [
        ("V13_EXECUTION_MODE", "paper", "execution.mode", Mode.PAPER),
        ("V13_SYMBOLS", " btcusdt, ETHUSDT, ", "execution.symbols", ("BTCUSDT", "ETHUSDT")),
        ("V13_SINK", "sqlite", "execution.sink.kind", SinkKind.SQLITE),
        ("V13_OUTPUT_DIR", "~/out", "execution.sink.base_dir", Path("/home/op/out")),
        ("V13_LOG_LEVEL", "debug", "execution.log.level", "debug"),
        ("V13_BROKER_REST_URL", "http://127.0.0.1:8080", "broker.rest_url", "http://127.0.0.1:8080"),
        ("V13_EXECUTION__ENABLED", "false", "execution.enabled", False),
        ("V13_EXECUTION__RATE_LIMIT__MAX_QPS", "null", "execution.rate_limit.max_qps", None),
        ("V13_EXECUTION__BUSINESS__BASE_ORDER_QTY", "0.1000", "execution.business.base_order_qty", "0.1000"),
        ("V13_BROKER__RECV_WINDOW_MS", "6000", "broker.recv_window_ms", 6000),
    ],
)
def test_a_variable_sets_its_key(variable: str, value: str, key: str, expected: object) -> None:
    loaded = load_settings(config_file=None, environ={variable: value, "HOME": "/home/op"}, overrides={})

    found: object = loaded.settings
    for name in key.split("."):
        found = getattr(found, name)
    assert found == expected or str(found) == expected
    assert loaded.origins[key] == f"environment {variable}"


def test_every_documented_shape_of_a_value_is_understood(tmp_path: Path) -> None:
    text = (
        "execution:\n  symbols: BTCUSDT,ETHUSDT\n  retry:\n  rate_limit: {max_qps: null}\n"
        "  business: {base_order_qty: 0.12345678901234567890}\n  risk: {max_order_usd: 1_000.50}\n"
    )

    execution = load(tmp_path, text).settings.execution

    assert execution.symbols == ("BTCUSDT", "ETHUSDT")
    assert execution.rate_limit.max_qps is None
    assert execution.business.base_order_qty == Decimal("0.12345678901234567890")
    assert execution.risk.max_order_usd == Decimal("1000.50")


def test_merged_anchors_of_a_shared_file_give_values(tmp_path: Path) -> None:
    text = (
        "shared: &limits {max_qps: 7, max_concurrency: 3}\n"
        "execution:\n  rate_limit:\n    <<: *limits\n    max_concurrency: 5\n"
    )

    rate_limit = load(tmp_path, text).settings.execution.rate_limit

    assert (rate_limit.max_qps, rate_limit.max_concurrency) == (7, 5)


def test_foreign_top_level_nodes_are_left_alone(tmp_path: Path) -> None:
    text = (
        "producer: {x: 1, x: 2}\nsecrets: !vault abc\nfeatures: &a [1, {b: 2}]\n"
        "producer: {}\nexecution: {mode: paper}\n"
    )

    loaded = load(tmp_path, text)

    assert loaded.settings.execution.mode is Mode.PAPER
    assert loaded.warnings == []


def test_the_executor_node_of_an_older_layout_gives_exactly_one_warning(tmp_path: Path) -> None:
    loaded = load(tmp_path, "executor: {mode: live, x: {y: 1}}\nexecutor_x: 5\nexecution:\n")

    assert loaded.warnings == [
        "executor is the node of an older layout and is not read: move its values to execution "
        f"({tmp_path}/my.yaml line 1; see config/defaults.yaml)"
    ]


def test_a_mistyped_top_level_node_is_pointed_out(tmp_path: Path) -> None:
    loaded = load(tmp_path, "exection: {mode: live}\n")

    assert loaded.warnings == [
        f"exection is a node of other services and is not read: execution was meant? "
        f"({tmp_path}/my.yaml line 1)",
        f"{tmp_path}/my.yaml has no execution node, its values are defaults",
    ]


def test_an_empty_file_and_an_empty_node_mean_defaults(tmp_path: Path) -> None:
    assert load(tmp_path, "# nothing yet\n").warnings == [
        f"{tmp_path}/my.yaml is empty, every value is a default"
    ]
    assert load(tmp_path, "execution:\n  # mode: live\n").warnings == []


def test_mock_enabled_is_accepted_and_ignored_with_a_warning(tmp_path: Path) -> None:
    loaded = load(tmp_path, "execution: {mode: paper}\nbroker: {mock_enabled: true}\n")

    assert loaded.warnings == [
        "broker.mock_enabled has no effect: execution.mode alone decides where orders go "
        f"({tmp_path}/my.yaml line 2; see config/defaults.yaml)"
    ]


def test_a_safeguard_that_is_switched_on_where_nothing_enforces_it_is_told(tmp_path: Path) -> None:
    loaded = load(tmp_path, "execution:\n  risk: {max_order_usd: 5}\n  precheck: {enabled: true}\n")

    assert loaded.warnings == [
        f"execution.{key} has no effect: this version does not enforce it in mode dry_run "
        f"({tmp_path}/my.yaml line {line}; see config/defaults.yaml)"
        for line, key in ((2, "risk.max_order_usd"),)
    ]


def test_a_variable_that_nearly_has_our_name_is_pointed_out() -> None:
    environ = {"V13_BROKER_REST_ULR": "http://127.0.0.1:1", "V13_SYMBOL": "A", "V13_PRODUCER_THREADS": "4"}

    loaded = load_settings(config_file=None, environ=environ, overrides={})

    assert loaded.warnings == [
        "environment variable V13_BROKER_REST_ULR is not read here, V13_BROKER_REST_URL was meant?",
        "environment variable V13_SYMBOL is not read here, V13_SYMBOLS was meant?",
    ]


@pytest.mark.parametrize("word", ["off", "Off", "'off'"])
def test_a_word_that_yaml_reads_as_false_is_meant_as_the_word(word: str, tmp_path: Path) -> None:
    assert load(tmp_path, f"execution:\n  execlog: {word}\n").settings.execution.execlog is ExecLog.OFF
