"""The tree of the command line: every command, its options and its words, as plain values.

Pure. What completes commands in a shell and what makes the man page read it, so that neither can know an
option that is not there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple, get_args

import typer.main

# What an option's value is, by the word that help shows for it.
_FILES = {"FILE", "PATH"}
_FOLDERS = {"DIR"}


class Parameter(NamedTuple):
    """An option, or an argument where `names` begin with no dash."""

    names: tuple[str, ...]
    value: str | None
    help: str
    choices: tuple[str, ...]
    default: str | None
    required: bool

    @property
    def is_option(self) -> bool:
        """Whether it is named on the command line."""
        return self.names[0].startswith("-")

    @property
    def is_file(self) -> bool:
        """Whether its value is a file."""
        return self.value in _FILES

    @property
    def is_folder(self) -> bool:
        """Whether its value is a folder."""
        return self.value in _FOLDERS


class Command(NamedTuple):
    """A command: the words after the program's name that call it, and what it takes."""

    path: tuple[str, ...]
    short: str
    help: str
    epilogue: str
    parameters: tuple[Parameter, ...]
    commands: tuple[Command, ...]

    def walk(self) -> Iterator[Command]:
        """This one and all below it."""
        yield self
        for command in self.commands:
            yield from command.walk()

    @property
    def options(self) -> list[Parameter]:
        """Those that are named."""
        return [one for one in self.parameters if one.is_option]

    @property
    def arguments(self) -> list[Parameter]:
        """Those that are not."""
        return [one for one in self.parameters if not one.is_option]


_HELP = Parameter(("-h", "--help"), None, "Show this message and exit.", (), None, required=False)


def tree(app: typer.Typer) -> Command:
    """The whole command line of an application."""
    return _command(typer.main.get_command(app), ())


def _command(command: Any, path: tuple[str, ...]) -> Command:
    below = getattr(command, "commands", {})
    text = command.help or ""
    return Command(
        path=path,
        short=(command.short_help or text.strip().split("\n\n")[0]).strip(),
        help=text.strip(),
        epilogue=(command.epilog or "").strip(),
        parameters=(*(_parameter(one) for one in command.params if not one.hidden), _HELP),
        commands=tuple(_command(one, (*path, name)) for name, one in sorted(below.items()) if not one.hidden),
    )


def _parameter(one: Any) -> Parameter:
    is_flag = bool(getattr(one, "is_flag", False))
    return Parameter(
        names=(*one.opts, *one.secondary_opts),
        value=None if is_flag else (one.metavar or one.name.upper()),
        help=re.sub(r"\s+", " ", one.help or ""),
        choices=_choices(one),
        default=None if is_flag or one.default is None or callable(one.default) else str(one.default),
        required=bool(one.required),
    )


def _choices(one: Any) -> tuple[str, ...]:
    """The words of a Literal; nothing for other types."""
    annotation = getattr(getattr(one, "type_descriptor", None), "annotation", None)
    words = get_args(annotation)
    return (
        tuple(str(word) for word in words) if words and all(isinstance(word, str) for word in words) else ()
    )
