"""How the adapter is put together: the right host, nothing loaded too early, and no secret in a refusal."""

from __future__ import annotations

import subprocess
import sys

import pytest

from adapters import registry
from adapters.binance.connect import open_binance
from adapters.binance.credentials import Credentials, CredentialsError
from config.seams import SystemClock
from config.settings import Settings

KEY = Credentials("loopback-key", "loopback-secret", "the environment variable BINANCE_API_KEY")
LOADED = """
import sys
from adapters import registry
from adapters.binance.credentials import Credentials
from config.settings import Settings
settings = Settings.model_validate({{"execution": {{"mode": {mode!r}}}}})
registry.open_adapter(settings, credentials=Credentials("k" * 20, "s" * 20, "a test") if {given} else None)
heavy = ("aiohttp", "cryptography", "adapters.binance.adapter", "adapters.binance.aiohttp_transport")
print(",".join(name for name in heavy if name in sys.modules))
"""


def loaded_by(mode: str, given: bool) -> str:
    script = LOADED.format(mode=mode, given=given)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env={})
    return done.stdout.strip()


def host_of(name: str, mode: str, **broker: str) -> str:
    settings = Settings.model_validate({"execution": {"mode": mode}, "broker": {"name": name, **broker}})
    return open_binance(settings, KEY, SystemClock()).host


def test_a_dry_run_reads_no_credential_and_loads_no_http() -> None:
    assert loaded_by("dry_run", given=False) == ""


def test_a_venue_loads_http_with_its_first_request_and_not_before() -> None:
    assert loaded_by("testnet", given=True) == "adapters.binance.adapter"


@pytest.mark.parametrize(
    ("name", "mode", "host"),
    [
        ("binance-futures", "live", "fapi.binance.com"),
        ("binance-futures", "testnet", "demo-fapi.binance.com"),
        ("binance-spot", "live", "api.binance.com"),
        ("binance-spot", "testnet", "testnet.binance.vision"),
    ],
)
def test_the_host_follows_from_market_and_mode(name: str, mode: str, host: str) -> None:
    assert host_of(name, mode) == host
    assert host_of(name, mode, rest_url="http://127.0.0.1:8080") == "127.0.0.1:8080"


def test_modes_without_a_wire_need_no_credentials() -> None:
    for mode in ("dry_run", "paper"):
        settings = Settings.model_validate({"execution": {"mode": mode}})
        assert registry.credentials_for(settings, {}) is None


def test_testnet_and_live_do_not_open_without_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BINANCE_API_KEY", "BINANCE_API_SECRET", "CREDENTIALS_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    for mode in ("testnet", "live"):
        settings = Settings.model_validate({"execution": {"mode": mode}})
        with pytest.raises(CredentialsError, match="no API key was found"):
            registry.open_adapter(settings)


def test_a_private_key_that_is_none_is_refused_without_being_quoted() -> None:
    pem = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIMadeUp\n-----END PRIVATE KEY-----"
    settings = Settings.model_validate({"execution": {"mode": "testnet"}, "broker": {"name": "binance-spot"}})

    with pytest.raises(CredentialsError) as caught:
        open_binance(settings, Credentials("loopback-key", pem, "broker.api_key_file ./key"), SystemClock())

    assert "MadeUp" not in str(caught.value)
    assert "broker.api_key_file ./key" in str(caught.value)
    assert caught.value.kind == "configuration"


def test_an_adapter_shows_no_credential() -> None:
    settings = Settings.model_validate({"execution": {"mode": "testnet"}})
    adapter = open_binance(settings, KEY, SystemClock())

    for text in (repr(adapter), repr(adapter.client), repr(vars(adapter)), repr(vars(adapter.client))):
        assert "loopback-key" not in text
        assert "loopback-secret" not in text
