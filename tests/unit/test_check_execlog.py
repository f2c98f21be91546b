"""What `check` says of the folders of the execution log."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from rig.disk import small_disk

from worker import check_output
from worker.check_output import execlog_rows


def test_folders_that_can_be_written_are_no_doubt_and_stay_as_they_were(tmp_path: Path) -> None:
    output = tmp_path / "output"

    assert list(execlog_rows(output)) == []
    (output / "ready" / "signal").mkdir(parents=True)
    assert list(execlog_rows(output)) == []
    assert [path.name for path in output.rglob("*")] == ["ready", "signal"]


def test_a_folder_of_somebody_else_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ready").mkdir()
    made = os.open

    def refuse(path: Path, *arguments: int) -> int:
        if Path(path).parent == tmp_path / "ready":
            raise PermissionError(13, "Permission denied")
        return made(path, *arguments)

    monkeypatch.setattr(check_output.os, "open", refuse)

    [row] = execlog_rows(tmp_path)

    assert (row.subject, row.level) == ("execution log", "warn")
    assert row.finding == f"{tmp_path / 'ready'} cannot be written (permission denied)"


def test_folders_on_two_file_systems_are_told(tmp_path: Path) -> None:
    with small_disk(tmp_path / "ready", "1m"):
        [row] = execlog_rows(tmp_path)

    assert row.level == "warn"
    assert "different file systems" in row.finding
