"""Canaries: no credential comes out of the configuration, whatever place it was put in by mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.errors import ConfigError
from config.load import credentials_redactor, load_settings
from config.redact import HIDDEN, Redactor
from config.show import as_json, as_text

CANARY = "vmPUZE6mv9SD5VNHk4HlWFsOr6aPE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"
SHORT_CANARY = "hunter22"


@pytest.mark.parametrize(
    "text",
    [
        "broker: {api_key: CANARY}",
        "broker: {CANARY: 1}",
        "broker: {api_key_env: CANARY}",
        "broker: {secret_env: [CANARY]}",
        "broker: {recv_window_ms: CANARY}",
        "broker: {rest_url: 'https://CANARY:SHORT@api.binance.com/x'}",
        "broker: {rest_url: 'http://127.0.0.1/?key=CANARY'}",
        "broker: {testnet: !secret CANARY}",
        "broker: {api_key: 'CANARY",
        "execution: {mode: CANARY, symbols: [CANARY], http: {port: SHORT}, log: {level: SHORT}}",
        "execution: {api: {key: CANARY}}",
        "CANARY",
        "? [CANARY]\n: *SHORT",
    ],
)
def test_a_credential_in_a_file_never_comes_back_in_a_message(tmp_path: Path, text: str) -> None:
    path = tmp_path / "my.yaml"
    path.write_text(text.replace("CANARY", CANARY).replace("SHORT", SHORT_CANARY))

    with pytest.raises(ConfigError) as caught:
        load_settings(config_file=path, environ={"BINANCE_API_SECRET": SHORT_CANARY}, overrides={})

    told = f"{caught.value}{caught.value!r}{caught.value.problems}"
    assert CANARY not in told
    assert SHORT_CANARY not in told


@pytest.mark.parametrize(
    "variable", ["V13_EXECUTION_MODE", "V13_EXECUTION_API_SECRET", "V13_BROKER__API_KEY"]
)
def test_a_credential_in_a_variable_never_comes_back_in_a_message(variable: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(config_file=None, environ={variable: CANARY}, overrides={})

    assert CANARY not in str(caught.value)
    assert variable in str(caught.value)


def test_the_values_of_the_configured_credentials_are_hidden_in_what_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "my.yaml"
    path.write_text("broker: {api_key_env: OUR_LOGIN, secret_env: OUR_WORD}\n")
    environ = {
        "OUR_LOGIN": CANARY,
        "OUR_WORD": SHORT_CANARY,
        "V13_OUTPUT_DIR": f"/data/{SHORT_CANARY}/{CANARY}",
    }

    loaded = load_settings(config_file=path, environ=environ, overrides={})
    redactor = credentials_redactor(loaded.settings, environ)

    for told in (as_text(loaded, redactor), as_json(loaded, redactor)):
        assert CANARY not in told
        assert SHORT_CANARY not in told
        assert f"/data/{HIDDEN}/{HIDDEN}" in told
        assert "OUR_LOGIN" in told


def test_a_redactor_shows_nothing_of_what_it_hides() -> None:
    redactor = Redactor([CANARY, CANARY[:40], ""])

    assert repr(redactor) == "Redactor(2 secrets)"
    assert redactor.text(f"a {CANARY} b wss://u:p@host c") == f"a {HIDDEN} b wss://{HIDDEN}@host c"
