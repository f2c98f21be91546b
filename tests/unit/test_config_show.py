"""`config show`: every key, its value, and where it came from."""

from __future__ import annotations

import json

from config.load import load_settings
from config.names import leaves
from config.redact import Redactor
from config.show import as_json, as_text

LOADED = load_settings(
    config_file=None,
    environ={"V13_EXECUTION__RATE_LIMIT__MAX_QPS": "2.5"},
    overrides={"execution.symbols": "BTCUSDT,ETHUSDT"},
)


def test_every_key_stands_on_one_aligned_line() -> None:
    lines = as_text(LOADED, Redactor([])).splitlines()

    assert [line.split()[0] for line in lines] == list(leaves())
    assert len({line.index("default (") for line in lines if "default (" in line}) == 1
    assert any(
        line.split(maxsplit=1)[1].split("  ")[0] == "[BTCUSDT, ETHUSDT]"
        and line.endswith("command line --symbols")
        for line in lines
    )


def test_the_json_form_holds_plain_values_and_exact_numbers() -> None:
    told = json.loads(as_json(LOADED, Redactor([])))

    assert list(told["settings"]) == list(leaves())
    assert told["settings"]["execution.rate_limit.max_qps"] == {
        "value": 2.5,
        "origin": "environment V13_EXECUTION__RATE_LIMIT__MAX_QPS",
    }
    assert told["settings"]["execution.business.base_order_qty"]["value"] == "100.0"
    assert told["settings"]["execution.mode"]["value"] == "dry_run"
    assert told["settings"]["broker.testnet"]["value"] is None
    assert told["warnings"] == []
