"""A shadow at a start: an account of its own, never a live one, or one sentence and nothing begun."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from adapters.binance.credentials import Credentials, CredentialsError
from config.settings import Mode, Settings
from worker import cli
from worker.exits import Exit
from worker.shadow_start import shadow_of, shadow_settings

SHADOW_ON = Settings.model_validate({"execution": {"shadow": {"enabled": True}}})
GIVEN = {"SHADOW_API_KEY": "shadow-key", "SHADOW_API_SECRET": "shadow-secret"}


def test_a_shadow_that_is_off_asks_for_nothing() -> None:
    assert shadow_of(Settings(), {}, None) is None


def test_a_shadow_without_credentials_is_refused_by_their_names() -> None:
    with pytest.raises(CredentialsError) as told:
        shadow_of(SHADOW_ON, {}, None)

    assert str(told.value) == (
        "no API key of the shadow was found: set SHADOW_API_KEY and SHADOW_API_SECRET in the environment"
    )
    assert told.value.kind == "configuration"


def test_a_shadow_on_the_main_account_is_refused_whatever_the_hosts() -> None:
    main = Credentials("shadow-key", "another-secret", "the environment variable BINANCE_API_KEY")

    with pytest.raises(CredentialsError) as told:
        shadow_of(SHADOW_ON, GIVEN, main)

    assert "holds the key of the main account, must be another account's: " in str(told.value)
    assert "shadow-key" not in str(told.value)


@pytest.mark.parametrize("mode", list(Mode))
def test_the_second_venue_is_never_a_live_one(mode: Mode) -> None:
    settings = SHADOW_ON.model_copy(
        update={"execution": SHADOW_ON.execution.model_copy(update={"mode": mode})}
    )

    parts = shadow_of(settings, GIVEN, None)

    assert parts is not None
    assert parts.settings.execution.mode is Mode.TESTNET
    assert shadow_settings(settings).broker.api_key_env == "SHADOW_API_KEY"


@pytest.mark.parametrize(
    ("variables", "code", "words"),
    [
        ({}, Exit.CONFIGURATION, "no API key of the shadow was found: "),
        (
            {"BINANCE_API_KEY": "one-key", "SHADOW_API_KEY": "one-key"},
            Exit.CONFIGURATION,
            "holds the key of the main account",
        ),
    ],
)
def test_a_start_with_an_unusable_shadow_ends_with_one_sentence(
    tmp_path: Path, variables: dict[str, str], code: Exit, words: str
) -> None:
    silenced = {name: None for name in os.environ if name.startswith(("V13_", "SHADOW_"))}
    secrets = {"BINANCE_API_KEY": "main-key", "BINANCE_API_SECRET": "main-secret"}
    if variables:
        secrets["SHADOW_API_SECRET"] = "shadow-secret"
    given = {"V13_EXECUTION__SHADOW__ENABLED": "true", **secrets, **variables}

    answer = CliRunner().invoke(
        cli.app, ["--mode", "testnet", "--output", str(tmp_path / "out"), "--once"], env={**silenced, **given}
    )

    assert answer.exit_code == code
    [line] = answer.stderr.splitlines()
    assert words in line
    assert "one-key" not in line
    assert not (tmp_path / "out").exists()
