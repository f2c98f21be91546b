"""Reading the environment: the named variables, and `V13_EXECUTION__RATE_LIMIT__MAX_QPS` for any key.

pydantic-settings takes nested names apart and decodes them. It ignores names that it does not
know, so every name is checked here first: a mistyped limit must not be a limit that is off.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict

from config.layers import Entry, Layer
from config.names import NAMED_VARIABLES, VARIABLE_PREFIX, nearest, variable_of, variables
from config.settings import Broker, Execution

NULL = "null"


class _Variables(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix=VARIABLE_PREFIX,
        env_nested_delimiter="__",
        hide_input_in_errors=True,
        defer_build=True,
    )

    execution: Execution = Execution()
    broker: Broker = Broker()


class _Source(EnvSettingsSource):
    """Reads a given mapping instead of the process's environment, and `A,B` instead of JSON lists."""

    def __init__(self, given: Mapping[str, str]) -> None:
        super().__init__(_Variables)
        self.env_vars = {name.lower(): value for name, value in given.items()}

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        # Lists are split where every layer's lists are split, in `config.load`.
        return value


def read_environment(environ: Mapping[str, str]) -> Layer:
    """The layer of the variables in `environ`; unknown, empty and contradicting ones are problems."""
    layer = Layer()
    names: dict[str, str] = {}
    for name in sorted(name for name in environ if name.startswith(VARIABLE_PREFIX)):
        key = variables().get(name)
        if key is None:
            _unknown(name, layer)
        elif not environ[name].strip():
            layer.problems.append(
                f"{name} is set and empty: unset it to use the file or the default, or give it a value"
            )
        elif key in names and environ[names[key]].strip() != environ[name].strip():
            layer.problems.append(f"{names[key]} and {name} both set {key} and differ: unset one of them")
        else:
            names[key] = name
    given = {variable_of(key): environ[name].strip() for key, name in names.items()}
    for key, value in _flattened(_Source(given)()):
        origin = f"environment {names[key]}"
        layer.entries[key] = Entry(None if value == NULL else value, origin, origin)
    return layer


def _unknown(name: str, layer: Layer) -> None:
    meant = nearest(name, variables(), cutoff=0.75)
    example = variable_of("execution.rate_limit.max_qps")
    hint = f"{meant} was meant?" if meant else f"other keys are written like {example}"
    if name.startswith(("V13_EXECUTION_", "V13_BROKER__")):
        layer.problems.append(f"environment variable {name} is no setting, {hint}")
    elif name.startswith("V13_BROKER_") or nearest(name, NAMED_VARIABLES, cutoff=0.9):
        # Other services share the prefix, so this one may be theirs.
        layer.warnings.append(f"environment variable {name} is not read here, {hint}")


def _flattened(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in node.items():
        if isinstance(value, Mapping):
            yield from _flattened(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
