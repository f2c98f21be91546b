"""Where the API key and its secret come from, and that nobody else can read them there.

Three places, the first that holds anything wins: the folder that systemd fills
($CREDENTIALS_DIRECTORY), the files that the configuration names, the environment. Never the command
line, which every user of the host can read. No sentence of this module contains a value.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from config.secret_file import CREDENTIALS_DIRECTORY, Kind, SecretFileError, read_secret
from config.settings import Broker

_PEM_BEGIN = "-----BEGIN "
_PEM_PRIVATE_KEY = "-----BEGIN PRIVATE KEY-----"
# What may stand in a header or under an HMAC: no space, no control character, no quote.
_TOKEN = re.compile(r"[A-Za-z0-9+/=_.:~-]{1,512}")


class CredentialsError(Exception):
    """The credentials cannot be used. `kind` decides the exit code (77, 78), the text is the sentence."""

    def __init__(self, sentence: str, kind: Kind = "configuration") -> None:
        self.kind: Kind = kind
        super().__init__(sentence)


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """An API key and its secret, an HMAC secret or a private key in PEM. `origin` says where they were found.

    Printing it shows neither.
    """

    api_key: str
    secret: str
    origin: str

    def __repr__(self) -> str:
        return "Credentials(hidden)"

    @property
    def is_private_key(self) -> bool:
        """True for a PEM private key, which signs with Ed25519."""
        return self.secret.startswith(_PEM_BEGIN)

    @property
    def hidden(self) -> tuple[str, ...]:
        """Every text that must not appear in any output: for a redactor."""
        lines = self.secret.splitlines() if self.is_private_key else []
        return (self.api_key, self.secret, *(line for line in lines if not line.startswith("-----")))

    @property
    def fingerprint(self) -> str:
        """16 hex digits that stand for the API key wherever an account has to be told from another."""
        digest = hashlib.blake2b(self.api_key.encode(), digest_size=8, person=b"ew-account")
        return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class _Found:
    """One credential, as text, and the words for where it was; `value` None: not there."""

    value: str | None
    where: str


def read_credentials(
    broker: Broker, environ: Mapping[str, str], *, user_id: int | None = None, of: str | None = None
) -> Credentials:
    """The key and the secret, both from the first place that holds one of them; may be repeated.

    `of` says whose they are where that is not the main account, which alone has settings for files.

    Raises CredentialsError with one sentence for the first mistake.
    """
    user = os.geteuid() if user_id is None else user_id
    places = (
        _from_folder(broker, environ, user),
        _from_files(broker, user),
        _from_environment(broker, environ),
    )
    for key, secret in places:
        if key.value is None and secret.value is None:
            continue
        for found, other in ((key, secret), (secret, key)):
            if found.value is None:
                raise CredentialsError(
                    f"{found.where} is missing while {other.where} is there: give both in the same place"
                )
        return _checked(broker, key, secret)
    files = ", or broker.api_key_file and broker.secret_file to two files with mode 0600"
    raise CredentialsError(
        f"no API key {'' if of is None else f'of {of} '}was found: set {broker.api_key_env} and "
        f"{broker.secret_env} in the environment{files if of is None else ''}"
    )


def _from_folder(broker: Broker, environ: Mapping[str, str], user: int) -> tuple[_Found, _Found]:
    folder = environ.get(CREDENTIALS_DIRECTORY)
    key, secret = (_in_folder(folder, name, user) for name in (broker.api_key_env, broker.secret_env))
    return key, secret


def _in_folder(folder: str | None, name: str, user: int) -> _Found:
    where = f"${CREDENTIALS_DIRECTORY}/{name}"
    if not folder or not os.path.lexists(os.path.join(folder, name)):
        return _Found(None, where)
    # systemd leaves its files to root and lets the service in by an access list, whose mask shows as
    # the rights of the group: only the rights of strangers are a mistake there.
    return _Found(_read(Path(folder, name), where, owners=(user, 0), forbidden=0o007), where)


def _from_files(broker: Broker, user: int) -> tuple[_Found, _Found]:
    return (
        _named_file("broker.api_key_file", broker.api_key_file, user),
        _named_file("broker.secret_file", broker.secret_file, user),
    )


def _named_file(key: str, path: Path | None, user: int) -> _Found:
    if path is None:
        return _Found(None, key)
    where = f"{key} {path}"
    return _Found(_read(path, where, owners=(user,), forbidden=0o077), where)


def _from_environment(broker: Broker, environ: Mapping[str, str]) -> tuple[_Found, _Found]:
    # An empty variable is what a shell leaves of one that was not set.
    key, secret = (
        _Found(environ.get(name) or None, f"the environment variable {name}")
        for name in (broker.api_key_env, broker.secret_env)
    )
    return key, secret


def _read(path: Path, where: str, *, owners: tuple[int, ...], forbidden: int) -> str:
    try:
        return read_secret(path, where, owners=owners, forbidden=forbidden)
    except SecretFileError as error:
        raise CredentialsError(str(error), error.kind) from None


def _checked(broker: Broker, key: _Found, secret: _Found) -> Credentials:
    api_key, private = (key.value or "").strip(), (secret.value or "").strip()
    _check_token(api_key, key.where)
    if private.startswith(_PEM_BEGIN):
        _check_private_key(broker, private, secret.where)
    else:
        _check_token(private, secret.where)
    if api_key == private:
        raise CredentialsError(
            f"{key.where} and {secret.where} hold the same text: give the key and its secret"
        )
    return Credentials(api_key, private, key.where)


def _check_token(value: str, where: str) -> None:
    if not value:
        raise CredentialsError(f"{where} is empty: put the credential into it")
    if not _TOKEN.fullmatch(value):
        raise CredentialsError(
            f"{where} holds more than one word of letters and digits, must be the credential and nothing else"
        )


def _check_private_key(broker: Broker, pem: str, where: str) -> None:
    if broker.name != "binance-spot":
        raise CredentialsError(
            f"{where} holds a private key, which only broker.name binance-spot can use: "
            "give the secret of an HMAC key"
        )
    if not pem.startswith(_PEM_PRIVATE_KEY):
        raise CredentialsError(
            f"{where} holds another kind of PEM, must be an unencrypted Ed25519 private key "
            "(BEGIN PRIVATE KEY)"
        )
