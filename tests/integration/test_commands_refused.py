"""A halt that reaches nobody says so: whoever gives it goes back to sleep on its answer."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from worker.cli import app
from worker.exits import Exit


def test_a_halt_in_a_folder_without_a_store_is_no_success(tmp_path: Path) -> None:
    folder = tmp_path / "misspelled"

    result = CliRunner().invoke(app, ["halt", "--why", "odd prices", "--output", str(folder)])

    assert result.exit_code == Exit.NOT_RUNNING
    assert "no worker was reached" in result.output
    assert (folder / "executions" / "HALT").exists()


def test_a_halt_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "executions").write_text("a file in the place of the folder")

    result = CliRunner().invoke(app, ["halt", "--why", "odd prices", "--output", str(tmp_path)])

    assert result.exit_code == Exit.PERMISSION
    assert "nothing is halted: no file HALT can be written" in result.output
