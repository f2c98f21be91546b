"""Loading the configuration: defaults, file, environment, command line; the later one wins.

Every value keeps where it came from, and every problem of every layer is found before any is
reported. Nothing is guessed: what is unknown, empty or doubtful stops the start.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from config.errors import DEFAULTS_NAME, ConfigError, located
from config.layers import Entry, Layer, command_line_layer
from config.names import VARIABLE_PREFIX, Leaf, leaves, shown
from config.redact import Redactor, redactor_of
from config.rules import broken_rules, unenforced
from config.settings import Settings

if TYPE_CHECKING:
    from config.strategy_mode import StrategySettings

DEFAULT_ORIGIN = f"default ({DEFAULTS_NAME})"


@dataclass(frozen=True, slots=True)
class Loaded:
    """The merged settings; the origin of each dotted key; sentences that an operator should read.

    `strategy` is the node strategy_mode of `config_file`, None where there is none.
    """

    settings: Settings
    origins: dict[str, str]
    warnings: list[str]
    config_file: Path | None = None
    strategy: StrategySettings | None = None


def load_settings(
    *, config_file: Path | None, environ: Mapping[str, str], overrides: Mapping[str, object]
) -> Loaded:
    """The configuration in force.

    `overrides` maps dotted keys to what the command line gave; None means not given. Raises
    ConfigError with every problem at once; no message holds a credential.
    """
    merged = _merged(config_file, environ, overrides)
    entries = merged.entries
    values = _prepared(merged, environ)
    settings = _validated(values, merged)
    for broken in broken_rules(settings, environ):
        if not any(_touches(merged.refused, key) for key in broken.keys):
            merged.problems.append(located(broken.sentence, _where(entries, broken.keys)))
    redactor = credentials_redactor(settings, environ)
    strategy = _strategy(config_file, settings, merged)
    if merged.problems:
        raise ConfigError(redactor.text(problem) for problem in merged.problems)
    if settings.broker.mock_enabled is not None:
        sentence = "broker.mock_enabled has no effect: execution.mode alone decides where orders go"
        merged.warnings.append(located(sentence, _where(entries, ("broker.mock_enabled",))))
    for key in unenforced(settings):
        sentence = f"{key} has no effect: this version does not enforce it in mode {settings.execution.mode}"
        merged.warnings.append(located(sentence, _where(entries, (key,))))
    origins = {key: entries[key].origin if key in entries else DEFAULT_ORIGIN for key in leaves()}
    warnings = [redactor.text(warning) for warning in merged.warnings]
    return Loaded(settings, origins, warnings, config_file, strategy)


def _strategy(config_file: Path | None, settings: Settings, merged: Layer) -> StrategySettings | None:
    """The strategy mode of a file that could be read; its problems go with the others."""
    if config_file is None or merged.root is None:
        return None
    from config.strategy_file import node_below
    from config.strategy_mode import oversized

    try:
        strategy = node_below(merged.root, config_file)
    except ConfigError as error:
        # A file that is no mapping at all has been told already, with another page to look at.
        told = {problem.partition(" (")[0] for problem in merged.problems}
        merged.problems += [one for one in error.problems if one.partition(" (")[0] not in told]
        return None
    if strategy is not None:
        merged.warnings += strategy.warnings
        merged.problems += list(oversized(strategy, settings.execution))
    return strategy


def credentials_redactor(settings: Settings, environ: Mapping[str, str]) -> Redactor:
    """Hides the credentials that these settings name, and whatever else in `environ` sounds like one."""
    broker, shadow = settings.broker, settings.execution.shadow
    names = (broker.api_key_env, broker.secret_env, shadow.api_key_env, shadow.secret_env)
    notify = settings.execution.notify
    told = (notify.webhook, notify.pager, notify.apprise, notify.ping)
    return redactor_of(environ, names, lists=[one.url_env for one in told])


def _merged(config_file: Path | None, environ: Mapping[str, str], overrides: Mapping[str, object]) -> Layer:
    merged = Layer()
    if config_file is not None:
        # The YAML and the environment reader cost 20 and 50 ms to import; most starts need one.
        from config.yaml_file import read_file

        merged.add(read_file(config_file))
    if any(name.startswith(VARIABLE_PREFIX) for name in environ):
        from config.environment import read_environment

        merged.add(read_environment(environ))
    merged.add(command_line_layer(overrides))
    return merged


def _prepared(merged: Layer, environ: Mapping[str, str]) -> dict[str, object]:
    """The merged values as validation takes them; what validation would wave through is refused here."""
    values: dict[str, object] = {}
    for key, entry in merged.entries.items():
        leaf = leaves()[key]
        value = _unfolded(leaf, entry.value, environ)
        refusal = _refusal(leaf, value)
        if refusal is None:
            values[key] = value
        else:
            merged.refused.add(key)
            merged.problems.append(located(refusal, entry.where))
    return values


def _unfolded(leaf: Leaf, value: object, environ: Mapping[str, str]) -> object:
    if leaf.is_list and isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    if leaf.kind is Path and isinstance(value, str) and (value == "~" or value.startswith("~/")):
        return environ.get("HOME", "~") + value[1:]
    if value is False and isinstance(leaf.kind, type) and issubclass(leaf.kind, StrEnum):
        # YAML reads a bare off as false.
        return "off" if "off" in list(leaf.kind) else value
    return value


def _refusal(leaf: Leaf, value: object) -> str | None:
    """Why a value is no value for its key although pydantic would take it."""
    if isinstance(value, bool) and leaf.kind is not bool:
        return f"{leaf.key} is {shown(value)}, must be {leaf.expected()}"
    if leaf.kind is str and isinstance(value, str) and not value.strip():
        return f"{leaf.key} is empty, must be {leaf.expected()}"
    if leaf.kind is Path and isinstance(value, str):
        if not value or "\0" in value:
            return f"{leaf.key} is {shown(value)}, must be {leaf.expected()}"
        if value.startswith("~"):
            return f"{leaf.key} is {shown(value)}, must be a folder without ~: give the whole path"
    return None


def _validated(values: dict[str, object], merged: Layer) -> Settings:
    """The settings; invalid values become problems, and defaults in the result."""
    try:
        return Settings.model_validate(_nested(values))
    except ValidationError as error:
        for details in error.errors(include_url=False, include_input=False):
            key = _key_of(details["loc"])
            sentence = _sentence(leaves()[key], values[key], details)
            merged.problems.append(located(sentence, merged.entries[key].where))
            merged.refused.add(key)
    return Settings.model_validate(_nested({k: v for k, v in values.items() if k not in merged.refused}))


def _key_of(location: Iterable[int | str]) -> str:
    """The key that pydantic points at; the index of a list item stays out."""
    return ".".join(part for part in location if isinstance(part, str))


def _sentence(leaf: Leaf, value: object, details: Any) -> str:
    index = details["loc"][-1]
    if isinstance(value, list) and isinstance(index, int):
        return f"{leaf.key} holds {shown(value[index])}, must be {leaf.expected()}"
    match details["type"]:
        case "greater_than_equal":
            wanted = f"at least {leaf.bounds['ge']}"
        case "less_than_equal":
            wanted = f"at most {leaf.bounds['le']}"
        case "greater_than":
            wanted = f"above {leaf.bounds['gt']}"
        case _:
            wanted = leaf.expected()
    return f"{leaf.key} is {shown(value)}, must be {wanted}"


def _nested(values: Mapping[str, object]) -> dict[str, Any]:
    root: dict[str, Any] = {}
    for key, value in values.items():
        *nodes, name = key.split(".")
        node = root
        for each in nodes:
            node = node.setdefault(each, {})
        node[name] = value
    return root


def _touches(refused: Iterable[str], key: str) -> bool:
    return any(key == each or key.startswith(each + ".") for each in refused)


def _where(entries: Mapping[str, Entry], keys: Iterable[str]) -> str:
    """Where to mend: the first of the keys that some layer gave, else the defaults."""
    return next((entries[key].where for key in keys if key in entries), DEFAULTS_NAME)
