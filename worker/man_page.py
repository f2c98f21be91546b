"""The man page, made of the command line itself: `execution-worker man` and docs/execution-worker.1.

Pure.
"""

from __future__ import annotations

import re

from worker.cli_tree import Command, Parameter
from worker.version import VERSION

PAGE = "execution-worker.1"
_FILES = (
    ("executions/executions.db", "the store: one row for each signal"),
    ("executions/SYMBOL/exec_YYYYMMDD_HH.jsonl", "one line for each execution, by hour"),
    ("executions/deadletter/YYYYMMDD_HH.jsonl", "lines that break a rule"),
    ("ready/execlog/SYMBOL/exec_YYYYMMDD_HHMM.jsonl", "one line for each step of an order's life"),
    ("logs/execution_worker/YYYYMMDD_HH.log", "what happened, one JSON object a line"),
)
_ENVIRONMENT = (
    ("V13_EXECUTION__KEY__KEY", "any setting, as V13_EXECUTION__RATE_LIMIT__MAX_QPS"),
    (
        "V13_OUTPUT_DIR, V13_SYMBOLS, V13_SINK, V13_EXECUTION_MODE, V13_LOG_LEVEL",
        "short names of five of them",
    ),
    ("LIVE_CONFIRM", "must be YES in mode live"),
    ("BINANCE_API_KEY, BINANCE_API_SECRET", "the credentials, unless the settings name others"),
)


def man_page(root: Command, program: str) -> str:
    """The page in roff."""
    summary, _, rest = root.help.partition("\n\n")
    short = _one_line(summary).rstrip(".")
    lines = [
        f'.TH {program.upper()} 1 "" "{program} {VERSION}" "User Commands"',
        ".SH NAME",
        f"{program} \\- {_text(short[:1].lower() + short[1:])}",
        ".SH SYNOPSIS",
        f".B {_text(program)}",
        "[\\fIOPTION\\fR]... [\\fICOMMAND\\fR [\\fIOPTION\\fR]...]",
        ".SH DESCRIPTION",
        *_paragraphs(rest or summary),
        ".SH OPTIONS",
        *_options(root),
        ".SH COMMANDS",
    ]
    for command in root.walk():
        if command.path and not command.commands:
            lines += _command(command)
    lines += _epilogue(root.epilogue)
    lines += [".SH FILES", "Below the output folder:", *_pairs(_FILES)]
    lines += [".SH ENVIRONMENT", *_pairs(_ENVIRONMENT)]
    return "\n".join(lines) + "\n"


def _command(command: Command) -> list[str]:
    arguments = "".join(
        f" \\fI{_text(_argument(one))}\\fR" if one.required else f" [\\fI{_text(_argument(one))}\\fR]"
        for one in command.arguments
    )
    return [
        f".SS {_text(' '.join(command.path))}{arguments}",
        *_paragraphs(command.help or command.short),
        *(
            line
            for one in command.arguments
            if one.help
            for line in _pair(f"\\fI{_text(_argument(one))}\\fR", one.help)
        ),
        *_options(command),
    ]


def _argument(one: Parameter) -> str:
    return one.names[0].upper()


def _options(command: Command) -> list[str]:
    lines: list[str] = []
    for option in command.options:
        if option.names == ("-h", "--help") and command.path:
            continue
        names = ", ".join(f"\\fB{_text(name)}\\fR" for name in option.names)
        value = "" if option.value is None else f" \\fI{_text(option.value)}\\fR"
        told = option.help
        if option.default is not None and "[default" not in told:
            told += f" [default: {option.default}]"
        lines += _pair(names + value, told)
    return lines


def _pair(name: str, told: str) -> list[str]:
    return [".TP", name, _text(told)]


def _pairs(pairs: tuple[tuple[str, str], ...]) -> list[str]:
    return [line for name, told in pairs for line in _pair(f"\\fB{_text(name)}\\fR", told)]


def _epilogue(text: str) -> list[str]:
    """Paragraphs; those marked to keep their lines keep them."""
    lines: list[str] = []
    for part in text.split("\n\n"):
        marked = part.lstrip("\n").startswith("\b")
        part = part.replace("\b\n", "").replace("\b", "")
        first, _, rest = part.strip("\n").partition("\n")
        if first.strip().endswith(":"):
            lines.append(f".SH {_text(first.strip().rstrip(':')).upper()}")
            part = rest
        if marked and part.strip():
            lines += [".nf", *(_text(line) for line in part.strip("\n").splitlines()), ".fi"]
        elif part.strip():
            lines += _paragraphs(part)
    return lines


def _paragraphs(text: str) -> list[str]:
    return [line for part in text.split("\n\n") for line in (".PP", _text(_one_line(part)))]


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text.replace("\b", "")).strip()


def _text(text: str) -> str:
    """Text that roff takes as it stands: no escapes, no requests, dashes that can be copied."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{text}" if text[:1] in (".", "'") else text
