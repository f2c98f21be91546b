"""The defaults file and the settings say the same, and every key explains itself."""

from __future__ import annotations

from pathlib import Path

import yaml

import config.load
from config.load import DEFAULT_ORIGIN, load_settings
from config.names import leaves, variable_of, variables
from config.settings import Settings

DEFAULTS = Path(config.load.__file__).with_name("defaults.yaml")


def keys_of(node: dict[str, object], prefix: str = "") -> list[str]:
    keys = []
    for name, value in node.items():
        keys += keys_of(value, f"{prefix}{name}.") if isinstance(value, dict) else [prefix + name]
    return keys


def test_the_defaults_file_equals_the_defaults_of_the_settings() -> None:
    loaded = load_settings(config_file=DEFAULTS, environ={}, overrides={})

    assert loaded.settings == Settings()
    assert loaded.warnings == []


def test_the_defaults_file_holds_every_key_in_the_order_of_the_settings() -> None:
    assert keys_of(yaml.safe_load(DEFAULTS.read_text())) == list(leaves())


def test_every_key_of_the_defaults_file_has_its_reason_above_it() -> None:
    above = ""
    unexplained = []
    for line in DEFAULTS.read_text().splitlines():
        name, _, value = line.strip().partition(":")
        is_leaf = value.strip() and not name.startswith("#")
        # Two keys may share one comment when it names both, as the credential variables do.
        if is_leaf and "#" not in above and name != "secret_env":
            unexplained.append(name)
        above = line

    assert unexplained == []


def test_without_layers_everything_is_a_default() -> None:
    loaded = load_settings(config_file=None, environ={"PATH": "/bin"}, overrides={})

    assert loaded.settings == Settings()
    assert set(loaded.origins.values()) == {DEFAULT_ORIGIN}
    assert list(loaded.origins) == list(leaves())


def test_every_key_has_a_variable_of_its_own() -> None:
    assert {variable_of(key) for key in leaves()} <= set(variables())
    assert len({variable_of(key) for key in leaves()}) == len(leaves())
