"""Credentials: the first place that holds them wins, each mistake is one sentence, and none shows a value."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.binance.credentials import (
    Credentials,
    CredentialsError,
    read_credentials,
)
from config.secret_file import SECRET_BYTES_MAX, SecretFileError, check_folders
from config.settings import Broker

KEY, SECRET = "k" * 40 + "Key1", "s" * 40 + "Secret1"
PEM = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIMadeUpMadeUpMadeUpMade\n-----END PRIVATE KEY-----"
ENVIRONMENT = {"BINANCE_API_KEY": KEY, "BINANCE_API_SECRET": SECRET}


def private_file(path: Path, text: str | bytes, mode: int = 0o600) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(mode)
    return path


@pytest.fixture
def files(tmp_path: Path) -> Broker:
    return Broker(
        api_key_file=private_file(tmp_path / "key", KEY + "\n"),
        secret_file=private_file(tmp_path / "secret", SECRET + "\n"),
    )


def refusal(
    broker: Broker, environ: dict[str, str] | None = None, user_id: int | None = None
) -> CredentialsError:
    with pytest.raises(CredentialsError) as caught:
        read_credentials(broker, environ or {}, user_id=user_id)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert not sentence.endswith(".")
    for value in (KEY, SECRET, PEM, "MadeUp"):
        assert value not in sentence
        assert value not in repr(caught.value)
    assert caught.value.__cause__ is None
    return caught.value


def test_the_environment_gives_both() -> None:
    found = read_credentials(Broker(), ENVIRONMENT)

    assert (found.api_key, found.secret) == (KEY, SECRET)
    assert found.origin == "the environment variable BINANCE_API_KEY"


def test_files_come_before_the_environment_and_lose_their_line_end(files: Broker) -> None:
    found = read_credentials(files, {"BINANCE_API_KEY": "other", "BINANCE_API_SECRET": "another"})

    assert (found.api_key, found.secret) == (KEY, SECRET)


def test_the_folder_of_the_service_comes_first(tmp_path: Path, files: Broker) -> None:
    folder = tmp_path / "credentials"
    folder.mkdir()
    # The rights that systemd gives: an access list shows as rights of the group.
    private_file(folder / "BINANCE_API_KEY", "from-the-folder", 0o440)
    private_file(folder / "BINANCE_API_SECRET", "its-secret", 0o440)

    found = read_credentials(files, {"CREDENTIALS_DIRECTORY": str(folder), **ENVIRONMENT})

    assert (found.api_key, found.secret) == ("from-the-folder", "its-secret")


def test_a_folder_of_the_service_without_our_names_is_passed_over(tmp_path: Path) -> None:
    found = read_credentials(Broker(), {"CREDENTIALS_DIRECTORY": str(tmp_path), **ENVIRONMENT})

    assert found.api_key == KEY


def test_the_names_of_the_variables_are_the_ones_configured() -> None:
    broker = Broker(api_key_env="MY_KEY", secret_env="MY_SECRET")

    assert read_credentials(broker, {"MY_KEY": KEY, "MY_SECRET": SECRET, **ENVIRONMENT}).api_key == KEY
    assert "MY_KEY" in str(refusal(broker, ENVIRONMENT))


def test_nothing_of_it_is_shown_by_repr_or_str() -> None:
    found = Credentials(KEY, SECRET, "somewhere")

    for text in (repr(found), str(found), f"{found}", repr([found])):
        assert KEY not in text
        assert SECRET not in text


def test_a_fingerprint_tells_accounts_apart_and_not_the_key() -> None:
    one, same, other = (Credentials(key, SECRET, "") for key in (KEY, KEY, KEY + "2"))

    assert one.fingerprint == same.fingerprint != other.fingerprint
    assert len(one.fingerprint) == 16
    assert one.fingerprint not in KEY


def test_everything_that_must_stay_hidden_is_listed() -> None:
    found = Credentials(KEY, PEM, "")

    assert KEY in found.hidden
    assert PEM in found.hidden
    assert PEM.splitlines()[1] in found.hidden
    assert not any(line.startswith("-----") for line in found.hidden[2:])


def test_nothing_anywhere_says_where_to_put_them() -> None:
    sentence = str(refusal(Broker(), {"BINANCE_API_KEY": "", "BINANCE_API_SECRET": ""}))

    assert "BINANCE_API_KEY" in sentence
    assert "broker.secret_file" in sentence


@pytest.mark.parametrize("given", ["BINANCE_API_KEY", "BINANCE_API_SECRET"])
def test_half_of_a_pair_is_refused_and_not_completed_from_elsewhere(given: str, tmp_path: Path) -> None:
    folder = tmp_path / "credentials"
    folder.mkdir()
    private_file(folder / given, KEY)

    assert "is missing while" in str(refusal(Broker(), {given: ENVIRONMENT[given]}))
    assert "is missing while" in str(refusal(Broker(), {"CREDENTIALS_DIRECTORY": str(folder), **ENVIRONMENT}))


def test_one_of_two_files_is_half_of_a_pair(tmp_path: Path) -> None:
    broker = Broker(api_key_file=private_file(tmp_path / "key", KEY))

    assert "broker.secret_file is missing while" in str(refusal(broker, ENVIRONMENT))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o601, 0o666])
def test_a_file_that_others_can_reach_is_refused(files: Broker, mode: int) -> None:
    assert files.secret_file is not None
    files.secret_file.chmod(mode)

    error = refusal(files, ENVIRONMENT)

    assert error.kind == "permission"
    assert f"has mode {mode:04o}, must be 0600" in str(error)


def test_a_folder_file_that_strangers_can_read_is_refused(tmp_path: Path) -> None:
    private_file(tmp_path / "BINANCE_API_KEY", KEY, 0o444)
    private_file(tmp_path / "BINANCE_API_SECRET", SECRET, 0o400)

    assert refusal(Broker(), {"CREDENTIALS_DIRECTORY": str(tmp_path)}).kind == "permission"


def test_a_file_of_another_user_is_refused(files: Broker) -> None:
    error = refusal(files, user_id=os.geteuid() + 1)

    assert error.kind == "permission"
    assert "must belong to user" in str(error)


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o757])
@pytest.mark.parametrize("levels_up", [0, 1])
def test_a_folder_in_which_others_can_exchange_the_file_is_refused(
    tmp_path: Path, mode: int, levels_up: int
) -> None:
    folder = tmp_path / "keys" / "binance"
    folder.mkdir(parents=True)
    broker = Broker(
        api_key_file=private_file(folder / "key", KEY), secret_file=private_file(folder / "secret", SECRET)
    )
    spoiled = (folder, *folder.parents)[levels_up]
    spoiled.chmod(mode)

    error = refusal(broker, ENVIRONMENT)

    assert error.kind == "permission"
    assert f"lies below {spoiled}, which has mode {mode:04o}" in str(error)


def test_a_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    file, stranger = private_file(folder / "key", KEY), os.geteuid() + 1
    if os.geteuid() == 0:
        # What root owns is as safe as what the user owns.
        os.chown(folder, stranger, -1)
        user, owner = 0, stranger
    else:
        user, owner = stranger, os.geteuid()

    with pytest.raises(SecretFileError) as caught:
        check_folders(file, "broker.api_key_file", (user,))

    assert caught.value.kind == "permission"
    assert f"lies below {folder}, which belongs to user {owner}" in str(caught.value)


def test_a_folder_with_the_sticky_bit_keeps_the_file_in_its_place(tmp_path: Path, files: Broker) -> None:
    tmp_path.chmod(0o1777)

    assert read_credentials(files, {}).api_key == KEY


def test_the_folder_of_the_service_must_be_safe_too(tmp_path: Path) -> None:
    private_file(tmp_path / "BINANCE_API_KEY", KEY, 0o400)
    private_file(tmp_path / "BINANCE_API_SECRET", SECRET, 0o400)
    tmp_path.chmod(0o777)

    error = refusal(Broker(), {"CREDENTIALS_DIRECTORY": str(tmp_path)})

    assert error.kind == "permission"
    assert f"lies below {tmp_path}" in str(error)


def make_second_name(path: Path) -> None:
    path.with_suffix(".other").hardlink_to(path)


def make_link(path: Path) -> None:
    path.rename(path.with_suffix(".real"))
    path.symlink_to(path.with_suffix(".real"))


def make_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


def make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir(mode=0o700)


def make_long(path: Path) -> None:
    private_file(path, "x" * (SECRET_BYTES_MAX + 1))


def make_binary(path: Path) -> None:
    private_file(path, b"\xff\xfe" + SECRET.encode())


def make_empty(path: Path) -> None:
    private_file(path, "\n")


def make_two_lines(path: Path) -> None:
    private_file(path, f"{KEY}\n{SECRET}\n")


def make_same(path: Path) -> None:
    private_file(path, KEY)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (make_link, "is a symbolic link"),
        (make_second_name, "has 2 names, must have one"),
        (make_pipe, "is no regular file"),
        (make_folder, "is no regular file"),
        (Path.unlink, "does not exist"),
        (make_long, "has more than"),
        (make_binary, "is no text"),
        (make_empty, "is empty"),
        (make_two_lines, "more than one word"),
        (make_same, "hold the same text"),
    ],
)
def test_each_mistake_with_a_file_is_one_sentence(
    files: Broker, spoil: Callable[[Path], None], words: str
) -> None:
    assert files.secret_file is not None
    spoil(files.secret_file)

    assert words in str(refusal(files, ENVIRONMENT))


def test_a_link_anywhere_but_at_the_end_is_the_owner_s_own_affair(tmp_path: Path, files: Broker) -> None:
    link = tmp_path.parent / (tmp_path.name + "-link")
    link.symlink_to(tmp_path)

    through = Broker(api_key_file=link / "key", secret_file=link / "secret")

    assert read_credentials(through, {}).api_key == KEY


def test_a_private_key_is_for_spot_alone() -> None:
    environ = {**ENVIRONMENT, "BINANCE_API_SECRET": PEM}

    spot = read_credentials(Broker(name="binance-spot"), environ)

    assert spot.is_private_key
    assert not read_credentials(Broker(), ENVIRONMENT).is_private_key
    assert "only broker.name binance-spot" in str(refusal(Broker(), environ))


@pytest.mark.parametrize("kind", ["ENCRYPTED PRIVATE KEY", "RSA PRIVATE KEY", "PUBLIC KEY"])
def test_another_kind_of_pem_is_refused(kind: str) -> None:
    environ = {**ENVIRONMENT, "BINANCE_API_SECRET": PEM.replace("PRIVATE KEY", kind)}

    assert "must be an unencrypted Ed25519" in str(refusal(Broker(name="binance-spot"), environ))


def test_a_key_that_would_split_a_header_is_refused() -> None:
    environ = {**ENVIRONMENT, "BINANCE_API_KEY": f"{KEY}\r\nX-Other: 1"}

    assert "must be the credential and nothing else" in str(refusal(Broker(), environ))
