"""The token file: who may have written it, what it must hold, and that no sentence tells it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from config.errors import ConfigError
from config.load import load_settings
from config.secret_file import SecretFileError
from worker.check_output import control_rows
from worker.doubt import Level
from worker.http_token import TokenFile, check_token

TOKEN = "a-made-up-token-of-0123456789-letters"


def token_at(path: Path, text: str = TOKEN, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def refusal(path: Path, user_id: int | None = None) -> SecretFileError:
    with pytest.raises(SecretFileError) as caught:
        TokenFile(path, {}, user_id=user_id).check()
    assert TOKEN not in str(caught.value)
    assert "execution.http.token_file" in str(caught.value)
    return caught.value


def test_the_token_matches_with_or_without_a_line_end_and_nothing_else_does(tmp_path: Path) -> None:
    token = TokenFile(token_at(tmp_path / "token", f"{TOKEN}\n"), {})

    assert token.matches(TOKEN.encode())
    assert not token.matches(b"")
    assert not token.matches(TOKEN.encode() + b"\n")
    assert not token.matches(TOKEN.upper().encode())


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o606, 0o777])
def test_a_file_that_others_may_read_or_write_is_refused(tmp_path: Path, mode: int) -> None:
    assert refusal(token_at(tmp_path / "token", mode=mode)).kind == "permission"


def test_a_link_a_folder_a_strangers_file_and_a_folder_open_to_others_are_refused(tmp_path: Path) -> None:
    real = token_at(tmp_path / "token")
    (tmp_path / "link").symlink_to(real)
    (tmp_path / "open").mkdir()
    inside = token_at(tmp_path / "open" / "token")
    (tmp_path / "open").chmod(0o777)

    assert "symbolic link" in str(refusal(tmp_path / "link"))
    assert "no regular file" in str(refusal(tmp_path))
    assert "belongs to user" in str(refusal(real, user_id=os.geteuid() + 1))
    assert "others could exchange the file" in str(refusal(inside))


@pytest.mark.parametrize("text", ["", "short", "a" * 64, "x" * 600, "two words " + TOKEN, "ä" * 40])
def test_what_is_no_token_is_refused_with_how_to_make_one(tmp_path: Path, text: str) -> None:
    caught = refusal(token_at(tmp_path / "token", text))

    assert caught.kind == "configuration"
    assert "token_urlsafe" in str(caught)


def test_a_file_that_is_not_there_is_refused_at_start_and_none_is_fine(tmp_path: Path) -> None:
    assert "does not exist" in str(refusal(tmp_path / "token"))
    check_token(None, {})


def test_a_file_that_systemd_hands_over_may_be_roots_with_its_mask(tmp_path: Path) -> None:
    path = token_at(tmp_path / "token", mode=0o440)

    assert TokenFile(path, {"CREDENTIALS_DIRECTORY": str(tmp_path)}).matches(TOKEN.encode())
    assert refusal(path).kind == "permission"


def test_check_has_a_row_for_it_with_what_to_do(tmp_path: Path) -> None:
    (good,) = control_rows(token_at(tmp_path / "token"), {})
    (bad,) = control_rows(token_at(tmp_path / "token", mode=0o644), {})

    assert list(control_rows(None, {})) == []
    assert good.level is Level.OK
    assert (bad.level, bad.remedy) == (Level.FAIL, "chmod 600 it")


def test_each_token_that_is_read_is_hidden_from_the_log(tmp_path: Path) -> None:
    hidden: list[str] = []
    token = TokenFile(token_at(tmp_path / "token"), {}, hide=hidden.append)
    token.check()
    token_at(tmp_path / "token", TOKEN[::-1])

    assert token.matches(TOKEN[::-1].encode())
    assert hidden == [TOKEN, TOKEN[::-1]]


def test_a_token_and_an_address_of_the_network_do_not_go_together() -> None:
    given = {"execution.http.token_file": "/run/token", "execution.http.host": "0.0.0.0"}

    with pytest.raises(ConfigError) as caught:
        load_settings(config_file=None, environ={}, overrides=given)
    for host in ("127.0.0.1", "localhost", "::1"):
        load_settings(config_file=None, environ={}, overrides={**given, "execution.http.host": host})

    assert "loopback alone" in str(caught.value)
