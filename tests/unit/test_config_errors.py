"""What is wrong with a configuration: one sentence each, all at once, with the line and the way out."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.errors import ConfigError
from config.load import load_settings

LOOPBACK = "broker: {rest_url: 'http://127.0.0.1:8080', visibility_ms: 100, absence_margin_ms: 0}\n"
RISK = "risk: {max_order_usd: 10, max_orders_per_minute: 5, max_position_usd: 100}"


def problems_of(
    tmp_path: Path,
    text: str | bytes | None = None,
    environ: dict[str, str] | None = None,
    overrides: dict[str, object] | None = None,
) -> list[str]:
    """The problems, with the file called my.yaml; none when the configuration loads."""
    path = tmp_path / "my.yaml" if text is not None else None
    if path is not None and text is not None:
        path.write_bytes(text.encode() if isinstance(text, str) else text)
    try:
        load_settings(config_file=path, environ=environ or {}, overrides=overrides or {})
    except ConfigError as error:
        return [problem.replace(f"{tmp_path}/", "") for problem in error.problems]
    return []


def test_the_sentence_names_the_key_the_value_the_bound_and_the_line(tmp_path: Path) -> None:
    text = "execution:\n  rate_limit:\n    max_qps: 0\n"

    assert problems_of(tmp_path, text) == [
        "execution.rate_limit.max_qps is 0, must be at least 0.1 (my.yaml line 3; see config/defaults.yaml)"
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "rate_limit: {max_qsp: 1}",
            "execution.rate_limit.max_qsp is no setting, execution.rate_limit.max_qps",
        ),
        ("max_qps: 1", "execution.max_qps is no setting, execution.rate_limit.max_qps was meant?"),
        ("zzzz: 1", "execution.zzzz is no setting, known here: enabled, mode, symbols"),
        ("1: 1", "execution.1 is no setting"),
        ("[a]: 1", "execution.a key that is not a word is no setting"),
        ("mode: lvie", "execution.mode is lvie, must be one of dry_run, paper, testnet, live"),
        ("mode: null", "execution.mode is null, must be one of"),
        ("mode: [live]", "execution.mode is a list, must be one of"),
        ("enabled: perhaps", "execution.enabled is perhaps, must be true or false"),
        ("symbols: []", "execution.symbols is empty, must name at least one symbol"),
        ("symbols: [btcusdt, BTCUSDT]", "execution.symbols names BTCUSDT twice"),
        ("http: {host: ''}", "execution.http.host is empty, must be a text"),
        (
            f"symbols: [{','.join(f'A{n}' for n in range(1001))}]",
            "execution.symbols names 1001 symbols, must be at",
        ),
        ("symbols: [../etc]", "execution.symbols holds ../etc, must be a list of symbols of 2 to 20"),
        ("symbols: [NO]", "execution.symbols holds false, must be a list of symbols"),
        ("symbols: {BTCUSDT: 1}", "execution.symbols is a mapping, must be a list of symbols"),
        ("symbols: [[A1]]", "execution.symbols holds lists or mappings"),
        (
            "retry: {max_attempts: true}",
            "execution.retry.max_attempts is true, must be a whole number from 1 to",
        ),
        ("retry: {max_attempts: 1.5}", "execution.retry.max_attempts is 1.5, must be a whole number"),
        ("retry: 5", "execution.retry holds no mapping, must be a mapping of max_attempts, backoff_ms"),
        ("rate_limit: {max_qps: .nan}", "execution.rate_limit.max_qps is nan, must be "),
        ("rate_limit: {max_qps: .inf}", "execution.rate_limit.max_qps is inf, must be at most 100000"),
        ("cost: {fee_bps: .nan}", "execution.cost.fee_bps is .nan, must be a number from -10000 to 10000"),
        ("risk: {max_order_usd: 0}", "execution.risk.max_order_usd is 0, must be above 0"),
        ("http: {port: 70000}", "execution.http.port is 70000, must be at most 65535"),
        ("staleness: {max_age_ms: 999}", "execution.staleness.max_age_ms is 999, must be at least 1000"),
        (
            "staleness: {max_age_ms: 600001}",
            "execution.staleness.max_age_ms is 600001, must be at most 600000",
        ),
        ("sink: {base_dir: ''}", "execution.sink.base_dir is empty, must be a folder"),
        ("sink: {base_dir: ~other/x}", "execution.sink.base_dir is ~other/x, must be a folder without ~"),
        ("mode: !!python/object:os.system x", "execution.mode is x, must be one of"),
        ("mode: !env MODE", "execution.mode carries a tag, must be one of"),
        (
            "business: {long_score_threshold: -1}",
            "execution.business.long_score_threshold is -1.0, must be above "
            "execution.business.short_score_threshold, which is -0.5",
        ),
        (
            "{mode: testnet, rate_limit: {max_qps: null}}",
            "execution.rate_limit.max_qps is null, must be a number in",
        ),
    ],
)
def test_a_bad_value_is_one_sentence_with_its_line(tmp_path: Path, text: str, problem: str) -> None:
    problems = problems_of(tmp_path, f"# a comment\nexecution:\n  {text}\n")

    assert len(problems) == 1
    assert problems[0].startswith(problem)
    assert problems[0].endswith("(my.yaml line 3; see config/defaults.yaml)")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{name: bybit}", "broker.name is bybit, must be binance-futures"),
        ("{testnet: true}", "broker.testnet is true while execution.mode is live"),
        (
            "{rest_url: 'https://fapi.binance.com'}",
            "broker.rest_url is https://fapi.binance.com, must be a bare loop",
        ),
        ("{rest_url: 'http://127.0.0.1@evil.com'}", "broker.rest_url has a user or a password in it"),
        ("{rest_url: 'http://127.0.0.1.evil.com'}", "broker.rest_url is http://127.0.0.1.evil.com"),
        ("{rest_url: 'http://127.0.0.1:99999'}", "broker.rest_url is http://127.0.0.1:99999"),
        ("{rest_url: 'http://10.0.0.1'}", "broker.rest_url is http://10.0.0.1"),
        (
            "{stream_url: 'http://127.0.0.1'}",
            "broker.stream_url is http://127.0.0.1, must be a bare loopback address",
        ),
        (
            "{visibility_ms: 59999}",
            "broker.visibility_ms is 59999, must be at least 60000 unless broker.rest_url",
        ),
        ("{recv_window_ms: 4999}", "broker.recv_window_ms is 4999, must be at least 5000 unless"),
        ("{secret: x}", "broker.secret is no setting, broker.secret_env was meant?"),
    ],
)
def test_a_bad_broker_value_is_one_sentence(tmp_path: Path, text: str, problem: str) -> None:
    environ = {"LIVE_CONFIRM": "YES"}

    problems = problems_of(tmp_path, f"execution: {{mode: live, {RISK}}}\nbroker: {text}\n", environ)

    assert len(problems) == 1
    assert problems[0].startswith(problem)
    assert "my.yaml line 2" in problems[0]


@pytest.mark.parametrize("url", ["http://localhost:1", "https://127.8.8.8", "http://[::1]:80/"])
def test_a_loopback_address_allows_fast_drills(tmp_path: Path, url: str) -> None:
    assert problems_of(tmp_path, LOOPBACK.replace("http://127.0.0.1:8080", url)) == []


def test_live_needs_its_confirmation_and_every_limit(tmp_path: Path) -> None:
    problems = problems_of(tmp_path, "execution: {mode: live}\n", {"LIVE_CONFIRM": "yes"})

    assert [problem.split(" is ")[0] for problem in problems] == [
        "execution.mode",
        "execution.risk.max_order_usd",
        "execution.risk.max_orders_per_minute",
        "execution.risk.max_position_usd",
    ]
    assert "set LIVE_CONFIRM=YES in the environment" in problems[0]
    assert problems_of(tmp_path, f"execution: {{mode: live, {RISK}}}\n", {"LIVE_CONFIRM": "YES"}) == []


def test_a_key_given_twice_is_an_error_with_both_lines(tmp_path: Path) -> None:
    text = "execution:\n  mode: dry_run\n  mode: paper\nbroker: {}\nexecution: {}\n"

    assert problems_of(tmp_path, text) == [
        "execution is given twice, must be given once (my.yaml lines 1 and 5; see config/defaults.yaml)",
        "execution.mode is given twice, must be given once (my.yaml lines 2 and 3; see config/defaults.yaml)",
    ]


@pytest.mark.parametrize(
    ("environ", "problem"),
    [
        (
            {"V13_EXECUTION_MOED": "live"},
            "environment variable V13_EXECUTION_MOED is no setting, V13_EXECUTION_MODE",
        ),
        ({"V13_EXECUTION__RATE_LIMIT": "{}"}, "environment variable V13_EXECUTION__RATE_LIMIT is no setting"),
        (
            {"V13_EXECUTION_QQQQQQ": "1"},
            "environment variable V13_EXECUTION_QQQQQQ is no setting, other keys are",
        ),
        ({"V13_BROKER__RECV_WINDOW": "1"}, "environment variable V13_BROKER__RECV_WINDOW is no setting"),
        ({"V13_SYMBOLS": ""}, "V13_SYMBOLS is set and empty: unset it"),
        ({"V13_EXECUTION__RISK__MAX_ORDER_USD": " "}, "V13_EXECUTION__RISK__MAX_ORDER_USD is set and empty"),
        ({"V13_EXECUTION_MODE": "null"}, "execution.mode is null, must be one of"),
        (
            {"V13_SYMBOLS": ","},
            "execution.symbols is empty, must name at least one symbol (environment V13_SYMBOLS;",
        ),
        (
            {"V13_EXECUTION__RETRY__BACKOFF_MS": "x"},
            "execution.retry.backoff_ms is x, must be a whole number",
        ),
        (
            {"V13_SINK": "jsonl", "V13_EXECUTION__SINK__KIND": "auto"},
            "V13_EXECUTION__SINK__KIND and V13_SINK both set execution.sink.kind and differ",
        ),
    ],
)
def test_a_bad_variable_is_one_sentence(tmp_path: Path, environ: dict[str, str], problem: str) -> None:
    problems = problems_of(tmp_path, environ=environ)

    assert len(problems) == 1
    assert problems[0].startswith(problem)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("execution: {mode: live\n", "my.yaml line 2 is not YAML: "),
        ("a: b: c\n", "my.yaml line 1 is not YAML: mapping values are not allowed"),
        (
            "execution:\n\tmode: x\n",
            "my.yaml line 2 is not YAML: found character that cannot start any token",
        ),
        ("- 1\n", "my.yaml is not a mapping: it must hold `execution:`"),
        ("a: *b\n", "my.yaml line 1 is not YAML: found undefined alias"),
        ("a: 1\n---\nb: 2\n", "my.yaml line 2 is not YAML: but found another document"),
        (b"a: 1\nb: \xff\n", "my.yaml line 2 is not UTF-8: save the file as UTF-8"),
        ("a: \x00\n", "my.yaml is not YAML: "),
        ("[" * 200_000, "my.yaml "),
        ("#" * 1_048_577, "--config my.yaml is over 1048576 bytes long"),
    ],
)
def test_a_broken_file_is_one_sentence(tmp_path: Path, text: str | bytes, problem: str) -> None:
    problems = problems_of(tmp_path, text)

    assert len(problems) == 1
    assert problems[0].startswith(problem)
    assert "\n" not in problems[0]


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    for path, reason in (
        (tmp_path / "nowhere.yaml", "no such file or directory"),
        (tmp_path, "is a directory"),
    ):
        with pytest.raises(ConfigError) as caught:
            load_settings(config_file=path, environ={}, overrides={})
        assert caught.value.problems == (f"--config {path} cannot be read: {reason}",)


def test_an_alias_bomb_is_never_expanded(tmp_path: Path) -> None:
    levels = "".join(f"l{i}: &l{i} [{','.join([f'*l{i - 1}'] * 9)}]\n" for i in range(1, 12))
    merges = "".join(f"m{i}: &m{i} {{<<: [{','.join([f'*m{i - 1}'] * 9)}], k{i}: 1}}\n" for i in range(1, 12))
    ours = "execution:\n  symbols: *l11\n  retry:\n    <<: *m11\n"
    text = f"l0: &l0 [1]\n{levels}m0: &m0 {{k0: 1}}\n{merges}{ours}"

    problems = problems_of(tmp_path, text)

    assert any("merges too deeply" in problem for problem in problems)
    assert any(problem.startswith("execution.symbols holds lists or mappings") for problem in problems)


def test_a_merge_of_itself_ends(tmp_path: Path) -> None:
    problems = problems_of(tmp_path, "execution: &e\n  <<: *e\n  mode: paper\n")

    assert len(problems) == 1
    assert "merges too deeply" in problems[0]


def test_everything_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    text = "execution:\n  mod: live\n  mode: x\n  http: {port: -1}\n  log: {level: info, level: info}\n"
    environ = {"V13_EXECUTION_FOO": "1", "V13_SINK": ""}

    problems = problems_of(tmp_path, text, environ, {"execution.symbols": ""})

    assert [problem.split(" ")[0] for problem in problems] == [
        "execution.mod",
        "execution.log.level",
        "environment",
        "V13_SINK",
        "execution.mode",
        "execution.http.port",
        "execution.symbols",
    ]
