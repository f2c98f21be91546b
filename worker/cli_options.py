"""The options that several commands share, and what they give together.

Light on purpose: `--help` imports this and nothing of pydantic. A test keeps the choices equal to
those of the settings.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from config.load import Loaded

ModeName = Literal["dry_run", "paper", "testnet", "live"]
SinkName = Literal["jsonl", "sqlite", "auto"]
LevelName = Literal["debug", "info", "warning", "error"]
ShapeName = Literal["v1-jsonl", "v2-jsonl", "v1-sqlite", "v2-sqlite"]

# Whether the file can be read is found out where all other problems are, so that all are told at once.
ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", readable=False, help="YAML file with your settings."),
]
Symbols = Annotated[
    str | None,
    typer.Option("--symbols", metavar="A,B", help="Symbols to execute; signals of others are not read."),
]
ModeOption = Annotated[
    ModeName | None,
    typer.Option("--mode", metavar="MODE", help="dry_run, paper, testnet or live [default: dry_run]."),
]
SinkOption = Annotated[
    SinkName | None,
    typer.Option("--sink", metavar="KIND", help="jsonl, sqlite, or auto, which looks once [default: auto]."),
]
SignalsFolder = Annotated[
    str | None,
    typer.Option("--signals", metavar="DIR", help="Folder to read signals from [default: that of --output]."),
]
OutputFolder = Annotated[
    str | None,
    typer.Option(
        "--output", metavar="DIR", help="Folder for the store, executions and logs [default: ./runtime]."
    ),
]
LogLevelOption = Annotated[
    LevelName | None,
    typer.Option("--log-level", metavar="LEVEL", help="debug, info, warning or error [default: info]."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of text for people.")]


@dataclass(frozen=True, slots=True)
class Given:
    """What the command line gave: a file, and settings by dotted key (None: not given)."""

    config: Path | None = None
    overrides: dict[str, object] = field(default_factory=dict)

    def over(self, earlier: Given) -> Given:
        """These options over those that stood before the command."""
        given = {key: value for key, value in self.overrides.items() if value is not None}
        return Given(self.config or earlier.config, {**earlier.overrides, **given})

    def load(self, *, trades: bool = True) -> Loaded:
        """The configuration in force; raises ConfigError with every problem.

        Without `trades` no order is sent, and real money needs no confirmation: a halt must not wait for one.
        """
        from config.load import load_settings
        from config.rules import LIVE_CONFIRM

        environ = os.environ if trades else {**os.environ, LIVE_CONFIRM: "YES"}
        return load_settings(config_file=self.config, environ=environ, overrides=self.overrides)


def given_of(
    config: Path | None,
    symbols: str | None = None,
    mode: str | None = None,
    sink: str | None = None,
    signals: str | None = None,
    output: str | None = None,
    log_level: str | None = None,
) -> Given:
    """What the options of one command gave, by the keys that they set."""
    return Given(
        config,
        {
            "execution.symbols": symbols,
            "execution.mode": mode,
            "execution.sink.kind": sink,
            "execution.source.base_dir": signals,
            "execution.sink.base_dir": output,
            "execution.log.level": log_level,
        },
    )


def earlier(ctx: typer.Context) -> Given:
    """The options that stood before the command: `execution-worker --config F check` works as well."""
    found = ctx.find_root().obj
    assert isinstance(found, Given)
    return found
