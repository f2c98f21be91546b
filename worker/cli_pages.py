"""The commands `completion` and `man`: what a shell and `man` are given, made of the command line itself."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

ShellName = Literal["bash", "zsh", "fish"]


def completion(
    shell: Annotated[ShellName, typer.Argument(metavar="SHELL", help="bash, zsh or fish.")],
) -> None:
    """Print the completion script of a shell; make it anew after an upgrade.

    bash: `execution-worker completion bash > /etc/bash_completion.d/execution-worker`, zsh: into a folder of
    $fpath as _execution-worker, fish: into ~/.config/fish/completions/execution-worker.fish.
    """
    from worker.cli import PROGRAM, app
    from worker.cli_tree import tree
    from worker.completion import script

    typer.echo(script(tree(app), PROGRAM, shell), nl=False)


def man() -> None:
    """Print the man page: `execution-worker man | man -l -`."""
    from worker.cli import PROGRAM, app
    from worker.cli_tree import tree
    from worker.man_page import man_page

    typer.echo(man_page(tree(app), PROGRAM), nl=False)
